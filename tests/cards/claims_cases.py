"""Judge `claims` on statements that someone wrote before looking at the code: `python -m tests.cards.claims_cases FILE.yaml…`.

A case is a card's text, the model it is about, and what a careful reader with the documented facts says of one statement in it:
`right`, `wrong` or `undecidable`. A wrong one counts as found if its line is called contradicted or another checkpoint's; a right
or undecidable one that is called so is a false alarm.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.cards.claim import Claim
from harness.cards.claims import check_claims


@dataclass(frozen=True)
class Case:
    """One statement with its card."""

    id: str
    model: str
    text: str
    expect: str
    statement: str

    def alarms(self) -> list[Claim]:
        """The claims of the card that are called wrong."""
        return [c for c in check_claims(self.text.encode(), model=self.model, ledger=None) if c.verdict.is_wrong]

    def is_found(self) -> bool:
        """Whether the lines of the statement hold an alarm."""
        first = self.text.find(self.statement)
        lines = range(self.text.count("\n", 0, first) + 1, self.text.count("\n", 0, first + len(self.statement)) + 2)
        return any(claim.line in lines for claim in self.alarms())


def read_cases(path: Path) -> list[Case]:
    """The cases of a file."""
    entries: list[dict[str, Any]] = yaml.safe_load(path.read_text("utf-8"))
    fields = Case.__dataclass_fields__
    return [Case(**{name: str(entry.get(name, entry["text"])) for name in fields}) for entry in entries]


def faults(cases: list[Case]) -> Iterator[tuple[str, Case, list[Claim]]]:
    """What went wrong: `missed` statements and `false alarm`s."""
    for case in cases:
        if case.expect == "wrong" and not case.is_found():
            yield "missed", case, []
        elif case.expect != "wrong" and (alarms := case.alarms()):
            yield "false alarm", case, alarms


def report(paths: list[Path]) -> str:
    """Recall and false alarms of each file, and every fault."""
    lines = []
    for path in paths:
        cases = read_cases(path)
        found = list(faults(cases))
        wrong = sum(case.expect == "wrong" for case in cases)
        missed = sum(kind == "missed" for kind, *_ in found)
        others, false = len(cases) - wrong, len(found) - missed
        lines.append(f"{path.name}: {wrong - missed} of {wrong} wrong ones found, {false} of {others} others flagged")
        for kind, case, alarms in found:
            why = "; ".join(f"{claim.about}: {claim.text} ({claim.correct or claim.note})" for claim in alarms)
            lines.append(f"  {kind}: {case.id} ({case.model}): {why or case.statement}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(report([Path(name) for name in sys.argv[1:]]) + "\n")

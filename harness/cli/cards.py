"""render, fill, claims, verify, identify: model cards from evidence, and against it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import harness
from harness.cli import options
from harness.cli.common import print_json, print_text, say, verb
from harness.cli.tables import table
from harness.errors import ExitCode

Card = Annotated[Path, typer.Argument(help="A model card, Markdown.")]


@verb(harness.render)
def render(output: Path | None = None, **given: Any) -> None:
    """Write a model card from a ledger, and the ledger beside it, so that the card can be verified anywhere.

    Example: `harness render --model efficientnet-lite0 --output card.md`
    """
    card = harness.render(output=output, **given)
    if output is None:
        print_text(card)
    else:
        say(f"Card: {output}, with its ledger beside it: {output.stem}.evidence.json")


@verb(harness.fill)
def fill(
    card: Card,
    output: Path,
    diff: Annotated[bool, typer.Option("--diff", help="Print the changes as a unified diff.")] = False,
    front_matter: bool = False,
    **given: Any,
) -> ExitCode:
    """Close every `[More Information Needed]` of a card with evidence, or with an honest statement of another class.

    Everything outside the reported places stays byte for byte. Works without any run, from documented facts alone. Beside
    the card stand `filled.evidence.json`, the evidence that its answers rest on, and `filled.fill.json`, the card before and
    what became of each marker; a comment at the card's end names them for `harness verify`.

    Example: `harness fill README.md --model regnet-y-040 --output filled.md --diff`
    """
    from harness.cards.fill import card_diff
    from harness.cards.record import read_card

    before, _ = read_card(card)
    result = harness.fill(card, output=output, front_matter=front_matter, **given)
    if diff:
        print_text(card_diff(before, result.text, card.name))
    counts = ", ".join(f"{count} {name}" for name, count in result.report["counts"].items() if count)
    say(f"{len(result.report['markers'])} markers: {counts or 'none'}. Card: {output}")
    for left in result.report["left"]:
        say(f"line {left['line']}: left as it is ({left['why']})")
    wrong = result.report["contradictions"]
    for claim in wrong:
        about = [claim["correct"] and f"here {claim['correct']}", claim["note"], claim["source"]]
        told = "; ".join(filter(None, about))
        say(f"line {claim['line']}: {' '.join(claim['text'].split())}" + (f" ({told})" if told else ""))
    if unread := result.report.get("unread"):
        say(f"What the card says was not checked. {unread}")
    else:
        count = len({tuple(claim["whole"]) for claim in wrong})
        say(f"{count} statement{'' if count == 1 else 's'} contradict{'s' if count == 1 else ''} the evidence.")
    if not front_matter and not result.text.startswith(b"---"):
        say("The card has no front matter, by which the Hub finds it: `--front-matter` adds it.")
    return ExitCode.DONE if result.complete else ExitCode.INCOMPLETE


@verb(harness.claims)
def claims(card: Card, output_format: options.Format = "table", **given: Any) -> ExitCode:
    """Check what a card says outside its markers against the model's evidence and documented facts.

    Shows what is contradicted, true of another checkpoint only, or disputed, each with the evidence and its source; with
    `--format json` every statement. Exit code 5 where something is contradicted.

    Example: `harness claims README.md --model convnext-base-224-22k`
    """
    found = harness.claims(card, **given)
    verdicts = [claim.verdict.value for claim in found]
    if output_format == "json":
        print_json({"claims": [claim.to_dict() for claim in found]})
    else:
        shown = [c for c in found if c.verdict.value not in ("supported", "unsupported", "not-checkable")]
        titles = ["line", "verdict", "statement", "evidence says", "source"]
        rows = [
            [
                str(c.line),
                c.verdict.value,
                f"{c.about}: {' '.join(c.text.split())[:80]}",
                c.correct or c.note or "",
                c.source or "",
            ]
            for c in shown
        ]
        if rows:
            print_text(table(titles, rows, numeric=frozenset({0})))
        say(f"{len(found)} claims, {verdicts.count('supported')} supported, {len(shown)} shown.")
    return ExitCode.CHECK_FAILED if "contradicted" in verdicts else ExitCode.DONE


@verb(harness.verify)
def verify(card: Card, output_format: options.Format = "table", **given: Any) -> ExitCode:
    """Check that a card is, to the character, what its ledger makes, and hold the ledger's numbers against each other and
    against the stored predictions.

    Names line and evidence key of whatever was changed in what harness wrote, words as well as digits, and lists what others
    wrote elsewhere. Needs the card and the files beside it alone; says what could not be rechecked. Exit code 5 where
    something differs.

    Example: `harness verify card.md`
    """
    found = harness.verify(card, **given)
    if output_format == "json":
        print_json(found.to_dict())
    else:
        lines = [
            f"{f'line {f.line}' if f.line else 'ledger'}{f' ({f.key})' if f.key else ''}: {f.message}"
            for f in found.findings
        ]
        print_text("\n".join(lines) or "Nothing differs.")
        for their in found.theirs:
            say(f"Not ours, line {their.line}: {their.message}")
        for note in found.notes:
            say(note)
        say("Rechecked: " + ", ".join(f"{count:,} {how}" for how, count in found.checked.items()) + ".")
    return ExitCode.CHECK_FAILED if found.findings else ExitCode.DONE


@verb(harness.identify)
def identify(
    offline: Annotated[bool, typer.Option("--offline/--online", help="Look for weights on this machine only.")] = True,
    output_format: options.Format = "table",
    **given: Any,
) -> ExitCode:
    """Find out which training a checkpoint holds, where its name alone does not say.

    Compares tensors and documented logits with candidates whose weights are here, and measured accuracies with the
    candidates' published ones. What comes out goes into the model's ledger, and answers that hang on it follow it. Exit code
    3 where it stays undecided.

    Example: `harness identify --model regnet-y-040`
    """
    found = harness.identify(offline=offline, **given)
    if output_format == "json":
        print_json(found.to_dict())
    else:
        rows = [
            [found.names[name], f"{share:.4f}", f"{found.bounds[name][0]:.4f}–{found.bounds[name][1]:.4f}"]
            for name, share in found.probabilities.items()
        ]
        print_text(table(["what it may hold", "probability", "over priors"], rows, numeric=frozenset({1, 2})))
        for seen in found.observations:
            say(f"Seen: {seen.text}")
        say(f"Decided: {found.names[found.decided]}." if found.decided else f"Not decided. {found.would_decide}")
    return ExitCode.DONE if found.decided else ExitCode.INCOMPLETE

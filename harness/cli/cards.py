"""render, fill, claims, verify: model cards from evidence, and against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.common import (
    FormatOption,
    app,
    check_format,
    fails_cleanly,
    make_settings,
    print_json,
    print_text,
    say,
    table,
)
from harness.errors import ExitCode, HarnessError


@app.command()
@fails_cleanly
def render(
    model: Annotated[str | None, typer.Option("--model", "-m", help="A model with evidence in the store.")] = None,
    ledger: Annotated[Path | None, typer.Option("--ledger", help="An evidence.json instead.")] = None,
    template: Annotated[Path | None, typer.Option("--template", help="Your own Jinja template.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; stdout without it.")] = None,
) -> ExitCode | None:
    """Write a model card from a ledger.

    Example: `harness render --model efficientnet-lite0 --output card.md`
    """
    from harness.cards.render import render_card
    from harness.evidence import Ledger
    from harness.models.registry import resolve
    from harness.run import stored_ledger_path

    if (model is None) == (ledger is None):
        raise HarnessError("Give either --model or --ledger.", exit_code=ExitCode.USAGE)
    if model is not None:
        imported = stored_ledger_path(make_settings().home, Path(model).name)
        ledger = imported if imported.exists() else stored_ledger_path(make_settings().home, resolve(model).name)
        if not ledger.exists():
            raise HarnessError(
                f"The store has no evidence of {model}.",
                remedy=f"Run a suite first: harness run --suite imagenet --model {model}",
                exit_code=ExitCode.MISSING,
            )
    assert ledger is not None
    card = render_card(Ledger.load(ledger), template)
    if output is None:
        print_text(card.text)
    else:
        card.save(output)
        say(f"Card: {output}")
    return None


CardArgument = Annotated[Path, typer.Argument(help="A model card, Markdown.")]

CardModelOption = Annotated[str, typer.Option("--model", "-m", help="The model the card is about.")]

LedgerOption = Annotated[
    Path | None, typer.Option("--ledger", help="An evidence.json; without it the model's ledger in the store, if any.")
]


def _read_card(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise HarnessError(f"Can't read the card {path}: {error.strerror}.", exit_code=ExitCode.USAGE) from error


def _ledger_of(model: str, given: Path | None) -> Any:
    """The ledger given, else the store's for this model, else None."""
    from harness.evidence import Ledger
    from harness.models.registry import resolve
    from harness.run import stored_ledger_path

    if given is not None:
        return Ledger.load(given)
    path = stored_ledger_path(make_settings().home, resolve(model).name)
    return Ledger.load(path) if path.exists() else None


@app.command()
@fails_cleanly
def fill(
    card: CardArgument,
    model: CardModelOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the filled card.")],
    ledger: LedgerOption = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Where to write what became of each marker (JSON).")
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Print the changes as a unified diff.")] = False,
    fix_claims: Annotated[
        bool, typer.Option("--fix-claims", help="Also replace values that evidence contradicts.")
    ] = False,
) -> ExitCode:
    """Close every `[More Information Needed]` of a card with evidence, or with an honest statement of another class.

    Everything outside the reported places stays byte for byte. Works without any run, from documented facts alone.

    Example: `harness fill README.md --model regnet-y-040 --output filled.md --report report.json --diff`
    """
    from harness.cards.fill import card_diff, fill_card
    from harness.files import atomic_write, write_text

    text = _read_card(card)
    result = fill_card(text, model=model, ledger=_ledger_of(model, ledger), fix_claims=fix_claims)
    atomic_write(output, lambda file: file.write(result.text))
    if report is not None:
        write_text(report, json.dumps(result.report, indent=2, ensure_ascii=False) + "\n")
    if diff:
        print_text(card_diff(text, result.text, card.name))
    counts = ", ".join(f"{count} {name}" for name, count in result.report["counts"].items() if count)
    say(f"{len(result.report['markers'])} markers: {counts or 'none'}. Card: {output}")
    return ExitCode.DONE if result.complete else ExitCode.INCOMPLETE


@app.command()
@fails_cleanly
def claims(
    card: CardArgument, model: CardModelOption, ledger: LedgerOption = None, output_format: FormatOption = "table"
) -> ExitCode:
    """Check what a card says outside its markers against the model's evidence and documented facts.

    Exit code 5 where something is contradicted.

    Example: `harness claims README.md --model convnext-base-224-22k`
    """
    from harness.cards.claims import Verdict, check_claims

    check_format(output_format)
    found = check_claims(_read_card(card), model=model, ledger=_ledger_of(model, ledger))
    if output_format == "json":
        print_json({"claims": [claim.to_dict() for claim in found]})
    else:
        shown = [c for c in found if c.verdict not in (Verdict.SUPPORTED, Verdict.UNSUPPORTED)]
        rows = [[str(c.line), c.verdict.value, " ".join(c.text.split())[:80], c.correct or ""] for c in shown]
        if rows:
            print_text(table(["line", "verdict", "text", "evidence says"], rows, numeric=frozenset({0})))
        supported = sum(c.verdict is Verdict.SUPPORTED for c in found)
        say(f"{len(found)} claims, {supported} supported, {len(shown)} shown.")
    wrong = any(claim.verdict is Verdict.CONTRADICTED for claim in found)
    return ExitCode.CHECK_FAILED if wrong else ExitCode.DONE


@app.command()
@fails_cleanly
def verify(
    card: CardArgument,
    ledger: Annotated[Path, typer.Option("--ledger", help="The evidence.json the card was made from.")],
    report: Annotated[Path | None, typer.Option("--report", help="The report of the fill that made the card.")] = None,
    output_format: FormatOption = "table",
) -> ExitCode:
    """Compare a filled card's measured numbers with its ledger, and its answers with the fill's report.

    Finds values, intervals and counts that the ledger doesn't hold. It doesn't recompute them from predictions. Exit code 5
    where something differs.
    """
    from harness.cards.verify import verify_card
    from harness.evidence import Ledger

    check_format(output_format)
    told = json.loads(report.read_text(encoding="utf-8")) if report is not None else None
    found = verify_card(_read_card(card), ledger=Ledger.load(ledger), report=told)
    if output_format == "json":
        print_json([{"line": f.line, "key": f.key, "message": f.message} for f in found])
    else:
        print_text("\n".join(f"line {f.line}: {f.message}" for f in found) or "Nothing differs.")
    return ExitCode.CHECK_FAILED if found else ExitCode.DONE

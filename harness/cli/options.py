"""Options that several verbs have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from harness.errors import UsageError, unknown_name


def one_of(kind: str, *known: str) -> Callable[[str], str]:
    """A callback that refuses any other value, with the nearest known ones."""

    def check(value: str) -> str:
        if value not in known:
            raise typer.BadParameter(str(unknown_name(kind, value, known)))
        return value

    return check


def _limit(given: str | float) -> float:
    number = float(given)
    return int(number) if number.is_integer() else number


def _batch_size(given: str | int) -> int:
    if given == "auto":
        raise typer.BadParameter(
            "a batch that memory can't hold runs in halves by itself, so give the most that you would like: --batch-size 256."
        )
    return int(given)


def _from_file(context: typer.Context, path: Path | None) -> Path | None:
    """Makes the options of a file the defaults, so that those of the command line go before them."""
    if path is None:
        return None
    from harness.parsing.files import MalformedError
    from harness.parsing.yaml import read_yaml

    try:
        found = read_yaml(path).data
    except MalformedError as error:
        raise typer.BadParameter(f"{path} can't be read: {error.why}") from error
    if not isinstance(found, dict):
        raise typer.BadParameter(f"{path} is not a mapping of options, such as limit: 1000.")
    known = {
        name.removeprefix("--"): parameter
        for parameter in context.command.params
        for name in parameter.opts
        if name.startswith("--") and name not in ("--config", "--help")
    }
    defaults: dict[str, object] = {}
    for key, value in found.items():
        if key not in known:
            raise typer.BadParameter(f"{path}: {unknown_name('option', str(key), known)}")
        name, several = str(known[key].name), getattr(known[key], "multiple", False)
        if name in defaults:
            raise typer.BadParameter(f"{path}: {key} is another name of an option that it has already.")
        if several and isinstance(value, dict):
            value = [f"{benchmark}={place}" for benchmark, place in value.items()]
        defaults[name] = [value] if several and not isinstance(value, list) else value
    context.default_map = {name: value for name, value in defaults.items() if value is not None}
    return path


_MODEL_HELP = "Registry name, hf:ORG/NAME[@REV], timm:NAME, torchvision:NAME[@WEIGHTS], or a local folder."
_BY_HELP = "Slice by this too: NAME or NAME/GROUP of `harness list slicings`, or a column. Several are crossed."
_JPEG_HELP = "Pass generated corruptions through JPEG quality 85, as the official files were."
_SEED_HELP = "Other random corruptions of the same images, another protocol. All else that is random has a fixed seed."
_IMAGES_HELP = "Base images in every corruption cell: the same N seeded, class-balanced ones."
_LABELS_HELP = "What the outputs are, where the checkpoint doesn't prove it: a label space, or each class in order."
_SLICES_HELP = "Your own slices: a .csv or .parquet with sample_id or file_name, and a column a slicing."
_DATA_HELP = "BENCHMARK=PATH: where a data set is. May be given several times."
_OWN_DATA_HELP = "BENCHMARK=PATH: where a data set is; or the PATH of your own data. May be given several times."
_UNTIL_HELP = (
    "Run a random sample of the passes until this is so precise, e.g. mce:0.5 for a 95 % interval of ± 0.5 points. "
    "Metrics: mce, mean-error, top1."
)
_LIMIT_HELP = "Only N images a benchmark, or a share of them such as 0.1: seeded, class-balanced, marked as partial."
_SECONDS_HELP = "Time limit of each measurement of speed or energy, in seconds."

Model = Annotated[str, typer.Option("--model", "-m", help=_MODEL_HELP)]
Models = Annotated[list[str], typer.Option("--model", "-m", help=f"{_MODEL_HELP} Several are run one after the other.")]
_SUITE_HELP = "Name of a suite, or the path of a suite file; without it, accuracy on the data that is given."
Suite = Annotated[str | None, typer.Option("--suite", "-s", help=_SUITE_HELP)]
Data = Annotated[list[str] | None, typer.Option("--data", help=_DATA_HELP)]
OwnData = Annotated[list[str] | None, typer.Option("--data", help=_OWN_DATA_HELP)]
Until = Annotated[str | None, typer.Option("--until", metavar="METRIC:POINTS", help=_UNTIL_HELP)]
Limit = Annotated[float | None, typer.Option("--limit", parser=_limit, metavar="N", help=_LIMIT_HELP)]
CorruptionImages = Annotated[int | None, typer.Option(min=1, help=_IMAGES_HELP)]
AttackImages = Annotated[int | None, typer.Option(min=1, help="Images that are attacked (default: as the suite says).")]
ExamineImages = Annotated[
    int | None, typer.Option(min=1, help="Images of which attributions are made (default: as the suite says).")
]
CorruptionJpeg = Annotated[bool, typer.Option("--corruption-jpeg/--no-corruption-jpeg", help=_JPEG_HELP)]
CorruptionSeed = Annotated[int, typer.Option("--corruption-seed", "--seed", min=0, help=_SEED_HELP)]
BatchSize = Annotated[
    int, typer.Option("--batch-size", "-b", parser=_batch_size, metavar="N", help="Images a forward pass.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps; cuda:0,cuda:1 for a worker on each.")]
Executor = Annotated[
    str, typer.Option(help="local, or ray: the Ray cluster at RAY_ADDRESS, else one of this machine alone.")
]
Seconds = Annotated[float, typer.Option(min=0.1, help=_SECONDS_HELP)]
_FILTER_HELP = "Filter for resizing instead of the checkpoint's: nearest, bilinear, bicubic, lanczos, box or hamming."
ImgSize = Annotated[int | None, typer.Option(min=1, help="Input side in pixels, instead of the checkpoint's.")]
CropPct = Annotated[float | None, typer.Option(help="Share of the resized image to crop, instead of the checkpoint's.")]
Interpolation = Annotated[str | None, typer.Option(help=_FILTER_HELP)]
Labels = Annotated[list[str] | None, typer.Option("--labels", help=_LABELS_HELP)]
Slices = Annotated[Path | None, typer.Option("--slices", help=_SLICES_HELP)]
By = Annotated[list[str] | None, typer.Option("--by", help=_BY_HELP)]
Offline = Annotated[bool, typer.Option("--offline", help="Fetch nothing (as HF_HUB_OFFLINE=1).")]
Config = Annotated[
    Path | None,
    typer.Option(
        is_eager=True,
        callback=_from_file,
        help="A YAML file of these options by their long names, such as batch-size: 64; options given here go before it.",
    ),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Folder for evidence.json and card.md.")]
Format = Annotated[
    str, typer.Option("--format", help="What to print: table or json.", callback=one_of("format", "table", "json"))
]


def limits(given: list[str] | None) -> dict[str, float]:
    """`--max-drop` as a mapping. Raises HarnessError for what is not KEY=NUMBER."""
    found = {}
    for text in given or ():
        key, _, number = text.rpartition("=")
        try:
            found[key] = float(number)
        except ValueError:
            key = ""
        if not key or not 0 <= found[key] < float("inf"):
            raise UsageError(
                f"--max-drop takes KEY=NUMBER in the metric's own unit, not '{text}'.",
                remedy="For half a percentage point of accuracy: --max-drop imagenet-val.top1=0.5",
            )
    return found

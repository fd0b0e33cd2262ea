"""Options that several verbs have."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

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


def stay_offline(asked: bool = True) -> bool:
    """Tells the Hub's client, which reads this once, when it is imported."""
    if asked:
        os.environ["HF_HUB_OFFLINE"] = "1"
    return asked


_MODEL_HELP = "Registry name, hf:ORG/NAME[@REV], timm:NAME, torchvision:NAME[@WEIGHTS], or a local folder."
Model = Annotated[str, typer.Option("--model", "-m", help=_MODEL_HELP)]
Models = Annotated[list[str], typer.Option("--model", "-m", help=f"{_MODEL_HELP} Several are run one after the other.")]
_OWN_DATA_HELP = "BENCHMARK=PATH: where a data set is; or the PATH of your own data. May be given several times."
OwnData = Annotated[list[str] | None, typer.Option("--data", help=_OWN_DATA_HELP)]
_SUITE_HELP = "Name of a suite, or the path of a suite file; without it, accuracy on the data that is given."
Suite = Annotated[str | None, typer.Option("--suite", "-s", help=_SUITE_HELP)]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Folder for evidence.json and card.md.")]
Config = Annotated[
    Path | None,
    typer.Option(
        is_eager=True,
        callback=_from_file,
        help="A YAML file of these options by their long names, such as batch-size: 64; options given here go before it.",
    ),
]
Format = Annotated[
    str, typer.Option("--format", help="What to print: table or json.", callback=one_of("format", "table", "json"))
]

SHARED: dict[str, Any] = {
    "data": Annotated[
        list[str] | None, typer.Option(help="BENCHMARK=PATH: where a data set is. May be given several times.")
    ],
    "until": Annotated[
        str | None,
        typer.Option(
            metavar="METRIC:POINTS",
            help="Run a random sample of the passes until this is so precise, e.g. mce:0.5 for a 95 % interval of ± 0.5 "
            "points. Metrics: mce, mean-error, top1.",
        ),
    ],
    "limit": Annotated[
        float | None,
        typer.Option(
            parser=_limit,
            metavar="N",
            help="Only N images a benchmark, or a share of them such as 0.1: seeded, class-balanced, marked as partial.",
        ),
    ],
    "corruption_images": Annotated[
        int | None,
        typer.Option(min=1, help="Base images in every corruption cell: the same N seeded, class-balanced ones."),
    ],
    "attack_images": Annotated[
        int | None, typer.Option(min=1, help="Images that are attacked (default: as the suite says).")
    ],
    "examine_images": Annotated[
        int | None, typer.Option(min=1, help="Images of which attributions are made (default: as the suite says).")
    ],
    "batch_size": Annotated[
        int, typer.Option("--batch-size", "-b", parser=_batch_size, metavar="N", help="Images a forward pass.")
    ],
    "shard_size": Annotated[int, typer.Option(min=1, help="Images a stored shard: what a kill loses at most.")],
    "workers": Annotated[
        int | None, typer.Option(min=1, help="Decoding threads, or processes beside a GPU (default: one a core).")
    ],
    "device": Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps; cuda:0,cuda:1 for a worker on each.")],
    "executor": Annotated[
        str, typer.Option(help="local, or ray: the Ray cluster at RAY_ADDRESS, else one of this machine alone.")
    ],
    "precision": Annotated[
        str,
        typer.Option(
            "--precision",
            "--dtype",
            help="fp32, tf32, bf16, fp16, or auto: the fastest here of fp32 and bf16 that agrees with fp32.",
        ),
    ],
    "layout": Annotated[
        str | None,
        typer.Option(
            help="contiguous, channels_last, or auto: the faster one here (default: channels_last for convolutions)."
        ),
    ],
    "labels": Annotated[
        list[str] | None,
        typer.Option(
            help="What the outputs are, where the checkpoint doesn't prove it: a label space, or each class in order."
        ),
    ],
    "img_size": Annotated[int | None, typer.Option(min=1, help="Input side in pixels, instead of the checkpoint's.")],
    "crop_pct": Annotated[
        float | None, typer.Option(help="Share of the resized image to crop, instead of the checkpoint's.")
    ],
    "interpolation": Annotated[
        str | None,
        typer.Option(
            help="Filter for resizing instead of the checkpoint's: nearest, bilinear, bicubic, lanczos, box or hamming."
        ),
    ],
    "save_logits": Annotated[bool, typer.Option("--save-logits", help="Keep all logits in the store, in fp16.")],
    "corruption_jpeg": Annotated[
        bool,
        typer.Option(
            "--corruption-jpeg/--no-corruption-jpeg",
            help="Pass generated corruptions through JPEG quality 85, as the official files were.",
        ),
    ],
    "corruption_seed": Annotated[
        int,
        typer.Option(
            "--corruption-seed",
            "--seed",
            min=0,
            help="Other random corruptions of the same images, another protocol. All else that is random has a fixed seed.",
        ),
    ],
    "sanity_gate": Annotated[bool, typer.Option(help="Stop early where clean accuracy is no better than chance.")],
    "offline": Annotated[
        bool, typer.Option("--offline", callback=stay_offline, help="Fetch nothing (as HF_HUB_OFFLINE=1).")
    ],
    "yes": Annotated[bool, typer.Option("--yes", "-y", help="Download data sets without asking.")],
    "input_size": Annotated[
        list[str] | None, typer.Option(help="WIDTHxHEIGHT: count multiply-adds at this size too. May be repeated.")
    ],
    "region": Annotated[
        str | None, typer.Option(help="Whose electricity carbon is computed with, e.g. FRA or USA/california.")
    ],
    "seconds": Annotated[
        float, typer.Option(min=0.1, help="Time limit of each measurement of speed or energy, in seconds.")
    ],
    "slices": Annotated[
        Path | None,
        typer.Option(help="Your own slices: a .csv or .parquet with sample_id or file_name, and a column a slicing."),
    ],
    "by": Annotated[
        list[str] | None,
        typer.Option(
            help="Slice by this too: NAME or NAME/GROUP of `harness list slicings`, or a column. Several are crossed."
        ),
    ],
    "probe": Annotated[bool, typer.Option(help="Time a few batches to estimate how long the run takes.")],
    "allow_different_protocols": Annotated[
        bool, typer.Option("--allow-different-protocols", help="Compare all the same, and state the differences.")
    ],
}
"""Options that mean the same in every verb that has them, by the argument of the public function."""


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

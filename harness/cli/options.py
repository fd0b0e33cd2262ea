"""Options that several verbs have."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

import harness
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

_TYPES: dict[str, Any] = {
    "str": str,
    "str | Path": str,
    "str | Path | Ledger": str,
    "str | None": str | None,
    "str | Path | None": Path | None,
    "str | Path | Ledger | None": Path | None,
    "bool": bool,
    "bool | None": bool | None,
    "int": int,
    "int | None": int | None,
    "float": float,
    "float | None": float | None,
    "Data | None": list[str] | None,
    "Sequence[str]": list[str],
    "Sequence[str] | None": list[str] | None,
    "Sequence[int] | None": list[int] | None,
    "str | Sequence[str] | None": list[str] | None,
    "Mapping[str, float] | None": list[str] | None,
}
"""What the command line takes for an argument, by its annotation. Others, such as functions, are arguments in Python only."""

_MORE: dict[str, dict[str, Any]] = {
    "data": {"metavar": "BENCHMARK=PATH"},
    "limit": {"metavar": "N", "parser": _limit},
    "corruption_images": {"min": 1},
    "attack_images": {"min": 1},
    "examine_images": {"min": 1},
    "batch_size": {"metavar": "N", "parser": _batch_size},
    "shard_size": {"min": 1},
    "workers": {"min": 1},
    "img_size": {"min": 1},
    "corruption_seed": {"min": 0},
    "offline": {"callback": stay_offline},
    "seconds": {"min": 0.1},
    "port": {"min": 0, "max": 65535},
    "max_drop": {"metavar": "KEY=NUMBER"},
    "format": {"metavar": "FORMAT"},
}
_NAMES = {
    "model": ("-m",),
    "models": ("-m",),
    "suite": ("-s",),
    "benchmark": ("-b",),
    "output": ("-o",),
    "batch_size": ("-b",),
    "precision": ("--dtype",),
    "corruption_seed": ("--seed",),
    "yes": ("-y",),
}
"""By argument, what typer is told of its option beside the help, and the option's other names."""


def options_of(calls: Callable[..., object], positional: str = "") -> dict[str, inspect.Parameter]:
    """The arguments of a public function, those that the command line can take as options with what its docstring says of them.

    Args:
        positional: the argument that is given without a name.
    """
    helps, found = _helps(calls), {}
    for name, parameter in inspect.signature(calls).parameters.items():
        found[name] = parameter
        if (kind := _TYPES.get(parameter.annotation)) is None:
            continue
        several = " May be given several times." if "list[" in str(kind) else ""
        more: dict[str, Any] = {"help": helps.get(name, "") + several, **_MORE.get(name, {})}
        only_on = parameter.default is False  # no --no-NAME
        names = [f"--{name.replace('_', '-')}", *_NAMES.get(name, ())] if name in _NAMES or only_on else []
        shown = typer.Argument(**more) if name == positional else typer.Option(*names, **more)
        found[name] = parameter.replace(annotation=Annotated[kind, shown])
    return found


def _helps(function: Callable[..., object]) -> dict[str, str]:
    """What a docstring says of each argument, as a sentence; also of those that it says are another function's."""
    text = inspect.getdoc(function) or ""
    other = re.search(r"arguments are those of `(\w+)`", text)
    helps = _helps(getattr(harness, other[1])) if other else {}
    for name, said in re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", text, re.MULTILINE):
        sentence = " ".join(said.split())
        is_value = re.match(r"\w+(,| \()", sentence)  # such as the first of several names
        helps[name] = sentence if is_value else sentence[:1].upper() + sentence[1:]
    return helps


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

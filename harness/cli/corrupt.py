"""corrupt: images and data sets under corruption, to look at or for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import harness
from harness.cli.common import confirm, verb
from harness.errors import ExitCode


@verb(harness.corrupt)
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
    seed: Annotated[int, typer.Option(help="Decides what is random, with the image's name.")] = 0,
    **given: Any,
) -> ExitCode:
    """Look at corruptions, or write a corrupted benchmark in ImageNet-C's official layout.

    A .png holds the exact pixels; a .jpg is stored at quality 85, as the official files are. Images are cropped as those
    were: shorter side 256, central 224 × 224. Interrupted, the same command writes what is missing.

    Examples:

    `harness corrupt cat.jpg --corruption fog --severity 3 --output fog.png`

    `harness corrupt cat.jpg --sheet sheet.png`

    `harness corrupt --benchmark imagenet-val --data imagenet-val=/data/val --output imagenet-c`
    """
    written = harness.corrupt(
        image,
        corruption=corruption,
        severity=severity,
        output=output,
        sheet=sheet,
        benchmark=benchmark,
        seed=seed,
        confirm=confirm,
        **given,
    )
    return ExitCode.INCOMPLETE if written is not None and written.unreadable else ExitCode.DONE

"""corrupt: pictures and copies under corruption, to look at or for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.common import DataOption, OfflineOption, app, confirm, fails_cleanly, make_reporter, make_settings, say
from harness.errors import ExitCode, HarnessError


@app.command()
@fails_cleanly
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
        return _corrupt_benchmark(benchmark, corruption, severity, output, limit, seed, make_settings(data, offline))
    assert image is not None
    _corrupt_image(image, corruption or [], severity or [], output, sheet, seed)
    return None


def _corrupt_image(
    path: Path, names: list[str], severities: list[int], output: Path | None, sheet: Path | None, seed: int
) -> None:
    from PIL import Image

    from harness.corruptions.generate import base_crop
    from harness.corruptions.generate import corrupt as corrupt_picture
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
        say(f"{names[0]}, severity {severities[0]}: {output}")
    if sheet is not None:
        save_image(contact_sheet(picture, path.name, seed), sheet)
        say(f"Contact sheet: {sheet}")


def _corrupt_benchmark(
    name: str,
    names: list[str] | None,
    severities: list[int] | None,
    output: Path,
    limit: int | None,
    seed: int,
    settings: Any,
) -> ExitCode:
    from harness.corruptions.names import EXTRA, IMAGENET_C, SEVERITIES
    from harness.corruptions.show import write_official_layout
    from harness.data.catalog import get_benchmark
    from harness.data.local import open_dataset
    from harness.data.locations import locate

    benchmark = get_benchmark(name)
    if benchmark.corruptions is not None:
        raise HarnessError(
            f"{name} is corrupted already.", remedy="Give the clean images: imagenet-val.", exit_code=ExitCode.USAGE
        )
    location = locate(benchmark, given=settings.data.get(name), data_home=settings.data_home, offline=settings.offline)
    if location.found == "hub" and not confirm(f"{name} is not on this machine. Download {location}?"):
        raise HarnessError(f"{name} is not on this machine.", remedy=benchmark.get, exit_code=ExitCode.MISSING)
    copy = open_dataset(benchmark, location, cache=settings.home / "data")
    total = min(len(copy), limit or len(copy))
    with make_reporter().progress("Base images", total) as advance:
        result = write_official_layout(
            copy, output, names or [*IMAGENET_C, *EXTRA], severities or SEVERITIES, seed, advance, limit=limit
        )
    for why in result.unreadable:
        say(f"harness: left out: {why}")
    say(f"{result.written:,} files written, {result.present:,} were there: {output}")
    return ExitCode.INCOMPLETE if result.unreadable else ExitCode.DONE

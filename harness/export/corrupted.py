"""Corrupted images as files: one image, a contact sheet of all corruptions, or a benchmark in ImageNet-C's layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from harness.corruptions.generate import base_crop, corrupt
from harness.corruptions.names import EXTRA, IMAGENET_C, SEVERITIES
from harness.corruptions.show import Written, contact_sheet, save_image, write_official_layout
from harness.data.catalog import get_benchmark
from harness.data.local import open_dataset
from harness.data.locations import locate
from harness.errors import MissingInputError, UsageError
from harness.parsing.images import UnreadableImageError, read_image
from harness.progress import Reporter
from harness.settings import Settings


def corrupt_image(
    path: Path,
    names: Sequence[str],
    severities: Sequence[int],
    output: Path | None,
    sheet: Path | None,
    seed: int,
    reporter: Reporter,
) -> None:
    """Write an image under one corruption to `output`, or under all of them to `sheet`, as `harness.corrupt` says."""
    given = [len(names), len(severities), 0 if output is None else 1]
    if (sheet is None or any(given)) and given != [1, 1, 1]:
        raise UsageError("Give one --corruption, one --severity and --output FILE; or --sheet FILE.")
    try:
        picture = read_image(path)
    except UnreadableImageError as error:
        raise MissingInputError(error.message) from error
    if output is not None:
        pixels = corrupt(base_crop(picture), names[0], severities[0], sample_id=path.name, seed=seed)
        save_image(Image.fromarray(pixels), output)
        reporter.note(f"{names[0]}, severity {severities[0]}: {output}")
    if sheet is not None:
        save_image(contact_sheet(picture, path.name, seed), sheet)
        reporter.note(f"Contact sheet: {sheet}")


def corrupt_benchmark(
    name: str,
    names: Sequence[str] | None,
    severities: Sequence[int] | None,
    output: Path,
    settings: Settings,
    seed: int,
    reporter: Reporter,
    confirm: Callable[[str], bool],
) -> Written:
    """Write a benchmark's images under corruptions, in the layout of ImageNet-C's official files, as `harness.corrupt` says."""
    benchmark = get_benchmark(name)
    if benchmark.corruptions is not None:
        raise UsageError(f"{name} is corrupted already.", remedy="Give the clean images: imagenet-val.")
    location = locate(benchmark, given=settings.data.get(name), data_home=settings.data_home, offline=settings.offline)
    if location.found == "hub" and not confirm(f"{name} is not on this machine. Download {location}?"):
        raise MissingInputError(f"{name} is not on this machine.", remedy=benchmark.get)
    dataset = open_dataset(benchmark, location, cache=settings.home / "data")
    images = settings.images_of(len(dataset), corrupted=False)
    with reporter.progress("Base images", images) as advance:
        result = write_official_layout(
            dataset, output, names or [*IMAGENET_C, *EXTRA], severities or SEVERITIES, seed, advance, limit=images
        )
    for why in result.unreadable:
        reporter.note(f"harness: left out: {why}")
    reporter.note(f"{result.written:,} files written, {result.present:,} were there: {output}")
    return result

"""For people and other programs: a contact sheet of all corruptions, and a copy in the official layout on disk.

The copy can be interrupted at any time: a file that is there is whole, and the same command writes what is missing. A
small file beside the corruptions records what decided their pixels, so that two kinds never end up in one folder.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from harness.corruptions.generate import PROTOCOL_VERSION, base_crop, corrupt_cells
from harness.corruptions.names import SEVERITIES
from harness.corruptions.picture import SIDE
from harness.corruptions.registry import REGISTRY, find
from harness.data.local import LocalDataset
from harness.errors import HarnessError, MissingInputError, UsageError
from harness.files import atomic_write, write_text
from harness.parsing.images import UnreadableImageError, load_image

JPEG_QUALITY = 85
"""Of the official files (hendrycks/robustness, ImageNet-C/create_c/make_imagenet_c.py)."""
RECORD = "harness-corrupt.json"
"""File beside the corruptions' folders that says how they were made."""

_GAP = 4
_LABEL_WIDTH = 230
_HEADER = 30
_FONT_SIZE = 15


def contact_sheet(image: Image.Image, sample_id: str, seed: int = 0) -> Image.Image:
    """All corruptions of one image, a row each, with the uncorrupted crop first and severities 1 to 5 beside it.

    Pixels are shown as they are, without JPEG storage. A corruption that can't be generated here has its reason instead.

    Args:
        image: any size and mode.
        sample_id: decides the random corruptions, with the seed.
        seed: a whole number.

    Returns:
        RGB image, 228 pixels a row and column beside the labels.
    """
    base = base_crop(image)
    step = SIDE + _GAP
    sheet = Image.new("RGB", (_LABEL_WIDTH + 6 * step, _HEADER + len(REGISTRY) * step), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT_SIZE)
    for column, heading in enumerate(["without", *(f"severity {s}" for s in SEVERITIES)]):
        pen.text((_LABEL_WIDTH + column * step + SIDE / 2, _HEADER / 2), heading, "black", font, anchor="mm")
    for row, (name, corruption) in enumerate(REGISTRY.items()):
        top = _HEADER + row * step
        pen.multiline_text((_GAP, top + SIDE / 2), f"{name}\n({corruption.group})", "black", font, anchor="lm")
        sheet.paste(Image.fromarray(base), (_LABEL_WIDTH, top))
        try:
            pictures = list(corrupt_cells(base, [(name, s) for s in SEVERITIES], sample_id=sample_id, seed=seed))
        except MissingInputError as missing:
            pen.text((_LABEL_WIDTH + step, top + SIDE / 2), str(missing), "black", font, anchor="lm")
            continue
        for column, pixels in enumerate(pictures, start=1):
            sheet.paste(Image.fromarray(pixels), (_LABEL_WIDTH + column * step, top))
    return sheet


def save_image(picture: Image.Image, path: Path) -> None:
    """Write a picture in the format of the path's extension; a JPEG is stored as the official files are.

    Raises:
        HarnessError: the extension names no format, or the file can't be written.
    """
    image_format = Image.registered_extensions().get(path.suffix.lower())
    if image_format not in Image.SAVE:
        raise UsageError(f"{path}: '{path.suffix}' is no image format that can be written.", remedy="Use .png or .jpg.")
    _store(picture, path, image_format)


def _store(picture: Image.Image, path: Path, image_format: str) -> None:
    # The authors' files are stored with `optimize` too: it makes them smaller and leaves their pixels alone.
    options: dict[str, Any] = {"quality": JPEG_QUALITY, "optimize": True} if image_format == "JPEG" else {}
    atomic_write(path, lambda file: picture.save(file, image_format, **options))


@dataclass(frozen=True)
class Written:
    """What became of a copy in the official layout."""

    written: int
    """Files written now."""
    present: int
    """Files that were there from before."""
    unreadable: tuple[str, ...]
    """Why images were left out, one sentence each."""


def write_official_layout(
    dataset: LocalDataset,
    output: Path,
    names: Sequence[str],
    severities: Sequence[int],
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    *,
    limit: int | None = None,
) -> Written:
    """Write corrupted images as ImageNet-C's authors ship them: `corruption/severity/synset/NAME.JPEG`, quality 85.

    The pixels are those that a run generates. Images are worked on in as many threads as there are cores.

    Args:
        dataset: the images, in condition order.
        output: folder; it is made.
        names: corruptions.
        severities: of 1 to 5.
        seed: a whole number.
        progress: called with the number of base images done since the last call, from this thread.
        limit: only the first so many images.

    Raises:
        HarnessError: an unknown corruption or severity, two images with one name in one class, a folder whose files were
            made otherwise, or a file that can't be written.
        MissingInputError: a corruption needs textures that are not installed.
    """
    cells = [(name, severity) for name in names for severity in severities]
    for name, severity in cells:
        find(name, severity)
    places = _places(dataset, limit)
    _check_record(output, dataset.benchmark.name, names, seed)

    def work(position: int) -> int | str:
        """Files written for one image, or why it can't be read."""
        missing = [cell for cell in cells if not (output / cell[0] / str(cell[1]) / places[position]).exists()]
        if not missing:
            return 0
        try:
            base = base_crop(load_image(dataset.read(position)))
        except UnreadableImageError as error:
            return f"{places[position]}: {error.message}"
        sample_id = dataset.samples["sample_id"].iloc[position]
        generated = corrupt_cells(base, missing, sample_id=sample_id, seed=seed)
        for (name, severity), pixels in zip(missing, generated, strict=True):
            _store(Image.fromarray(pixels), output / name / str(severity) / places[position], "JPEG")
        return len(missing)

    written, readable, unreadable = 0, 0, []
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for outcome in pool.map(work, range(len(places))):
            if isinstance(outcome, str):
                unreadable.append(outcome)
            else:
                written += outcome
                readable += 1
            if progress is not None:
                progress(1)
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C or an error: finish what is begun, begin nothing more
    return Written(written, readable * len(cells) - written, tuple(unreadable))


def _places(dataset: LocalDataset, limit: int | None) -> list[Path]:
    """`synset/NAME.JPEG` of each image."""
    synsets = dataset.benchmark.space.classes
    samples = dataset.samples.iloc[:limit]
    places = []
    for sample_id, label in zip(samples["sample_id"], samples["label"], strict=True):
        name = PurePosixPath(sample_id).name
        places.append(Path(synsets[label]) / (name if name.endswith(".JPEG") else f"{PurePosixPath(name).stem}.JPEG"))
    twice = [str(place) for place, count in Counter(places).items() if count > 1]
    if twice:
        raise HarnessError(
            f"Several images of {dataset.benchmark.name} would be written to {twice[0]}.",
            remedy="Rename one of them; names must differ by more than their extension.",
        )
    return places


def _check_record(output: Path, benchmark: str, names: Sequence[str], seed: int) -> None:
    """Write how the files are made, or hold it against what an earlier command wrote there."""
    path = output / RECORD
    record = {"benchmark": benchmark, "seed": seed, "generator": PROTOCOL_VERSION, "jpeg_quality": JPEG_QUALITY}
    text = json.dumps(record, indent=2) + "\n"
    remedy = "Choose another folder with --output."
    if path.exists():
        if path.read_text(encoding="utf-8") != text:
            raise HarnessError(
                f"{output} holds images that were made otherwise: see {path}; now it would be {json.dumps(record)}.",
                remedy=remedy,
            )
    elif any((output / name).exists() for name in names):
        raise HarnessError(f"{output} holds corrupted images of unknown origin ({RECORD} is missing).", remedy=remedy)
    else:
        write_text(path, text)

"""Time the 15 x 5 cells of ImageNet-C side by side with imagecorruptions-imaug, on one core.

    python tests/benchmarks/corruptions.py --images 5

Prints, per corruption, the milliseconds of its five severities for one image: ours (``corrupt_cells``), the
reference's, their ratio, and ours as a share of our total. Both get the same base crops; base crop and JPEG storage
are left out of both and printed apart. Compilation is done before the clock starts. Each figure is processor
time, the least of ``--repeats`` runs per image, averaged over images. The last two rows add up the corruptions, and
time all 75 cells in one go. The machine should be quiet.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import imagecorruptions
import numba
import numpy as np
from PIL import Image

from harness.corruptions.digital import jpeg_round_trip
from harness.corruptions.generate import base_crop, corrupt_cells
from harness.corruptions.names import EXTRA, IMAGENET_C, SEVERITIES


def least_milliseconds(work: Callable[[], object], repeats: int) -> float:
    """The shortest of several timings of a function, processor time."""
    shortest = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        work()
        shortest = min(shortest, time.process_time() - start)
    return 1000 * shortest


def find_images(folder: Path | None) -> list[Path]:
    """Image files of a folder, or foolbox's twenty photographs."""
    if folder is None:
        foolbox = importlib.util.find_spec("foolbox")
        if foolbox is None or foolbox.origin is None:
            raise SystemExit("Install foolbox for its photographs, or name a folder with --folder.")
        folder = Path(foolbox.origin).parent / "data"
    return sorted(
        p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png") and "cifar" not in p.name
    )


def reference(base: np.ndarray, name: str) -> None:
    """All five severities of one corruption by the reference."""
    for severity in SEVERITIES:
        imagecorruptions.corrupt(base, corruption_name=name, severity=severity)


def ours(base: np.ndarray, names: tuple[str, ...]) -> list[np.ndarray]:
    """All five severities of some corruptions by this project."""
    return list(corrupt_cells(base, [(name, s) for name in names for s in SEVERITIES], sample_id="benchmark"))


def main() -> None:
    """Parse, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5, help="how many images to average over")
    parser.add_argument("--repeats", type=int, default=3, help="timings per image, of which the least counts")
    parser.add_argument("--folder", type=Path, help="image files to use instead of foolbox's photographs")
    arguments = parser.parse_args()

    cv2.setNumThreads(1)
    numba.set_num_threads(1)
    warnings.simplefilter("ignore")  # the reference divides by zero on black spatter
    images = [Image.open(path) for path in find_images(arguments.folder)[: arguments.images]]
    bases = [base_crop(image) for image in images]
    ours(bases[0], IMAGENET_C + EXTRA)
    for name in IMAGENET_C + EXTRA:
        reference(bases[0], name)

    our_times = dict.fromkeys(IMAGENET_C + EXTRA, 0.0)
    reference_times = dict.fromkeys(IMAGENET_C + EXTRA, 0.0)
    together = reference_together = 0.0
    for base in bases:
        for name in IMAGENET_C + EXTRA:
            our_times[name] += least_milliseconds(lambda b=base, n=name: ours(b, (n,)), arguments.repeats) / len(bases)
            reference_times[name] += least_milliseconds(
                lambda b=base, n=name: reference(b, n), arguments.repeats
            ) / len(bases)
        together += least_milliseconds(lambda b=base: ours(b, IMAGENET_C), arguments.repeats) / len(bases)
        reference_together += least_milliseconds(
            lambda b=base: [reference(b, name) for name in IMAGENET_C], arguments.repeats
        ) / len(bases)

    total = sum(our_times[name] for name in IMAGENET_C)
    print(f"{len(bases)} images, milliseconds an image for 5 severities")
    print(f"{'corruption':20}{'ours':>9}{'reference':>11}{'ratio':>8}{'share':>8}")
    for name in IMAGENET_C + EXTRA:
        own, other = our_times[name], reference_times[name]
        share = f"{own / total:8.1%}" if name in IMAGENET_C else "   extra"
        print(f"{name:20}{own:9.2f}{other:11.2f}{other / own:8.1f}{share}")
    reference_total = sum(reference_times[name] for name in IMAGENET_C)
    print(f"{'15 x 5, one by one':20}{total:9.2f}{reference_total:11.2f}{reference_total / total:8.1f}")
    print(f"{'15 x 5, in one go':20}{together:9.2f}{reference_together:11.2f}{reference_together / together:8.1f}")
    crop = np.mean([least_milliseconds(lambda i=image: base_crop(i), arguments.repeats) for image in images])
    stored = np.mean([least_milliseconds(lambda b=base: jpeg_round_trip(b), arguments.repeats) for base in bases])
    print(
        f"apart: base crop {crop:.2f} ms an image, JPEG 85 storage {stored:.2f} ms a cell ({75 * stored:.0f} ms for 75)"
    )


if __name__ == "__main__":
    main()

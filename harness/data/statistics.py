"""Image statistics: brightness, contrast, colourfulness, sharpness, resolution and aspect ratio of each image of a copy.

They are computed once and kept in the store, in files of a fixed number of images named by what they were computed from
(the SHA-256 of the images' bytes and the version of these formulas): a changed image never finds an old value, a part
that is run today serves the whole tomorrow, and a kill loses at most the files at work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from PIL import Image

from harness.data.local import LocalDataset
from harness.data.manifest import load_table, save_table
from harness.parsing.images import UnreadableImageError, load_image, resized

STATISTICS = ("brightness", "contrast", "colourfulness", "sharpness", "resolution", "aspect-ratio")
"""Columns, in order."""

VERSION = 1
"""Of the formulas; part of the files' names."""

CHUNK = 512
"""Images in a file."""

SHARPNESS_SIDE = 224
"""Short side, in pixels, at which sharpness is measured, so that it doesn't follow resolution."""

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Rec. ITU-R BT.601."""


def statistics_of(image: Image.Image) -> tuple[float, ...]:
    """The statistics of one RGB image, in the order of `STATISTICS`.

    Luma Y is Rec. 601's, 0 to 255. Brightness is its mean and contrast its standard deviation (RMS contrast, Peli 1990,
    "Contrast in complex images"). Colourfulness is Hasler & Süsstrunk 2003, "Measuring colourfulness in natural images",
    equation 4. Sharpness is the variance of the Laplacian (Pech-Pacheco et al. 2000, "Diatom autofocusing in
    brightfield microscopy") of luma at `SHARPNESS_SIDE`. Resolution is in pixels, aspect ratio is width over height.
    """
    pixels = np.asarray(image, dtype=np.float32)
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    luma = pixels @ _LUMA
    red_green, yellow_blue = red - green, 0.5 * (red + green) - blue
    spread = np.hypot(red_green.std(dtype=np.float64), yellow_blue.std(dtype=np.float64))
    offset = np.hypot(red_green.mean(dtype=np.float64), yellow_blue.mean(dtype=np.float64))
    return (
        float(luma.mean(dtype=np.float64)),
        float(luma.std(dtype=np.float64)),
        float(spread + 0.3 * offset),
        _sharpness(image),
        float(image.width * image.height),
        image.width / image.height,
    )


def _sharpness(image: Image.Image) -> float:
    scale = SHARPNESS_SIDE / min(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    y = np.asarray(resized(image.convert("L"), size, Image.Resampling.BILINEAR), dtype=np.float64)
    laplacian = y[:-2, 1:-1] + y[2:, 1:-1] + y[1:-1, :-2] + y[1:-1, 2:] - 4 * y[1:-1, 1:-1]
    return float(laplacian.var())


def image_statistics(
    dataset: LocalDataset, count: int, home: Path, *, workers: int, progress: Callable[[int], None] = lambda done: None
) -> pd.DataFrame:
    """The statistics of the first `count` samples of a copy.

    `home` is the store, `workers` counts decoding threads, `progress` is told the images done since the last call.

    Returns float64, indexed by sample id, one column for each of `STATISTICS`; NaN where an image can't be read.

    Raises HarnessError: full disk, read-only store.
    """
    samples = dataset.samples.iloc[:count]
    values = np.empty((count, len(STATISTICS)))
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, count, CHUNK):
            stop = min(start + CHUNK, count)
            key = "\n".join([f"statistics {VERSION}", *samples["digest"].iloc[start:stop]])
            path = home / "statistics" / f"{hashlib.sha256(key.encode()).hexdigest()}.parquet"
            table = load_table(path)
            if table is None or table.column_names != list(STATISTICS) or len(table) != stop - start:
                made = np.array(list(pool.map(lambda position: _of_sample(dataset, position), range(start, stop))))
                table = pa.table(dict(zip(STATISTICS, made.T, strict=True)))
                save_table(path, table)
            values[start:stop] = table.to_pandas().to_numpy(dtype=np.float64)
            progress(stop - start)
    return pd.DataFrame(values, index=pd.Index(samples["sample_id"]), columns=list(STATISTICS))


def _of_sample(dataset: LocalDataset, position: int) -> tuple[float, ...]:
    try:
        return statistics_of(load_image(dataset.read(position)))
    except UnreadableImageError:  # counted and told where it is predicted
        return (np.nan,) * len(STATISTICS)


def quantile_codes(
    values: npt.NDArray[np.floating], parts: int
) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.floating]]:
    """Groups 0 … parts - 1 of equal size by increasing value (n,), equal values together; and the bounds between them.

    Returns int64 (n,), -1 where the value is NaN; float64 (parts - 1,), each the largest value of its group.

    Raises ValueError: all values are NaN.
    """
    known = ~np.isnan(values)
    if not known.any():
        raise ValueError("there are no values")
    edges = np.quantile(values[known], np.arange(1, parts) / parts, method="inverted_cdf")
    return np.where(known, np.searchsorted(edges, values, side="left"), -1), edges

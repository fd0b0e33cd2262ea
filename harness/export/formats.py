"""The formats of `harness export`: a new one is a module with a function `export`, and its line here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.export import croissant, eval_results, every_eval_ever, lm_eval, samples, timm
from harness.export.sources import Files, Source
from harness.files import make_folder, write_bytes

FORMATS: dict[str, Callable[[Source], Files]] = {
    "samples": samples.export,
    "croissant": croissant.export,
    "lm-eval": lm_eval.export,
    "timm": timm.export,
    "eee": every_eval_ever.export,
    "eval-results": eval_results.export,
}


def write_export(source: Source, name: str, output: Path) -> list[Path]:
    """Write a format's files to a folder; returns their paths.

    Raises:
        HarnessError: nothing to export, or a place that can't be written to.
    """
    paths = []
    for file, content in FORMATS[name](source):
        path = output / file
        make_folder(path.parent)
        write_bytes(path, content)
        paths.append(path)
    return paths

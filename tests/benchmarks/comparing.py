"""How long comparison and report take at full size: ten published models on 50,000 + 3 × 10,000 images.

Usage: python tests/benchmarks/comparing.py [FOLDER]

Imports the published predictions of ../shared/data into a store in FOLDER (a temporary one without it), then times
`harness compare` of all ten and `harness report`, each as its own process, as a user would run it. Limits: 10 s and 15 s.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from harness.export.predictions import score_file
from harness.progress import Reporter
from harness.settings import Settings
from harness.store.ledgers import merge_into_store

PUBLISHED = Path(__file__).resolve().parents[3] / "shared" / "data" / "published-predictions"
LIMITS = {"compare": 10.0, "report": 15.0}


def import_published(home: Path) -> list[str]:
    """Score every model of every file into the store `home`; returns the models' names."""
    settings = Settings(home=home, offline=True)
    names: list[str] = []
    for path in sorted(PUBLISHED.glob("*.parquet")):
        names = [c for c in pd.read_parquet(path).columns if c not in ("sample_id", "label")]
        for name in names:
            merge_into_store(home, score_file(path, path.stem, name, name, settings, Reporter()))
    return names


def timed(home: Path, *arguments: str) -> tuple[float, float]:
    """Seconds that a `harness` command takes, start of Python included, and its seconds of processor time."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-c", "from harness.cli import main; main()", *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "HARNESS_HOME": str(home), "HF_HUB_OFFLINE": "1"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, processor


def main() -> None:
    if not PUBLISHED.is_dir():
        sys.exit(f"The published predictions are not here: {PUBLISHED}")
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary)
        names = import_published(home)
        models = [part for name in names for part in ("--models", name)]
        seconds = {
            "compare": timed(home, "compare", *names, "--format", "json"),
            "report": timed(home, "report", *models, "--output", str(home / "report.html")),
        }
        for what, (took, processor) in seconds.items():
            print(
                f"{what}: {took:.1f} s ({processor:.1f} s of processor), limit {LIMITS[what]:g} s, {len(names)} models"
            )
        print(f"report.html: {(home / 'report.html').stat().st_size / 1e6:.2f} MB")
    if any(took > LIMITS[what] for what, (took, _) in seconds.items()):
        sys.exit("over the limit")


if __name__ == "__main__":
    main()

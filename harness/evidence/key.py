"""The name of a piece of evidence, parsed and written here and nowhere else.

`<benchmark>[/<condition>][@<slice>].<metric>[:<variant>]`, for example `imagenet-val.top1`,
`imagenet-c/gaussian_noise/3.top1`, `imagenet-val@imagenet-x/pose.top1:bf16`. What isn't about a benchmark has a family
in its place: `compute.macs:1280x800`, `energy.this-run`, `documented.training.epochs`.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace

_KEY = re.compile(
    r"(?P<benchmark>[a-z0-9][a-z0-9._-]*?)"
    r"(?:/(?P<condition>[A-Za-z0-9_.+-]+(?:/[A-Za-z0-9_.+-]+)*))?"
    r"(?:@(?P<slice>[A-Za-z0-9_.+-]+(?:/[A-Za-z0-9_.+ -]+)*))?"
    r"\.(?P<metric>[a-z0-9-]+)"
    r"(?::(?P<variant>[A-Za-z0-9_.+-]+))?"
)


@dataclass(frozen=True)
class EvidenceKey:
    """The parts of an evidence key.

    >>> key = EvidenceKey.parse("imagenet-c-generated/fog/3@imagenet-x/pose.top1:bf16")
    >>> key.benchmark, key.corruption, key.severity, key.slicing, key.group, key.metric, key.variant
    ('imagenet-c-generated', 'fog', 3, 'imagenet-x', 'pose', 'top1', 'bf16')
    >>> str(key.with_variant("no-jpeg"))
    'imagenet-c-generated/fog/3@imagenet-x/pose.top1:bf16+no-jpeg'
    """

    benchmark: str
    """Or a family, such as `compute`; may hold dots."""
    metric: str
    condition: str | None = None
    """`fog/3` for a corruption cell, `fog` for all its severities, `clean` for the crops without corruption."""
    slice: str | None = None
    """A slicing, `imagenet-x`, or one group of it, `imagenet-x/pose`; crossed ones are joined by `+`."""
    variant: str | None = None
    """Another reading or protocol than the plain one; several are joined by `+`."""

    @classmethod
    @functools.lru_cache(maxsize=65536)
    def parse(cls, text: str) -> EvidenceKey:
        """Raises ValueError for text that is no key."""
        match = _KEY.fullmatch(text)
        if match is None:
            raise ValueError(f"'{text}' is not <benchmark>[/<condition>][@<slice>].<metric>[:<variant>]")
        return cls(**match.groupdict())

    def __str__(self) -> str:
        condition = f"/{self.condition}" if self.condition else ""
        slice_ = f"@{self.slice}" if self.slice else ""
        variant = f":{self.variant}" if self.variant else ""
        return f"{self.benchmark}{condition}{slice_}.{self.metric}{variant}"

    @property
    def prefix(self) -> str:
        """Benchmark and condition: the unit that was run, e.g. `imagenet-c/fog/3`."""
        return f"{self.benchmark}/{self.condition}" if self.condition else self.benchmark

    @property
    def where(self) -> str:
        """All that stands before the metric."""
        return f"{self.prefix}@{self.slice}" if self.slice else self.prefix

    @property
    def parent(self) -> str:
        """`where` without its last part: a corruption of its cells, a slicing of its groups, empty for a whole benchmark."""
        return self.where.rpartition("/")[0]

    @property
    def subject(self) -> str:
        """What it is about, documented or measured: of `documented.imagenet-val.top1:zoo` it is `imagenet-val.top1`."""
        return str(self.plain).removeprefix("documented.")

    @property
    def corruption(self) -> str | None:
        return self.condition.partition("/")[0] if self.condition else None

    @property
    def severity(self) -> int | None:
        """Of a corruption cell; None for anything else."""
        _, slash, severity = (self.condition or "").partition("/")
        return int(severity) if slash and severity.isdecimal() else None

    @property
    def slicing(self) -> str | None:
        return self.slice.partition("/")[0] if self.slice else None

    @property
    def group(self) -> str | None:
        return self.slice.partition("/")[2] or None if self.slice else None

    @property
    def is_whole(self) -> bool:
        """Whether it is about all of a benchmark: no condition and no slice."""
        return self.condition is None and self.slice is None

    @property
    def variants(self) -> tuple[str, ...]:
        return tuple(self.variant.split("+")) if self.variant else ()

    @property
    def plain(self) -> EvidenceKey:
        """The key without variants."""
        return replace(self, variant=None)

    def with_variant(self, variant: str | None) -> EvidenceKey:
        """The key with one more variant; the same for an empty one."""
        return replace(self, variant="+".join(filter(None, (self.variant, variant)))) if variant else self

    def with_metric(self, metric: str) -> EvidenceKey:
        """The key of another metric on the same samples, same variant."""
        return replace(self, metric=metric)


def split_prefix(prefix: str) -> tuple[str, str | None]:
    """Benchmark and condition of what was run as a unit: `imagenet-c/fog/3` is `fog/3` of `imagenet-c`."""
    benchmark, _, condition = prefix.partition("/")
    return benchmark, condition or None

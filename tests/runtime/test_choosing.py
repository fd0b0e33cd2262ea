"""Choosing how to run: the fastest that gives the same answers, cheaply, and nothing that wasn't asked for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from harness.runtime import choosing
from harness.runtime.choosing import Choice, candidates, choose
from harness.runtime.execution import ExecutionConfig
from harness.runtime.network import prepare
from harness.runtime.timing import Budget, Timings
from harness.settings import Settings

QUICK = Budget(relative=1.0, limit_s=0.02, minimum_calls=2, warm_up_calls=0)
PLAIN = ExecutionConfig()
LAST = ExecutionConfig(memory_format="channels_last")
LAYOUTS = (PLAIN, LAST)
PROBE = torch.rand(6, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def with_bf16(*configs: ExecutionConfig) -> list[ExecutionConfig]:
    return [replace(config, precision=precision) for precision in ("fp32", "bf16") for config in configs]


def compiled_too(configs: Sequence[ExecutionConfig]) -> list[ExecutionConfig]:
    return [replace(config, compiled=compiled) for compiled in (False, True) for config in configs]


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    )


def chosen(allowed: Sequence[ExecutionConfig], module: nn.Module | None = None, **options: Any) -> Choice:
    return choose(module or small(), PROBE, allowed, description="noise", **{"budget": QUICK, **options})


def timed(monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float], first: dict[str, float] | None = None) -> None:
    """Make each way as fast as told, by label; the forward passes are real.

    Args:
        first: seconds of first calls where they differ.
    """
    prepared: list[ExecutionConfig] = []

    def remember(module: nn.Module, config: ExecutionConfig) -> Callable[[torch.Tensor], torch.Tensor]:
        prepared.append(config)
        return prepare(module, config)

    def measure(forward: object, images: torch.Tensor, budget: Budget) -> Timings:
        return Timings((seconds[prepared[-1].label],) * 3, len(images), 0, "interval")

    def watch(call: Callable[[], object]) -> float:
        call()
        return (first or seconds)[prepared[-1].label]

    monkeypatch.setattr(choosing, "prepare", remember)
    monkeypatch.setattr(choosing, "measure_throughput", measure)
    monkeypatch.setattr(choosing, "stopwatch", lambda device: watch)


def test_by_default_there_is_nothing_to_choose() -> None:
    settings = Settings(home=Path(), device="cpu")
    (only,) = candidates(settings, convolutional=True)
    assert (only.precision, only.memory_format, only.compiled) == ("fp32", "channels_last", False)
    (only,) = candidates(settings, convolutional=False)
    assert only.memory_format == "contiguous"


def test_only_what_the_user_asks_for_is_tried_the_default_first() -> None:
    asked = Settings(home=Path(), device="cpu", layout="auto")
    assert [c.memory_format for c in candidates(asked, convolutional=True)] == ["channels_last", "contiguous"]
    found = candidates(Settings(home=Path(), device="cpu", precision="auto"), convolutional=True)
    assert [c.label for c in found] == [
        "fp32, channels_last, eager",
        "bf16, channels_last, eager",
        "fp32, channels_last, compiled",
        "bf16, channels_last, compiled",
    ]


def test_a_single_way_is_compared_but_not_timed() -> None:
    got = chosen([LAST])
    assert got.config == LAST
    assert [t.config for t in got.trials] == [PLAIN, LAST]
    assert all(t.agreeing == len(PROBE) and t.timings is None for t in got.trials)
    assert got.images_run == 2 * len(PROBE)


def test_the_fastest_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    timed(monkeypatch, EAGER | {"bf16, contiguous, eager": 3.0, "bf16, channels_last, eager": 1.0})
    assert chosen(LAYOUTS).config == LAST
    got = chosen(with_bf16(*LAYOUTS))
    assert got.config == replace(LAST, precision="bf16")
    assert got.chosen.throughput.value == 6.0
    assert all(t.timings is not None for t in got.trials)


def test_anything_but_the_default_must_be_clearly_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds, precision in ((2.0 / 1.14, "fp32"), (2.0 / 1.16, "bf16")):
        timed(monkeypatch, {"fp32, contiguous, eager": 2.0, "bf16, contiguous, eager": seconds})
        assert chosen(with_bf16(PLAIN)).config.precision == precision
    for seconds, memory_format in ((2.0 / 1.14, "channels_last"), (2.0 / 1.16, "contiguous")):
        timed(monkeypatch, {"fp32, channels_last, eager": 2.0, "fp32, contiguous, eager": seconds})
        assert chosen((LAST, PLAIN)).config.memory_format == memory_format


def test_one_slow_first_call_ends_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with grouped convolutions in contiguous bf16 on a CPU, of which a whole probe takes half a minute."""
    seconds = {"fp32, contiguous, eager": 2.0, "bf16, contiguous, eager": 1.0}
    timed(monkeypatch, seconds, first={"fp32, contiguous, eager": 1.0, "bf16, contiguous, eager": 2.1})
    got = chosen(with_bf16(PLAIN))
    assert got.config == PLAIN
    assert got.trials[1].rejected == "its first call took 2.1 s, the best one's 1 s"
    assert (got.trials[1].agreeing, got.trials[1].timings) == (None, None)


def test_a_short_slow_first_call_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading kernels takes a moment, on a GPU more than the call itself."""
    seconds = {"fp32, contiguous, eager": 0.02, "bf16, contiguous, eager": 0.01}
    timed(monkeypatch, seconds)
    calls = itertools.chain([0.5, 0.02, 0.9, 0.01])
    monkeypatch.setattr(choosing, "stopwatch", lambda device: lambda call: next(calls))
    assert chosen(with_bf16(PLAIN)).config.precision == "bf16"


def test_a_run_too_short_to_pay_for_it_is_not_made_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ways × (6 images compared + 2 calls of 8 timed) are 44 images, 5 % of 880."""
    timed(monkeypatch, {"fp32, contiguous, eager": 2.0, "bf16, contiguous, eager": 1.0})
    got = chosen(with_bf16(PLAIN), images_ahead=879)
    assert got.config == PLAIN
    assert got.skipped == "choosing would take more than 5% of a run of 879 images"
    assert got.images_run == 0
    assert chosen(with_bf16(PLAIN), images_ahead=880).config.precision == "bf16"


EAGER = {
    "fp32, contiguous, eager": 4.0,
    "fp32, channels_last, eager": 2.0,
    "bf16, contiguous, eager": 1.5,
    "bf16, channels_last, eager": 3.0,
}
COMPILED = {"fp32, channels_last, compiled": 0.5, "bf16, contiguous, compiled": 0.25}


@pytest.fixture
def _compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that changes nothing, so that a test doesn't wait a minute for a real one."""
    monkeypatch.setattr(torch, "compile", lambda module: module)
    timed(monkeypatch, EAGER | COMPILED)


@pytest.mark.usefixtures("_compiler")
def test_only_the_faster_layout_of_each_precision_is_compiled() -> None:
    got = chosen(compiled_too(with_bf16(*LAYOUTS)))
    assert got.config == ExecutionConfig(precision="bf16", compiled=True)
    assert got.chosen.throughput.value == 6 / 0.25
    assert (got.probe_images, got.chosen.agreeing) == (6, 6)
    refused = {t.config.label: t.rejected for t in got.trials if t.rejected is not None}
    slower = "not tried: this layout is the slower one for this precision"
    assert refused == {"fp32, contiguous, compiled": slower, "bf16, channels_last, compiled": slower}


@pytest.mark.usefixtures("_compiler")
def test_compiling_is_not_tried_for_a_short_run_or_after_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    timed(monkeypatch, EAGER | COMPILED, first=dict.fromkeys(EAGER, 2.0))

    def with_compiler(**options: float) -> tuple[ExecutionConfig, set[str]]:
        got = chosen(compiled_too((LAST, PLAIN)), **options)
        return got.config, {str(t.rejected) for t in got.trials if t.config.compiled}

    # The reference's first two images take 2 s. Of a run of 1,190 images at that rate, 5 % are 59.5 s.
    eager, why = with_compiler(images_ahead=1190)
    assert eager == LAST
    assert "not tried: it takes about 60.0 s, and choosing at most 59.5 s of this run" in why
    assert with_compiler(images_ahead=1300)[0].compiled
    short, why = with_compiler(limit_s=59)
    assert short == LAST
    assert "not tried: compiling takes about 60 s, more than the limit of 59 s" in why
    assert with_compiler(limit_s=60)[0].compiled


@pytest.mark.usefixtures("_compiler")
def test_the_limit_ends_further_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 70)  # each look at the clock is 70 s later: the first compiled one takes them
    monkeypatch.setattr("harness.runtime.choosing.time.monotonic", lambda: next(clock))
    got = chosen(compiled_too(with_bf16(*LAYOUTS)), limit_s=60)
    assert got.config == replace(LAST, compiled=True)
    (late,) = (t for t in got.trials if t.config == ExecutionConfig(precision="bf16", compiled=True))
    assert late.rejected == "not tried: the limit of 60 s was reached"


class Unstable(nn.Module):
    """Gives the same top-1 for every image, another one under autocast: a network that half precision breaks."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        winner = 1 if torch.is_autocast_enabled(images.device.type) else 0
        return nn.functional.one_hot(torch.full((len(images),), winner), 3).float()


class Infinite(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = images.mean((2, 3))
        return logits / 0 if torch.is_autocast_enabled(images.device.type) else logits


class NoKernel(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if torch.is_autocast_enabled(images.device.type):
            raise RuntimeError("no kernel for BFloat16\nstack follows")
        return images.mean((2, 3))


@pytest.mark.parametrize(
    ("network", "agreeing", "difference", "why"),
    [
        (Unstable(), 0, 1.0, "top-1 agrees on 0 of 6, less than 99%"),
        # all infinite, so class 0, which is the reference's for two images
        (Infinite(), 2, None, "logits are not finite"),
        (NoKernel(), None, None, "can't run here: no kernel for BFloat16"),
    ],
)
def test_a_way_with_other_answers_or_none_is_refused(
    network: nn.Module, agreeing: int | None, difference: float | None, why: str
) -> None:
    """Also where nothing else was asked for: then plain fp32 is chosen."""
    got = chosen([replace(PLAIN, precision="bf16")], network)
    assert got.config == PLAIN
    refused = got.trials[1]
    assert (refused.agreeing, refused.largest_difference, refused.rejected) == (agreeing, difference, why)
    assert refused.timings is None

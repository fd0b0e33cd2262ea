"""Choosing how to run: the fastest that gives the same answers, and nothing reduced that wasn't asked for."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from harness.errors import HarnessError
from harness.runtime.execution import LAYOUTS, REFERENCE, Setting, choose, prepare
from harness.runtime.timing import Budget, Timings

QUICK = Budget(relative=1.0, limit_s=0.02, minimum_calls=2, warm_up_calls=1)


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )


@pytest.fixture
def probe() -> torch.Tensor:
    return torch.randn(6, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def timed(monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float]) -> None:
    """Make each setting as fast as told, by label; the forward passes are real."""
    prepared: list[Setting] = []

    def remember(module: nn.Module, setting: Setting):  # type: ignore[no-untyped-def]
        prepared.append(setting)
        return prepare(module, setting)

    def measure(forward: object, images: torch.Tensor, budget: Budget) -> Timings:
        return Timings((seconds[prepared[-1].label],) * 3, len(images), 0, "interval")

    monkeypatch.setattr("harness.runtime.execution.prepare", remember)
    monkeypatch.setattr("harness.runtime.execution.measure_throughput", measure)


def test_layouts_give_the_same_logits(module: nn.Module, probe: torch.Tensor) -> None:
    expected = prepare(module, REFERENCE)(probe)
    got = prepare(module, Setting(layout="channels_last"))(probe)
    assert module[0].weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_reduced_precision_returns_float32_near_the_reference(
    module: nn.Module, probe: torch.Tensor, precision: str
) -> None:
    expected = prepare(module, REFERENCE)(probe)
    got = prepare(module, Setting(precision))(probe)
    assert got.dtype == torch.float32
    assert module[0].weight.dtype == torch.float32
    torch.testing.assert_close(got, expected, atol=0.02, rtol=0)
    assert not torch.equal(got, expected)


def test_prepare_evaluates_without_gradients(module: nn.Module, probe: torch.Tensor) -> None:
    module.train()
    logits = prepare(module, REFERENCE)(probe)
    assert not module.training
    assert not logits.requires_grad


def test_tf32_choice_of_the_process_survives(module: nn.Module, probe: torch.Tensor) -> None:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    prepare(module, Setting("tf32"))(probe)
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before


def test_by_default_only_float32_layouts_are_tried(module: nn.Module, probe: torch.Tensor) -> None:
    got = choose(module, probe, budget=QUICK)
    assert [t.setting for t in got.trials] == [REFERENCE, Setting(layout="channels_last")]
    assert got.setting.precision == "fp32"
    assert all(t.agreeing == len(probe) for t in got.trials)
    assert all(t.timings is not None for t in got.trials)
    assert module[0].weight.is_contiguous(memory_format=LAYOUTS[got.setting.layout])


def test_the_fastest_is_chosen(module: nn.Module, probe: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    timed(
        monkeypatch,
        {
            "fp32, contiguous, eager": 4.0,
            "fp32, channels_last, eager": 2.0,
            "bf16, contiguous, eager": 3.0,
            "bf16, channels_last, eager": 1.0,
        },
    )
    assert choose(module, probe, budget=QUICK).setting == Setting(layout="channels_last")
    asked = choose(module, probe, precisions=["fp32", "bf16"], budget=QUICK)
    assert asked.setting == Setting("bf16", "channels_last")
    assert asked.chosen.throughput is not None
    assert asked.chosen.throughput.value == 6.0


def test_a_reduced_precision_must_be_clearly_faster(
    module: nn.Module, probe: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seconds, precision in ((2.0 / 1.14, "fp32"), (2.0 / 1.16, "bf16")):
        timed(monkeypatch, {"fp32, contiguous, eager": 2.0, "bf16, contiguous, eager": seconds})
        got = choose(module, probe, precisions=["fp32", "bf16"], layouts=["contiguous"], budget=QUICK)
        assert got.setting.precision == precision


EAGER = {
    "fp32, contiguous, eager": 4.0,
    "fp32, channels_last, eager": 2.0,
    "bf16, contiguous, eager": 3.0,
    "bf16, channels_last, eager": 6.0,
}
COMPILED = {"fp32, channels_last, compiled": 0.5, "bf16, contiguous, compiled": 0.25}


@pytest.fixture
def _compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that changes nothing, so that a test doesn't wait a minute for a real one."""
    monkeypatch.setattr(torch, "compile", lambda module: module)
    timed(monkeypatch, EAGER | COMPILED)


@pytest.mark.usefixtures("_compiler")
def test_only_the_faster_layout_of_each_precision_is_compiled(module: nn.Module, probe: torch.Tensor) -> None:
    got = choose(module, probe, precisions=["fp32", "bf16"], compiled=(False, True), timed_images=2, budget=QUICK)
    assert got.setting == Setting("bf16", "contiguous", compiled=True)
    assert got.chosen.throughput is not None
    assert got.chosen.throughput.value == 2 / 0.25  # the timed call takes two of the six images
    assert (got.probe_images, got.chosen.agreeing) == (6, 6)
    refused = {t.setting.label: t.rejected for t in got.trials if t.rejected is not None}
    slower = "not tried: this layout is the slower one for this precision"
    assert refused == {"fp32, contiguous, compiled": slower, "bf16, channels_last, compiled": slower}


@pytest.mark.usefixtures("_compiler")
def test_compiling_is_not_tried_for_a_short_run_or_after_the_limit(module: nn.Module, probe: torch.Tensor) -> None:
    def chosen(**options: float) -> tuple[Setting, set[str]]:
        got = choose(module, probe, precisions=["fp32"], compiled=(False, True), budget=QUICK, **options)  # type: ignore[arg-type]
        return got.setting, {str(t.rejected) for t in got.trials if t.setting.compiled}

    # Six images in 2 s: 3 images/s. 359 images take 119.7 s, just less than compiling is worth; 360 take 120 s.
    eager, why = chosen(images_ahead=359)
    assert eager == Setting(layout="channels_last")
    assert "not tried: the run takes about 120 s, compiling about 60 s" in why
    assert chosen(images_ahead=360)[0].compiled
    short, why = chosen(limit_s=59)
    assert short == Setting(layout="channels_last")
    assert "not tried: compiling takes about 60 s, more than the limit of 59 s" in why
    assert chosen(limit_s=60)[0].compiled


@pytest.mark.usefixtures("_compiler")
def test_the_limit_ends_further_compiling(
    module: nn.Module, probe: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(0, 70)  # each look at the clock is 70 s later: the first compiled setting takes them
    monkeypatch.setattr("harness.runtime.execution.time.monotonic", lambda: next(clock))
    got = choose(module, probe, precisions=["fp32", "bf16"], compiled=(False, True), limit_s=60, budget=QUICK)
    assert got.setting == Setting("fp32", "channels_last", compiled=True)
    (late,) = (t for t in got.trials if t.setting == Setting("bf16", "contiguous", compiled=True))
    assert late.rejected == "not tried: the limit of 60 s was reached"


class Unstable(nn.Module):
    """Gives the same top-1 for every image, another one under autocast: a network that half precision breaks."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        winner = 1 if torch.is_autocast_enabled(images.device.type) else 0
        return nn.functional.one_hot(torch.full((len(images),), winner), 3).float()


def test_a_fast_setting_with_other_answers_is_refused(probe: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    timed(monkeypatch, {"fp32, contiguous, eager": 4.0, "bf16, contiguous, eager": 1.0})
    got = choose(Unstable(), probe, precisions=["bf16"], layouts=["contiguous"], budget=QUICK)
    assert got.setting == REFERENCE
    refused = got.trials[1]
    assert refused.agreeing == 0
    assert refused.largest_difference == 1.0
    assert refused.rejected == "top-1 agrees on 0 of 6, less than 99%"


class Infinite(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = images.mean((2, 3))
        return logits / 0 if torch.is_autocast_enabled(images.device.type) else logits


def test_infinite_logits_are_refused(probe: torch.Tensor) -> None:
    got = choose(Infinite(), probe, precisions=["bf16"], layouts=["contiguous"], budget=QUICK)
    assert got.setting == REFERENCE
    assert got.trials[1].rejected == "logits are not finite"
    assert got.trials[1].timings is None


class NoKernel(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if torch.is_autocast_enabled(images.device.type):
            raise RuntimeError("no kernel for BFloat16\nstack follows")
        return images.mean((2, 3))


def test_a_setting_that_can_not_run_is_recorded(probe: torch.Tensor) -> None:
    got = choose(NoKernel(), probe, precisions=["bf16"], layouts=["contiguous"], budget=QUICK)
    assert got.setting == REFERENCE
    assert got.trials[1].rejected == "can't run here: no kernel for BFloat16"


def test_tf32_is_not_claimed_where_there_is_none(module: nn.Module, probe: torch.Tensor) -> None:
    got = choose(module, probe, precisions=["tf32"], layouts=["contiguous"], budget=QUICK)
    assert got.setting == REFERENCE
    assert got.trials[1].rejected == "only CUDA devices have TF32"


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(HarnessError, match="bf16"):
        Setting("bf61")
    with pytest.raises(HarnessError, match="channels_last"):
        Setting(layout="channels-last")

"""Runs that stop when a number is precise enough: what they draw, when they stop, what they leave in the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import harness
from harness.cards.metadata import model_index
from harness.data.annotations import validation_labels
from harness.errors import ExitCode, UsageError
from harness.evaluation.comparing import Compared
from harness.evaluation.plan import make_plan
from harness.evaluation.suites import Suite, parse_suite
from harness.evaluation.until import VARIANT, Decision, SampledBenchmark, check_target, decide, sampled_benchmarks
from harness.evidence import EvidenceClass
from harness.labels.spaces import label_space
from harness.models.loading import find_model
from harness.models.modules import from_module, module_state
from harness.models.registry import resolve
from harness.progress import Reporter
from harness.settings import Settings, parse_target
from harness.store.predictions import PredictionStore
from tests.conftest import as_imagenet, in_ledger

PHOTOGRAPHS = "foolbox-imagenet-20"


def suite(*benchmarks: str) -> Suite:
    text = (
        f"name: s\ntitle: S\ndescription: S.\nmetrics: [accuracy, corruption]\nbenchmarks: [{', '.join(benchmarks)}]\n"
    )
    return parse_suite(text, Path("s.yaml"))


def saved(folder: Path, *benchmarks: str) -> Path:
    path = folder / "photographs.yaml"
    path.write_text(
        f"name: photographs\ntitle: P\ndescription: P.\nmetrics: [accuracy]\nbenchmarks: [{', '.join(benchmarks)}]\n"
    )
    return path


@pytest.mark.parametrize(
    ("until", "of", "message"),
    [
        ("mce", suite("imagenet-c"), "half width above 0"),
        ("mce:-1", suite("imagenet-c"), "half width above 0"),
        ("mce:nan", suite("imagenet-c"), "half width above 0"),
        ("ece:1", suite("imagenet-val"), "Metrics that have one: mce, mean-error, top1"),
        ("mce:1", suite("imagenet-val"), "--until top1:POINTS"),
        ("mce:1", suite("imagenet-c-bar-generated"), "mean-error:POINTS"),
        ("top1:1", suite("imagenet-val", "imagenet-c"), "all cells of imagenet-c in full"),
        ("mce:1", suite("{name: imagenet-c, severities: [1, 2]}"), "leaves out 45 of them, such as brightness/3"),
    ],
)
def test_what_cannot_be_sampled_is_refused_before_the_run(until: str, of: Suite, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_target(of, parse_target(until))


def test_a_limit_beside_a_target_is_refused() -> None:
    for option in ("limit", "corruption_images"):
        with pytest.raises(UsageError, match=f"--{option.replace('_', '-')}"):
            Settings(until=parse_target("mce:0.5"), **{option: 5})


def sampled_photographs(home: Path, until: str) -> SampledBenchmark:
    settings = Settings(home=home, data_home=None, offline=True, until=parse_target(until))
    state = find_model(resolve("efficientnet-lite0"), settings, fetch=False)
    plan = make_plan(state, suite(f"{PHOTOGRAPHS}-c-generated"), settings, Reporter(quiet=True))
    (sampled,) = sampled_benchmarks(plan)
    return sampled


def test_a_target_out_of_reach_says_what_can_be_reached(tmp_path: Path, foolbox_images: list[Any]) -> None:
    with pytest.raises(UsageError, match=r"the most a sample may take, \d+ passes, reach ± \d[\d.]* points") as raised:
        sampled_photographs(tmp_path, "mce:0.5").passes_needed(known=False)
    reachable = raised.value.remedy.removeprefix("Give --until ").partition(",")[0]
    assert sampled_photographs(tmp_path, reachable).passes_needed(known=False) <= 20 * 76


def test_sample_ids_alone_decide_the_order(tmp_path: Path, foolbox_images: list[Any]) -> None:
    sampled = sampled_photographs(tmp_path, "mce:30")
    assert len(sampled.conditions) == 76  # 75 cells and the clean crops; the four extra corruptions are left out
    assert sampled.cells[-1] == ("", 0)
    assert not [c for c in sampled.conditions if (c.name or "").startswith("spatter")]
    first, other = (condition.samples["sample_id"].tolist() for condition in sampled.after(2)[:2])
    assert first != other
    assert len(first) == 2 * sampled.design.per_block[0]
    # The same images in another order of the copy are drawn in the same order.
    backwards = sampled.conditions[0].opened.take(list(range(len(foolbox_images)))[::-1])
    turned = type(sampled)(
        sampled.benchmark,
        tuple(type(c)(c.benchmark, c.name, dataset=backwards, images=len(backwards)) for c in sampled.conditions),
        sampled.metric,
        sampled.target,
    )
    assert turned.after(2)[0].samples["sample_id"].tolist() == first
    # All orders are different, and over the cells an image's place is spread evenly: mean 9.5, deviation 5.77 / √76.
    places = np.array([np.argsort(order) for order in sampled.orders])
    assert len({tuple(row) for row in places.tolist()}) == 76
    assert (np.abs(places.mean(axis=0) - 9.5) < 4 * 5.77 / 76**0.5).all()


def test_planned_passes_stand_beside_those_of_the_whole(home: Path, foolbox_images: list[Any], tmp_path: Path) -> None:
    planned = harness.plan(
        "efficientnet-lite0", saved(tmp_path, PHOTOGRAPHS), until="top1:60", offline=True, probe=False
    )
    (sample,) = planned.cost.samples
    assert (sample.metric, sample.half_width, sample.all_passes) == ("top1", 60, 20)
    assert planned.cost.images == sample.passes < 20


PIXELS = harness.Preprocessing(resize=32, crop=32, interpolation="bilinear", mean=(0.0,) * 3, std=(1.0,) * 3)


class Shade(torch.nn.Module):
    """Tells ten classes apart by how bright an image is; `blind` always answers the first one."""

    def __init__(self, *, blind: bool = False) -> None:
        super().__init__()
        levels = torch.full((1000,), 1e6)
        levels[: 1 if blind else 10] = torch.arange(1 if blind else 10) / 10
        self.levels = torch.nn.Parameter(levels, requires_grad=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return -20 * (pixels.mean(dim=(1, 2, 3))[:, None] - self.levels).abs()


@pytest.fixture
def shades(tmp_path: Path) -> Path:
    """500 images of one shade each, under the names of the validation images of the first ten classes."""
    classes = label_space("imagenet-1k").classes
    for name, label in validation_labels().items():
        if label < 10:
            (tmp_path / "val" / classes[label]).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32), (round(25.5 * label),) * 3).save(
                tmp_path / "val" / classes[label] / name, "JPEG"
            )
    return tmp_path / "val"


def test_top1_stops_goes_on_and_is_extended(
    home: Path, tmp_path: Path, shades: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(until: str) -> harness.Evaluation:
        return harness.evaluate(
            Shade(),
            saved(tmp_path, "imagenet-val"),
            data={"imagenet-val": shades},
            until=until,
            preprocessing=PIXELS,
            labels="imagenet-1k",
            name="shade",
            offline=True,
            output=tmp_path / "out",
        )

    key = f"imagenet-val.top1:{VARIANT}"
    wide = run("top1:20")
    assert wide.exit_code is ExitCode.DONE
    first = in_ledger(wide.ledger, key)
    assert (first.value, first.interval.kind, first.N) == (100, "confidence-sequence", 50_000)
    assert first.interval.high - first.interval.low <= 20  # to 100 and no further
    assert wide.ledger.get("imagenet-val.top1") is None, "neither measured nor pending"
    assert "--until top1:20" in first.command
    assert model_index(wide.ledger) == [], "a sample's estimate is never published as the benchmark's score"
    assert "the interval is a confidence sequence" in (tmp_path / "out" / "card.md").read_text()
    # A finer target goes on with what is stored, at the price of the smaller share that later targets have.
    fine = in_ledger(run("top1:10").ledger, key)
    assert first.n < fine.n < 500
    assert fine.protocol["sampling"]["for"] == "top1:20", (
        "the share of the error probability is that of the first target"
    )
    monkeypatch.setattr(PredictionStore, "write", None)  # all is stored
    again = in_ledger(run("top1:20").ledger, key)
    assert (again.value, again.interval, again.n) == (first.value, first.interval, first.n)


def test_two_models_are_run_until_it_is_settled_who_is_better(tmp_path: Path, shades: Path) -> None:
    settings = Settings(
        home=tmp_path / "home", data_home=None, data={"imagenet-val": str(shades)}, offline=True, sanity_gate=False
    )

    def settled(margin: float, **modules: torch.nn.Module) -> Decision:
        states = [module_state(from_module(module, PIXELS, "imagenet-1k", name)) for name, module in modules.items()]
        (found,) = decide(states, suite("imagenet-val"), margin, settings, Reporter(quiet=True))
        return found

    better = settled(15, seeing=Shade(), blind=Shade(blind=True))
    assert better.verdict == "seeing is better"
    assert better.low <= 90 <= better.high  # all of ten classes against one of them
    assert better.passes < 250
    worse = settled(15, blind=Shade(blind=True), seeing=Shade())
    assert (worse.verdict, worse.difference) == ("seeing is better", -better.difference)
    alike = settled(15, seeing=Shade(), seeing_too=Shade())
    assert alike.verdict == "they differ by less than 15 points"
    assert (alike.difference, alike.metric) == (0, "top1")
    assert settled(0.5, seeing=Shade(), seeing_too=Shade()).verdict is None, "500 images don't tell"
    assert Compared(("seeing", "seeing_too"), decisions=(alike,)).exit_code is ExitCode.DONE
    with pytest.raises(UsageError, match="two different models"):
        settled(15, seeing=Shade())


@pytest.mark.parametrize(
    "options",
    [
        {"until": "decided", "suite": "corruption"},
        {"margin": 0.5},
        {"until": "mce:0.5", "margin": 0.5, "suite": "corruption"},
    ],
)
def test_half_of_what_a_decision_needs_is_refused(home: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="belong together"):
        harness.compare(["efficientnet-lite0", "regnet-y-040"], **options)


@pytest.mark.slow
def test_mce_of_official_files_and_of_generated_ones(tmp_path: Path, home: Path, foolbox_images: list[Any]) -> None:
    """Four photographs as if they were the validation set: the official layout is drawn like the generated one."""
    validation, corrupted = as_imagenet(tmp_path, foolbox_images[:4])
    path = saved(tmp_path, "imagenet-val", "{name: imagenet-c, fallback: imagenet-c-generated}")
    found = {}
    for name, more in {"imagenet-c": {"imagenet-c": corrupted}, "imagenet-c-generated": {}}.items():
        data = {"imagenet-val": validation, **more}
        done = harness.evaluate("efficientnet-lite0", path, data=data, until="mce:25", offline=True)
        assert done.exit_code is ExitCode.DONE, done.missing
        found[name] = in_ledger(done.ledger, f"{name}.mce:{VARIANT}")
        relative = in_ledger(done.ledger, f"{name}.relative-mce:{VARIANT}")
        cell = in_ledger(done.ledger, f"{name}/fog/3.top1:{VARIANT}")
        assert (relative.class_, cell.N) == (EvidenceClass.MEASURED, 50_000)
        assert "by-product" in cell.reason
        assert done.ledger.get(f"{name}.mce") is None
    official, generated = found.values()
    assert official.n == generated.n
    assert official.protocol["sampling"]["clean_predictions"] == "imagenet-val"
    assert official.number == pytest.approx(generated.number, abs=10), "the same images but for one JPEG decoding"

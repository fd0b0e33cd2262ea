"""The compute suite end to end: what a model costs, with its weights and without; no data set, no network."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import pytest
from typer.testing import CliRunner

from harness.benchmarking import measure as measuring
from harness.benchmarking.measure import measure
from harness.cards.fill import fill_card
from harness.cards.render import render_card
from harness.cli import app
from harness.errors import ExitCode, HarnessError
from harness.evaluation.run import RunResult, run_suite
from harness.evaluation.suites import MEASUREMENTS, Suite, load_suite, parse_suite
from harness.evidence import Evidence, EvidenceClass, Ledger
from harness.models.loading import LoadedModel, ModelState
from harness.models.registry import resolve
from harness.models.sources.hub import HubCheckpoint
from harness.models.specs import ModelSpec
from harness.progress import Reporter
from harness.runtime.timing import Budget
from harness.settings import Settings, parse_input_sizes
from harness.store.ledgers import merge_into_store
from tests.conftest import in_ledger

SECONDS = 0.2
"""Time limit of each measurement: enough for values, too little for narrow intervals."""

# Radosavovic et al., Designing Network Design Spaces (2020), Table 4: RegNetY-4.0GF has 20.6 M parameters and 4.0 G
# multiply-adds; pycls, dev/model_complexity.json, has the exact count.
PARAMETERS = 20_646_656


def settings(home: Path, **options: object) -> Settings:
    given = {"data_home": None, "offline": True, "seconds": SECONDS, **options}
    return Settings(home=home, **given)


@pytest.fixture(scope="module")
def without_weights(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """The compute suite on RegNetY-4.0GF without its checkpoint and with every socket blocked."""
    home = tmp_path_factory.mktemp("compute-home")

    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a measurement opened a network connection")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        # An empty cache of the Hub, so that a checkpoint on this machine changes nothing.
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hub"))
        options = settings(home, input_size=((320, 160),), region="FRA", layout="contiguous")
        return run_suite(resolve("regnet-y-040"), load_suite("compute"), options, Reporter(quiet=True))


def of(result: RunResult, key: str) -> Evidence:
    return in_ledger(result.ledger, key)


def no_load() -> LoadedModel:
    raise AssertionError("there are no weights to load")


def measured(
    names: Sequence[str], home: Path, state: ModelState, load: Callable[[], LoadedModel] = no_load, **options: object
) -> dict[str, Evidence]:
    """What is measured of a model, by key."""
    found = measure(tuple(names), state, settings(home, **options), Reporter(quiet=True), "command", load=load)
    return {item.key: item for item in found}


def without_checkpoint(name: str) -> ModelState:
    return ModelState(resolve(name), None, None, HarnessError("not here"))


def test_size_and_arithmetic_are_the_published_ones(without_weights: RunResult) -> None:
    parameters, macs = of(without_weights, "compute.parameters"), of(without_weights, "compute.macs")
    assert (parameters.value, parameters.class_) == (PARAMETERS, EvidenceClass.DERIVED)
    assert macs.value == pytest.approx(4.0e9, rel=0.01)
    assert of(without_weights, "compute.flops").value == 2 * macs.value
    assert of(without_weights, "architecture.depth").value == 2 + 6 + 12 + 2


def test_the_preprocessing_is_derived_and_says_from_where(without_weights: RunResult) -> None:
    item = of(without_weights, "architecture.preprocessing")
    assert item.class_ is EvidenceClass.DERIVED
    assert str(item.value).startswith("short side 256 bicubic, centre crop 224×224, mean [0.485")
    assert item.protocol["crop"] == [224, 224]
    assert "registry" in item.protocol["read_from"]


def test_another_input_size_is_a_variant_named_width_by_height(without_weights: RunResult) -> None:
    variant, own = of(without_weights, "compute.macs:320x160"), of(without_weights, "compute.macs")
    assert variant.protocol["input_size"] == [3, 160, 320]
    # A convolutional network's multiply-adds grow with the area, up to the classifier and rounding at the edges.
    assert variant.value / own.value == pytest.approx(320 * 160 / 224**2, rel=0.02)


def test_speed_is_measured_with_random_weights_and_says_so(without_weights: RunResult) -> None:
    for key in ("compute.latency-p50", "compute.throughput"):
        item = of(without_weights, key)
        assert item.class_ is EvidenceClass.MEASURED
        assert item.protocol["weights"] == "random: the checkpoint is not here"
        assert item.protocol["steps"].endswith("random weights")
        assert item.protocol["hardware"]["logical_cpus"] >= 1
        assert item.interval is not None or item.reason is not None
        assert item.fingerprints.weights is None
    assert "dtypes" in str(of(without_weights, "compute.checkpoint-bytes").protocol)


def test_speed_is_measured_with_decoding_too_and_says_of_what(without_weights: RunResult) -> None:
    found = [of(without_weights, f"compute.latency-{q}:with-decoding") for q in ("p50", "p95", "p99")]
    for item in (*found, of(without_weights, "compute.throughput:with-decoding")):
        assert item.class_ is EvidenceClass.MEASURED
        assert item.value > 0
        assert item.protocol["steps"].startswith("JPEG decoding and preprocessing by Pillow, then the forward pass")
        assert "photographs" in item.protocol["input"] or "generated JPEGs" in item.protocol["input"]
    plain = of(without_weights, "compute.throughput")
    assert plain.protocol["input"] == "random pixels, 224 × 224"


def test_the_run_s_own_energy_counts_the_images_it_timed(without_weights: RunResult) -> None:
    energy = of(without_weights, "energy.this-run")
    assert energy.protocol["includes"] == "all timed calls of the measurements and their warm-up"
    parts = [of(without_weights, key).n for key in ("compute.latency-p50", "compute.throughput")]
    assert energy.n > sum(part or 0 for part in parts)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16", "auto"])
def test_what_depends_on_the_precision_is_named_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    """With bf16 asked for or chosen, a plain key never holds a number of bf16."""
    monkeypatch.setattr("harness.runtime.choosing.AUTO_PRECISIONS", ("bf16",))
    monkeypatch.setattr("harness.runtime.choosing.CLEARLY_SLOWER", 1e9)  # as bf16 is on many processors
    names, state = ("complexity", "execution", "latency", "decoding"), without_checkpoint("efficientnet-lite0")
    keys = measured(names, tmp_path, state, layout="channels_last", precision=precision).keys()
    assert {"compute.latency-p50:bf16", "compute.throughput:with-decoding+bf16", "compute.execution"} <= keys
    assert {"compute.macs", "compute.parameters"} <= keys
    assert not {"compute.latency-p50", "compute.throughput:with-decoding"} & keys


def test_energy_and_carbon_are_never_zero_and_have_intervals(without_weights: RunResult) -> None:
    for key in ("energy.per-1000-images", "energy.images-per-joule", "carbon.per-1000-images"):
        item = of(without_weights, key)
        if item.class_ is EvidenceClass.PENDING:  # a machine whose processor can't be read at all
            assert item.reason
            continue
        assert item.value > 0, key
        assert 0 <= item.interval.low <= item.value <= item.interval.high
    carbon = of(without_weights, "carbon.per-1000-images")
    assert carbon.protocol["grid"]["region"] == "France"


def test_a_run_without_weights_is_done_and_gives_its_command(without_weights: RunResult) -> None:
    waiting = [item.key for item in without_weights.ledger if item.class_ is EvidenceClass.PENDING]
    assert without_weights.exit_code is (ExitCode.INCOMPLETE if waiting else ExitCode.DONE)
    command = of(without_weights, "compute.macs").command
    assert command == (
        "harness run --suite compute --model regnet-y-040 --layout contiguous --input-size 320x160 --region FRA "
        "--seconds 0.2"
    )


def as_if_quiet(ledger: Ledger) -> Ledger:
    """The ledger with the timings that a busy machine would have withheld."""
    quiet = ledger.model_copy(deep=True)
    for item in quiet:
        (item.protocol or {}).pop("withheld", None)
    return quiet


def test_the_card_shows_each_cost_in_its_section(without_weights: RunResult) -> None:
    card = render_card(as_if_quiet(without_weights.ledger)).text
    assert "\n20.6 M parameters · 3.97 GMACs" in card
    after = card.split("## Environmental Impact")[1].split("\n## ")[0]
    assert "| Energy for 1,000 images, without PUE |" in after
    assert "| Emissions for 1,000 images, with PUE |" in after
    technical = card.split("## Technical Specifications")[1].split("\n## ")[0]
    assert "| Peak memory" not in technical  # most of a process is its libraries
    assert "random weights, the forward pass alone." in technical
    assert "| Multiply-adds for one image, 320x160 |" in technical


def test_a_filled_card_doesn_t_speak_of_a_checkpoint_that_was_not_there(without_weights: RunResult) -> None:
    card = b"# Card\n\n- **Parameters:** [More Information Needed]\n- **Throughput:** [More Information Needed]\n"
    filled = fill_card(card, model="regnet-y-040", ledger=as_if_quiet(without_weights.ledger)).text.decode()
    assert "- **Parameters:** 20,646,656, 19,557,656 of them in the body" in filled
    assert "1,089,000 in the classifier (derived from the architecture)" in filled
    assert "random weights" in filled


@pytest.mark.slow
def test_with_weights_the_file_and_its_fingerprint_are_used(lite0: LoadedModel, tmp_path: Path) -> None:
    spec = resolve("efficientnet-lite0")
    files = spec.checkpoint.locate(spec, offline=True)
    state = ModelState(spec, files, lite0.identity, None)
    options = {"layout": "contiguous", "seconds": 2.0}
    found = measured(("complexity", "latency"), tmp_path, state, lambda: lite0, **options)
    size, latency = found["compute.checkpoint-bytes"], found["compute.latency-p50"]
    assert size.value == files.files[0].stat().st_size
    assert size.fingerprints.weights == lite0.identity.weights
    assert latency.protocol["weights"] == "the checkpoint's"
    assert latency.interval.low <= latency.value <= latency.interval.high


def test_neither_weights_nor_architecture_leave_everything_pending(tmp_path: Path) -> None:
    spec = ModelSpec(name="unknown", reference="hf:some/one", title="One", checkpoint=HubCheckpoint(repo="some/one"))
    state = ModelState(spec, None, None, HarnessError("The weights are not on this machine."))
    found = measured(MEASUREMENTS, tmp_path, state).values()
    assert {item.class_ for item in found} == {EvidenceClass.PENDING}
    assert all("known from its checkpoint only" in str(item.reason) for item in found)
    assert all("not on this machine" in str(item.reason) for item in found)


@pytest.mark.slow
def test_a_measurement_that_fails_is_pending_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(*_: object) -> NoReturn:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(measuring, "measure_latency", out_of_memory)
    monkeypatch.setattr(measuring, "Budget", lambda **_: Budget(limit_s=SECONDS, minimum_calls=2, warm_up_calls=0))
    options = {"input_size": ((1, 1), (64, 64)), "layout": "contiguous"}
    found = measured(("latency", "complexity"), tmp_path, without_checkpoint("efficientnet-lite0"), **options)
    assert found["compute.latency-p50"].reason == "out of memory"
    assert found["compute.parameters"].class_ is EvidenceClass.DERIVED
    assert found["compute.macs:64x64"].class_ is EvidenceClass.DERIVED


def test_every_measurement_a_suite_may_name_can_be_taken() -> None:
    assert list(measuring.PENDING_KEYS) == list(MEASUREMENTS)


SUITE = """\
name: mine
title: Mine
description: What it is for.
measurements: [complexity]
"""


def parse(text: str) -> Suite:
    return parse_suite(text, Path("mine.yaml"))


def test_a_suite_may_have_measurements_alone() -> None:
    assert parse(SUITE).measurements == ("complexity",)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("complexity", "complexty", ["line 4", "Unknown measurement 'complexty'", "Did you mean complexity?"]),
        ("measurements: [complexity]\n", "", ["benchmarks: needs at least 1 item"]),
        ("measurements", "measurement", ["line 4", "Did you mean measurements?"]),
        ("measurements: [complexity]", "benchmarks: [imagenet-val]", ["metrics: needs at least 1 item"]),
    ],
)
def test_a_fault_in_measurements_is_named(old: str, new: str, expected: list[str]) -> None:
    with pytest.raises(HarnessError) as caught:
        parse(SUITE.replace(old, new))
    assert caught.value.exit_code is ExitCode.USAGE
    for part in expected:
        assert part in str(caught.value)


def test_input_sizes_are_width_by_height() -> None:
    assert parse_input_sizes(["1280x800", "320x160", "1280x800"]) == ((1280, 800), (320, 160))
    for wrong in ("1280", "0x5", "axb", "12x", "-1x4"):
        with pytest.raises(HarnessError, match="is not WIDTHxHEIGHT"):
            parse_input_sizes([wrong])


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--input-size", "1280", "WIDTHxHEIGHT"), ("--region", "Frnce", "Did you mean France")],
)
def test_the_command_line_refuses_what_it_can_t_read(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, value: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "--suite", "compute", "--model", "regnet-y-040", "--offline", option, value]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == ExitCode.USAGE
    assert said in " ".join(result.stderr.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_command_line_measures_without_weights(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = tmp_path / "mine.yaml"
    suite.write_text(SUITE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "--suite", str(suite), "--model", "convnext-base-224-22k", "--offline", "--format", "json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == ExitCode.DONE, result.output
    values = {item["key"]: item["value"] for item in json.loads(result.stdout)["ledger"]["evidence"]}
    assert values["compute.parameters"] == 109_953_489  # 88,591,464 with 1,000 outputs, and 20,841 × 1,025 more
    assert values["compute.macs"] == pytest.approx(15.4e9, rel=0.01)  # Liu et al. 2022, Table 1 (1,000-way head)


def test_a_plan_says_how_long_the_measurements_take(home: Path) -> None:
    arguments = ["plan", "--suite", "compute", "--model", "regnet-y-040", "--offline", "--precision", "auto"]
    result = CliRunner().invoke(app, [*arguments, "--seconds", "10"])
    assert result.exit_code == ExitCode.DONE, result.stderr
    # One limit for latency and energy each, two for throughput and decoding each, and 20 s for the choice of how to run.
    assert "Measurements: at most about 80 s (each has a time limit of 10 s" in result.stdout
    assert "with random weights, unless they come" in result.stdout
    assert "To run:" not in result.stdout
    record = json.loads(CliRunner().invoke(app, [*arguments, "--format", "json"]).stdout)
    assert record["estimate"]["measuring_seconds"] == 6 * 60 + 20


def test_training_follows_what_the_weights_were_found_to_be(home: Path) -> None:
    """The store's ledger knows the lineage; the carbon of another training is no answer then."""
    spec = resolve("regnet-y-040")
    found = Evidence(
        key="identity.lineage", class_=EvidenceClass.MEASURED, value="ra3-224", n=20, protocol={"by": "accuracy"}
    )
    suite = parse(SUITE.replace("[complexity]", "[training]"))

    def training() -> EvidenceClass:
        ledger = run_suite(spec, suite, settings(home), Reporter(quiet=True)).ledger
        return next(item.class_ for item in ledger if item.key == "carbon.training")

    assert training() is EvidenceClass.ESTIMATED
    merge_into_store(home, Ledger(model={"name": spec.name}, evidence=[found]))
    assert training() is EvidenceClass.UNDISCLOSED


@pytest.mark.slow
def test_a_run_leaves_timm_s_table(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = tmp_path / "mine.yaml"
    suite.write_text(SUITE.replace("[complexity]", "[complexity, throughput]"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "--suite", str(suite), "--model", "efficientnet-lite0", "--offline", "--seconds", "0.1"]
    result = CliRunner().invoke(app, [*arguments, "--layout", "contiguous", "--output", "out"])
    assert result.exit_code == ExitCode.DONE, result.output
    assert max(map(len, result.stdout.splitlines())) < 160  # also with the parameters of each stage
    header, row = (tmp_path / "out" / "benchmark-infer.csv").read_text().splitlines()
    assert header.startswith("model,infer_samples_per_sec,infer_step_time,infer_batch_size,infer_img_size,infer_gmacs,")
    name, speed, *_, size, gmacs, macts, parameters = row.split(",")
    assert (name, size) == ("efficientnet-lite0", "224")
    assert float(speed) > 0
    # timm's own table has 0.4, 6.74 and 4.65: its counter adds two operations a batch-norm output, about 0.013 billion.
    assert (float(gmacs), float(macts), float(parameters)) == (0.39, 6.74, 4.65)

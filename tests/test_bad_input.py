"""What goes wrong in real runs: each gets a sentence that names file, cause and remedy, and loses nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from harness.errors import ExitCode, HarnessError
from harness.evaluation.run import RunResult, run_suite
from harness.evaluation.suites import Suite, load_suite, parse_suite
from harness.evidence import EvidenceClass
from harness.labels.spaces import label_space, lemmas
from harness.models.registry import resolve
from harness.progress import Reporter
from harness.settings import Settings

COPIES = 6


def suite_of(benchmark: str) -> Suite:
    text = f"name: one\ntitle: One\ndescription: One benchmark.\nbenchmarks: [{benchmark}]\nmetrics: [accuracy]\n"
    return parse_suite(text, Path("one.yaml"))


class Notes(Reporter):
    """Keeps what a person would be told."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.told: list[str] = []

    def note(self, message: str) -> None:
        self.told.append(message)


def run(home: Path, benchmark: str, model: str = "efficientnet-lite0", **options: Any) -> tuple[RunResult, list[str]]:
    notes = Notes()
    settings = Settings(home=home, data_home=None, offline=True, **options)
    return run_suite(resolve(model), suite_of(benchmark), settings, notes), notes.told


def run_on(sketches: Path, home: Path, **options: Any) -> tuple[RunResult, list[str]]:
    return run(home, "imagenet-sketch", data={"imagenet-sketch": str(sketches)}, **options)


@pytest.fixture
def sketches(tmp_path: Path, foolbox_images: list[Any]) -> Path:
    """A copy in ImageNet-Sketch's layout: 120 real JPEGs in class folders named by synset."""
    synsets = label_space("imagenet-1k").classes
    folder = tmp_path / "sketch"
    for photograph in foolbox_images:
        target = folder / synsets[photograph.label]
        target.mkdir(parents=True, exist_ok=True)
        for copy in range(COPIES):
            (target / f"{Path(photograph.name).stem}_{copy}.JPEG").write_bytes(photograph.data)
    return folder


def images_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.JPEG"))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4000])


@pytest.mark.slow
def test_one_truncated_image_of_120_is_named_and_left_out(sketches: Path, tmp_path: Path) -> None:
    truncate(images_in(sketches)[7])
    result, told = run_on(sketches, tmp_path / "home")
    top1 = result.ledger.get("imagenet-sketch.top1")
    assert (top1.n, top1.N) == (119, 50_889)
    assert "1 unreadable image left out" in (top1.reason or "")
    (message,) = [line for line in told if "can't be read" in line]
    assert images_in(sketches)[7].name in message
    assert "1 of 120" in message


@pytest.mark.slow
def test_two_truncated_images_of_120_fail_the_condition(sketches: Path, tmp_path: Path) -> None:
    for path in images_in(sketches)[3:5]:
        truncate(path)
    result, told = run_on(sketches, tmp_path / "home")
    assert result.exit_code is ExitCode.FAILED
    item = result.ledger.get("imagenet-sketch.top1")
    assert item.class_ is EvidenceClass.PENDING
    assert "2 of 120 images can't be read" in (item.reason or "")
    assert any("Repair the copy of the data set" in line for line in told)


@pytest.mark.slow
def test_a_repaired_image_is_run_and_nothing_else(
    sketches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = images_in(sketches)[7].read_bytes()
    truncate(images_in(sketches)[7])
    home = tmp_path / "home"
    run_on(sketches, home)
    images_in(sketches)[7].write_bytes(whole)
    from harness.store.predictions import PredictionStore

    written: list[int] = []
    write = PredictionStore.write

    def counting(store: PredictionStore, key: Any, rows: Any, made_on: Any) -> Path:
        written.append(len(rows.sample_id))
        return write(store, key, rows, made_on)

    monkeypatch.setattr(PredictionStore, "write", counting)
    result, _ = run_on(sketches, home)
    assert written == [1]
    top1 = result.ledger.get("imagenet-sketch.top1")
    assert top1.n == 120


@pytest.mark.slow
def test_a_damaged_shard_is_put_aside_and_only_its_images_run_again(sketches: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    first, _ = run_on(sketches, home, shard_size=32)
    shard = sorted((home / "predictions").rglob("*.parquet"))[1]
    damaged = bytearray(shard.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    shard.write_bytes(damaged)
    second, told = run_on(sketches, home, shard_size=32)
    assert second.ledger.get("imagenet-sketch.top1").value == first.ledger.get("imagenet-sketch.top1").value
    (message,) = [line for line in told if "damaged" in line]
    assert str(shard) in message
    assert shard.exists()
    assert shard.with_suffix(".damaged").exists()


def test_missing_class_folders_are_said_and_leave_a_partial_result(sketches: Path, tmp_path: Path) -> None:
    from harness.evaluation.plan import dry_plan

    settings = Settings(home=tmp_path / "home", data_home=None, offline=True, data={"imagenet-sketch": str(sketches)})
    plan = dry_plan(resolve("efficientnet-lite0"), suite_of("imagenet-sketch"), settings, Notes())
    notes = " ".join(plan.conditions[0].notes)
    assert "120 of 50,889" in notes
    assert "classes have no images" in notes


def test_an_empty_folder_is_an_error_with_an_example(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result, told = run_on(tmp_path / "empty", tmp_path / "home")
    assert result.exit_code is ExitCode.FAILED
    (message,) = [line for line in told if line.startswith("Not usable")]
    assert str(tmp_path / "empty") in message
    assert "n01440764" in message, "the expected tree is shown"
    assert str(tmp_path) not in result.ledger.to_json(), "a local path stays on this machine"


def test_without_network_everything_missing_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights on the Hub, data on the Hub, no network: one line each with how to get it, exit 4."""
    import urllib.error

    def unreachable(*args: object, **kwargs: object) -> None:
        raise urllib.error.URLError("no network in this test")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    notes = Notes()
    result = run_suite(
        resolve("convnext-base-224-22k"),
        load_suite("robustness"),
        Settings(home=tmp_path / "home", data_home=None, offline=False),
        notes,
    )
    assert result.exit_code is ExitCode.MISSING
    assert sum("can't be reached" in line for line in notes.told) == 1
    missing = [line for line in notes.told if line.startswith("Missing: ")]
    assert len(missing) == len(set(missing))
    assert "facebook/convnext-base-224-22k" in missing[0]
    assert {item.class_ for item in result.ledger} == {EvidenceClass.PENDING}
    assert all(
        "harness run --suite robustness --model convnext-base-224-22k" in (i.command or "") for i in result.ledger
    )


# --- a 22k head with the gap in id2label, and random weights ------------------------------------------------------


@pytest.fixture(scope="module")
def random_22k(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ConvNeXt with 21,841 outputs as `save_pretrained` writes it; its names skip two keys."""
    torch.manual_seed(0)
    config = transformers.ConvNextConfig(depths=[1, 1, 1, 1], hidden_sizes=[4, 4, 8, 8], num_labels=21841)
    folder = tmp_path_factory.mktemp("models") / "random-22k"
    transformers.ConvNextForImageClassification(config).save_pretrained(folder)
    keys = [key for key in range(21843) if key not in (9205, 15027)]
    names = dict(zip(keys, (lemmas()[s] for s in label_space("imagenet-22k").classes), strict=True))
    written = json.loads((folder / "config.json").read_text()) | {"id2label": names}
    (folder / "config.json").write_text(json.dumps(written))
    processor = {
        "image_processor_type": "ConvNextImageProcessor",
        "size": {"shortest_edge": 224},
        "crop_pct": 0.875,
        "resample": 3,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def test_random_weights_are_stopped_by_the_sanity_gate(random_22k: Path, tmp_path: Path) -> None:
    with pytest.raises(HarnessError) as caught:
        run(tmp_path / "home", "foolbox-imagenet-20", model=str(random_22k))
    assert "guessing among 999 classes" in caught.value.message
    assert "--no-sanity-gate" in (caught.value.remedy or "")


def test_a_22k_head_is_read_in_four_ways(random_22k: Path, tmp_path: Path) -> None:
    """Restricted to 1,000 with the missing class wrong, restricted to 999, open, open with descendants (design §6)."""
    result, _ = run(tmp_path / "home", "foolbox-imagenet-20", model=str(random_22k), sanity_gate=False)
    found = {item.key.removeprefix("foolbox-imagenet-20."): item for item in result.ledger}
    assert set(found) >= {"top1", "top1:restricted-999", "top1:open", "top1:open-descendants"}
    assert found["top1"].n == found["top1:open"].n == 20
    assert result.ledger.model["label_space"] == "imagenet-22k"
    assert "skips [9205, 15027]" in result.ledger.model["label_proof"]
    assert result.ledger.model["reference"] == "FOLDER/random-22k"
    assert str(random_22k.parent) not in result.ledger.to_json(), "a local path stays on this machine"

"""`harness export`: each format read by a reader that is not ours."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import jsonschema
import mlcroissant
import pandas as pd
import pytest
import yaml
from huggingface_hub import parse_eval_result_entries
from typer.testing import CliRunner

import harness
from harness.cli import app
from harness.errors import ExitCode, HarnessError
from harness.evidence import Evidence, EvidenceClass, Ledger
from harness.export.formats import FORMATS
from tests.report.conftest import V2, Call, Store, ledger_of, measured, right

SCHEMA = Path(__file__).parent / "every_eval_ever" / "eval.schema.json"


@pytest.fixture
def made(store: Store, tmp_path: Path) -> Ledger:
    """A model with stored predictions of 400 images, and of one corruption."""
    store.ran("made", right(400, 0.75))
    store.ran("made", right(400, 0.5, seed=1), benchmark="imagenet-c", condition="fog/3")
    return harness.Ledger.load(store.home / "ledgers" / "made" / "evidence.json")


def export(ledger: str | Ledger, name: str, folder: Path, **options: object) -> dict[str, Path]:
    paths = harness.export_results(ledger, format=name, output=folder, **options)  # type: ignore[arg-type]
    return {str(path.relative_to(folder)): path for path in paths}


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def full() -> Ledger:
    items = measured("imagenet-val.top1", 76.13), measured("imagenet-val.nll", 0.96, unit="nats")
    return ledger_of("m", *items, reference="hf:org/m")


def test_samples_give_the_ledgers_accuracy_and_can_be_scored_again(made: Ledger, tmp_path: Path) -> None:
    written = export("made", "samples", tmp_path / "out")
    assert [name.rpartition("_")[0] for name in written if name.endswith(".jsonl")] == [
        f"samples_{V2}",
        "samples_imagenet-c-fog-3",
    ]
    jsonl, parquet = (path for name, path in written.items() if V2 in name)
    rows = lines(jsonl)
    top1 = made.get(f"{V2}.top1")
    assert (len(rows), 100 * sum(row["acc"] for row in rows) / 400) == (400, pytest.approx(top1.number))  # type: ignore[misc]
    assert [row["doc"]["sample_id"] for row in rows] == sorted(pd.read_parquet(parquet)["sample_id"])  # type: ignore[index]
    assert all(row["filtered_resps"] == row["resps"][0][:1] for row in rows)  # type: ignore[index]
    again = harness.score(parquet, V2, name="again")
    assert again.metrics().set_index("key").loc[f"{V2}.top1", "value"] == top1.value


def test_the_same_ledger_gives_the_same_bytes(made: Ledger, tmp_path: Path) -> None:
    for name in ("samples", "croissant", "lm-eval", "timm", "eee"):
        first, second = (export(made, name, tmp_path / f"{name}-{turn}") for turn in (1, 2))
        assert {k: p.read_bytes() for k, p in first.items()} == {k: p.read_bytes() for k, p in second.items()}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # in mlcroissant, of rdflib and pandas
def test_croissant_is_read_by_mlcommons_own_library(made: Ledger, tmp_path: Path) -> None:
    written = export("made", "croissant", tmp_path)
    read = mlcroissant.Dataset(str(written["croissant.json"]))
    stored = pd.read_parquet(written[f"{V2}.parquet"])
    rows = list(read.records(V2))
    assert len(rows) == len(stored) == 400
    assert rows[0] == {
        f"{V2}/{name}": value.encode() if isinstance(value, str) else value for name, value in stored.iloc[0].items()
    }


def test_a_record_of_every_eval_ever_has_its_published_schema(made: Ledger, full: Ledger, tmp_path: Path) -> None:
    schema = json.loads(SCHEMA.read_text())
    for ledger in (made, full):
        (path,) = export(ledger, "eee", tmp_path).values()
        record = json.loads(path.read_text())
        jsonschema.validate(record, schema)
        assert record["schema_version"] == schema["version"]
    top1 = record["evaluation_results"][0]
    assert (top1["score_details"]["score"], top1["metric_config"]["metric_unit"]) == (76.13, "percent")
    interval = top1["score_details"]["uncertainty"]["confidence_interval"]
    assert (interval["lower"], interval["upper"]) == (pytest.approx(75.73), pytest.approx(76.53))
    assert top1["source_data"]["hf_repo"] == "ILSVRC/imagenet-1k"
    with pytest.raises(jsonschema.ValidationError):  # the schema can say no
        jsonschema.validate(record | {"score": 1}, schema)


def test_results_of_lm_eval_have_its_file_name_fractions_and_versions(tmp_path: Path) -> None:
    scores = measured("imagenet-val.top1", 70.0, n=500), measured("imagenet-val.nll", 1.2, unit="nats")
    ((name, path),) = export(ledger_of("m", *scores), "lm-eval", tmp_path).items()
    assert name.startswith("results_2")
    assert ":" not in name
    data = json.loads(path.read_text())
    task = data["results"]["imagenet-val"]
    assert (task["acc,none"], task["nll,none"]) == (pytest.approx(0.7), 1.2)
    # As lm-evaluation-harness has it: the sample's standard deviation, of 350 ones and 150 zeros here, over √n.
    assert task["acc_stderr,none"] == pytest.approx(statistics.stdev([1] * 350 + [0] * 150) / 500**0.5)
    assert task["nll_stderr,none"] == pytest.approx(0.4 / 1.96, rel=1e-4)
    assert data["higher_is_better"]["imagenet-val"] == {"acc": True, "nll": False}
    assert data["n-samples"]["imagenet-val"] == {"original": 50_000, "effective": 500}
    assert data["config"]["limit"] == 500
    assert data["versions"] == {"imagenet-val": 1}
    assert data["configs"]["imagenet-val"]["metadata"]["version"] == 1


def test_timms_tables(full: Ledger, made: Ledger, tmp_path: Path) -> None:
    assert list(export(full, "timm", tmp_path)) == ["results.csv"]
    assert pd.read_csv(tmp_path / "results.csv").loc[0, "top1"] == 76.13
    assert list(export(made, "timm", tmp_path)) == [f"results-{V2}-partial.csv"]  # 400 of 10,000


class TestEvalResults:
    TASK = "imagenet-val=org/imagenet:val"

    def test_the_hubs_client_reads_what_was_measured(self, full: Ledger, tmp_path: Path) -> None:
        (path,) = export(full, "eval-results", tmp_path, task=[self.TASK]).values()
        assert path == tmp_path / ".eval_results" / "imagenet-val.yaml"
        (entry,) = parse_eval_result_entries(yaml.safe_load(path.read_text()))
        assert (entry.dataset_id, entry.task_id, entry.value) == ("org/imagenet", "val", 76.13)
        assert entry.notes == "top-1 accuracy in percent, 95 % interval 75.73–76.53, n = 50,000"

    @pytest.mark.parametrize(
        ("tasks", "said"),
        [
            ([], "Nobody said which data sets"),
            (["imagenet-val"], "is not BENCHMARK=ORG/DATASET:TASK"),
            (["imagenet-val=imagenet:val"], "is not BENCHMARK=ORG/DATASET:TASK"),
            (["imagenet-vall=org/imagenet:val"], "Did you mean imagenet-val"),
            (["imagenet-a=org/a:a"], "no top-1 of imagenet-a"),
        ],
    )
    def test_nothing_is_guessed(self, full: Ledger, tmp_path: Path, tasks: list[str], said: str) -> None:
        with pytest.raises(HarnessError) as error:
            export(full, "eval-results", tmp_path, task=tasks)
        assert said in str(error.value)

    def test_a_part_of_a_benchmark_is_no_result(self, made: Ledger, tmp_path: Path) -> None:
        with pytest.raises(HarnessError, match="measured on all of its images"):
            export(made, "eval-results", tmp_path, task=[f"{V2}=org/v2:v2"])

    def test_predictions_from_elsewhere_are_none_either(self, full: Ledger, tmp_path: Path) -> None:
        top1 = full.measured("imagenet-val.top1")
        theirs = Ledger(model=full.model, evidence=[top1.model_copy(update={"protocol": {"imported": "a file"}})])
        with pytest.raises(HarnessError, match="that harness itself measured"):
            export(theirs, "eval-results", tmp_path, task=["imagenet-val=org/imagenet:val"])


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "eval-results"])
def test_a_ledger_without_what_a_format_needs(home: Path, tmp_path: Path, name: str) -> None:
    pending = Evidence(key="imagenet-val.top1", class_=EvidenceClass.PENDING, reason="no images", command="x")
    with pytest.raises(HarnessError) as error:
        export(ledger_of("m", pending), name, tmp_path)
    assert error.value.exit_code is ExitCode.MISSING


def test_the_command(made: Ledger, tmp_path: Path, call: Call) -> None:
    done = call("export", "made", "--format", "lm-eval", "-o", tmp_path / "out")
    assert (done.exit_code, len(list((tmp_path / "out").glob("results_*.json")))) == (ExitCode.DONE, 1), done.output
    done = call("export", "made", "--format", "lm_eval", "-o", tmp_path / "out")
    assert done.exit_code == ExitCode.USAGE
    assert "Did you mean lm-eval?" in done.output
    said = CliRunner().invoke(app, ["export", "--help"], env={"COLUMNS": "200"}).output
    assert all(name in said for name in FORMATS)

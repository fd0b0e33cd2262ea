"""Sweeps: several models in one run, and results in the forms that timm and lm-evaluation-harness write."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from harness.errors import ExitCode
from harness.evidence import Evidence, EvidenceClass
from harness.export.predictions import score_file
from harness.export.timm import RESULTS_COLUMNS, results_tables, with_parameters
from harness.models.loading import LoadedModel
from harness.progress import Reporter
from harness.settings import Settings
from tests.conftest import PHOTOGRAPHS
from tests.report.conftest import Call, ledger_of, measured

PREPROCESSING = {"resize": 256, "crop": (224, 224), "interpolation": "bicubic"}


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


class TestTables:
    def test_the_columns_and_units_are_timms(self, shared_data: Path) -> None:
        """resnet50.tv_in1k of timm's own table, from its published values."""
        published = rows((shared_data / "reference" / "timm-results" / "results-imagenet.csv").read_text())
        theirs = next(row for row in published if row["model"] == "resnet50.tv_in1k")
        parameters = Evidence(key="compute.parameters", class_=EvidenceClass.DERIVED, value=25_557_032)
        values = [measured(f"imagenet-val.{metric}", float(theirs[metric])) for metric in ("top1", "top5")]
        how = {"resize": 256, "crop": (224, 224), "interpolation": theirs["interpolation"]}
        made = results_tables([ledger_of("resnet50.tv_in1k", *values, parameters, preprocessing=how)])
        assert list(made) == ["results.csv"]
        assert tuple(published[0]) == RESULTS_COLUMNS
        assert rows(made["results.csv"]) == [theirs]

    def test_the_best_model_is_first_and_each_benchmark_has_its_table(self) -> None:
        made = results_tables(
            [
                ledger_of("a", measured("imagenet-val.top1", 70.0), measured("imagenet-sketch.top1", 30.0)),
                ledger_of("b", measured("imagenet-val.top1", 80.0), preprocessing=PREPROCESSING),
            ]
        )
        assert list(made) == ["results.csv", "results-imagenet-sketch.csv"]
        assert [row["model"] for row in rows(made["results.csv"])] == ["b", "a"]
        assert rows(made["results.csv"])[0]["crop_pct"] == "0.875"
        assert rows(made["results.csv"])[1]["img_size"] == ""  # not known: empty, never 0

    def test_parameters_may_come_from_another_run_of_the_model(self) -> None:
        run = ledger_of("a", measured("imagenet-val.top1", 70.0))
        stored = ledger_of("a", Evidence(key="compute.parameters", class_=EvidenceClass.DERIVED, value=4_652_008))
        made = results_tables([with_parameters(run, stored)])
        assert rows(made["results.csv"])[0]["param_count"] == "4.65"
        assert run.get("compute.parameters") is None  # the run's own ledger stays what it is

    def test_a_part_of_a_benchmark_is_never_in_the_table_of_whole_ones(self) -> None:
        made = results_tables([ledger_of("a", measured("imagenet-val.top1", 70.0, n=500))])
        assert list(made) == ["results-partial.csv"]

    def test_published_predictions_give_the_published_row(self, shared_data: Path, home: Path) -> None:
        path = shared_data / "published-predictions" / "imagenetv2-matched-frequency.parquet"
        settings = Settings(home=home, data_home=None, offline=True)
        made = score_file(path, "imagenetv2-matched-frequency", "resnet50", "resnet50", settings, Reporter())
        row = rows(results_tables([made])["results-imagenetv2-matched-frequency.csv"])[0]
        assert (row["top1"], row["top1_err"], row["top5"]) == ("63.330", "36.670", "84.650")


class TestCommand:
    @pytest.fixture
    def run(self, call: Call, tmp_path: Path) -> Call:
        (tmp_path / "photographs.yaml").write_text(PHOTOGRAPHS)
        return lambda *arguments: call("run", "--suite", "photographs.yaml", *arguments)

    def test_a_model_that_is_missing_does_not_stop_the_others(
        self, run: Call, lite0: LoadedModel, tmp_path: Path
    ) -> None:
        result = run("-m", "regnet-y-040", "-m", "efficientnet-lite0", "--output", "sweep")
        assert result.exit_code == ExitCode.MISSING, result.output
        lines = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
        assert "missing" in lines["regnet-y-040"]
        assert "done" in lines["efficientnet-lite0"]
        assert "90 %" in lines["efficientnet-lite0"]
        table = (tmp_path / "sweep" / "results-foolbox-imagenet-20.csv").read_text()
        assert [row["model"] for row in rows(table)] == ["efficientnet-lite0"]
        for name in ("evidence.json", "card.md", "results.json"):
            assert (tmp_path / "sweep" / "efficientnet-lite0" / name).is_file()

    @pytest.mark.slow
    def test_a_damaged_model_is_failed_in_the_list(self, run: Call, lite0: LoadedModel, tmp_path: Path) -> None:
        broken = tmp_path / "broken"
        broken.mkdir()
        config = {"architectures": ["RegNetForImageClassification"], "model_type": "regnet"}
        (broken / "config.json").write_text(json.dumps(config))
        (broken / "preprocessor_config.json").write_text(json.dumps({"size": {"shortest_edge": 224}}))
        (broken / "model.safetensors").write_bytes(b"not tensors")
        result = run("-m", "broken", "-m", "efficientnet-lite0", "--format", "json", "-o", "sweep")
        data = json.loads(result.stdout)
        assert result.exit_code == data["exit_code"]
        assert [record["model"] for record in data["models"]] == ["broken", "efficientnet-lite0"]
        assert data["models"][0]["exit_code"] == result.exit_code != 0
        assert data["models"][0]["error"]
        assert data["models"][1]["exit_code"] == 0

    @pytest.mark.parametrize(
        ("models", "said"),
        [
            (["efficientnet-lite0", "efficientnet-lite9"], "Unknown model 'efficientnet-lite9'"),
            (["efficientnet-lite0", "efficientnet-lite0"], "given twice"),
        ],
    )
    def test_a_wrong_name_stops_before_anything_runs(
        self, run: Call, models: list[str], said: str, tmp_path: Path
    ) -> None:
        result = run(*(part for name in models for part in ("-m", name)))
        assert result.exit_code == ExitCode.USAGE
        assert said in " ".join(result.stderr.split())
        assert not (tmp_path / "harness-results").exists()

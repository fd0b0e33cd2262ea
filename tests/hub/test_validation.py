"""A card checked offline, and results that keep their identity in the hands of the Hub's client."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results
from scene import REPO, Call, ended
from server import Hub

from harness.cards.hub_schema import card_faults, identity, metadata_faults
from harness.cards.metadata import dump_metadata, model_index
from harness.data.catalog import benchmarks
from harness.errors import ExitCode
from harness.evidence import Evidence, Ledger
from harness.hub.local import unproven_scores


def result(**dataset: object) -> dict[str, object]:
    return {
        "task": {"type": "image-classification"},
        "dataset": {"type": "org/data", "name": "Data", **dataset},
        "metrics": [{"type": "accuracy", "value": 76.13}],
    }


def measured(items: Iterable[dict[str, object]]) -> Ledger:
    """A ledger of these percentages, measured unless they say otherwise."""
    shared = {"class": "measured", "unit": "%", "protocol": {"preprocessing": "x"}, "reason": "a test"}
    evidence = [Evidence.model_validate(shared | item) for item in items]
    return Ledger(model={"name": "m", "title": "M"}, evidence=evidence)


def indexed(*results: object) -> dict[str, object]:
    return {"model-index": [{"name": "m", "results": list(results)}]}


GOOD = [
    {"license": "apache-2.0"},
    {"license": ["mit", "cc-by-4.0"]},
    {"license": "other", "license_name": "own"},
    {"license": "openrail++"},
    {"language": "en"},
    {"language": ["en", "de"]},
    {"pipeline_tag": "image-classification"},
    {"tags": ["a"], "datasets": ["imagenet-1k"], "metrics": ["accuracy"], "base_model": "a/b"},
    {"base_model": ["a/b", "a/c"]},
    {"co2_eq_emissions": 12},
    {"co2_eq_emissions": {"emissions": 12.5, "source": "CodeCarbon"}},
    {"anything": {"the Hub": ["doesn't know"]}},
    indexed(result()),
    indexed(result(split="a"), result(split="b"), result(config="c"), result(revision="d")),
]

BAD = [
    ({"license": "apache2"}, "license: 'apache2' is unknown to the Hub; did you mean apache-2.0"),
    ({"license": "Apache-2.0"}, "did you mean apache-2.0"),
    ({"license": True}, "license: 'True' is unknown"),
    ({"license": "other"}, "license_name: is needed where the licence is 'other'"),
    ({"language": False}, "language: False is not text; put it in quotes"),
    ({"language": ["en", False]}, "language[1]: False is not text"),
    ({"library_name": 3}, "library_name: 3 is not text"),
    ({"tags": "vision"}, "tags: is not a list"),
    ({"tags": ["vision", 2024]}, "tags[1]: 2024 is not text"),
    ({"datasets": [None]}, "datasets[0]: None is not text"),
    ({"pipeline_tag": "image-clasification"}, "did you mean image-classification"),
    ({"co2_eq_emissions": "12 g"}, "co2_eq_emissions: '12 g' is not a number of grams"),
    ({"co2_eq_emissions": {"source": "x"}}, "co2_eq_emissions.emissions: None is not a number of grams"),
    ({"co2_eq_emissions": {"emissions": -1}}, "-1 is not a number of grams"),
    ({"co2_eq_emissions": {"emissions": 1, "source": 2}}, "co2_eq_emissions.source: 2 is not text"),
    ({"model-index": {}}, "model-index: is not a list"),
    ({"model-index": [{"name": "m"}]}, "model-index[0]: needs a name and a list of results"),
    ({"model-index": [{"results": []}]}, "model-index[0].name: None is not text"),
    (indexed({"dataset": {"type": "a", "name": "b"}, "metrics": []}), "model-index[0].results[0].task: is missing"),
    (indexed(result(name=None)), "model-index[0].results[0].dataset.name: None is not text"),
    (indexed(result(split=1)), "model-index[0].results[0].dataset.split: 1 is not text"),
    (indexed(result() | {"metrics": []}), "needs at least one metric"),
    (indexed(result() | {"metrics": [{"type": "accuracy", "value": "76.1 ± 0.2"}]}), "is not a plain number"),
    (
        indexed(result() | {"metrics": [{"type": "accuracy", "value": "[More Information Needed]"}]}),
        "not a plain number",
    ),
    (indexed(result() | {"metrics": [{"type": "accuracy", "value": True}]}), "True is not a plain number"),
    (indexed(result() | {"metrics": [{"type": "accuracy", "value": float("nan")}]}), "nan is not a plain number"),
    (indexed(result() | {"metrics": [{"value": 1}]}), "metrics[0].type: None is not text"),
    (indexed(result() | {"source": {"name": "x"}}), "source.url: is needed where a source is given"),
    (indexed(result(), result()), "2 results are about the same thing (org/data)"),
    (indexed(result(split="a"), result(split="a")), "same thing (org/data: a)"),
    (indexed("x"), "model-index[0].results[0]: is not a mapping"),
]


@pytest.mark.parametrize("data", GOOD, ids=str)
def test_what_the_documentation_allows(data: dict[str, object]) -> None:
    assert list(metadata_faults(data)) == []


@pytest.mark.parametrize(("data", "said"), BAD, ids=lambda value: value if isinstance(value, str) else "")
def test_what_it_doesnt(data: dict[str, object], said: str) -> None:
    assert any(said in str(fault) for fault in metadata_faults(data)), [str(f) for f in metadata_faults(data)]


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("---\nlicense: mit\nlicense: mit\n---\n", "'license' is given more than once"),
        ("---\nlicense: mit\n# A\n", "closing line '---' is missing"),
        ("---\n- a\n- b\n---\n", "is not a list of keys and values"),
        ("---\na: b\nc: [\n---\n", "line 4: the front matter is not valid YAML"),
        ("---\nv: !!python/object/apply:os.system [x]\n---\n", "not valid YAML"),
    ],
)
def test_a_front_matter_as_a_whole(card: str, said: str) -> None:
    assert said in card_faults(card.encode())[0]


@pytest.mark.parametrize(
    "card", ["# A\n", "---\n---\n# A\n", "---\n# only a comment\n---\n", "---\nlicense: mit\n---\n"]
)
def test_a_front_matter_may_be_short(card: str) -> None:
    assert card_faults(card.encode()) == []


class TestIdentity:
    def test_the_client_merges_equal_ones_and_loses_a_source(self) -> None:
        """Why two results under one identity are refused."""
        both = [
            EvalResult(
                "image-classification", "org/data", "Data", "accuracy", value, source_url=f"https://x.org/{value}"
            )
            for value in (1.0, 2.0)
        ]
        (made,) = eval_results_to_model_index("m", both)
        assert len(made["results"]) == 1
        assert made["results"][0]["source"] == {"url": "https://x.org/1.0"}
        _, read = model_index_to_eval_results([made])
        assert [item.source_url for item in read] == ["https://x.org/1.0"] * 2
        twice = [result() | {"source": {"url": f"https://x.org/{n}"}} for n in (1, 2)]
        assert any("loses a source" in str(fault) for fault in metadata_faults(indexed(*twice)))

    def test_ours_is_the_clients(self) -> None:
        data = indexed(result(config="c", split="s", revision="r"))
        _, (read,) = model_index_to_eval_results(data["model-index"])  # type: ignore[arg-type]
        assert identity(result(config="c", split="s", revision="r")) == read.unique_identifier

    @pytest.fixture
    def everything(self) -> Ledger:
        """Top-1 and top-5 on every benchmark of the catalog, whole."""
        return measured(
            {"key": f"{name}.{metric}", "value": 50.0 + i, "n": b.size, "N": b.size}
            for i, (name, b) in enumerate(benchmarks().items())
            for metric in ("top1", "top5")
        )

    def test_all_benchmarks_together_keep_theirs_through_the_client(self, everything: Ledger) -> None:
        index = model_index(everything)
        counted = Counter(identity(found) for found in index[0]["results"])
        assert set(counted.values()) == {1}
        name, read = model_index_to_eval_results(index)
        again = eval_results_to_model_index(name, read)
        assert again[0]["results"] == [
            {"task": r["task"], "dataset": r["dataset"], "metrics": r["metrics"]}
            | ({"source": r["source"]} if "source" in r else {})
            for r in index[0]["results"]
        ]
        assert list(metadata_faults({"model-index": index})) == []

    def test_the_client_reads_fractions_and_tells_top_1_from_top_5(self, everything: Ledger) -> None:
        _, read = model_index_to_eval_results(model_index(everything))
        imagenet = {
            r.metric_type: (r.metric_name, r.metric_value) for r in read if r.dataset_type == "ILSVRC/imagenet-1k"
        }
        # 50 % in the ledger; `accuracy` of hf.co/metrics lies between 0 and 1
        assert imagenet == {"accuracy": ("Top-1 accuracy", 0.5), "top_5_accuracy": ("Top-5 accuracy", 0.5)}

    def test_they_are_written_in_full(self, everything: Ledger) -> None:
        written = dump_metadata({"model-index": model_index(everything)})
        assert not re.search(r"[&*]id\d", written)
        assert all(
            r["source"]["url"].startswith("https://") for r in yaml.safe_load(written)["model-index"][0]["results"]
        )

    def test_and_through_a_card(self, everything: Ledger) -> None:
        data = ModelCardData(**{"model-index": model_index(everything)})
        written = yaml.safe_load(data.to_yaml())["model-index"]
        assert len(written[0]["results"]) == len(model_index(everything)[0]["results"])


class TestScoresThatNobodyMeasured:
    def ledger(self, **changes: object) -> Ledger:
        return measured([{"key": "imagenet-val.top1", "value": 76.134, "n": 50000, "N": 50000} | changes])

    def card(self, ledger: Ledger) -> bytes:
        return f"---\n{yaml.safe_dump({'model-index': model_index(ledger)})}---\n# M\n".encode()

    def test_what_the_ledger_holds_may_go(self) -> None:
        assert unproven_scores(self.card(self.ledger()), None, self.ledger()) == []

    @pytest.mark.parametrize(
        "changes", [{"n": 1000}, {"value": 77.0}, {"class": "documented", "source": {"title": "x"}}]
    )
    def test_a_part_another_value_or_another_class_may_not(self, changes: dict[str, object]) -> None:
        assert len(unproven_scores(self.card(self.ledger()), None, self.ledger(**changes))) == 1

    def test_what_is_on_the_hub_stays(self) -> None:
        there = self.card(self.ledger())
        assert unproven_scores(there, there, self.ledger(n=1000)) == []

    def test_other_data_sets_are_not_ours_to_judge(self) -> None:
        card = f"---\n{yaml.safe_dump(indexed(result()))}---\n".encode()
        assert unproven_scores(card, None, self.ledger()) == []

    def test_a_push_stops(self, hub: Hub, push: Call, tmp_path: Path) -> None:
        hub.add_repo(REPO)
        (tmp_path / "card.md").write_bytes(self.card(self.ledger()))
        self.ledger(n=1000).save(tmp_path / "evidence.json")
        said = ended(push("card.md"), ExitCode.CHECK_FAILED)
        assert "0.76134 is not in evidence.json as measured on the whole benchmark" in said
        assert hub.sent("POST") == []

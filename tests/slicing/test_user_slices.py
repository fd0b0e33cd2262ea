"""A user's own slices: what joins, what is left out, and every way in which a file can be wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import Result

from harness.data.slicefiles import read_slice_file, slug
from harness.errors import ExitCode, HarnessError
from harness.evaluation.scoring import Scored
from harness.evaluation.slice_evidence import slice_evidence
from harness.evaluation.slice_requests import request_of
from harness.evaluation.suites import SliceOptions
from harness.evidence import Evidence, EvidenceClass, Ledger
from tests.slicing.conftest import scored_of

ROWS = 400


@pytest.fixture
def predictions(tmp_path: Path, published: pd.DataFrame) -> Path:
    """The first 400 real predictions of resnet50 as a file."""
    part = published.iloc[:ROWS]
    path = tmp_path / "predictions.csv"
    pd.DataFrame(
        {"sample_id": part["sample_id"], "label": part["label"], "top1": part["resnet50"].str[0].to_numpy()}
    ).to_csv(path, index=False)
    return path


@pytest.fixture
def annotated(published: pd.DataFrame) -> pd.DataFrame:
    """Made annotations of these 400 images: a name, a number, a yes or no, and empty cells."""
    generator = np.random.default_rng(1)
    ids = published["sample_id"].iloc[:ROWS]
    place = generator.choice(["north", "south", "Côte d'Ivoire", "NA"], ROWS)
    return pd.DataFrame(
        {
            "sample_id": ids,
            "place": place,
            "Day or night": np.where(generator.random(ROWS) < 0.5, "day", "night"),
            "metres": generator.gamma(2, 10, ROWS),
            "indoors": generator.random(ROWS) < 0.4,
        }
    )


Score = Callable[..., tuple[Result, dict[str, Evidence]]]


@pytest.fixture
def score(call: Callable[..., Result], predictions: Path) -> Score:
    """score("--slices", "mine.csv"): how the verb ended on these predictions, and its evidence by key."""

    def run(*options: object) -> tuple[Result, dict[str, Evidence]]:
        arguments = ("--predictions", predictions, "--benchmark", "imagenet-val", "--name", "theirs", "-o", "out")
        result = call("score", *arguments, *options)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        path = Path("out/evidence.json")
        return result, {item.key: item for item in Ledger.load(path)} if path.exists() else {}

    return run


class TestJoins:
    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    def test_every_column_is_a_slicing(
        self, score: Score, annotated: pd.DataFrame, published: pd.DataFrame, tmp_path: Path, kind: str
    ) -> None:
        path = tmp_path / f"mine.{kind}"
        annotated.to_csv(path, index=False) if kind == "csv" else annotated.to_parquet(path)
        result, found = score("--slices", path)
        assert result.exit_code == ExitCode.INCOMPLETE, "top-5 is pending: the file has one class a sample"
        part = published.iloc[:ROWS]
        right = (part["resnet50"].str[0] == part["label"]).to_numpy()
        for column, name in (("place", "place"), ("Day or night", "Day-or-night"), ("indoors", "indoors")):
            for group, share in pd.Series(right).groupby(annotated[column].to_numpy()).mean().items():
                item = found[f"imagenet-val@{name}/{slug(str(group))}.top1"]
                assert item.value == pytest.approx(100 * share)
                assert item.protocol["group"] == str(group)
                assert item.protocol["slicing"] == column
                assert "on 400 of 50,000 images of the benchmark" in (item.reason or "")
                assert item.command.endswith(f"--slices mine.{kind}")
        fifths = [found[f"imagenet-val@metres/q{part}.top1"].n for part in range(1, 6)]
        assert fifths == [80] * 5

    def test_rows_may_go_by_file_name_and_by_path(self, score: Score, annotated: pd.DataFrame, tmp_path: Path) -> None:
        renamed = annotated.rename(columns={"sample_id": "file_name"})
        renamed["file_name"] = "val/n01440764/" + renamed["file_name"]
        renamed.to_csv(tmp_path / "mine.csv", index=False)
        result, found = score("--slices", "mine.csv", "--by", "indoors")
        assert result.exit_code == ExitCode.INCOMPLETE, "top-5 is pending: the file has one class a sample"
        assert sum(found[f"imagenet-val@indoors/{value}.top1"].n for value in (True, False)) == ROWS

    def test_what_does_not_join_is_counted_and_named(
        self, score: Score, annotated: pd.DataFrame, tmp_path: Path
    ) -> None:
        annotated.loc[:9, "place"] = None
        strangers = annotated.iloc[:5].assign(sample_id=[f"ILSVRC2012_val_0004999{i}.JPEG" for i in range(5)])
        pd.concat([annotated.iloc[:350], strangers]).to_csv(tmp_path / "mine.csv", index=False)
        result, found = score("--slices", "mine.csv", "--by", "place")
        said = " ".join(result.stderr.split())
        assert "place covers 340 of 400 samples; without: ILSVRC2012_val_" in said
        assert "15 of 355 rows have no value in place" in said
        assert "5 of 355 rows match no sample, e.g. ILSVRC2012_val_00049990.JPEG" in said
        item = found["imagenet-val@place.top1:difference"]
        assert "340 of 400" in item.protocol["left_out"]

    def test_columns_and_slicings_are_crossed(self, score: Score, annotated: pd.DataFrame, tmp_path: Path) -> None:
        annotated.to_csv(tmp_path / "mine.csv", index=False)
        _, found = score("--slices", "mine.csv", "--by", "Day or night/day", "--by", "indoors")
        expected = annotated[annotated["Day or night"] == "day"]["indoors"].value_counts()
        for indoors, count in expected.items():
            assert found[f"imagenet-val@Day-or-night+indoors/day+{indoors}.top1"].n == count
        assert "imagenet-val@place/north.top1" not in found, "columns that nobody asked for"

    def test_numbers_with_few_values_are_names_and_stay_whole(self, tmp_path: Path, annotated: pd.DataFrame) -> None:
        annotated["grade"] = [float(i % 3) if i % 7 else None for i in range(ROWS)]
        annotated.to_csv(tmp_path / "mine.csv", index=False)
        file = read_slice_file(tmp_path / "mine.csv", ["grade"])
        assert sorted(set(file.columns["grade"].dropna().astype(str))) == ["0", "1", "2"]

    def test_names_that_become_alike_in_keys_stay_apart(
        self, score: Score, annotated: pd.DataFrame, tmp_path: Path
    ) -> None:
        annotated["place"] = np.where(np.arange(ROWS) % 2, "a b", "a.b")
        annotated.to_csv(tmp_path / "mine.csv", index=False)
        _, found = score("--slices", "mine.csv", "--by", "place")
        assert found["imagenet-val@place/a-b.top1"].n == found["imagenet-val@place/a-b-2.top1"].n == 200


NOTES = "sample_id,note\n" + "".join(f"{i},seen {i} times\n" for i in range(3000))


@pytest.mark.parametrize(
    ("name", "text", "by", "said"),
    [
        ("mine.csv", "image,place\na,b\n", (), "has no column sample_id or file_name (it has image, place)"),
        ("mine.csv", "sample_id,place\na,b\n", ("plaice",), "has no column 'plaice'"),
        ("mine.csv", "sample_id,place\na,b\n", ("plaice",), "Did you mean place"),
        ("mine.csv", "sample_id\na\n", (), "has no column beside sample_id"),
        ("mine.csv", "sample_id,place\n", (), "holds no rows"),
        ("mine.csv", "sample_id,place\na,x\nb,y\na,y\n", (), "sample_id a occurs 2 times"),
        ("mine.csv", "sample_id,place\na,x\n,y\n", (), "row 2 has no sample_id"),
        ("mine.csv", "sample_id,place\na,x\nb,x\n", (), "has one value only (x)"),
        ("mine.csv", "sample_id,place\na,\nb,\n", (), "the column 'place' is empty"),
        ("mine.csv", NOTES, (), "has 3,000 different values on 3,000 rows; a slicing has 1,000 groups at most"),
        ("mine.csv", "sample_id,real\na,x\nb,y\n", (), "has the name of a slicing that harness has itself"),
        ("mine.txt", "sample_id,place\n", (), "neither .csv nor .parquet"),
        ("none.csv", None, (), "no such file"),
        ("mine.parquet", "sample_id,place\n", (), "no readable Parquet"),
    ],
)
def test_a_file_with_a_fault_is_refused(
    tmp_path: Path, name: str, text: str | None, by: tuple[str, ...], said: str
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(HarnessError) as caught:
        read_slice_file(path, by)
    assert caught.value.exit_code is ExitCode.USAGE
    assert str(path) in caught.value.message
    assert caught.value.remedy or path.suffix == ".parquet"  # of which its library says what is wrong
    assert said in str(caught.value)


class TestCommand:
    def test_a_file_that_joins_with_nothing_is_refused_before_anything_runs(self, score: Score, tmp_path: Path) -> None:
        (tmp_path / "mine.csv").write_text("sample_id,place\ncat.jpg,x\ndog.jpg,y\n")
        result, found = score("--slices", "mine.csv")
        assert result.exit_code == ExitCode.USAGE
        assert found == {}
        said = " ".join(result.stderr.split())
        assert "no row joins with imagenet-val. Its sample_id reads cat.jpg, dog.jpg" in said

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--by", "wordnt"], "Unknown slicing 'wordnt'"),
            (["--by", "wordnet/n99"], "n99 is not a synset"),
            (["--suite", "subgroup"], "Did you mean subgroups?"),
            (["--slices", "absent.csv"], "Can't read absent.csv: there is no such file"),
        ],
    )
    def test_wrong_options_end_with_a_sentence(self, score: Score, options: list[str], said: str) -> None:
        result, _ = score(*options)
        assert result.exit_code == ExitCode.USAGE
        assert said in " ".join(result.stderr.split())

    def test_run_refuses_the_same_before_it_looks_for_a_model(self, call: Callable[..., Result]) -> None:
        result = call("run", "-s", "subgroups", "-m", "efficientnet-lite0", "--slices", "absent.csv")
        assert result.exit_code == ExitCode.USAGE
        assert "Can't read absent.csv" in result.stderr

    def test_json_holds_the_slices(self, score: Score) -> None:
        result, found = score("--by", "imagenet-x-metaclass", "--format", "json")
        keys = [item["key"] for item in json.loads(result.stdout)["evidence"]]
        assert "imagenet-val@imagenet-x-metaclass.top1:difference" in keys
        assert set(keys) == set(found)

    def test_the_table_shows_the_worst_first(self, score: Score) -> None:
        result, _ = score("--by", "imagenet-x-metaclass")
        shown = result.stdout
        assert shown.index("Worst slices of imagenet-val") < shown.index("imagenet-val by ImageNet-X meta-classes")
        assert "too small to report:" in shown

    def test_the_card_has_findings_figures_and_a_table_beside_it(
        self, score: Score, annotated: pd.DataFrame, tmp_path: Path, published: pd.DataFrame
    ) -> None:
        part = published.iloc[:ROWS]
        annotated["outcome"] = np.where(part["resnet50"].str[0] == part["label"], "hit", "miss")
        annotated.to_csv(tmp_path / "mine.csv", index=False)
        _, found = score("--slices", "mine.csv")
        card = Path("out/card.md").read_text()
        assert re.search(r"\| outcome[^|]* \| 2 \| miss, 0\.0 % .* \| miss 0\.0 % ", card)
        assert "figures/slices-imagenet-val-outcome.svg" in card
        assert Path("out/figures/slices-imagenet-val-outcome.svg").read_text().startswith("<?xml")
        table = pd.read_csv("out/figures/slices.csv")
        groups = [key for key in found if "@" in key and "/" in key.partition("@")[2]]
        assert sorted(table["key"]) == sorted(groups)
        hit = table.set_index("key").loc["imagenet-val@outcome/hit.top1"]
        assert hit["accuracy"] == 100
        assert bool(hit["detectable"])


def test_a_request_is_false_where_nothing_is_asked() -> None:
    assert not request_of(None, None, ())
    assert request_of(None, None, ("wordnet",))


def test_small_groups_of_a_user_are_shown_as_such(score: Score, annotated: pd.DataFrame, tmp_path: Path) -> None:
    annotated["rare"] = np.where(np.arange(ROWS) < 5, "yes", "no")
    annotated.to_csv(tmp_path / "mine.csv", index=False)
    _, found = score("--slices", "mine.csv", "--by", "rare")
    item = found["imagenet-val@rare/yes.top1"]
    assert item.class_ is not EvidenceClass.MEASURED
    assert "too small to report: 5 images" in (item.reason or "")


@pytest.mark.parametrize("reference", ["place/nowhere", "metres/q6", "real/two", "brightness/q9", "class/n1"])
def test_a_group_that_is_not_there_is_refused_beforehand(
    tmp_path: Path, annotated: pd.DataFrame, reference: str
) -> None:
    annotated.to_csv(tmp_path / "mine.csv", index=False)
    with pytest.raises(HarnessError, match=reference.partition("/")[2]) as caught:
        request_of(None, tmp_path / "mine.csv", (reference,))
    assert caught.value.exit_code is ExitCode.USAGE


def test_a_cross_with_too_many_groups_leaves_the_rest_of_the_ledger_alone(scored_as: Callable[[str], Scored]) -> None:
    """1,000 classes by 16 factors: some 14,000 pairs occur."""
    scored = scored_as("resnet50")
    request = request_of(None, None, ("class", "imagenet-x"))
    (item, *_) = slice_evidence({scored.prefix: scored}, request)
    assert item.key == "imagenet-val@class+imagenet-x.top1:difference"
    assert item.class_ is EvidenceClass.NOT_APPLICABLE
    assert "groups; 5,000 at most are compared" in (item.reason or "")


def test_a_file_is_used_where_it_joins(tmp_path: Path, annotated: pd.DataFrame) -> None:
    annotated.to_csv(tmp_path / "mine.csv", index=False)
    ranks = np.zeros((ROWS, 5), dtype=np.int32)
    labels = np.zeros(ROWS, dtype=np.int32)
    val = scored_of(annotated["sample_id"].tolist(), labels, ranks)
    sketch = scored_of([f"n01440764/sketch_{i}.JPEG" for i in range(ROWS)], labels, ranks, "imagenet-sketch")
    request = request_of(None, tmp_path / "mine.csv", ("place",))
    request = replace(request, options=SliceOptions(conditions="shifted"))
    found = [item.key for item in slice_evidence({"imagenet-val": val, "imagenet-sketch": sketch}, request)]
    assert "imagenet-val@place.top1:difference" in found
    assert not [key for key in found if key.startswith("imagenet-sketch")]

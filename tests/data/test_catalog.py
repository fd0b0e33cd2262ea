"""The catalog: complete, consistent, and strict about what an entry may say."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from harness.data.catalog import Benchmark, benchmarks, get_benchmark
from harness.errors import ExitCode, HarnessError

ENTRY = {
    "name": "x",
    "title": "X",
    "size": 10,
    "label_space": "imagenet-1k",
    "homepage": "https://example.org",
    "licence": {"name": "MIT", "read_at": "https://example.org/LICENSE"},
    "citation": "X et al. 2020",
    "hub_reason": "not on the Hub",
    "sample_id": "stem",
    "get": "Ask X.",
}
PLACE = "https://huggingface.co/datasets/o/n"
HUB = {"id": "o/n", "split": "test", "gated": False, "numbering": "index", "read_at": PLACE}


def each(prefix: str, size: int, *kinds: str) -> dict[str, int]:
    return {f"{prefix}{kind}": size for kind in kinds}


PUBLISHED_SIZES = {
    "imagenet-val": 50_000,
    "imagenet-real": 50_000,
    "imagenet-multilabel": 20_000,  # annotated, problematic ones among them (the data set's README)
    "imagenetv2-matched-frequency": 10_000,
    "imagenetv2-threshold-0.7": 10_000,
    "imagenetv2-top-images": 10_000,
    "imagenet-a": 7_500,
    "imagenet-r": 30_000,
    "imagenet-sketch": 50_889,
    "imagenet-c": 50_000,
    "foolbox-imagenet-20": 20,
    "imagenet-3dcc": 50_000,
    "imagenet-hard": 10_980,
    "dollar-street": 4308,
    "cue-conflict": 1280,
    "shape-edges": 160,
    "shape-silhouettes": 160,
    **each("model-vs-human-", 800, "sketch", "stylized"),
    **each("model-vs-human-", 1120, "phase-scrambling", "power-equalisation", "false-colour"),
    **each("model-vs-human-", 1280, "colour", "contrast", "high-pass", "low-pass", "rotation", "uniform-noise"),
    **each("model-vs-human-eidolon", 1280, "i", "ii", "iii"),
    "imagenet-d-background": 3764,
    "imagenet-d-texture": 498,
    "imagenet-d-material": 573,
    "objectnet": 18_574,
    # The test lists of OpenOOD 1.5 (arXiv:2306.09301); ImageNet-O's README; the last is made by harness.
    "ssb-hard": 49_000,
    "ninco": 5879,
    "inaturalist-ood": 10_000,
    "textures": 5160,
    "openimage-o": 15_869,
    "imagenet-o": 2000,
    "noise": 1000,
    **each("imagenet-9-", 4050, "original", "mixed-same", "mixed-rand", "only-fg", "no-fg"),
}


def test_published_sizes() -> None:
    published = {name: b.size for name, b in benchmarks().items() if b.generated_from is None}
    assert published == PUBLISHED_SIZES
    for benchmark in benchmarks().values():
        if benchmark.generated_from is not None:
            assert benchmark.size == PUBLISHED_SIZES[benchmark.generated_from]


def test_label_spaces_exist_and_have_the_published_number_of_classes() -> None:
    classes = {name: len(b.space) for name, b in benchmarks().items()}
    assert {name for name, n in classes.items() if n == 200} == {"imagenet-a", "imagenet-r"}
    assert set(classes.values()) == {200, 1000, 9, 16, 113}  # of ImageNet-9, of model-vs-human, of ObjectNet


def test_every_entry_says_how_to_get_it_and_where_facts_were_read() -> None:
    for benchmark in benchmarks().values():
        assert benchmark.get.strip()
        assert benchmark.licence.read_at.startswith("https://")
        assert benchmark.licence.name or benchmark.licence.note
        assert (benchmark.hub is None) == bool(benchmark.hub_reason)


def test_imagenet_c_has_15_scored_and_4_extra_corruptions_at_5_severities() -> None:
    corruptions = get_benchmark("imagenet-c").corruptions
    assert (len(corruptions.scored), len(corruptions.extra)) == (15, 4)
    conditions = get_benchmark("imagenet-c").conditions
    assert len(set(conditions)) == 19 * 5
    assert conditions[:6] == (*(f"gaussian_noise/{s}" for s in range(1, 6)), "shot_noise/1")
    assert get_benchmark("imagenet-c").input == "ready-224"
    assert get_benchmark("imagenet-val").conditions == ()


def test_only_unshifted_sets_may_judge_a_model() -> None:
    assert {name for name, b in benchmarks().items() if b.clean} == {
        "imagenet-val",
        "imagenet-real",
        "imagenet-multilabel",
        "foolbox-imagenet-20",
        "imagenet-9-original",
    }


def test_a_misspelt_name_gets_the_nearest() -> None:
    with pytest.raises(HarnessError, match="Unknown benchmark 'imagenet-scetch'") as caught:
        get_benchmark("imagenet-scetch")
    assert "imagenet-sketch" in str(caught.value.remedy)
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_complete_entry_is_accepted() -> None:
    assert Benchmark.model_validate(ENTRY).size == 10
    assert Benchmark.model_validate(ENTRY | {"hub": HUB, "hub_reason": None}).hub is not None


@pytest.mark.parametrize(
    "change",
    [
        {"sise": 10},
        {"size": 0},
        {"label_space": "imagenet-2k"},
        {"hub_reason": None},
        {"hub": HUB},
        {"hub": HUB | {"split": None}, "hub_reason": None},
        {"hub": HUB | {"archive": "a.zip"}, "hub_reason": None},
        {"hub": HUB | {"numbering": "folder"}, "hub_reason": None},
        {"sample_id": "name"},
        {"input": "224"},
        {"licence": {"name": "MIT"}},
    ],
    ids=str,
)
def test_an_inconsistent_entry_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Benchmark.model_validate(ENTRY | change)

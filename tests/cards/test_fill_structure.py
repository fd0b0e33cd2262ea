"""What stands around a marker stays what it is: links, images, code, tables, HTML, YAML."""

from __future__ import annotations

import warnings

import pytest
from huggingface_hub import ModelCard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.cards.document import Document, decode, structure
from harness.cards.fill import FillResult, fill_card
from harness.evidence import Ledger
from tests.cards.conftest import LEDGERS

M = "[More Information Needed]"
PIECES = [
    f"![a map {M}](map.png)", f"![{M}](map.png)", f"[a link {M}](https://x.org/a)", f"[{M}](https://x.org/b)",
    f"[Paper]({M})", f"<img src=\"a.png\" alt=\"{M}\">", f"<b>Batch size: {M}</b>", f"`{M}`", f"https://x.org/{M}",
    f"[text][ref] {M}", f"{M}[ref]", "[text][ref]", "`code`", "![plain](p.png)", "**bold**", "The batch size is 512.",
    f"The optimizer is {M}.", f"The mascot is {M}.", f"{M} on the learning rate.", f"It has {M} layers.", f"(see {M})",
]  # fmt: skip
BLOCKS = [
    "## License\n", f"## Batch size {M}\n", f"> Epochs: {M}\n> and more\n", f"1. Epochs: {M}\n2. two\n", f"- {M}\n- x `y`\n",
    f"| a | {M} |\n|---|---|\n| Epochs | {M} |\n| `x` | [l](http://l) |\n", f"```python\nx = 1  # {M}\n```\n", f"```\n{M}\n```\n",
    f"```json\n{{\"a\": {M}, \"b\": \"{M}\"}}\n```\n", f"    indented {M}\n", f"<p>Epochs: {M}</p>\n", "---\n", f"Epochs:\n{M}\n",
    "[ref]: https://x.org/r\n",
]  # fmt: skip
PARAGRAPHS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map(" ".join)
CARDS = st.lists(PARAGRAPHS | st.sampled_from(BLOCKS), min_size=1, max_size=7).map("\n\n".join)
MODELS = st.sampled_from(["regnet-y-040", "somebody/else"])


def without_markers_in_it(parts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [part for part in parts if "information" not in part[1].lower()]


def kept(before: str, after: str) -> bool:
    """Whether all that a reader sees besides words is there as before, in its order."""
    told = iter(structure(after))
    return all(part in told for part in without_markers_in_it(structure(before)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(card=CARDS, model=MODELS)
@example(card=f"# The license is {M}(attention_map.png) and !{M}(attention_map.png)", model="somebody/else")
def test_the_parse_tree_outside_the_answers_is_the_same(card: str, model: str) -> None:
    result = fill_card(card.encode(), model=model, ledger=LEDGERS["full"])
    text = decode(result.text)
    if not result.report["neighbours"]:  # a statement that was made false may take a block with it
        assert kept(card, text), text
    assert len(Document(text).markers) == len(result.report["left"])
    assert "not answered by this harness" not in text


def entry(dataset: str, *values: object) -> str:
    metrics = "".join(f"    - type: accuracy\n      value: {value}\n" for value in values)
    return f"  - task:\n      type: image-classification\n    dataset: {{type: {dataset}, name: {dataset}}}\n    metrics:\n{metrics}"


RESULTS = st.lists(
    st.tuples(st.sampled_from(["imagenet-1k", "cifar10"]), st.lists(st.sampled_from([0.5, M, f"'{M}'"]), min_size=1, max_size=3)),
    min_size=1,
    max_size=3,
)  # fmt: skip
KEYS = st.lists(
    st.sampled_from([f"license: {M}\n", f"language: '{M}'\n", "tags:\n- vision\n", f"datasets:\n- {M}\n- b\n", f"thumbnail: {M}  # x\n"]),
    unique=True,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(results=RESULTS, keys=KEYS, ledger=st.sampled_from([None, LEDGERS["full"]]), model=MODELS)
def test_the_hubs_client_loads_the_card_before_and_after(
    results: list[tuple[str, list[object]]], keys: list[str], ledger: Ledger | None, model: str
) -> None:
    index = "".join(entry(dataset, *values) for dataset, values in results)
    card = f"---\n{''.join(keys)}library_name: timm\nmodel-index:\n- name: x\n  results:\n{index}---\n# x\n\n{M}\n"
    result = fill_card(card.encode(), model=model, ledger=ledger)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = ModelCard(decode(result.text))
    assert result.report["left"] == []
    values = [
        value
        for dataset, values in results
        for value in values
        if value == 0.5 or (ledger and dataset == "imagenet-1k")
    ]
    assert len(loaded.data.eval_results or []) == len(values)
    assert ("model-index" in loaded.content) == bool(values)
    removed = [row for row in result.report["markers"] if row["new"] == ""]
    assert all(row["class"] in ("undisclosed", "not-applicable") for row in removed)


@pytest.mark.parametrize(
    ("card", "why"),
    [
        (f"![a map {M}](map.png)", "an image"),
        (f"<img src='{M}'>", "a link's address"),
        (f"see https://x.org/{M}", "a link's address"),
        (f"```json\n{{\"lr\": {M}}}\n```\n", "code"),
        (f"---\na: {{b: {M}, c: 1}}\n---\n", "a front matter whose entries can't be changed line by line"),
    ],
)  # fmt: skip
def test_what_an_answer_would_break_is_left_and_reported(card: str, why: str) -> None:
    result = fill_card(card.encode(), model="somebody/else", ledger=None)
    assert result.text == card.encode()
    assert [left["why"] for left in result.report["left"]] == [why]
    assert not result.complete


def filled(card: str) -> FillResult:
    return fill_card(card.encode(), model="regnet-y-040", ledger=None)


def test_an_address_is_filled_where_it_is_known() -> None:
    assert (
        filled(f"- **Paper:** [paper]({M})\n").text.decode()
        == "- **Paper:** [paper](https://arxiv.org/abs/2003.13678)\n"
    )
    text = filled(f"It is from [Designing Network Design Spaces]({M}), which is short.\n").text.decode()
    assert "[Designing Network Design Spaces](https://arxiv.org/abs/2003.13678)" in text


def test_a_model_is_named_in_code() -> None:
    text = filled(f'```python\nm = from_pretrained("{M}")\n```\n').text.decode()
    assert 'from_pretrained("facebook/regnet-y-040")' in text


@pytest.mark.parametrize("unit", ["<!-- a\n\n", "` `` ``` ", "a", f"Epochs: {M} and so on, "])
def test_long_runs_of_what_is_no_prose_take_no_quadratic_time(unit: str) -> None:
    """Each took minutes at this length when time grew with its square."""
    result = fill_card(
        f"# A\n\n- **Epochs:** {M}\n\n{unit * (20_000 // len(unit))}\n".encode(), model="regnet-y-040", ledger=None
    )
    assert result.report["markers"][0]["new"].startswith("100")

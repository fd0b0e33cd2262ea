"""Cards in other shapes: what is written fits the place it is written to."""

from __future__ import annotations

import re
import time

import pytest
import yaml
from markdown_it import MarkdownIt

from harness.cards.fill import card_diff, fill_card
from harness.evidence import Ledger
from tests.cards.conftest import LEDGERS, REFERENCES, body

M = "[More Information Needed]"


def fill(card: str, model: str = "regnet-y-040", ledger: Ledger | None = None) -> str:
    return body(fill_card(card.encode(), model=model, ledger=ledger).text.decode())


def test_a_cell_stays_a_cell() -> None:
    text = fill(f"| what | value |\n|---|---|\n| Optimizer | {M} |\n| Batch size | {M} |\n| x | y |\n")
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert [token.type for token in tokens].count("td_open") == 6
    assert "SGD with Nesterov momentum 0.9" in text.splitlines()[2]


def test_a_list_value_stays_a_list_value_even_for_long_answers() -> None:
    text = fill(f"- **Training regime:** {M}\n- **Architecture:** {M}\n- next\n")
    assert [line[:2] for line in text.splitlines()] == ["- ", "- ", "- "]


def test_a_line_that_ends_in_a_break_is_a_label_with_its_value() -> None:
    assert "**Parameters:** 20,646,656" in fill(f"**Parameters:** {M} <br>\n**Optimizer:** {M} <br>\n")


def test_code_goes_into_the_fence_that_is_there() -> None:
    text = fill(f"## How to Get Started\n\n````python\n{M}\n````\n\nend\n")
    (fence,) = [token for token in MarkdownIt().parse(text) if token.type == "fence"]
    compile(fence.content, "snippet", "exec")
    assert "AutoModelForImageClassification" in fence.content


def test_a_citation_is_asked_for_in_a_citation_section() -> None:
    text = fill(f"## Citation\n\n```bibtex\n{M}\n```\n")
    assert "@inproceedings{radosavovic2020designing" in text
    assert "import torch" not in text


def test_code_in_a_quote_keeps_the_quote_and_the_line_ends() -> None:
    card = f"> ## How to use\r\n>\r\n> {M} for a code snippet. Then go.\r\n"
    text = body(fill_card(card.encode(), model="regnet-y-040", ledger=None).text.decode())
    assert text.replace("\r\n", "").count("\n") == 0
    assert all(line.startswith(">") for line in text.splitlines())
    assert text.endswith("> ```\r\n>\r\n> Then go.\r\n")


def test_an_answer_in_brackets_stays_in_them() -> None:
    text = fill(f"It was trained in batches (the batch size is {M}). Yes.\n")
    assert text.startswith("It was trained in batches (512 images, 64 on each of 8 GPUs). Yes.")


def test_headings_links_and_html_get_no_markup() -> None:
    text = fill(f"# License: {M}\n\nThe [license is {M}](http://x).\n\n<p>Batch size: {M}</p>\n")
    heading, _, link, _, paragraph = text.splitlines()
    assert "[" not in heading
    assert "apache-2.0" in heading
    assert link.count("](") == 1
    assert "](http" not in paragraph
    assert "512 images" in paragraph


def test_a_marker_that_is_a_link_keeps_the_address() -> None:
    assert fill(f"- **Demo:** {M}(https://example.org)\n").endswith(" ([link](https://example.org))\n")


def test_several_markers_in_one_sentence_are_all_answered() -> None:
    text = fill(f"The optimizer is {M} and the batch size is {M}.\n")
    assert "SGD" in text
    assert "512 images" in text
    assert text.startswith("The optimizer is SGD with Nesterov momentum 0.9 and the batch size is 512 images")


def test_what_is_not_recognised_is_left_honest() -> None:
    card = f"# Team\n\nThe mascot is {M}. It is blue.\n\n{M} on the colour of the room.\n\n{M}\n\n- Mood: {M}\n"
    result = fill_card(card.encode(), model="somebody/else", ledger=None)
    assert result.text.decode() == (
        "# Team\n\nThe mascot is not stated [h1]. It is blue.\n\n"
        "The card says nothing about the colour of the room.\n\nNot stated [h1].\n\n"
        f"- Mood: Not stated [h1]\n\n{REFERENCES}\n\n[h1] Looked in the card.\n"
    )
    assert result.report["counts"] == {"undisclosed": 4}


def test_a_model_without_facts_or_ledger_answers_nothing_it_does_not_know() -> None:
    result = fill_card(f"- **License:** {M}\n- **Funded by:** {M}\n".encode(), model="somebody/else", ledger=None)
    assert body(result.text.decode()) == "- **License:** Not stated\n- **Funded by:** Not stated\n"
    assert {row["class"] for row in result.report["markers"]} == {"undisclosed"}
    assert {row["looked_in"][0] for row in result.report["markers"]} == {"the card"}


def test_a_card_without_markers_comes_back_as_it_is() -> None:
    card = b"# x\r\n\r\nThe references do not give the batch size. \t\r\n\r\n"
    result = fill_card(card, model="regnet-y-040", ledger=None)
    assert result.text == card
    assert result.complete
    assert result.report["markers"] == result.report["neighbours"] == []


def test_markers_that_are_talked_about_are_reported_and_left() -> None:
    card = f"Write `{M}`.\n\n<!-- {M} -->\n"
    result = fill_card(card.encode(), model="regnet-y-040", ledger=None)
    assert result.text.decode() == card
    assert result.report["left"] == [{"line": 1, "why": "inline code"}, {"line": 3, "why": "HTML comment"}]
    assert result.complete


def test_bytes_that_are_not_utf8_and_odd_line_ends_survive() -> None:
    card = b"\xef\xbb\xbf# \xff\r\n\r\nLicense: " + M.encode() + b"\r\n\r\n\xc3\x28  \n\x0b\x0c"
    text = fill_card(card, model="regnet-y-040", ledger=None).text
    assert text.startswith(b"\xef\xbb\xbf# \xff\r\n\r\nLicense: `apache-2.0`")
    assert b"\r\n\r\n\xc3\x28  \n\x0b\x0c\r\n\r\n**Sources of" in text


def test_the_diff_shows_the_changed_lines_and_no_others() -> None:
    card = f"a\n\nEpochs: {M}\n\nb\n".encode()
    filled = fill_card(card, model="regnet-y-040", ledger=None).text
    lines = card_diff(card, filled, "card.md").splitlines()
    assert [line[:8] for line in lines if line[:1] in "+-"][2:4] == ["-Epochs:", "+Epochs:"]
    assert card_diff(card, card, "card.md") == ""


@pytest.mark.slow
def test_three_thousand_markers_in_a_megabyte_are_filled_in_reasonable_time() -> None:
    words = "Some words about nothing in particular. " * 23
    asked = f"The batch size is {M}. The learning rate was {M}.\n\n- **License:** {M}\n\n"
    card = "".join(f"## Section {number}\n\n{words}\n\n{asked}" for number in range(1_000))
    assert len(card) > 1_000_000
    begin = time.process_time()
    result = fill_card(card.encode(), model="regnet-y-040", ledger=None)
    assert time.process_time() - begin < 60  # of CPU; quadratic work took minutes
    assert len(result.report["markers"]) == 3_000


@pytest.mark.slow
def test_a_megabyte_is_filled_in_reasonable_time() -> None:
    card = ("Some words about nothing in particular. " * 20 + "\n\n") * 1_300 + f"- **License:** {M}\n"
    assert len(card) > 1_000_000
    begin = time.process_time()
    text = fill(card)
    assert time.process_time() - begin < 20  # a limit against quadratic behaviour, with room for a slow machine
    assert text.startswith(card[:1_000_000])
    assert "apache-2.0" in text


def test_a_list_does_not_run_into_the_list_before_it() -> None:
    text = fill(f"## Bias, Risks, and Limitations\n\n- one\n- two\n\n{M} on technical limitations. More.\n")
    assert "- two\n\nIn detail:\n\n- It always names" in text


# --- front matter ---


def front_matter(yaml_text: str, ledger: Ledger | None = None) -> tuple[str, dict[str, object]]:
    text = fill(f"---\n{yaml_text}---\n# x\n", ledger=ledger)
    inner = text.split("---\n")[1]
    return inner, yaml.safe_load(inner)


def test_values_get_what_the_hub_accepts_and_the_rest_stays() -> None:
    inner, data = front_matter(f"license: {M}  # which?\nlanguage: en\nlibrary_name: '{M}'\nco2_eq_emissions: {M}\n")
    assert inner == "license: apache-2.0  # which?\nlanguage: en\nlibrary_name: transformers\nco2_eq_emissions: 32000\n"
    assert data["co2_eq_emissions"] == 32000  # grams


def test_an_entry_without_an_answer_goes() -> None:
    inner, _ = front_matter(f"tags:\n- vision\n- {M}\nthumbnail: {M}\nlanguage: {M}\nlicense: mit\n")
    assert inner == "tags:\n- vision\nlicense: mit\n"


INDEX = f"""model-index:
- name: x
  results:
  - dataset: {{type: imagenet-1k, name: ImageNet-1k}}
    metrics:
    - type: accuracy
      value: {M}
    - type: f1
      value: 0.3
"""


def test_a_metric_is_a_number_measured_on_the_whole_benchmark() -> None:
    inner, _ = front_matter(INDEX, LEDGERS["full"])
    assert inner == INDEX.replace(M, "0.7111")


@pytest.mark.parametrize("ledger", ["none", "partial"])
def test_without_such_a_measurement_the_metric_goes(ledger: str) -> None:
    inner, _ = front_matter(INDEX, LEDGERS[ledger])
    assert inner == INDEX.replace(f"    - type: accuracy\n      value: {M}\n", "")


def test_yaml_that_cannot_be_read_is_left_and_reported() -> None:
    card = f"---\na: [b\nlicense: {M}\n---\n# x\n"
    result = fill_card(card.encode(), model="regnet-y-040", ledger=None)
    assert result.text.decode() == card
    assert result.report["left"] == [{"line": 3, "why": "a front matter that can't be read as keys and values"}]
    assert not result.complete


@pytest.mark.parametrize(
    "sentence",
    [
        f"All this ran on {M} nodes.",
        f"Images were blended by Mixup (alpha {M}) and CutMix (alpha 1.0).",
        f"The licence on the Hub is apache-2.0, that of timm's copy is {M}, and nothing else is known.",
    ],
)
def test_a_sentence_gets_no_value_of_another_kind_nor_one_that_it_has(sentence: str) -> None:
    text = fill_card(f"# A card\n\n{sentence}\n".encode(), model="convnext-base-224-22k", ledger=None).text.decode()
    (line,) = [line for line in text.splitlines() if line.startswith(sentence[:8])]
    answer = line.removeprefix(sentence.partition(M)[0])
    assert not re.match(r"ImageNet|1\.0|`?apache", answer), line

"""Answers that were once wrong, unsupported or at odds with each other, each as a reader would see it."""

from __future__ import annotations

import re

import pytest
import yaml

from harness.benchmarking.carbon import grid_intensity, training_emissions
from harness.benchmarking.ranges import Range, assumptions
from harness.cards.fill import fill_card
from harness.errors import HarnessError
from harness.evidence import Evidence, EvidenceClass, Ledger
from harness.facts.loader import facts_for
from harness.models.registry import resolve
from tests.cards.conftest import body

CONVNEXT, REGNET = "convnext-base-224-22k", "regnet-y-040"
M = "[More Information Needed]"


def filled(card: str, model: str, ledger: Ledger | None = None) -> str:
    return fill_card(card.encode(), model=model, ledger=ledger).text.decode()


@pytest.mark.parametrize("model", [CONVNEXT, REGNET, "efficientnet-lite0"])
@pytest.mark.parametrize("question", ["Throughput", "Inference time", "Checkpoint size"])
def test_what_the_compute_suite_measures_needs_no_weights(model: str, question: str) -> None:
    assert "given the weights" not in filled(f"- **{question}:** {M}\n", model)


def test_estimated_hours_and_emissions_rest_on_the_same_stated_assumptions() -> None:
    hours = filled(f"- **Hours used:** {M}\n", CONVNEXT)
    assert "3,650 to 6,000 V100 GPU-hours" in hours
    assert re.search(r"14\.2 million images × 90 epochs.*are assumptions", hours)
    carbon = filled(f"- **Carbon Emitted:** {M}\n", CONVNEXT)
    assert "33 to 2,100 kg CO2e" in carbon
    assert "the estimated 3,650 to 6,000 V100 GPU-hours at half to all of their limit of 300 W" in carbon
    assert "can't be computed" not in carbon
    assert carbon.index("publish no emissions") < carbon.index("estimate")


def test_the_estimate_is_what_its_assumptions_give() -> None:
    facts = facts_for(CONVNEXT)
    assert facts
    hours, carbon = (facts.get(f"estimated.training.{name}") for name in ("gpu-hours", "carbon"))
    assert hours
    assert carbon
    assert hours.evidence.interval
    assert carbon.evidence.interval
    span = Range(hours.evidence.interval.low, hours.evidence.number, hours.evidence.interval.high)
    computed = training_emissions(1, span, assumptions()["watts.v100-sxm2-16gb"], grid_intensity()).grams * 0.001
    said = carbon.evidence.interval.low, carbon.evidence.number, carbon.evidence.interval.high
    assert said == pytest.approx((computed.low, computed.value, computed.high), rel=0.005)


def test_reference_results_are_the_nearest_checkpoints_of_one_evaluation_and_others_are_named() -> None:
    """The checkpoint at 224 px has published values for three of the five (timm); that at 384 px for all (paper, Table 8)."""
    card = f"## Results\n\nTested on ImageNet-A, ImageNet-R, ImageNet-Sketch and ImageNet-C; specific results: {M}\n"
    text = filled(card, CONVNEXT)
    nearest = "224 px has ImageNet-A top-1 54.773 %, ImageNet-R top-1 61.783 % and ImageNet-Sketch top-1 48.804 % (evaluated by timm)"
    assert (
        f"{nearest}; the checkpoint fine-tuned from this one on ImageNet-1k at 384 px has ImageNet-C mCE 43.1 ("
        in body(text)
    )


def test_a_list_of_benchmarks_with_coco_is_answered_with_coco() -> None:
    card = f"## Testing Data\n\n- ImageNet-1K\n- ImageNet-A\n- COCO detection\n\n{M} on the specific performance metrics.\n"
    assert "box AP 54.0 and mask AP 46.9" in filled(card, CONVNEXT)


def test_the_shifted_label_map_is_conditional_as_its_source_is() -> None:
    text = filled(f"## Bias, Risks, and Limitations\n\n{M} on technical limitations.\n", CONVNEXT)
    assert "if it wrote the published configuration" in text
    assert "are off for classes past" not in text


def test_no_hedge_denies_the_demo_beside_it() -> None:
    card = f"- **Demo:** {M}\n\nThe references do not contain a direct link to a demo of the model.\n"
    text = filled(card, CONVNEXT)
    assert "akhaliq/convnext" in text
    assert "do not contain" not in text
    assert "do not contain" not in filled(card, REGNET)  # as the answer beside it says


def test_an_estimate_has_the_digits_that_its_interval_supports() -> None:
    text = filled(f"- **Carbon Emitted:** {M}\n", REGNET)
    assert "1.2 to 50 kg CO2e" in text
    assert not re.search(r"1\.21|31\.7", text)


def test_a_licence_that_sources_disagree_on_is_added_with_that_said() -> None:
    card = f"# Card\n\nReleased under the MIT license.\n\n- **Epochs:** {M}\n"
    result = fill_card(card.encode(), model=REGNET, ledger=None, front_matter=True)
    front_matter = result.text.decode().split("---\n")[1]
    remark = "The sources disagree: apache-2.0 on the Hub page of this checkpoint and MIT for the pycls code."
    assert f"# {remark}\nlicense: apache-2.0\n" in front_matter
    assert yaml.safe_load(front_matter)["license"] == "apache-2.0"
    assert any("the sources disagree" in row["question"] for row in result.report["neighbours"])
    agreed = fill_card(card.encode(), model="efficientnet-lite0", ledger=None, front_matter=True)
    assert "disagree" not in agreed.text.decode().split("---\n")[1]


@pytest.mark.parametrize(
    ("typed", "nearest"), [("vit-base-patch16-224", None), ("convnext", CONVNEXT), ("regnet-y-40", REGNET)]
)
def test_only_a_near_name_is_suggested(typed: str, nearest: str | None) -> None:
    with pytest.raises(HarnessError) as caught:
        resolve(typed)
    assert str(caught.value.remedy).startswith(f"Did you mean {nearest}" if nearest else "Known: ")


def test_body_and_head_stay_when_the_parameters_are_measured() -> None:
    counts = {"compute.parameters": 109_953_489, "compute.parameters:head": 22_387_025}
    items = [
        Evidence(key=key, class_=EvidenceClass.DERIVED, value=value, unit="parameters") for key, value in counts.items()
    ]
    for card in (f"- **Parameters:** {M}\n", f"## Model\n\nThe number of parameters is {M}.\n"):
        text = filled(card, CONVNEXT, Ledger(model={}, evidence=items))
        assert "109,953,489" in text
        assert "87,566,464 of them in the body and 22,387,025 in the classifier" in text


def test_each_published_value_leads_to_its_own_line() -> None:
    text = filled(f"## Shift\n\nUnder distribution shift, performance is {M}.\n", REGNET)
    for file, line in (("results-imagenet-a", 1197), ("results-imagenet-r", 1222), ("results-sketch", 1281)):
        assert re.search(rf"^\[h\d+\]: https://.*/results/{file}\.csv\?plain=1#L{line}$", text, re.MULTILINE)

"""The lineage of a checkpoint is decided by its tensors, its logits or its accuracy, and stays open without them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import integrate, stats
from typer.testing import CliRunner

from harness.cards.fill import fill_card
from harness.cli import app
from harness.errors import ExitCode, HarnessError
from harness.evidence import Evidence, EvidenceClass, Interval, Ledger
from harness.facts.identify import (
    accuracy_observations,
    identify,
    lineage_evidence,
    log_likelihood,
    weight_observations,
)
from harness.facts.loader import ModelFacts, facts_for, parse_facts
from harness.metrics.intervals import proportion

FACTS = facts_for("regnet-y-040")
assert FACTS is not None


def accuracy(key: str, percent: float, n: int) -> Evidence:
    estimate = proportion(round(percent * n / 100), n)
    assert estimate.low is not None
    assert estimate.high is not None
    return Evidence(
        key=key,
        class_=EvidenceClass.MEASURED,
        value=estimate.value,
        unit="%",
        interval=Interval(low=estimate.low, high=estimate.high, method=estimate.method),
        n=n,
        N=50_000,
        protocol={},
    )


def ledger_of(*items: Evidence) -> Ledger:
    return Ledger(model={"name": "regnet-y-040", "reference": "regnet-y-040", "title": "R"}, evidence=list(items))


@pytest.mark.parametrize(("percent", "holds"), [(79.2, "pycls"), (82.2, "ra3-224")])
def test_accuracy_on_the_whole_validation_set_decides_either_way(percent: float, holds: str) -> None:
    found = identify(FACTS, accuracy_observations(FACTS, ledger_of(accuracy("imagenet-val.top1", percent, 50_000))))
    assert found.decided == holds
    assert found.probabilities[holds] > 0.999
    items = {item.key: item for item in lineage_evidence(found, "harness identify", None)}
    assert items["identity.lineage"].value == holds
    assert items["identity.lineage"].class_ is EvidenceClass.MEASURED


def test_few_images_leave_it_open_and_say_what_would_decide() -> None:
    found = identify(FACTS, accuracy_observations(FACTS, ledger_of(accuracy("imagenet-val.top1", 80, 20))))
    assert found.decided is None
    (pending,) = [item for item in lineage_evidence(found, "harness identify", None) if item.key == "identity.lineage"]
    assert pending.class_ is EvidenceClass.PENDING
    assert pending.reason
    assert "decides it" in pending.reason
    low, high = found.bounds["pycls"]
    assert low < found.probabilities["pycls"] < high


def test_benchmarks_with_the_same_photographs_are_one_witness() -> None:
    ledger = ledger_of(
        accuracy("imagenet-val.top1", 79.2, 500),
        accuracy("imagenet-real.top1", 85.0, 500),
        accuracy("imagenet-a.top1", 9.0, 500),
    )
    assert [seen.text.split()[0] for seen in accuracy_observations(FACTS, ledger)] == [
        "imagenet-val.top1",
        "imagenet-a.top1",
    ]


@pytest.mark.parametrize(("hits", "n", "published", "spread"), [(15, 20, 79.2, 0.3), (39_600, 50_000, 79.2, 0.3),
                                                               (700, 7_500, 9.0, 0.5), (0, 50, 2.0, 1.0)])  # fmt: skip
def test_the_likelihood_is_the_integral_it_claims_to_be(hits: int, n: int, published: float, spread: float) -> None:
    centre, scale = published / 100, spread / 100

    def integrand(p: float) -> float:
        return float(stats.binom.pmf(hits, n, p) * stats.norm.pdf(p, centre, scale))

    low, high = max(0.0, centre - 9 * scale), min(1.0, centre + 9 * scale)
    expected, _ = integrate.quad(integrand, low, high, points=[centre], limit=200)
    assert log_likelihood(hits, n, published, spread) == pytest.approx(math.log(expected), abs=0.02)


# --- weights ---


@dataclass(frozen=True)
class _Straight:
    """Preprocessing that passes the corner of a picture through."""

    def pixels(self, image: Image.Image) -> np.ndarray:
        return np.asarray(image)[:8, :8]

    def normalise(self, batch: torch.Tensor) -> torch.Tensor:
        return batch.float() / 255


def made_model(seed: int) -> SimpleNamespace:
    torch.manual_seed(seed)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.Flatten(), torch.nn.Linear(16 * 36, 10)).eval()
    return SimpleNamespace(module=module, identity=SimpleNamespace(preprocessing=_Straight()))


@pytest.mark.parametrize(("seed", "holds"), [(1, "pycls"), (2, "ra3-224")])
def test_the_same_tensors_decide(seed: int, holds: str) -> None:
    here = {
        "m": made_model(seed),
        "timm:regnety_040.pycls_in1k": made_model(1),
        "timm:regnety_040.ra3_in1k": made_model(2),
    }
    found = identify(FACTS, weight_observations(FACTS, here.get, None, "m"))  # type: ignore[arg-type]
    assert found.decided == holds
    assert lineage_evidence(found, "c", None)[0].class_ is EvidenceClass.DERIVED


def test_weights_of_neither_kind_are_an_error() -> None:
    here = {
        "m": made_model(3),
        "timm:regnety_040.pycls_in1k": made_model(1),
        "timm:regnety_040.ra3_in1k": made_model(2),
    }
    with pytest.raises(HarnessError, match="neither"):
        identify(FACTS, weight_observations(FACTS, here.get, None, "m"))  # type: ignore[arg-type]


def test_without_one_candidates_weights_the_other_is_what_remains() -> None:
    here = {"m": made_model(3), "timm:regnety_040.ra3_in1k": made_model(2)}
    found = identify(FACTS, weight_observations(FACTS, here.get, None, "m"))  # type: ignore[arg-type]
    assert found.probabilities["ra3-224"] == 0


def with_logits(values: list[float]) -> ModelFacts:
    assert FACTS is not None
    assert FACTS.lineage is not None
    assert FACTS.lineage.logits is not None
    logits = FACTS.lineage.logits.model_copy(update={"values": tuple(values)})
    return FACTS.model_copy(update={"lineage": FACTS.lineage.model_copy(update={"logits": logits})})


def test_documented_logits_decide_from_a_candidates_weights_alone(tmp_path: Path) -> None:
    picture = tmp_path / "cats.png"
    Image.effect_noise((16, 16), 60).convert("RGB").save(picture)
    candidate = made_model(2)
    pixels = torch.tensor(_Straight().pixels(Image.open(picture).convert("RGB"))).permute(2, 0, 1)[None]
    with torch.inference_mode():
        logits = candidate.module(_Straight().normalise(pixels))[0, :3].tolist()
    here = {"timm:regnety_040.ra3_in1k": candidate}
    found = identify(FACTS, weight_observations(with_logits(logits), here.get, picture, "m"))  # type: ignore[arg-type]
    assert found.decided == "ra3-224"
    far = weight_observations(with_logits([9.0, 9.0, 9.0]), here.get, picture, "m")  # type: ignore[arg-type]
    assert identify(FACTS, far).probabilities["ra3-224"] == 0


# --- the verb, and what hangs on it ---


def test_the_verb_keeps_what_it_found_and_answers_follow(home: Path) -> None:
    path = home / "ledgers" / "regnet-y-040" / "evidence.json"
    ledger_of(accuracy("imagenet-val.top1", 82.2, 5_000), accuracy("imagenet-a.top1", 23.0, 1_000)).save(path)
    result = CliRunner().invoke(app, ["identify", "--model", "regnet-y-040", "--format", "json"])
    assert result.exit_code == ExitCode.DONE
    assert json.loads(result.stdout)["decided"] == "ra3-224"
    found = Ledger.load(path)
    card = b"- **Batch size:** [More Information Needed]\n- **License of the weights:** [More Information Needed]\n"
    filled = fill_card(card, model="regnet-y-040", ledger=found).text.decode()
    assert "512" not in filled


def test_the_verb_without_anything_to_go_by_says_so(home: Path) -> None:
    result = CliRunner().invoke(app, ["identify", "--model", "regnet-y-040"])
    assert result.exit_code == ExitCode.INCOMPLETE
    assert "Not decided" in result.stderr
    assert CliRunner().invoke(app, ["identify", "--model", "convnext-base-224-22k"]).exit_code == ExitCode.USAGE


def test_a_facts_file_with_impossible_priors_names_its_line() -> None:
    from importlib.resources import files

    text = files("harness.facts").joinpath("regnet-y-040.yaml").read_text("utf-8")
    with pytest.raises(HarnessError, match=r"line \d+: lineage.*add up to 1"):
        parse_facts(text.replace("prior: 0.05", "prior: 0.06"), origin="made.yaml")
    with pytest.raises(HarnessError, match="no row of published results"):
        parse_facts(text.replace("published: ra3-224,", "published: ra4,"), origin="made.yaml")

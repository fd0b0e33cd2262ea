"""Which of several trainings a checkpoint holds, where its name alone does not say: evidence with a probability.

The candidates stand in the model's facts file (`lineage`). Three kinds of observation speak for one or another:

- tensors: the weights of a candidate are on this machine, and are the same numbers or are not;
- logits: a candidate's weights are here, and give the logits that are documented for this checkpoint on a known photograph
  (or do not);
- accuracy: a measured accuracy lies near one candidate's published value and far from another's. Each candidate predicts a
  binomial count around its published accuracy, blurred by how far two evaluations of the same weights differ; the ratio
  of the likelihoods shifts the odds (Bayes).

The first two decide. Accuracy decides where what is left of the odds, with the least favourable prior, is below 1 in 100.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special, stats

from harness.data.catalog import benchmarks
from harness.errors import HarnessError, MissingInputError, UsageError
from harness.evidence import Evidence, EvidenceClass, Fingerprints, Interval, Ledger
from harness.facts.loader import LINEAGE_KEY, KnownLogits, LineageCandidate, ModelFacts, facts_for
from harness.models.registry import resolve
from harness.parsing.images import UnreadableImageError, read_image

if TYPE_CHECKING:
    from harness.models.loading import LoadedModel

_SURE = 0.99
"""Least probability, with the least favourable prior, at which accuracy decides."""
_SAME_SHARE = 0.99
"""Share of the numbers that two sets of weights have in common, from which they are the same training."""
_OTHER_SHARE = 0.5
_SMALLEST_TENSOR = 64
"""Numbers in a tensor from which its content tells trainings apart; counters and such are left out."""
_REACH = 12
"""Standard deviations of the integrand on either side of its peak that are integrated over, at _POINTS places."""
_POINTS = 2001


@dataclass(frozen=True)
class Observation:
    """One thing that speaks for or against candidates."""

    kind: str
    """`tensors`, `logits` or `accuracy`."""
    text: str
    log_likelihoods: Mapping[str, float]
    """By candidate, natural logarithm, up to a constant; empty where it tells nothing."""
    decides: str | None = None
    """The candidate that it shows the weights to be."""
    n: int | None = None


@dataclass(frozen=True)
class Identification:
    """What the observations add up to."""

    names: Mapping[str, str]
    """By checkpoint id of the facts file."""
    observations: list[Observation]
    probabilities: dict[str, float]
    bounds: dict[str, tuple[float, float]]
    """With the least and the most favourable prior."""
    decided: str | None
    would_decide: str

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "decided": self.decided,
            "probabilities": self.probabilities,
            "bounds": {name: list(bounds) for name, bounds in self.bounds.items()},
            "observations": [
                {"kind": seen.kind, "text": seen.text, "log_likelihoods": dict(seen.log_likelihoods), "n": seen.n}
                for seen in self.observations
            ],
            "would_decide": self.would_decide,
        }


# --- observations -------------------------------------------------------------------------------------------------


def accuracy_observations(facts: ModelFacts, ledger: Ledger) -> list[Observation]:
    """What each measured accuracy says, on benchmarks that every candidate has a published value for.

    Of several benchmarks with the same photographs the first in the ledger counts: the same mistakes are no second witness.
    """
    assert facts.lineage is not None
    found, used, known = [], set(), benchmarks()
    spread = {c.checkpoint: c.spread for c in facts.lineage.candidates}
    for item in ledger:
        name = item.name.benchmark
        benchmark = known.get(name)
        if item.class_ is not EvidenceClass.MEASURED or benchmark is None or item.key != f"{name}.top1" or not item.n:
            continue
        photographs = benchmark.scored_from or benchmark.same_images_as or name
        published = {c.checkpoint: facts.row_value(c.published, item.key) for c in facts.lineage.candidates}
        values = {id_: value for id_, value in published.items() if value is not None}
        if photographs in used or len(values) < len(published) or not item.is_number:
            continue
        used.add(photographs)
        hits = round(item.number * item.n / 100)
        likelihoods = {id_: log_likelihood(hits, item.n, value, spread[id_]) for id_, value in values.items()}
        stated = "; ".join(f"{value:g} % for {facts.checkpoints[id_].name}" for id_, value in values.items())
        text = f"{item.key} is {item.number:.2f} % (n = {item.n:,}); published: {stated}"
        found.append(Observation("accuracy", text, likelihoods, n=item.n))
    return found


def log_likelihood(hits: int, n: int, published: float, spread: float) -> float:
    """Log of the probability of `hits` in `n` images for weights with a published accuracy.

    The true rate is taken as normal around the published one, cut to [0, 1].

    Args:
        published: in percent.
        spread: standard deviation between two evaluations of the same weights, in percentage points.
    """
    # The grid lies around the integrand's own peak, between what was measured and what was published.
    rate = hits / n
    own = math.sqrt(max(rate * (1 - rate), 1 / n) / n)
    prior, scale = published / 100, spread / 100
    precision = 1 / own**2 + 1 / scale**2
    centre, width = (rate / own**2 + prior / scale**2) / precision, _REACH / math.sqrt(precision)
    points = np.linspace(max(1e-9, centre - width), min(1 - 1e-9, centre + width), _POINTS)
    log_integrand = stats.binom.logpmf(hits, n, points) + stats.norm.logpdf(points, prior, scale)
    return float(special.logsumexp(log_integrand) + math.log(points[1] - points[0]))


def weight_observations(
    facts: ModelFacts, load: Callable[[str], LoadedModel | None], photograph: Path | None, model: str
) -> list[Observation]:
    """What the weights themselves say: the same tensors, or the documented logits.

    Args:
        load: gives a model whose weights are on this machine, or None.
        photograph: the picture that logits are documented for.
        model: the checkpoint in question.
    """
    assert facts.lineage is not None
    mine = load(model)
    own_tensors = _tensor_digests(mine) if mine is not None else None
    found = []
    for candidate in facts.lineage.candidates:
        other = load(candidate.weights) if candidate.weights else None
        if other is None:
            continue
        if own_tensors is not None:
            theirs = _tensor_digests(other)
            share = sum(n for digest, n in own_tensors.items() if digest in theirs) / max(1, sum(own_tensors.values()))
            text = f"{share:.1%} of the weights are number for number those of {candidate.weights}"
            found.append(_verdict("tensors", text, candidate, share >= _SAME_SHARE, share <= _OTHER_SHARE))
        if photograph is not None and (known := facts.lineage.logits) is not None:
            difference = _logit_difference(known, other, photograph)
            text = f"{candidate.weights} gives logits up to {difference:.2g} from those documented for this checkpoint"
            # Another resize or decoder moves logits a little; only what is far off is another training.
            is_far = difference > max(0.5, 100 * known.tolerance)
            found.append(_verdict("logits", text, candidate, difference <= known.tolerance, is_far))
    return found


def _verdict(kind: str, text: str, candidate: LineageCandidate, is_same: bool, is_other: bool) -> Observation:
    excluded = {candidate.checkpoint: -math.inf} if is_other and not is_same else {}
    return Observation(kind, text, excluded, decides=candidate.checkpoint if is_same else None)


def _tensor_digests(model: LoadedModel) -> dict[str, int]:
    """Numbers by digest of each large tensor's content, whatever the library calls it."""
    digests: dict[str, int] = {}
    for tensor in model.module.state_dict().values():
        if tensor.numel() >= _SMALLEST_TENSOR:
            content = tensor.detach().cpu().contiguous().float().numpy().tobytes()
            digests[hashlib.sha256(content).hexdigest()] = tensor.numel()
    return digests


def _logit_difference(known: KnownLogits, model: LoadedModel, photograph: Path) -> float:
    """The largest difference of a logit on the photograph from the one that is documented."""
    import torch

    try:
        image = read_image(photograph)
    except UnreadableImageError as error:
        raise HarnessError(error.message, remedy=f"Give {known.photograph}.") from error
    preprocessing = model.identity.preprocessing
    with torch.inference_mode():
        pixels = torch.tensor(preprocessing.pixels(image)).permute(2, 0, 1)[None]
        logits = model.module(preprocessing.normalise(pixels))[0, : len(known.values)].tolist()
    return max(abs(stated - found) for stated, found in zip(known.values, logits, strict=True))


# --- what they add up to ------------------------------------------------------------------------------------------


def identify(facts: ModelFacts, observations: list[Observation]) -> Identification:
    """The probability of each candidate after all observations.

    Raises:
        HarnessError: the observations rule out every candidate, or two of them decide differently.
    """
    assert facts.lineage is not None
    candidates = {candidate.checkpoint: candidate for candidate in facts.lineage.candidates}
    deciding = {seen.decides for seen in observations if seen.decides}
    if len(deciding) > 1:
        look = " and like ".join(sorted(deciding))
        raise HarnessError(f"The weights look like {look} at once; these are no alternatives.")
    scores = {name: sum(seen.log_likelihoods.get(name, 0.0) for seen in observations) for name in candidates}
    if all(score == -math.inf for score in scores.values()):
        neither = " nor ".join(facts.checkpoints[name].name for name in candidates)
        remedy = "They may have been trained further, or the file was replaced."
        raise HarnessError(f"The weights are neither {neither}.", remedy=remedy)
    priors = {name: candidate.prior for name, candidate in candidates.items()}
    likely = _posterior(priors, scores)

    def shifted(moved: str, prior: float) -> dict[str, float]:
        """The priors with one of them moved, the others sharing the rest as before."""
        rest = sum(own for name, own in priors.items() if name != moved)
        return {name: prior if name == moved else (1 - prior) * own / rest for name, own in priors.items()}

    ends = [_posterior(shifted(name, prior), scores) for name in candidates for prior in candidates[name].prior_range]
    bounds = {name: (min(end[name] for end in ends), max(end[name] for end in ends)) for name in candidates}
    decided = deciding.pop() if deciding else None
    if decided is not None:
        likely = {name: float(name == decided) for name in candidates}
        bounds = {name: (value, value) for name, value in likely.items()}
    else:
        decided = next((name for name, (low, _) in bounds.items() if low >= _SURE), None)
    names = {name: facts.checkpoints[name].name for name in candidates}
    return Identification(names, observations, likely, bounds, decided, facts.lineage.would_decide)


def _posterior(priors: Mapping[str, float], scores: Mapping[str, float]) -> dict[str, float]:
    logs = np.array([math.log(priors[name]) + scores[name] for name in priors])
    shares = np.exp(logs - special.logsumexp(logs))
    return dict(zip(priors, shares.tolist(), strict=True))


def lineage_evidence(found: Identification, command: str, weights: str | None) -> list[Evidence]:
    """The lineage as evidence: decided or pending, and the probability of each candidate with its bounds."""
    texts = [observation.text for observation in found.observations]
    seen = "; ".join(texts) or "no observation yet"
    fingerprints = Fingerprints(weights=weights)
    if found.decided is None:
        likely, probability = max(found.probabilities.items(), key=lambda candidate: candidate[1])
        reason = (
            f"not decided: {found.names[likely]} with a probability of {probability:.3f} ({seen}). {found.would_decide}"
        )
        lineage = Evidence(key=LINEAGE_KEY, class_=EvidenceClass.PENDING, reason=reason, command=command)
    else:
        by_weights = any(observation.decides for observation in found.observations)
        low, _ = found.bounds[found.decided]
        how = "" if by_weights else f"; at least {low:.4f} probable, whatever the prior within its range"
        lineage = Evidence(
            key=LINEAGE_KEY,
            class_=EvidenceClass.DERIVED if by_weights else EvidenceClass.MEASURED,
            value=found.decided,
            n=None if by_weights else sum(observation.n or 0 for observation in found.observations),
            protocol={"observations": texts},
            fingerprints=fingerprints,
            reason=f"{found.names[found.decided]}{how}: {seen}",
            command=command,
        )
    method = "least and most favourable prior"
    return [
        lineage,
        *(
            Evidence(
                key=f"{LINEAGE_KEY}-probability:{name}",
                class_=EvidenceClass.ESTIMATED,
                value=probability,
                unit="probability",
                interval=Interval(low=min(low, probability), high=max(high, probability), method=method, kind="bounds"),
                fingerprints=fingerprints,
                reason=seen,
                command=command,
            )
            for name, probability in found.probabilities.items()
            for low, high in (found.bounds[name],)
        ),
    ]


def identify_model(
    model: str, measured: Ledger, photograph: Path | None, *, offline: bool, cache: Path, note: Callable[[str], None]
) -> Identification:
    """What a model's measured accuracies, and its weights where they are here, say of what it holds.

    Args:
        photograph: the picture that logits are documented for.
        offline: whether nothing may be downloaded.
        cache: folder of known identities.

    Raises:
        HarnessError: the facts name no alternatives for it.
    """
    facts = facts_for(model) or facts_for(resolve(model).name)
    if facts is None or facts.lineage is None:
        raise UsageError(
            f"The facts of {model} name no alternatives for what it holds.",
            remedy="Only a model whose facts file has `lineage` can be identified; see harness/facts.",
        )

    def load(reference: str) -> LoadedModel | None:
        """A model whose weights are on this machine; says what is not here."""
        from harness.models.loading import load_model

        spec = resolve(reference)
        try:
            files = spec.checkpoint.locate(spec, offline=offline)
        except MissingInputError as missing:
            note(f"The weights of {reference} are not here: {missing}")
            return None
        return load_model(spec, files, label_space=None, cache=cache)

    observations = accuracy_observations(facts, measured) + weight_observations(facts, load, photograph, model)
    return identify(facts, observations)

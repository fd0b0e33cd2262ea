"""The energy and carbon of training, from documented facts alone: devices × hours × power × PUE × grid intensity.

Only what a named source states about devices and hours is used; power, PUE and grid are the stated assumptions of
`assumptions.json`, with bounds. Where devices or hours are not published there is no estimate: the answer is
`undisclosed`, with where was looked.
"""

from __future__ import annotations

from harness.benchmarking.carbon import JOULES_PER_KWH, Emissions, grid_intensity, training_emissions
from harness.benchmarking.ranges import Assumption, Range, assumptions
from harness.benchmarking.results import Provenance, training_evidence
from harness.evidence import Evidence, EvidenceClass
from harness.facts import Fact, ModelFacts, Relation

_DEVICES = {"Tesla V100 16 GB": "watts.v100-sxm2-16gb"}
"""A device's name in `documented.training.hardware` and the assumption on its power."""

_NEEDED = ("documented.training.gpus", "documented.training.hours", "documented.training.hardware")
_ASKED = (*_NEEDED, "documented.training.gpu-model")


def training_cost(facts: ModelFacts, provenance: Provenance, *, lineage: str | None = None) -> list[Evidence]:
    """`energy.training` and `carbon.training` of a model that facts are kept for.

    Args:
        lineage: the checkpoint (an id of the facts) that the weights were found to be; None where that is not decided.
    """
    found = {key: fact for key in _ASKED if (fact := facts.get(key)) is not None}
    missing = [fact for fact in found.values() if not fact.evidence.class_.has_value]
    if missing or not found.keys() >= set(_NEEDED):
        reason = "; ".join(_said(fact) for fact in missing) or "devices and hours are not both documented"
        return training_evidence(None, facts={}, reason=reason, provenance=provenance)
    gpus, hours, hardware = (found[key] for key in _NEEDED)
    is_probable = hours.checkpoint.relation is Relation.PROBABLE
    is_confirmed = lineage is not None and lineage in (hours.checkpoint_id, hours.checkpoint.lineage)
    if is_probable and lineage is not None and not is_confirmed:
        reason = (
            f"the documented devices and hours are those of {hours.checkpoint.name}; these weights were found to be "
            f"{facts.checkpoints[lineage].name if lineage in facts.checkpoints else lineage}, whose are not on file"
        )
        return training_evidence(None, facts={}, reason=reason, provenance=provenance)
    watts = _power_of(str(hardware.evidence.value))
    if watts is None:
        reason = f"no source for the power of the documented hardware is kept ({hardware.evidence.value})"
        return training_evidence(None, facts={}, reason=reason, provenance=provenance)
    devices, span = int(gpus.evidence.value), _hours(hours)  # type: ignore[arg-type]
    carbon = training_emissions(devices, span, watts, grid_intensity())
    documented = {
        "devices": f"{hardware.evidence.value} ({_place(hardware)})",
        "hours": f"{hours.evidence.value:g} ({_place(hours)})"
        + "".join(f"; {other.value:g} ({other.source.title}, {other.source.place})" for other in hours.conflicts),
        "checkpoint": hours.checkpoint.name
        + (f", {hours.checkpoint.condition}" if hours.checkpoint.condition and not is_confirmed else ""),
        "leaves_out": "host processors, memory and network, other runs, and any search before them",
    }
    records = training_evidence(carbon, facts=documented, provenance=provenance)
    words = _in_words(devices, span, watts, carbon)
    return [item.model_copy(update={"source": hours.evidence.source, "reason": words}) for item in records]


def _hours(fact: Fact) -> Range:
    """The documented hours; the bounds take in what other sources say."""
    value = float(fact.evidence.value)  # type: ignore[arg-type]
    every = [value, *(float(other.value) for other in fact.conflicts)]
    return Range(min(every), value, max(every))


def _power_of(hardware: str) -> Assumption | None:
    return next((assumptions()[name] for device, name in _DEVICES.items() if device in hardware), None)


def _said(fact: Fact) -> str:
    """A fact's reason with where was looked."""
    assert fact.evidence.class_ is EvidenceClass.UNDISCLOSED
    return f"{fact.evidence.reason} (looked in {', '.join(fact.looked_in)})"


def _place(fact: Fact) -> str:
    source = fact.evidence.source
    return f"{source.title}, {source.place}" if source is not None else "no source"


def _in_words(devices: int, hours: Range, watts: Assumption, carbon: Emissions) -> str:
    """The inputs as a reader checks them."""
    kwh, pue, grid = carbon.joules * (1 / JOULES_PER_KWH), carbon.pue.range, carbon.intensity.range
    return (
        f"{devices} devices for the documented {hours.low:g} to {hours.high:g} hours at {watts.range.low:g} to "
        f"{watts.range.high:g} W each ({kwh.low:.1f} to {kwh.high:.1f} kWh), a data-centre overhead (PUE) of {pue.low:g} "
        f"to {pue.high:g}, and {grid.low:.0f} to {grid.high:.0f} g CO2e per kWh, since the place is not published; "
        "host computers, other runs and searches are left out"
    )

"""The energy and carbon of training, from documented facts alone: devices × hours × power × PUE × grid intensity.

Only what a named source states about devices and hours is used; power, PUE and grid are the stated assumptions of
`assumptions.json`, with bounds. Where devices or hours are not published there is no estimate: the answer is
`undisclosed`, with where was looked.
"""

from __future__ import annotations

from functools import partial

from harness.benchmarking.carbon import JOULES_PER_KWH, grid_intensity, training_emissions
from harness.benchmarking.ranges import Range, assumptions
from harness.benchmarking.results import Provenance, training_evidence
from harness.evidence import Evidence, Source
from harness.facts.loader import ModelFacts, Relation

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
    undisclosed = partial(training_evidence, None, facts={}, provenance=provenance)
    missing = [fact for fact in found.values() if not fact.evidence.class_.has_value]
    if missing or not found.keys() >= set(_NEEDED):
        said = [f"{fact.evidence.reason} (looked in {', '.join(fact.looked_in)})" for fact in missing]
        return undisclosed(
            reason="; ".join(said) or "the hardware of the training, the time that it took, or both are not published"
        )
    gpus, hours, hardware = (found[key] for key in _NEEDED)
    is_probable = hours.checkpoint.relation is Relation.PROBABLE
    is_confirmed = lineage is not None and lineage in (hours.checkpoint_id, hours.checkpoint.lineage)
    if is_probable and lineage is not None and not is_confirmed:
        name = facts.checkpoints[lineage].name if lineage in facts.checkpoints else lineage
        reason = (
            f"the documented devices and hours are those of {hours.checkpoint.name}; these weights were found to be "
            f"{name}, whose are not on file"
        )
        return undisclosed(reason=reason)
    machine = str(hardware.evidence.value)
    watts = next((assumptions()[name] for device, name in _DEVICES.items() if device in machine), None)
    if watts is None:
        return undisclosed(reason=f"no source for the power of the documented hardware is kept ({machine})")
    # The bounds of the hours take in what other sources say.
    devices, value = int(gpus.evidence.number), hours.evidence.number
    every = [value, *(float(other.value) for other in hours.conflicts)]
    span = Range(min(every), value, max(every))
    carbon = training_emissions(devices, span, watts, grid_intensity())
    condition = f", {hours.checkpoint.condition}" if hours.checkpoint.condition and not is_confirmed else ""
    said = [f"{value:g} ({_place(hours.evidence.source)})"]
    said += [f"{other.value:g} ({_place(other.source)})" for other in hours.conflicts]
    documented = {
        "devices": f"{machine} ({_place(hardware.evidence.source)})",
        "hours": "; ".join(said),
        "checkpoint": hours.checkpoint.name + condition,
        "leaves_out": "host processors, memory and network, other runs, and any search before them",
    }
    kwh, pue, grid = carbon.joules * (1 / JOULES_PER_KWH), carbon.pue.range, carbon.intensity.range
    words = (
        f"Assumed: {devices} devices for the documented {span.low:g} to {span.high:g} hours at half to all of their limit "
        f"of {watts.range.high:g} W ({kwh.low:.1f} to {kwh.high:.1f} kWh), a data-centre overhead (PUE) of {pue.low:g} (the "
        f"best of large operators) to {pue.high:g} (the surveyed average of 2019), and {grid.low:.0f} to "
        f"{grid.high:.0f} g CO2e per kWh (the grids of France and India, between which at least 95 % of the world's electricity lies; "
        "the place is not published); "
        f"the value given takes {watts.range.value:g} W, a PUE of {pue.value:g} (the surveyed average of 2020) and {grid.value:.0f} g, so its energy is near the upper bound; "
        "host computers, other runs and searches are left out"
    )
    records = training_evidence(carbon, facts=documented, provenance=provenance)
    return [item.model_copy(update={"source": hours.evidence.source, "reason": words}) for item in records]


def _place(source: Source | None) -> str:
    return f"{source.title}, {source.place}" if source is not None else "no source"

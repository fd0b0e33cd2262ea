"""What a configuration shows about a network's shape, as plain values.

Attribute names differ by library; the table below maps each to the word that is used here. What a configuration
doesn't show is absent, never guessed: transformers keeps RegNet's stage widths and depths but not the parameters
(w0, wa, wm) that generated them, timm keeps both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

# The modules of timm's `feature_info` whose widths are stage widths.
_STAGE_MODULES = ("s1", "s2", "s3", "s4", "stages.", "layer")

# Word here -> attribute names, the first one present counts.
_FIELDS: dict[str, tuple[str, ...]] = {
    "stage-depths": ("depths",),
    "stage-widths": ("hidden_sizes", "dims"),
    "group-width": ("groups_width", "group_size"),
    "layer-type": ("layer_type",),
    "stem-width": ("embedding_size", "stem_width"),
    "patch-size": ("patch_size",),
    "activation": ("hidden_act",),
    "layer-scale-init": ("layer_scale_init_value",),
    "drop-path-rate": ("drop_path_rate",),
    "w0": ("w0",),
    "wa": ("wa",),
    "wm": ("wm",),
    "bottleneck-ratio": ("bottle_ratio",),
    "se-ratio": ("se_ratio",),
}


def read_architecture(config: Any) -> dict[str, Any]:
    """Depth, stage depths and widths, group width and what else a configuration shows.

    Args:
        config: a transformers configuration, a timm model (its generating configuration is looked up by
            architecture name where timm keeps one), or a mapping.

    Returns:
        Words such as "depth", "stage-depths", "stage-widths", "group-width" to plain values; only what is shown.
    """
    if hasattr(config, "pretrained_cfg"):
        values = _timm_shape(config)
    else:
        values = config if isinstance(config, Mapping) else config.to_dict()
    found: dict[str, Any] = {}
    for word, names in _FIELDS.items():
        value = next((values[name] for name in names if values.get(name) is not None), None)
        if value is not None:
            found[word] = list(value) if isinstance(value, list | tuple) else value
    depth = values.get("depth")
    if depth is None and "stage-depths" in found:
        depth = sum(found["stage-depths"])
    return ({"depth": depth} if depth is not None else {}) | found


def _timm_shape(model: Any) -> Mapping[str, Any]:
    """What a timm model's modules report, and the RegNet parameters that timm generates the architecture from."""
    from timm.models.regnet import model_cfgs

    reports = getattr(model, "feature_info", [])
    widths = [entry["num_chs"] for entry in reports if entry.get("module", "").startswith(_STAGE_MODULES)]
    numbered = (f"s{number}" for number in range(1, 5))
    stages = getattr(model, "stages", None) or [getattr(model, name) for name in numbered if hasattr(model, name)]
    depths = [len(list(getattr(stage, "blocks", stage.children()))) for stage in stages]
    generator: Any = model_cfgs.get(model.pretrained_cfg.get("architecture", ""))
    shape: dict[str, Any] = {"dims": widths or None, "depths": depths or None}
    return shape | (asdict(generator) if generator is not None else {})

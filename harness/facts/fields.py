"""Which fields of a model's files state facts: `templates/model_files.yaml`, compiled; and the words of libraries for readers who
don't know them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from harness.files import shipped_folder
from harness.parsing.yaml import read_yaml

Count = Annotated[int, Field(gt=0, le=10**9, strict=True)]
Counts = Annotated[list[Count], Field(min_length=1, max_length=1000)]
Share = Annotated[float, Field(ge=0, le=1)]
Word = Annotated[str, Field(pattern=r"^[^\r\n]{1,200}$", strict=True)]
Number = Annotated[float, Field(allow_inf_nan=False)]
NAMED = Word | Annotated[list[Word], Field(min_length=1)]
TYPES: dict[str, Any] = {
    "count": Count,
    "counts": Counts,
    "size": Count | Counts,
    "integer": Annotated[int, Field(strict=True)],
    "share": Share,
    "positive": Annotated[float, Field(gt=0, lt=1e9)],
    "number": Number,
    "yes-no": bool,
    "word": Word,
    "names": NAMED,
    "text": Word | Number | date,
    "span": Annotated[list[Number], Field(min_length=2, max_length=2)],
    "channels": Annotated[list[Number], Field(min_length=1, max_length=4)],
    "checkpoint": Annotated[str, Field(pattern=r"^[^\r\n]*checkpoint-\d{1,9}$", strict=True)],
}
"""What a field must hold."""


def square(size: Any) -> Any:
    """A side in pixels where height and width are the same, else both in words."""
    sides = size if isinstance(size, list) else [size]
    return sides[0] if len(set(sides)) == 1 else " × ".join(map(str, sides))


POLICIES = {"rand": "RandAugment", "augmix": "AugMix"}
"""What timm's names of augmentation policies begin with."""
FORMS: dict[str, Callable[[Any], Any]] = {
    "square": square,
    "sides": lambda size: square(size[-2:]),
    "text": str,
    "span": lambda ends: "–".join(f"{end:.4g}" for end in ends),
    "either": lambda names: " or ".join(names) if isinstance(names, list) else names,
    "uncounted": lambda device: re.sub(r"^\d+ ?x ", "", device),
    "policy": lambda name: (
        f"{next((known for start, known in POLICIES.items() if name.startswith(start)), 'AutoAugment')} ({name})"
    ),
    "data-set": lambda name: found[1] if (found := re.fullmatch(r"(?:hfi?ds|tfds|torch|wds)/(.+)", name)) else None,
    "spaced": lambda name: name.replace("_", " "),
    "place": lambda name: re.sub(r"\b(?!(?:and|the)\b)[a-z](?=\w\w)", lambda first: first[0].upper(), name),
    "step": lambda folder: int(folder.rpartition("-")[2]),
}
"""What makes an evidence's value of what a field holds."""


class Entry(BaseModel):
    """A field of a file that states a fact; explained at the top of model_files.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    key: str = ""
    """Empty where it only adds to an answer from several fields, or none where what it needs is off."""
    type: str
    unit: str | None = None
    words: dict[Any, str] = Field(default_factory=dict)
    times: float = 1.0
    form: str | None = None
    needs: str | dict[str, str] | None = None
    fallback: bool = False
    parts: dict[str, str] = Field(default_factory=dict)

    def shown(self, value: Any) -> Any:
        """From what the file holds to the evidence's value; None where it states none."""
        if self.form is not None:
            return FORMS[self.form](value)
        if isinstance(value, bool) and self.words:
            return self.words.get(value)
        if self.words and isinstance(value, list):
            return [self.words.get(name, name) for name in value]
        return self.words.get(value, value) if self.words else value * self.times if self.times != 1 else value

    def is_moot(self, data: Mapping[str, Any]) -> bool:
        """Whether what it needs is off."""
        if isinstance(self.needs, str):
            return self.needs in data and not data[self.needs]
        needed = self.needs or {}
        return any(field in data and not re.search(told, str(data[field])) for field, told in needed.items())


@functools.cache
def fields_of(*sections: str) -> tuple[Entry, ...]:
    """The fields of sections of the table."""
    table = read_yaml(shipped_folder("templates") / "model_files.yaml").data
    entries = [(name, entry) for section in sections for name, entry in table[section].items()]
    return tuple(Entry.model_validate({"name": name, **entry}) for name, entry in entries)


def fields_of_packages() -> dict[str, str]:
    """What packages are called whose versions are told, by their names in `requirements.txt`."""
    found: dict[str, str] = read_yaml(shipped_folder("templates") / "model_files.yaml").data["requirements"]
    return found


KINDS = {
    "vit": "a Vision Transformer", "deit": "a Vision Transformer (DeiT)", "beit": "a Vision Transformer (BEiT)", "swin": "a Swin Transformer",
    "swinv2": "a Swin Transformer V2", "resnet": "a residual convolutional network (ResNet)", "regnet": "a convolutional network (RegNet)",
    "convnext": "a convolutional network (ConvNeXt)", "convnextv2": "a convolutional network (ConvNeXt V2)", "bit": "a residual convolutional network (BiT)",
    "mobilenet_v1": "a convolutional network (MobileNet V1)", "mobilenet_v2": "a convolutional network (MobileNet V2)",
    "efficientnet": "a convolutional network (EfficientNet)", "dinov2": "a Vision Transformer (DINOv2)",
}  # fmt: skip
"""What a `model_type` of transformers is, for readers who don't know the library."""

TAGS = {"in1k": "ImageNet-1k", "in12k": "ImageNet-12k", "in21k": "ImageNet-21k", "in22k": "ImageNet-22k"}
"""Data sets by the words that timm's tags name them with."""

LICENCES = (
    ("mit", r"\bMIT License\b|Permission is hereby granted, free of charge"),
    ("apache-2.0", r"Apache License\s+Version 2\.0"),
    ("bsd-3-clause", r"BSD 3-Clause|Redistribution and use in source and binary forms(?=.*Neither the name)"),
    ("bsd-2-clause", r"BSD 2-Clause|Redistribution and use in source and binary forms"),
    ("cc-by-nc-4.0", r"Attribution-NonCommercial 4\.0"),
    ("cc-by-4.0", r"Attribution 4\.0 International"),
    ("gpl-3.0", r"GNU GENERAL PUBLIC LICENSE\s+Version 3"),
)
"""The Hub's identifiers of licences and how their texts are told, the more particular first."""

"""Which fields of a model's files state facts: their evidence keys, and what a field may hold; and the words of libraries for
readers who don't know them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

Count = Annotated[int, Field(gt=0, le=10**9, strict=True)]
Counts = Annotated[list[Count], Field(min_length=1, max_length=1000)]
Share = Annotated[float, Field(ge=0, le=1)]
Word = Annotated[str, Field(pattern=r"^[^\r\n]{1,200}$", strict=True)]
Folder = Annotated[str, Field(pattern=r"^[^\r\n]*checkpoint-\d{1,9}$", strict=True)]
Positive = Annotated[float, Field(gt=0, lt=1e9)]
Number = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class Entry:
    """A field of a file that states a fact."""

    name: str
    key: str
    type: Any
    unit: str | None = None
    show: Callable[[Any], Any] | None = None
    """From what the file holds to the evidence's value, None where it states none; None where they are the same."""


def square(size: Any) -> Any:
    """A side in pixels where height and width are the same, else both in words."""
    sides = size if isinstance(size, list) else [size]
    return sides[0] if len(set(sides)) == 1 else " × ".join(map(str, sides))


FUNCTIONS = {"gelu": "GELU", "relu": "ReLU", "relu6": "ReLU6", "silu": "SiLU", "swish": "Swish", "mish": "Mish", "elu": "ELU",
              "leaky_relu": "leaky ReLU", "quick_gelu": "approximated GELU", "gelu_new": "approximated GELU", "hardswish": "hard Swish"}  # fmt: skip

CONFIG = (
    Entry("hidden_act", "documented.architecture.activation", Word, show=lambda name: FUNCTIONS.get(name, name)),
    Entry("image_size", "documented.data.resolution", Count | Counts, "pixels", square),
    Entry("num_channels", "documented.data.channels", Count, "channels"),
    Entry("embedding_size", "documented.architecture.stem-channels", Count),
    Entry("hidden_size", "documented.architecture.hidden-size", Count),
    Entry("num_hidden_layers", "documented.architecture.layers", Count),
    Entry("embed_dim", "documented.architecture.embedding-width", Count),
    Entry("num_attention_heads", "documented.architecture.attention-heads", Count | Counts),
    Entry("intermediate_size", "documented.architecture.mlp-width", Count),
    Entry("patch_size", "documented.architecture.patch-size", Count | Counts, "pixels", square),
    Entry("window_size", "documented.architecture.window-size", Count, "patches"),
    Entry("depths", "documented.architecture.stage-depths", Counts),
    Entry("hidden_sizes", "documented.architecture.stage-widths", Counts, "channels"),
    Entry("layer_type", "documented.architecture.block-type", Word),
    Entry("groups_width", "documented.architecture.group-width", Count, "channels"),
    Entry("layer_norm_eps", "documented.architecture.norm-epsilon", Share),
    Entry("drop_path_rate", "documented.architecture.drop-path", Share),
    Entry("hidden_dropout_prob", "documented.architecture.dropout", Share),
    Entry("problem_type", "documented.model.problem-type", Word, show=lambda name: name.replace("_", " ")),
    Entry("dtype", "documented.model.dtype", Word),
    Entry("torch_dtype", "documented.model.dtype", Word),
    Entry("transformers_version", "documented.model.transformers-version", Word),
)
LIBRARY = tuple(
    entry for entry in CONFIG if entry.name in ("dtype", "torch_dtype", "problem_type", "transformers_version")
)
"""What `config.json` also has where transformers wraps a model of timm."""
PROCESSOR = (
    Entry("image_mean", "documented.preprocessing.mean", Annotated[list[Number], Field(min_length=1, max_length=4)]),
    Entry("image_std", "documented.preprocessing.std", Annotated[list[Number], Field(min_length=1, max_length=4)]),
    Entry("crop_pct", "documented.preprocessing.crop-share", Share),
    Entry("rescale_factor", "documented.preprocessing.rescale-factor", Share),
    Entry(
        "do_flip_channel_order",
        "documented.preprocessing.channel-order",
        bool,
        show=lambda flips: "BGR" if flips else "RGB",
    ),
)
TIMM = (
    Entry("license", "documented.license.timm-weights", Word),
    Entry("origin_url", "documented.model.weights-origin", Word),
    Entry("crop_pct", "documented.preprocessing.crop-share", Share),
    Entry("test_crop_pct", "documented.preprocessing.test-crop-share", Share),
    Entry("num_features", "documented.architecture.feature-channels", Count),
    Entry("paper_name", "documented.model.title", Word),
    Entry("test_input_size", "documented.data.test-resolution", Counts, "pixels", lambda size: square(size[-2:])),
)
TRAINING = (
    Entry("epoch", "documented.training.epochs", Positive, "epochs"),
    Entry("train_runtime", "documented.training.hours", Positive, "hours", lambda seconds: seconds / 3600),
    Entry("train_loss", "documented.training.loss", Number),
    Entry("global_step", "documented.training.steps", Count, "steps"),
    Entry("train_batch_size", "documented.training.batch-size-per-gpu", Count, "images"),
    Entry("train_samples", "documented.data.training-images", Count, "images"),
    Entry("eval_samples", "documented.data.evaluation-images", Count, "images"),
    Entry("train_samples_per_second", "documented.training.images-per-second", Positive, "images per second"),
    Entry("eval_samples_per_second", "documented.evaluation.images-per-second", Positive, "images per second"),
    Entry("best_metric", "documented.training.best-metric", Number),
    Entry("best_global_step", "documented.training.best-step", Count),
    Entry(
        "best_model_checkpoint", "documented.training.best-step", Folder, show=lambda name: int(name.rpartition("-")[2])
    ),
)
AUTOMATIC = (
    Entry("learning_rate", "documented.training.learning-rate", Positive),
    Entry("train_batch_size", "documented.training.batch-size-per-gpu", Count, "images"),
    Entry("total_train_batch_size", "documented.training.batch-size", Count, "images"),
    Entry("seed", "documented.training.seed", Annotated[int, Field(strict=True)]),
    Entry("optimizer", "documented.training.optimizer", Word),
    Entry("lr_scheduler_type", "documented.training.learning-rate-schedule", Word),
    Entry("lr_scheduler_warmup_ratio", "documented.training.warmup", Share, "of all steps"),
    Entry("num_epochs", "documented.training.epochs", Positive, "epochs"),
)
"""What the card that transformers' Trainer writes lists."""
RECIPE = (
    *AUTOMATIC,
    Entry("lr", "documented.training.learning-rate", Positive),
    Entry("optim", "documented.training.optimizer", Word),
    Entry("num_train_epochs", "documented.training.epochs", Positive, "epochs"),
    Entry("per_device_train_batch_size", "documented.training.batch-size-per-gpu", Count, "images"),
    Entry("warmup_ratio", "documented.training.warmup", Share, "of all steps"),
    Entry("label_smoothing_factor", "documented.training.label-smoothing", Share),
    Entry("bf16", "documented.training.precision", bool, show=lambda on: "mixed precision (bf16)" if on else None),
    Entry("fp16", "documented.training.precision", bool, show=lambda on: "mixed precision (fp16)" if on else None),
    Entry("amp", "documented.training.precision", bool, show=lambda on: "mixed precision" if on else None),
    Entry("opt", "documented.training.optimizer", Word),
    Entry("batch_size", "documented.training.batch-size", Count, "images"),
    Entry("epochs", "documented.training.epochs", Positive, "epochs"),
    Entry("max_steps", "documented.training.steps", Count, "steps"),
    Entry("sched", "documented.training.learning-rate-schedule", Word),
    Entry("lr_schedule", "documented.training.learning-rate-schedule", Word),
    Entry("warmup_epochs", "documented.training.warmup", Number, "epochs"),
    Entry("warmup_steps", "documented.training.warmup", Number, "steps"),
    Entry("weight_decay", "documented.training.weight-decay", Number),
    Entry("label_smoothing", "documented.training.label-smoothing", Share),
    Entry("smoothing", "documented.training.label-smoothing", Share),
    Entry("drop_path", "documented.training.drop-path", Share),
    Entry("drop", "documented.training.dropout", Share),
    Entry("clip_grad", "documented.training.gradient-clipping", Positive),
    Entry("mixup", "documented.training.mixup", Number),
    Entry("cutmix", "documented.training.cutmix", Number),
    Entry("reprob", "documented.training.random-erasing", Share),
)
"""What a training script leaves of its settings: timm's `args.yaml`, or a file of the same form by another name."""
NAMED = Word | Annotated[list[Word], Field(min_length=1)]
METADATA = (
    Entry("datasets", "documented.data.training", NAMED),
    Entry("base_model", "documented.model.finetuned-from", NAMED),
    Entry("library_name", "documented.model.library", Word),
    Entry("pipeline_tag", "documented.model.pipeline-tag", Word),
    Entry("tags", "documented.model.tags", NAMED),
    Entry("metrics", "documented.evaluation.metrics", NAMED),
)
RESULT = (Entry("split", "documented.evaluation.split", Word), Entry("metric", "documented.evaluation.metrics", Word))
"""Of a result in a `model-index`."""
EMISSIONS = (
    Entry(
        "emissions", "carbon.training", Annotated[float, Field(gt=0, lt=1e12)], "kg CO2e", lambda grams: grams / 1000
    ),
    Entry("hardware_used", "documented.training.hardware", Word),
    Entry("geographical_location", "documented.training.region", Word),
)
"""Of `co2_eq_emissions`, which is in grams."""

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

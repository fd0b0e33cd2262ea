"""Facts that lie beside a model's weights: configuration, processor, the header of the weights, licence, and what training left.

No weights are read, no code and no pickle. What is damaged costs nothing but itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.evidence import EvidenceClass
from harness.facts.citation import read_citation
from harness.facts.collecting import Collected, FactSource, is_marker, words
from harness.facts.fields import KINDS, LICENCES, TAGS, Entry, fields_of, fields_of_packages, square
from harness.facts.training import read_emissions, read_summary, read_training
from harness.models.preprocessing import Preprocessing, from_hub_processor, from_timm
from harness.parsing.files import MalformedError, read_bytes
from harness.parsing.json import read_json
from harness.parsing.yaml import read_yaml

_BUFFERS = re.compile(r"(?:^|\.)(?:running_mean|running_var|num_batches_tracked)$")
_FLOATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_PACKED = ("I8", "U8", "I32", "F8_E4M3", "F8_E5M2", "F4")
"""Types of quantised weights; counters and indices are 64-bit integers."""
_MOST_NAMES = 30
"""Class names that are listed; of more the first and the last."""
_MOST_PARTS, _LARGE = 12, 1e12
"""Numbers in a list that is kept, and what a number in it is below."""
_MOST_ROWS = 1000
"""Evaluations during training that are kept."""
_UNFIT = (HarnessError, AttributeError, TypeError, ValueError, KeyError, ArithmeticError)
"""What readers of preprocessing raise on values that make no sense."""


def read_folder(collected: Collected, folder: Path, title: str, address: str | None) -> None:
    """Read all files of a model's folder that state facts, those nearest to the weights first.

    Args:
        title: what the model is called in sources.
        address: of its files elsewhere, ending in a slash; None where they are only here.
    """
    read_weights(collected, folder, title, address)
    settings = sorted(path for path in folder.glob("*.*") if _RECIPE.fullmatch(path.name))
    files = [(folder / name, *how) for name, how in _JSON.items()] + [
        (path, "recipe", read_recipe) for path in settings
    ]
    recipe = dict[str, Any]()
    for path, variant, read in files:
        if path.is_file():
            source = collected.file(path, variant, title, address)
            data = _map(source, path)
            recipe |= data if data is not None and variant == "recipe" else {}
            if data is not None:
                read(source, data)
    for name, read_table in (("summary.csv", read_summary), ("emissions.csv", read_emissions)):
        if (folder / name).is_file():
            source = collected.file(folder / name, "training", title, address)
            read_table(source, _text(source, folder / name) or "", recipe)
    if (pinned := folder / "requirements.txt").is_file():
        source = collected.file(pinned, "requirements", title, address)
        named, packages = fields_of_packages(), re.findall(_PINNED, _text(source, pinned) or "", re.MULTILINE)
        found = [f"{named[name.lower()]} {version}" for name, version in packages if name.lower() in named]
        if found:
            source.add("documented.training.requirements", words(found), None)
        if packages:
            source.add("documented.usage.requirements", words(map(" ".join, packages)), None)
    for path in sorted(folder.glob("LICEN[SC]E*")):
        source = collected.file(path, "licence-file", title, address)
        text = " ".join((_text(source, path) or "").split())
        licence = next((found for found, said in LICENCES if re.search(said, text, re.IGNORECASE)), None)
        if licence is not None:
            source.add("documented.license.file", licence, None)
        else:
            source.leave_out("no known licence is recognised in it")
        addresses = [(found[0], text[max(0, found.start() - _NEAR) : found.end()]) for found in _ADDRESS.finditer(text)]
        contacts = {address for address, said in addresses if _CONTACT.search(said)}
        if len(contacts) == 1:
            source.add("documented.license.contact", contacts.pop(), None)


def _text(source: FactSource, path: Path) -> str | None:
    try:
        return read_bytes(path).decode("utf-8", "replace")
    except MalformedError as error:
        source.leave_out(f"it can't be read ({error.why})")
        return None


def _map(source: FactSource, path: Path) -> dict[str, Any] | None:
    kind = "JSON" if path.suffix == ".json" else "YAML"
    try:
        found = read_json(path) if kind == "JSON" else read_yaml(path).data
    except MalformedError as error:
        source.leave_out(f"it can't be read as {kind} ({error.why})")
        return None
    return {name: value for name, value in found.items() if isinstance(name, str)} if isinstance(found, dict) else None


# --- weights ------------------------------------------------------------------------------------------------------


def read_weights(collected: Collected, folder: Path, title: str, address: str | None) -> None:
    """Parameters, number format and bytes, from the headers of safetensors files: what tensors are, not what is in them."""
    whole = folder / "model.safetensors"
    paths = [whole] if whole.is_file() else sorted(folder.glob("model-*-of-*.safetensors"))
    if not paths:
        return
    from safetensors import SafetensorError, safe_open

    source = collected.file(paths[0], "weights", title, address)
    tensors: dict[str, tuple[str, int]] = {}
    try:
        for path in paths:
            with safe_open(path, framework="numpy") as opened:
                slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 (no mapping)
                tensors |= {name: (part.get_dtype(), math.prod(part.get_shape())) for name, part in slices.items()}
    except (SafetensorError, OSError) as error:
        source.leave_out(f"its header can't be read ({error})")
        return
    learned = {name: found for name, found in tensors.items() if found[0] in _FLOATS and not _BUFFERS.search(name)}
    formats = {_FLOATS[dtype] for dtype, _ in learned.values()}
    packed = any(dtype in _PACKED and count > 1 for dtype, count in tensors.values())
    derived: dict[str, Any] = {"class_": EvidenceClass.DERIVED}
    stored = {"protocol": {"precision": f"{words(sorted(formats))}, as stored"}} if formats and not packed else {}
    size = sum(path.stat().st_size for path in paths)
    where = "size of the file" if len(paths) == 1 else "sizes of the files"
    source.add("compute.checkpoint-bytes", size, where, "B", **derived, **stored)
    if packed or not learned:
        source.leave_out("its weights are no plain floating-point numbers, so parameters are not counted")
        return
    source.add("compute.parameters", sum(count for _, count in learned.values()), "header", "parameters", **derived)
    if len(formats) == 1:
        (stored_as,) = formats
        source.add("documented.model.dtype", stored_as, "header", **derived)
    if formats != {"float32"}:
        size = sum(count * (4 if dtype in _FLOATS else 8) for dtype, count in tensors.values())
        single = {"protocol": {"precision": "float32"}}
        source.add("compute.checkpoint-bytes:float32", size, "header, at 4 bytes a number", "B", **derived, **single)


# --- configuration ------------------------------------------------------------------------------------------------


def read_config(source: FactSource, data: Mapping[str, Any]) -> None:
    """From `config.json` of transformers or timm."""
    pretrained = data.get("pretrained_cfg")
    if isinstance(pretrained, dict) or isinstance(data.get("architecture"), str):
        source.take(fields_of("library"), data)
        read_timm(source, data, pretrained if isinstance(pretrained, dict) else data)
        is_wrapped = "TimmWrapperForImageClassification" in (data.get("architectures") or ())
        library = "transformers" if is_wrapped else "timm"
        source.add(f"usage.{library}", library, "architecture", class_=EvidenceClass.DERIVED)
        return
    known = fields_of("config", "library")
    source.take(known, data)
    _read_others(source, data, known)
    started = data.get("_name_or_path")
    if isinstance(started, str) and re.fullmatch(r"(?!\.)[\w.-]+/[\w.-]+", started) and started != source.title:
        source.add("documented.model.finetuned-from", started, "_name_or_path")
    listed = data.get("architectures")
    class_ = next((name for name in listed if isinstance(name, str)), None) if isinstance(listed, list) else None
    named = re.sub(r"(?<=\w)(?:For[A-Z]\w+|Model)$", "", class_ or "neural")
    kind = KINDS.get(str(data.get("model_type")), f"a{'n' if named[0] in 'AEIO' else ''} {named} network")
    if class_ is not None:
        is_classifier = class_.endswith("ForImageClassification")
        purpose = " for image classification" if is_classifier else ""
        source.add("documented.model.type", f"{kind}{purpose} ({class_})", "architectures and model_type")
        source.add("documented.model.library", "transformers", "architectures")
        if is_classifier:
            loader = "AutoModelForImageClassification"
            source.add("usage.transformers", loader, "architectures", class_=EvidenceClass.DERIVED)
    names = data.get("id2label")
    _read_classes(source, names if isinstance(names, dict) else {}, "id2label", data.get("num_labels"), "num_labels")
    _describe_network(source, kind)


def _read_others(source: FactSource, data: Mapping[str, Any], known: Iterable[Entry]) -> None:
    """Fields without an entry of their own: numbers, words, yes and no, short lists of numbers, sizes."""
    for name, value in data.items():
        told = (entry for entry in known if entry.name == name)
        is_told = any(entry.key or entry.parts or entry.is_moot(data) for entry in told)
        if is_told or not re.fullmatch(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*", name):
            continue
        if isinstance(value, dict) and {"height", "width"} == value.keys():
            value = square([value["height"], value["width"]])
        parts = value if isinstance(value, list) else [value]
        are_numbers = all(isinstance(part, int | float) and abs(part) < _LARGE for part in parts)
        is_word = isinstance(value, str) and re.fullmatch(r"[^\r\n]{1,80}", value)
        if (is_word or (are_numbers and 0 < len(parts) <= _MOST_PARTS)) and not is_marker(value):
            source.add(f"documented.{source.variant}.{name.replace('_', '-')}", value, name)


def _read_classes(source: FactSource, names: Mapping[Any, Any], where: str, count: Any, count_where: str) -> None:
    """How many classes there are, and what they are called in the order of the outputs."""
    try:
        labels = [str(names[key]) for key in sorted(names, key=int)]
    except (TypeError, ValueError):
        source.leave_out(f"the keys of {where} are no numbers")
        return
    if labels:
        count, count_where = len(labels), where
    classes = Entry(name=count_where, key="documented.data.classes", type="count", unit="classes")
    source.take([classes], {count_where: count})
    if labels and not is_marker(labels) and not all(re.fullmatch(r"LABEL_\d+", label) for label in labels):
        numbered = [f"{index} {label}" for index, label in enumerate(labels)]
        shown = numbered if len(labels) <= _MOST_NAMES else [*numbered[:5], "…", numbered[-1]]
        source.add("documented.data.class-names", "; ".join(shown), where)


_STATED = {
    "layers": "{} layers", "stages": "{}", "stem-channels": "{:,} channels in the stem", "block-type": "blocks of type “{}”",
    "hidden-size": "hidden size {:,}", "attention-heads": "{} attention heads", "mlp-width": "MLPs of width {:,}",
    "patch-size": "patches of {} pixels", "window-size": "windows of {} patches", "activation": "{} activations",
}  # fmt: skip
"""How a value of the architecture reads in a sentence about the network."""


def _describe_network(source: FactSource, kind: str) -> None:
    """Its stages, and all that is stated of it in one phrase."""

    def get(name: str) -> Any:
        item = source.collected.items.get(f"documented.architecture.{name}")
        return item.value if item is not None else None

    depths, widths = get("stage-depths"), get("stage-widths")
    if not depths and isinstance(get("hidden-size"), int):
        source.add("documented.architecture.width", get("hidden-size"), "hidden_size")
    if isinstance(widths, list):
        source.add("documented.architecture.feature-channels", widths[-1], "hidden_sizes")
    if isinstance(depths, list) and isinstance(widths, list) and len(depths) == len(widths):
        stages = f"{len(depths)} stages of {words(depths)} blocks with {words(widths)} channels"
        source.add("documented.architecture.stages", stages, "depths and hidden_sizes")
    known = {name: get(name) for name in _STATED}
    parts = [form.format(known[name]) for name, form in _STATED.items() if isinstance(known[name], int | str)]
    if parts:
        source.add("documented.architecture.network", f"{kind} with {words(parts)}", "fields of the architecture")


# --- preprocessing ------------------------------------------------------------------------------------------------


def read_processor(source: FactSource, data: dict[str, Any]) -> None:
    """From `preprocessor_config.json`: what its class does with its fields, or else only what a field says by itself."""
    from PIL import Image

    known = fields_of("processor")
    source.take(known, data)
    _read_others(source, data, known)
    try:
        found = from_hub_processor(data, source.title)
    except _UNFIT as error:
        source.leave_out(f"how its sizes become pixels ({_first_line(error)})")
        filters = {int(kind): kind.name.lower() for kind in Image.Resampling}
        if isinstance(data.get("resample"), int) and data["resample"] in filters:
            source.add("documented.preprocessing.interpolation", filters[data["resample"]], "resample")
        size = data.get("size")
        if isinstance(size, dict) and {"height", "width"} <= size.keys():
            sides = Entry(name="size", key="documented.preprocessing.resize", type="size", unit="pixels", form="square")
            source.take([sides], {"size": [size["height"], size["width"]]})
    else:
        resized = "size, crop_pct" if data.get("crop_pct") else "size"
        cropped = "crop_size" if data.get("crop_size") else "size"
        is_off = "do_normalize" if "do_normalize" in data else "image_processor_type"
        statistics = "image_mean and image_std" if any(found.mean) or found.std != (1, 1, 1) else is_off
        _describe_preprocessing(source, found, resized, "resample", statistics, cropped)


def _describe_preprocessing(
    source: FactSource, found: Preprocessing, size: str, resample: str, statistics: str, sides: str
) -> None:
    """The steps one by one, and in a phrase.

    Args:
        size, resample, statistics, sides: fields that say what images are resized to, how, how they are normalised, and which
            sides the network sees.
    """
    height, width = found.crop
    crop = f"takes the central {height} × {width} pixels, "
    if found.resize is None:
        steps = crop
    elif isinstance(found.resize, int):
        steps = f"resizes the short side to {found.resize} pixels ({found.interpolation}), {crop}"
        source.add("documented.preprocessing.resize", found.resize, size, "pixels, short side")
    else:
        kept = {"exact": "to", "inside": "to fit inside", "outside": "to cover"}[found.fit]
        steps = f"resizes images {kept} {found.resize[0]} × {found.resize[1]} pixels ({found.interpolation}), "
        filled = found.fit == "inside" or found.corner
        steps += f"fills them up to {height} × {width}, " if filled else crop if found.resize != found.crop else ""
        source.add("documented.preprocessing.resize", square(list(found.resize)), size, "pixels")
    whole = f"{found.resize} pixels" if isinstance(found.resize, int) else f"{height} × {width} pixels"
    done = f"resizing {'the short side ' if isinstance(found.resize, int) else ''}to {whole} ({found.interpolation})"
    if isinstance(found.resize, int):
        source.add("documented.preprocessing.steps", f"{done} and a centre crop", f"{size} and {resample}")
    elif found.resize == found.crop and found.fit == "exact":
        source.add("documented.preprocessing.steps", done, f"{size} and {resample}")
    mean, std = (", ".join(f"{value:g}" for value in values) for values in (found.mean, found.std))
    is_plain = not any(found.mean) and set(found.std) == {1}
    normalisation = f"means {mean} and standard deviations {std}"
    source.add("documented.data.resolution", square([height, width]), sides, "pixels")
    source.add("documented.preprocessing.interpolation", found.interpolation, resample)
    source.add("documented.preprocessing.normalisation", "none" if is_plain else normalisation, statistics)
    scaled = "without normalising the channels" if is_plain else f"and normalises the channels with {normalisation}"
    scaled = f"and turns RGB into BGR, {scaled}" if found.bgr else scaled
    what = "the saved processor" if source.variant == "processor" else "timm's transform for the weights"
    source.add(
        "documented.preprocessing.hub-processor",
        f"{what} {steps}scales values to 0–1 {scaled}",
        f"{size}, {resample}, {statistics}",
    )


def _first_line(error: Exception) -> str:
    message = error.message if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
    return message.partition("can't be read from ")[2] or message


def read_timm(source: FactSource, config: Mapping[str, Any], pretrained: Mapping[str, Any]) -> None:
    """From timm's record of a checkpoint, in its `config.json` or in the library itself.

    Args:
        config: what holds the record: architecture and number of classes.
        pretrained: the record.
    """
    known_fields = fields_of("timm")
    source.take(known_fields, dict(config) | dict(pretrained))
    given = config.get("model_args")
    _read_others(source, dict(pretrained) | (given if isinstance(given, dict) else {}) | dict(config), known_fields)
    name = config.get("architecture") or pretrained.get("architecture")
    if isinstance(name, str):
        source.add("documented.model.type", f"an image classifier (timm's {name})", "architecture")
        known: dict[str, tuple[type, str]] = {
            "num_features": (int, "{:,} features before the classifier"),
            "global_pool": (str, "“{}” pooling"),
            "num_classes": (int, "{:,} outputs"),
        }
        parts = [form.format(config[at]) for at, (kind, form) in known.items() if isinstance(config.get(at), kind)]
        network = f"timm's {name}{' with ' if parts else ''}{words(parts) if parts else ''}"
        source.add(
            "documented.architecture.network", network, words(["architecture", *(f for f in known if f in config)])
        )
        source.add("documented.model.library", "timm", "architecture")
    share, mode = pretrained.get("crop_pct"), pretrained.get("crop_mode")
    if isinstance(share, float) and 0 < share <= 1 and isinstance(mode, str) and mode.isalpha():
        said = f"crop fraction {share:g} (crop mode {mode})"
        source.add("documented.preprocessing.crop", said, "crop_pct and crop_mode")
    statistics = {
        name: list(pretrained[name]) for name in ("mean", "std") if isinstance(pretrained.get(name), list | tuple)
    }
    means = [Entry(name=name, key=f"documented.preprocessing.{name}", type="channels") for name in statistics]
    source.take(means, statistics)
    try:
        found = from_timm(dict(pretrained), source.title)
    except _UNFIT as error:
        source.leave_out(f"its preprocessing ({_first_line(error)})")
    else:
        _describe_preprocessing(source, found, "input_size and crop_pct", "interpolation", "mean and std", "input_size")
        _add_test_setting(source, pretrained)
    count = config.get("num_classes") or pretrained.get("num_classes")
    is_tuned = isinstance(count, int) and count < _FEWEST_OF_IMAGENET  # then the tag is of the weights before
    if not is_tuned and (data := tagged_data(str(pretrained.get("tag") or ""))):
        source.add("documented.data.training", data, "tag")
    papers = pretrained.get("paper_ids")
    first = papers[0] if isinstance(papers, list) and papers else papers
    if isinstance(first, str) and (number := re.fullmatch(r"(?:arXiv:)?(\d{4}\.\d{4,5})", first, re.IGNORECASE)):
        source.add("documented.model.arxiv", number[1], "paper_ids")
        source.add("documented.model.paper", f"https://arxiv.org/abs/{number[1]}", "paper_ids")
    labels = config.get("label_names") or pretrained.get("label_names")
    named = dict(enumerate(labels)) if isinstance(labels, list) else {}
    _read_classes(source, named, "label_names", count, "num_classes")


def _add_test_setting(source: FactSource, pretrained: Mapping[str, Any]) -> None:
    """What timm's record names for tests beside the setting that images are prepared with by default."""
    known = {"test_input_size": "data.test-resolution", "test_crop_pct": "preprocessing.test-crop-share"}
    size, crop = (
        source.collected.items.get(f"documented.{known[name]}") if name in pretrained else None for name in known
    )
    steps = source.collected.items.get("documented.preprocessing.hub-processor")
    if steps is not None and size is not None:
        sides = f"{size.value} × {size.value}" if isinstance(size.value, int) else size.value
        more = f"; for tests its record names {sides} pixels{f' and a crop fraction of {crop.value:g}' if crop else ''}"
        source.collected.items[steps.key] = steps.model_copy(update={"value": f"{steps.value}{more}"})


_FEWEST_OF_IMAGENET = 1000


def tagged_data(tag: str) -> str | None:
    """What a tag of timm says of the training data; None where it names none.

    >>> tagged_data("augreg_in21k_ft_in1k")
    'ImageNet-21k, then ImageNet-1k (by the tag augreg_in21k_ft_in1k of its weights)'
    """
    steps = [[TAGS[word] for word in step.split("_") if word in TAGS] for step in tag.split("_ft_")]
    if not all(steps):
        return None
    return f"{', then '.join(map(words, steps))} (by the tag {tag} of its weights)"


# --- what training left -------------------------------------------------------------------------------------------


def read_recipe(source: FactSource, data: Mapping[str, Any]) -> None:
    """From the settings that a training script leaves: timm's `args.yaml`, or a file of the same form."""
    known = fields_of("automatic", "recipe")
    source.take(known, data)
    base, images = data.get("lr_base"), data.get("lr_base_size")
    if data.get("lr") is None and isinstance(base, float) and isinstance(images, int):
        place, unit = "lr_base and lr_base_size", f"per {images} images"
        source.add("documented.training.base-learning-rate", base, place, unit)
    _read_others(source, data, known)


_RECIPE = re.compile(r"(?:args|hyper_?param(?:eter)?s|train(?:ing)?_(?:config|args))\.(?:json|ya?ml)")
"""Names of files with the settings of a training."""
_ADDRESS = re.compile(r"[\w+-]+(?:\.[\w+-]+)*@[\w-]+(?:\.[\w-]+)+")
_CONTACT, _NEAR = re.compile(r"\b(?:licen[sc]ing|contact)\b", re.IGNORECASE), 60
"""What says of an address that it is for questions about the licence, and how many characters before it."""
_PINNED = r"^([A-Za-z][\w-]*)\s*==\s*(\d[\w.+]*)"
_RESULTS = ("train_results", "all_results", "trainer_state", *(f"{part}_results" for part in ("eval", "validation", "val", "test", "predict")))  # fmt: skip
_JSON: dict[str, tuple[str, Callable[[FactSource, dict[str, Any]], None]]] = {
    "preprocessor_config.json": ("processor", read_processor),
    "config.json": ("config", read_config),
    **{f"{name}.json": ("training", read_training) for name in _RESULTS},
    "CITATION.cff": ("citation", read_citation),
}  # fmt: skip
"""Files that are read, with the variant of what they say and what reads them."""

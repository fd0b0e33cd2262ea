"""Documented facts from what every model has: the files beside its weights, its card's front matter and, with network, what
the Hub says of it.

Each value is evidence with the file and the field it was read from. Sources that disagree are all kept: the first has the key,
and the others have its variants (`documented.data.resolution:config`). A file that is damaged, or a value that can't be, costs
nothing but itself: it is left out, and a note says so.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from harness.data.catalog import benchmarks
from harness.errors import HarnessError
from harness.evidence import Evidence, EvidenceClass, Ledger
from harness.facts.collecting import MODEL_INDEX, Collected, FactSource, is_marker, words
from harness.facts.fields import Entry, fields_of
from harness.facts.files import read_folder, read_timm, tagged_data
from harness.facts.loader import facts_for
from harness.models.registry import resolve
from harness.models.sources.hub import FolderCheckpoint, HubCheckpoint
from harness.models.specs import ModelSpec
from harness.parsing.answers import STRANGE_ANSWER
from harness.parsing.files import MalformedError
from harness.parsing.yaml import parse_yaml

TIMEOUT = 5.0
"""Seconds that the Hub has to answer."""
_FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_LOADED = re.compile(
    r"hf[-_]hub:([\w-]+/[\w.-]*\w)|(?:from_pretrained\(\s*|\bmodel\s*=\s*)[\"']([\w-]+/[\w.-]+)[\"']"
    r"|^\W*(?:repository|model|weights|checkpoint)\b[^:\n]{0,20}:\W*https://huggingface\.co/(?!datasets/|spaces/)([\w-]+/[\w.-]+\w)",
    re.IGNORECASE | re.MULTILINE,
)
"""How a card's code loads its model, or a label links to it."""
_LOADERS = ("imagefolder", ["imagefolder"])
"""What reads a folder of images, and is no data set."""
_SHARES = ("accuracy", "f1", "precision", "recall")


def read_facts(
    model: str | None, card: str | None = None, *, offline: bool = True, note: Callable[[str], None] = lambda _: None
) -> list[Evidence]:
    """What a model's files, its card and the Hub state of it.

    Args:
        model: a reference as everywhere (a folder, `hf:ORG/NAME`, `timm:NAME`, a registry name); None for a card alone.
        card: the text of its card, whose front matter is read; without it that of the README beside the model's files.
        offline: read what is on this machine only; otherwise the Hub is asked what it says of the model, and no file is
            fetched.
        note: told what was left out and why.

    Returns:
        Evidence, `documented` with the file and field as its source, or `derived` from the header of the weights.
    """
    spec = _spec(model)
    return list(_collect(spec, card, _title(spec, ""), offline, note).items.values())


def with_facts(
    model: str | None,
    ledger: Ledger | None,
    card: str | None = None,
    *,
    offline: bool,
    note: Callable[[str], None] = lambda _: None,
) -> Ledger | None:
    """A ledger with what can be read of a model where neither the ledger nor the model's documented facts have it.

    A number that contradicts theirs is added as the variant of its source. The ledger that is given stays as it is. The model
    of the one returned says under `looked_in` what was read.

    Args:
        model: as in `read_facts`; None for the ledger's own.
        ledger: the model's evidence; None begins an empty one.
        card, offline, note: as in `read_facts`.

    Returns:
        None where there is neither a ledger nor anything to read.
    """
    about = dict(ledger.model) if ledger is not None else {}
    reference = model or str(about.get("reference") or about.get("name") or "")
    facts = facts_for(reference)
    known = {fact.key: fact.evidence for fact in facts.facts} if facts is not None else {}
    known |= {item.key: item for item in ledger or ()}
    spec = _spec(reference)
    folder = spec.checkpoint.path if spec is not None and isinstance(spec.checkpoint, FolderCheckpoint) else None
    hub_id = _hub_id(folder, card or "") if folder is not None else ""
    collected = _collect(spec, card, _title(spec, hub_id), offline or facts is not None, note)
    _add_owner(FactSource(collected, "hub", hub_id, None, None, date.today().isoformat()), hub_id)
    added: dict[str, Evidence] = {}
    for item in collected.items.values():
        other = known.get(item.key)
        if other is None:
            added[item.key] = item
        elif _contradicts(item, other):
            key = str(item.name.with_variant(str((item.protocol or {})["read_from"])))
            added.setdefault(key, item.model_copy(update={"key": key}))
    if not added:
        return ledger
    if spec is not None and not about:
        about = {"name": spec.name, "reference": spec.reference, "title": spec.title}
    if folder is not None:
        about["hub_id"] = hub_id
    looked_in = [place for place in collected.looked_in if place not in ("this card", "README.md")]
    about = {"name": reference, **about, "looked_in": looked_in}
    earlier = ledger or Ledger(model=about)
    return earlier.model_copy(update={"model": about, "evidence": [*earlier.evidence, *added.values()]})


def _title(spec: ModelSpec | None, hub_id: str) -> str:
    """What the model is called where its files are cited."""
    if spec is not None and isinstance(spec.checkpoint, FolderCheckpoint):
        return hub_id or "the model's files"
    return spec.title if spec is not None else "this model"


def _hub_id(folder: Path, card: str) -> str:
    """What the Hub calls the model of a folder, as the body of its card or its git remote says; empty where neither does."""
    name, body = folder.resolve().name, _FRONT_MATTER.sub("", card)
    files = {path: folder / path for path in (".git/config", "config.json")}
    texts = {path: file.read_text("utf-8", "replace") if file.is_file() else "" for path, file in files.items()}
    by_name = rf"(?<![\w./-])(?:(?:https://)?huggingface\.co/)?([\w-][\w.-]*/{re.escape(name)})(?![\w-]|\.\w|/(?!resolve|blob|tree))"
    if found := re.search(by_name, body + texts[".git/config"]):
        return found[1]
    others = card.removesuffix(body) + texts["config.json"]  # what it was fine-tuned from, which its code may load too
    loaded = {next(filter(None, match)) for match in _LOADED.findall(body)}
    own = [address for address in loaded if address not in others]
    return own[0] if len(own) == 1 else ""


def _add_owner(source: FactSource, repo: str) -> None:
    owner, slash, _ = repo.partition("/")
    if slash:
        who = f"the account {owner} on the Hugging Face Hub"
        source.add("documented.model.shared-by", who, "name of the repository")


def _contradicts(item: Evidence, other: Evidence) -> bool:
    is_documented = item.class_ is EvidenceClass.DOCUMENTED
    return is_documented and item.is_number and other.is_number and item.number != other.number


def _spec(model: str | None) -> ModelSpec | None:
    """What a reference means; None where it is a name of the user's own."""
    try:
        return resolve(model) if model else None
    except HarnessError:
        return None


def _collect(
    spec: ModelSpec | None, card: str | None, title: str, offline: bool, note: Callable[[str], None]
) -> Collected:
    collected = Collected(note)
    folder, address = _folder(spec)
    if folder is not None:
        read_folder(collected, folder, title, address)
    if spec is not None and spec.reference.startswith("timm:") and "config.json" not in collected.looked_in:
        _read_timm_registry(collected, spec.reference.removeprefix("timm:").partition("@")[0])
    readme = folder / "README.md" if folder is not None else None
    if card is not None:
        _read_front_matter(collected.other("front-matter", "this card", "front matter"), card)
    elif readme is not None and readme.is_file():
        text = readme.read_text(encoding="utf-8", errors="replace")
        _read_front_matter(collected.file(readme, "front-matter", title, address), text)
    if spec is not None and isinstance(spec.checkpoint, HubCheckpoint):
        _read_hub(collected, spec.checkpoint, offline)
    _read_kind(collected)
    return collected


def _folder(spec: ModelSpec | None) -> tuple[Path | None, str | None]:
    """The folder of a model's files here, and the address that they are from; None where there is none."""
    if spec is not None and isinstance(spec.checkpoint, FolderCheckpoint):
        return spec.checkpoint.path, None
    if spec is None or not isinstance(spec.checkpoint, HubCheckpoint):
        return None, None
    from huggingface_hub import try_to_load_from_cache

    repo, revision = spec.checkpoint.repo, spec.checkpoint.revision
    names = ("config.json", "README.md", "preprocessor_config.json", "model.safetensors")
    cached = (try_to_load_from_cache(repo, name, revision=revision) for name in names)
    file = next((Path(path) for path in cached if isinstance(path, str)), None)
    if file is None:
        return None, None
    return file.parent, f"https://huggingface.co/{repo}/blob/{file.parent.name}/"


def _read_timm_registry(collected: Collected, name: str) -> None:
    """timm's own record of a checkpoint whose files are not here."""
    try:
        from timm import __version__
        from timm.models import get_pretrained_cfg, is_model
    except ImportError:
        collected.note("timm is not installed, so what it states of its models is left out.")
        return
    found = get_pretrained_cfg(name, allow_unregistered=False) if is_model(name) else None
    if found is not None:
        read_timm(collected.other("timm", f"timm {__version__}", f"record of {name}"), {}, found.to_dict())


# --- the card and the Hub -----------------------------------------------------------------------------------------


def _read_front_matter(source: FactSource, text: str) -> None:
    match = _FRONT_MATTER.match(text)
    try:
        data = parse_yaml(match[1]).data if match is not None else None
    except MalformedError as error:
        source.leave_out(f"it is {error.why[:160]}")
        return
    if isinstance(data, dict):
        source.take([_named("license", "documented.license.front-matter")], _licence(data))
        _read_metadata(source, data)
    _read_automatic(source, text)


def _read_automatic(source: FactSource, text: str) -> None:
    """The hyperparameters and versions that transformers' Trainer lists in the card that it writes."""
    source = replace(source, name="card's body")
    listed = re.search(r"hyperparameters were used during training:\s*((?:- .+\n?)+)", text)
    versions = re.search(r"Framework versions\s*((?:- .+\n?)+)", text)
    if listed is not None:
        told = dict(re.findall(r"^- (\w+): (.+?)\s*$", listed[1], re.MULTILINE))
        source.take(
            fields_of("automatic"),
            {name: parse_yaml(value).data if value[0].isdigit() else value for name, value in told.items()},
        )
    named = re.findall(r"^- (\w+):? (\d\S*)\s*$", versions[1], re.MULTILINE) if versions is not None else ()
    if named:
        shown = words(f"{name.replace('Pytorch', 'PyTorch')} {version}" for name, version in named)
        source.add("documented.training.software", shown, "framework versions")


def _named(field: str, key: str) -> Entry:
    return Entry(name=field, key=key, type="names")


def _licence(data: Mapping[str, Any]) -> dict[str, Any]:
    """The licence by its identifier or, where that is `other`, by its name."""
    return {"license": data.get("license_name") if data.get("license") == "other" else data.get("license")}


def _read_metadata(source: FactSource, data: Mapping[str, Any]) -> None:
    if data.get("datasets") in _LOADERS:
        source.add("documented.data.loader", "an unnamed folder of images", "datasets")
        data = {name: value for name, value in data.items() if name != "datasets"}
    source.take(fields_of("metadata"), data)
    if data.get("base_model"):
        source.take([_named("datasets", "documented.data.finetuning")], data)
        if before := tagged_data(str(data["base_model"]).rpartition(".")[2]):
            source.add("documented.data.pretraining", before, "base_model")
    emissions = data.get("co2_eq_emissions")
    if isinstance(emissions, int | float):
        source.take(fields_of("co2_eq_emissions"), {"emissions": emissions})
    elif isinstance(emissions, dict) and "by harness" not in str(emissions.get("source")):
        source.take(fields_of("co2_eq_emissions"), emissions)
    if data.get("model-index"):
        _read_results(source, data["model-index"])


def _read_results(source: FactSource, index: Any) -> None:
    """Published values of a `model-index`, as the card's author states them; not those that harness measured."""
    from huggingface_hub import ModelCardData

    try:
        results = ModelCardData(**{"model-index": index}).eval_results or []
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        source.leave_out(f"model-index is malformed ({type(error).__name__}: {error})")
        return
    said, named = [], []
    for result in results:
        value, kind = result.metric_value, str(result.metric_type)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or "with harness" in str(result.source_name) or is_marker([result.dataset_name, kind]):
            continue
        is_share = kind in _SHARES and 0 <= value <= 1
        unit = "%" if is_share or kind in ("accuracy", "top1", "top5") else None
        shown = round(value * 100, 6) if is_share else value
        where = words(filter(None, [result.dataset_name, result.dataset_split]))
        protocol = {
            "dataset": {"name": result.dataset_name, "type": result.dataset_type, "config": result.dataset_config},
            "split": result.dataset_split,
            "metric": result.metric_name or kind,
            "stated": value,
        }
        metric = _metric(kind, result.metric_name)
        key = f"documented.{_benchmark(result.dataset_type, result.dataset_name)}.{metric}"
        source.add(f"{key}:{MODEL_INDEX}", shown, f"model-index, {where}", unit, protocol=protocol)
        number = f"{shown:.2f}".rstrip("0").rstrip(".") + " %" if unit else f"{shown:g}"
        split = f", {result.dataset_split} split" if result.dataset_split else ""
        said.append(f"{number} ({result.metric_name or kind} on {result.dataset_name}{split})")
        named += [f"{result.dataset_name}{split}"] if result.dataset_name not in _LOADERS else []
        source.take(fields_of("result"), {"split": result.dataset_split, "metric": result.metric_name or kind})
        alike = [r for r in results if _metric(str(r.metric_type), r.metric_name) == metric]
        of_data = [r for r in alike if r.dataset_split == result.dataset_split]
        if len({r.dataset_name for r in alike}) == 1 and len(of_data) == 1:  # no doubt of which data
            unit = unit if value == shown else None  # as it is stated
            own = f"evaluation.{metric.replace('top1', 'accuracy')}"
            source.add_result(
                own, value, f"model-index, {where}", split=result.dataset_split, unit=unit, protocol=protocol
            )
    held = [item for item in source.collected.items.values() if item.name.subject == "evaluation.results"]
    if said and not held:
        source.add("documented.evaluation.results", words(said), "model-index")
    if named:
        source.add("documented.evaluation.datasets", words(dict.fromkeys(named)), "model-index")


def _benchmark(*names: str) -> str:
    """The benchmark that a data set of the Hub is, or else the data set's name as a key has it."""
    asked = {_slug(name) for name in names} | {_slug(name.rpartition("/")[2]) for name in names}
    for name, benchmark in benchmarks().items():
        own = {name, benchmark.title, benchmark.hub.id if benchmark.hub else name}
        own |= {"imagenet-1k", "imagenet"} if name == "imagenet-val" else set()
        if asked & {_slug(known) for known in own}:
            return name
    return _slug(names[-1])


def _metric(kind: str, name: str | None) -> str:
    """The metric as a key has it: accuracy is top-1 unless it says otherwise."""
    said = _slug(f"{kind} {name or ''}")
    return "top5" if re.search(r"top-?5|acc-?5", said) else "top1" if re.search(r"acc|top-?1", said) else _slug(kind)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-") or "unnamed"


def _read_hub(collected: Collected, checkpoint: HubCheckpoint, offline: bool) -> None:
    """Whose repository it is and, with network, what the Hub says of it: licence, data sets, task. No file is fetched."""
    repo = checkpoint.repo
    title, url = f"Hugging Face, {repo}", f"https://huggingface.co/{repo}"
    source = FactSource(collected, "hub", title, None, url, date.today().isoformat())
    _add_owner(source, repo)
    if offline:
        return
    import httpx2
    from huggingface_hub import HfApi, ModelCardData

    try:
        info = HfApi(endpoint=os.environ.get("HF_ENDPOINT")).model_info(
            repo, revision=checkpoint.revision, timeout=TIMEOUT
        )
    except (OSError, httpx2.HTTPError, *STRANGE_ANSWER) as error:
        collected.note(f"What the Hub says of {repo} is left out: {type(error).__name__}.")
        return
    collected.looked_in.append(title)
    data = info.card_data.to_dict() if isinstance(info.card_data, ModelCardData) else {}
    told = {"pipeline_tag": info.pipeline_tag, "library_name": info.library_name}
    source.take([_named("license", "documented.license.hub-tag")], _licence(data))
    source.take([_named("datasets", "documented.data.hub-tag")], data)
    _read_metadata(source, {name: value for name, value in told.items() if value} | data)


def _read_kind(collected: Collected) -> None:
    """What its files were saved by; and what doesn't apply to a model that takes images only, by what says that it is one."""
    pinned = collected.items.get("documented.training.requirements")
    if pinned is not None:
        key = "documented.training.software"
        collected.items.setdefault(key, pinned.model_copy(update={"key": key}))
    saved = collected.items.get("documented.model.transformers-version")
    if saved is not None and saved.source is not None:
        key, version = "documented.training.software", f"the files were saved by Transformers {saved.value}"
        source = saved.source.model_copy(update={"place": str(saved.source.place).replace(", ", ", its ")})
        collected.items.setdefault(key, saved.model_copy(update={"key": key, "value": version, "source": source}))
    named = [collected.items.get(f"documented.model.{name}") for name in ("type", "pipeline-tag")]
    kind = next((item for item in named if item is not None and re.search("image.classif", str(item.value))), None)
    if kind is None:
        return
    reasons = {
        "documented.model.languages": "The model takes images and knows no natural language",
        "documented.preprocessing.tokenisation": "The model takes images, not text, so nothing is tokenised",
    }
    about: dict[str, Any] = {"class_": EvidenceClass.NOT_APPLICABLE, "source": kind.source, "created": kind.created}
    for key, reason in reasons.items():
        collected.items.setdefault(key, Evidence(key=key, reason=reason, **about))

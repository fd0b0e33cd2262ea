"""What every model has beside its weights becomes evidence with file and field; what is damaged costs only itself."""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import harness
from harness.evidence import Evidence, EvidenceClass, Ledger, Source
from harness.facts.reading import read_facts, with_facts

CONFIG = {
    "architectures": ["ViTForImageClassification"],
    "model_type": "vit",
    "hidden_act": "gelu",
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 16,
    "id2label": {"0": "oak", "1": "elm", "2": "ash"},
    "torch_dtype": "float16",
}
PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "size": {"height": 32, "width": 32},
    "resample": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.25, 0.25, 0.25],
}
README = """---
license: mit
base_model: somebody/base
tags: [image-classification]
datasets:
- somebody/leaves
co2_eq_emissions:
  emissions: 1500
  source: code carbon
  hardware_used: 1 x A100
model-index:
- name: leaves
  results:
  - task: {type: image-classification}
    dataset: {name: Leaves, type: somebody/leaves, split: test}
    metrics:
    - {type: accuracy, value: 0.9875, name: Accuracy}
  - task: {type: image-classification}
    dataset: {name: ImageNet-1k, type: imagenet-1k, split: validation}
    metrics:
    - {type: accuracy, value: 71.5, name: Top-1}
---
# Leaves
"""
M = "[More Information Needed]"


def written(folder: Path, **files: Any) -> Path:
    """A model's folder; `config` and `processor` are JSON, `readme` and `licence` text, anything else JSON by its name."""
    names = {
        "config": "config.json",
        "processor": "preprocessor_config.json",
        "readme": "README.md",
        "licence": "LICENSE",
    }
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / names.get(name, f"{name}.json")).write_text(text, encoding="utf-8")
    return folder


def read(folder: Path, card: str | None = None) -> tuple[dict[str, Evidence], list[str]]:
    notes: list[str] = []
    return {item.key: item for item in read_facts(str(folder), card, note=notes.append)}, notes


def test_each_value_names_its_file_and_field(tmp_path: Path) -> None:
    items, notes = read(written(tmp_path, config=CONFIG, processor=PROCESSOR, readme=README))
    assert not notes
    expected = {
        "documented.architecture.layers": (2, "config.json, num_hidden_layers"),
        "documented.architecture.activation": ("GELU", "config.json, hidden_act"),
        "documented.data.classes": (3, "config.json, id2label"),
        "documented.data.class-names": ("0 oak; 1 elm; 2 ash", "config.json, id2label"),
        "documented.model.dtype": ("float16", "config.json, torch_dtype"),
        "documented.preprocessing.interpolation": ("bilinear", "preprocessor_config.json, resample"),
        "documented.preprocessing.std": ([0.25, 0.25, 0.25], "preprocessor_config.json, image_std"),
        "documented.license.front-matter": ("mit", "README.md, license"),
        "documented.model.finetuned-from": ("somebody/base", "README.md, base_model"),
        "documented.data.training": ("somebody/leaves", "README.md, datasets"),
        "documented.training.hardware": ("1 x A100", "README.md, hardware_used"),
        "carbon.training": (1.5, "README.md, emissions"),  # 1,500 g
        "documented.leaves.top1:model-index": (98.75, "README.md, model-index, Leaves and test"),
        "documented.imagenet-val.top1:model-index": (71.5, "README.md, model-index, ImageNet-1k and validation"),
    }
    found = {key: (items[key].value, items[key].source.place) for key in expected if items[key].source}  # type: ignore[union-attr]
    assert found == expected
    assert {items[key].class_ for key in expected} == {EvidenceClass.DOCUMENTED}
    assert items["documented.leaves.top1:model-index"].protocol["stated"] == 0.9875  # type: ignore[index]


def test_an_image_classifier_has_no_language_and_no_tokenizer(tmp_path: Path) -> None:
    items, _ = read(written(tmp_path, config=CONFIG))
    for key in ("documented.model.languages", "documented.preprocessing.tokenisation"):
        assert items[key].class_ is EvidenceClass.NOT_APPLICABLE
    other, _ = read(written(tmp_path, config=CONFIG | {"architectures": ["CLIPModel"]}))
    assert "documented.preprocessing.tokenisation" not in other


@pytest.mark.parametrize(("dtype", "name", "single"), [(np.float16, "float16", True), (np.float32, "float32", False)])
def test_sizes_are_derived_from_the_header_of_the_weights(tmp_path: Path, dtype: Any, name: str, single: bool) -> None:
    tensors = {
        "conv.weight": np.zeros((4, 3, 2, 2), dtype),  # 48 parameters
        "bn.weight": np.zeros(4, dtype),
        "bn.running_mean": np.zeros(4, np.float32),  # no parameter
        "bn.num_batches_tracked": np.zeros((), np.int64),
    }
    save_file(tensors, written(tmp_path, config=CONFIG | {"torch_dtype": None}) / "model.safetensors")
    items, notes = read(tmp_path)
    assert not notes
    assert items["compute.parameters"].value == 52
    assert items["compute.checkpoint-bytes"].value == (tmp_path / "model.safetensors").stat().st_size
    assert items["documented.model.dtype"].value == name
    assert ("compute.checkpoint-bytes:float32" in items) == single
    if single:
        assert items["compute.checkpoint-bytes:float32"].value == 52 * 4 + 4 * 4 + 8
    assert {items[key].class_ for key in items if key.startswith("compute")} == {EvidenceClass.DERIVED}


def test_images_are_counted_by_a_run_s_time_and_speed(tmp_path: Path) -> None:
    run = {"epoch": 8.0, "train_runtime": 412.53, "train_samples_per_second": 80.906, "eval_runtime": 6.4127}
    written(tmp_path, config=CONFIG, all_results=run | {"eval_samples_per_second": 114.772})
    items, _ = read(tmp_path)
    assert items["documented.data.training-images"].value == 4172
    assert items["documented.data.evaluation-images"].value == 736
    assert items["documented.data.training-images"].class_ is EvidenceClass.DERIVED
    written(tmp_path, all_results=run | {"train_samples_per_second": 81.0})  # 4,176.9: no count
    assert "documented.data.training-images" not in read(tmp_path)[0]


def test_what_the_files_tell_of_unnamed_data_and_an_unlisted_network_is_told(tmp_path: Path) -> None:
    run = {"epoch": 8.0, "train_runtime": 412.53, "train_samples_per_second": 80.906}
    folder = written(
        tmp_path,
        config={"architectures": ["MobileViTForImageClassification"], "model_type": "mobilevit", "id2label": {"0": "a", "1": "b"}},
        processor={
            "image_processor_type": "MobileViTImageProcessor", "size": {"shortest_edge": 288}, "resample": 2, "do_center_crop": True,
            "crop_size": {"height": 256, "width": 256}, "do_flip_channel_order": True,
        },
        all_results=run | {"test_runtime": 6.4127, "test_samples_per_second": 114.772},
        readme=f"---\ndatasets: [imagefolder]\nmetrics: [accuracy, f1]\n---\n## Training and evaluation data\n\n{M}\n\n## Metrics\n\n{M}\n",
    )  # fmt: skip
    items, _ = read(folder)
    assert items["documented.model.type"].value.startswith("a MobileViT network for image classification")
    assert items["documented.preprocessing.hub-processor"].value.endswith(
        "turns RGB into BGR, without normalising the channels"
    )
    text = re.sub(r" ?\[h\d+\]", "", harness.fill(folder / "README.md", model=str(folder)).text.decode())
    assert "- The training data is an unnamed folder of images.\n- The number of training images is 4,172.\n" in text
    assert "- The model was evaluated on a test set of 736 images.\n" in text
    assert "evaluate with accuracy and F1." in text


def test_integer_weights_are_not_counted(tmp_path: Path) -> None:
    save_file({"w": np.zeros(8, np.uint8)}, written(tmp_path, config=CONFIG) / "model.safetensors")
    items, notes = read(tmp_path)
    assert "compute.parameters" not in items
    assert "no plain floating-point numbers" in notes[0]


def test_the_licence_file_is_told_by_its_text(tmp_path: Path) -> None:
    text = "MIT License\n\nPermission is hereby granted, free of charge, to any person"
    items, _ = read(written(tmp_path, config=CONFIG, licence=text))
    assert items["documented.license.file"].value == "mit"
    items, notes = read(written(tmp_path, config=CONFIG, licence="All rights reserved."))
    assert "documented.license.file" not in items
    assert "no known licence" in notes[0]


def test_what_training_left(tmp_path: Path) -> None:
    results = {"epoch": 3.0, "train_runtime": 5400.0, "train_loss": 0.25, "eval_accuracy": 0.9}
    items, _ = read(
        written(tmp_path, config=CONFIG, all_results=results, trainer_state={"epoch": 3.0, "global_step": 300})
    )
    assert items["documented.training.epochs"].value == 3
    assert items["documented.training.hours"].value == 1.5
    assert items["documented.training.steps"].value == 300
    assert "accuracy 0.9, on the evaluation set" in str(items["documented.evaluation.results"].value)


def test_the_settings_that_a_training_script_leaves_are_read(tmp_path: Path) -> None:
    folder = written(tmp_path, config=CONFIG)
    settings = "epochs: 45\nopt: nadamw\nlr: 0.0006\nbatch_size: 96\nwarmup_epochs: 4\nema_decay: 0.998\nnote: |\n  two\n  lines\n"
    (folder / "args.yaml").write_text(settings, encoding="utf-8")
    card = f"It ran for {M} epochs with a learning rate of {M} and a batch size of {M}, after {M} warm-up epochs. EMA decay: {M}\n"
    text = harness.fill(card, model=str(folder)).text.decode()
    text = re.sub(r" \[h\d+\]", "", text)
    assert (
        "It ran for 45 epochs with a learning rate of 0.0006 and a batch size of 96 images, after 4 warm-up epochs."
        in text
    )
    assert "EMA decay: 0.998" in text
    (folder / "args.yaml").write_text("epochs: [\n", encoding="utf-8")
    items, notes = read(folder)
    assert "documented.training.epochs" not in items
    assert "args.yaml: it can't be read as YAML" in notes[0]


@pytest.mark.parametrize(
    ("sentence", "filled"),
    [
        (f"The dropout before the classifier is {M}.", "The dropout before the classifier is 0.25."),
        (
            f"A network with a classifier dropout of {M} and a head for {M} animals.",
            "with a classifier dropout of 0.25 and a head",
        ),
        (
            f"It was fine-tuned on 7,920 photos.\n\n| what | value |\n|-|-|\n| training photos | {M} |",
            "| training photos | 7,920 |",
        ),
        (f"```python\n# the output is a (1, {M}) shaped tensor\n```", f"(1, {M}) shaped"),
        (f"Image size: train = {M}, test = 48 x 48", "train = 32 × 32, test = 48 x 48"),
        (f"The share of crops on which they disagreed is {M}.", "disagreed is not stated."),
    ],
)
def test_an_answer_fits_where_it_stands(tmp_path: Path, sentence: str, filled: str) -> None:
    folder = written(
        tmp_path,
        config=CONFIG | {"classifier_dropout_prob": 0.25, "crop_pct": 0.9},
        readme=f"# A model\n\n{sentence}\n",
    )
    assert filled in re.sub(r" \[h\d+\]", "", harness.fill(folder / "README.md", model=str(folder)).text.decode())


def test_columns_beside_each_other_get_values_of_their_own(tmp_path: Path) -> None:
    results = [
        {"type": "accuracy", "name": "Top-1", "value": 91.4},
        {"type": "accuracy", "name": "Top-5", "value": 99.0},
    ]
    task = {"type": "image-classification"}
    index = [
        {
            "name": "m",
            "results": [{"task": task, "dataset": {"name": "boards", "type": "x/boards"}, "metrics": results}],
        }
    ]
    front = json.dumps({"model-index": index, "co2_eq_emissions": {"emissions": 64}})
    card = f"---\n{front}\n---\n\n| model | test size | top1 | top5 | images/s |\n|-|-|-|-|-|\n| this | 32 | {M} | {M} | {M} |\n| this | 192 | {M} | {M} | {M} |\n\nIt emitted {M} g of CO2.\n"
    folder = written(tmp_path, config=CONFIG, readme=card)
    text = re.sub(r" \[h\d+\]", "", harness.fill(folder / "README.md", model=str(folder)).text.decode())
    told, at_another_size = text.split("\n")[6:8]
    assert told == "| this | 32 | 91.4 % | 99 % | not measured yet |"
    assert at_another_size == "| this | 192 | not stated | not stated | not stated |"
    assert "It emitted 64 g of CO2." in text


def test_sources_that_disagree_are_both_kept_and_the_answer_says_so(tmp_path: Path) -> None:
    folder = written(tmp_path, config=CONFIG | {"image_size": 64}, processor=PROCESSOR, readme=README)
    (folder / "LICENSE").write_text("Apache License\nVersion 2.0, January 2004", encoding="utf-8")
    items, _ = read(folder)
    assert items["documented.data.resolution"].value == 32
    assert items["documented.data.resolution:config"].value == 64
    card = f"---\nlicense: mit\n---\n\n- **License:** {M}\n"
    text = harness.fill(card, model=str(folder)).text.decode()
    assert "`mit` in the card's front matter [h1] and `apache-2.0` in the licence file beside the weights" in text
    assert "The sources disagree" in text


def test_numbers_that_contradict_documented_facts_stand_beside_them() -> None:
    card = "---\nco2_eq_emissions: {emissions: 99000}\n---\n"
    ledger = with_facts("regnet-y-040", None, card, offline=True)
    assert ledger is not None
    assert [item.key for item in ledger if item.key.startswith("carbon")] == ["carbon.training:front-matter"]


def test_what_is_known_is_not_read_again(tmp_path: Path) -> None:
    folder = written(tmp_path, config=CONFIG)
    own = Evidence(
        key="documented.data.classes", class_=EvidenceClass.DOCUMENTED, value=3, source=Source(title="the paper")
    )
    given = Ledger(model={"name": "x"}, evidence=[own])
    ledger = with_facts(str(folder), given, offline=True)
    assert ledger is not None
    assert ledger.get("documented.data.classes") is own
    assert ledger.get("documented.data.class-names") is not None
    assert ledger.model["looked_in"] == ["config.json"]
    assert len(given.evidence) == 1


def test_timms_record_is_read_from_the_configuration_or_from_timm(tmp_path: Path) -> None:
    record = {
        "tag": "a1_in1k", "input_size": [3, 224, 224], "crop_pct": 0.95, "interpolation": "bicubic", "license": "apache-2.0",
        "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "num_classes": 1000, "paper_ids": "arXiv:2110.00476",
    }  # fmt: skip
    items, notes = read(
        written(tmp_path, config={"architecture": "resnet18", "num_classes": 1000, "pretrained_cfg": record})
    )
    assert not notes
    assert items["documented.preprocessing.resize"].value == 235  # 224 / 0.95
    assert items["documented.data.training"].value == "ImageNet-1k (by the tag a1_in1k of its weights)"
    assert items["documented.model.paper"].value == "https://arxiv.org/abs/2110.00476"
    assert items["documented.license.timm-weights"].value == "apache-2.0"
    own = {item.key: item for item in read_facts("timm:resnet18.a1_in1k")}
    assert own["documented.data.training"].value == items["documented.data.training"].value
    assert own["documented.data.training"].source.title.startswith("timm ")  # type: ignore[union-attr]


def test_a_models_files_in_the_hubs_cache_are_read_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    commit = "a" * 40
    snapshot = tmp_path / "models--somebody--leaves" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (refs := snapshot.parents[1] / "refs").mkdir()
    (refs / "main").write_text(commit)
    written(snapshot, config=CONFIG)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    items = {item.key: item for item in read_facts("hf:somebody/leaves")}
    source = items["documented.architecture.layers"].source
    assert source
    assert source.url == f"https://huggingface.co/somebody/leaves/blob/{commit}/config.json"
    assert items["documented.model.shared-by"].value == "the account somebody on the Hugging Face Hub"


@pytest.fixture
def hub_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A Hub that says of any model that it is MIT-licensed; gives the paths that were asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer = {
                "id": "somebody/leaves",
                "tags": [],
                "pipeline_tag": "image-classification",
                "cardData": {"license": "mit", "datasets": ["a/b"]},
            }
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield asked
        server.shutdown()


def test_the_hub_is_asked_what_it_says_and_for_no_file(hub_page: list[str]) -> None:
    items = {item.key: item for item in read_facts("hf:somebody/leaves", offline=False)}
    assert items["documented.license.hub-tag"].value == "mit"
    assert items["documented.data.training"].value == "a/b"
    assert items["documented.model.languages"].class_ is EvidenceClass.NOT_APPLICABLE
    assert [path for path in hub_page if "agent-harnesses" not in path] == ["/api/models/somebody/leaves"]
    hub_page.clear()
    read_facts("hf:somebody/leaves")
    with_facts("hf:facebook/regnet-y-040", None, offline=False)  # facts are kept for it
    assert not hub_page


def test_a_hub_that_does_not_answer_costs_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the discard port: nobody listens
    notes: list[str] = []
    items = read_facts("hf:somebody/leaves", offline=False, note=notes.append)
    assert [item.key for item in items] == ["documented.model.shared-by"]
    assert "somebody/leaves is left out" in notes[0]


def test_the_cards_own_words_are_no_evidence_for_its_claims(tmp_path: Path) -> None:
    folder = written(tmp_path, config=CONFIG, readme="---\nlicense: mit\nbase_model: somebody/base\n---\n")
    found = harness.claims("The model takes images at a resolution of 64 x 64.\n", model=str(folder))
    assert [claim.verdict.value for claim in found] == ["contradicted"]
    assert with_facts(str(folder), None, "", offline=True).get("documented.license.front-matter") is None  # type: ignore[union-attr]


def test_markers_and_our_own_estimates_are_no_facts(tmp_path: Path) -> None:
    card = (
        f'---\nlicense: "{M}"\nbase_model: {M}\nco2_eq_emissions:\n  emissions: 3\n  source: estimated, not metered, by harness\n'
        f'model-index:\n- name: x\n  results:\n  - task: {{type: t}}\n    dataset: {{name: d, type: d}}\n    metrics:\n'
        f'    - {{type: accuracy, value: "{M}"}}\n---\n'
    )  # fmt: skip
    items, _ = read(written(tmp_path, config=CONFIG), card)
    assert not [
        key for key in items if "license" in key or "finetuned" in key or "carbon" in key or "model-index" in key
    ]


@pytest.mark.parametrize(
    ("name", "content", "lost", "why"),
    [
        ("config", "{", "documented.model.type", "can't be read as JSON"),
        ("config", "[1]", "documented.model.type", "should be a valid dictionary"),
        ("config", CONFIG | {"num_hidden_layers": -3}, "documented.architecture.layers", "num_hidden_layers is -3"),
        ("config", CONFIG | {"image_size": "big"}, "documented.data.resolution", "image_size is 'big'"),
        (
            "config",
            CONFIG | {"id2label": {"zero": "oak"}},
            "documented.data.classes",
            "keys of id2label are no numbers",
        ),
        ("processor", PROCESSOR | {"image_mean": ["x"]}, "documented.preprocessing.mean", "image_mean"),
        ("processor", PROCESSOR | {"size": {"height": 32, "width": "x"}}, "documented.preprocessing.resize", "size"),
        ("readme", "---\na: [\n---\n", "documented.license.front-matter", "not valid YAML"),
        ("readme", "---\nmodel-index: [3]\n---\n", "documented.evaluation.results", "model-index is malformed"),
    ],
)
def test_what_is_damaged_costs_only_itself(tmp_path: Path, name: str, content: Any, lost: str, why: str) -> None:
    files = {"config": CONFIG, "processor": PROCESSOR, "readme": README} | {name: content}
    if "resolution" in lost:
        del files["processor"]
    kept = {
        "config": "documented.model.type",
        "processor": "documented.preprocessing.std",
        "readme": "documented.model.tags",
    }
    items, notes = read(written(tmp_path, **files))
    assert lost not in items
    assert any(why in note for note in notes), notes
    assert {kept[other] for other in files if other != name} <= items.keys()


def test_no_content_of_a_file_makes_reading_fail(tmp_path: Path) -> None:
    """Fields of the wrong kind, at random: reading ends, and what it gives is evidence."""
    chance = random.Random(0)
    values: list[Any] = [
        None,
        True,
        -1,
        0,
        1e309,
        "x",
        "",
        [],
        {},
        [[]],
        {"a": []},
        ["a"],
        10**30,
        "224",
        [224, 224],
        {"0": 1},
    ]
    for _ in range(100):
        config, processor = ({key: chance.choice([value, *values]) for key, value in given.items()} for given in (
            CONFIG | {"pretrained_cfg": None, "num_labels": 3, "depths": [2], "hidden_sizes": [4]},
            PROCESSOR | {"crop_pct": 0.9, "do_center_crop": True, "crop_size": 32, "rescale_factor": 0.1}))  # fmt: skip
        record = {key: chance.choice([value, *values]) for key, value in {
            "input_size": [3, 32, 32], "crop_pct": 0.9, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic",
            "tag": "in1k", "paper_ids": "arXiv:2110.00476", "label_names": ["a"], "num_classes": 2}.items()}  # fmt: skip
        front = {
            key: chance.choice(values) for key in ("license", "datasets", "co2_eq_emissions", "model-index", "tags")
        }
        written(
            tmp_path,
            config=chance.choice([config, {"architecture": "resnet18", "pretrained_cfg": record}]),
            processor=processor,
        )
        written(tmp_path, readme=f"---\n{json.dumps(front)}\n---\n", all_results={"epoch": chance.choice(values)})
        read(tmp_path)


def test_a_filled_card_says_what_the_files_say(tmp_path: Path) -> None:
    weights = {"w": np.zeros((1000, 1000), np.float16)}
    save_file(weights, written(tmp_path, config=CONFIG, processor=PROCESSOR, readme=README) / "model.safetensors")
    card = f"""# Leaves

The encoder has {M} layers. Weights are stored in {M} precision.

- **Labels, in the order of the outputs:** {M}
- **Normalization:** {M}
- **Tokenization:** {M}
- **Top-1 accuracy on ImageNet:** {M}

| | fp32 | stored file |
|---|---|---|
| Size of the weights | {M} | {M} |

### Training Data

{M}
"""
    result = harness.fill(README.partition("# Leaves")[0] + card, model=str(tmp_path))
    text = result.text.decode()
    for answer in (
        "float16",
        "oak, elm, ash",
        "means 0.5, 0.5, 0.5 and standard",
        "nothing is tokenised",
        "71.5 %",
        "somebody/leaves",
    ):
        assert answer.lower() in text.lower(), answer
    row = next(line for line in text.splitlines() if line.startswith("| Size of the weights"))
    _, _, single, stored, _ = row.split("|")
    assert "4.00 MB" in single
    assert "2.00 MB" in stored
    assert "4.00 MB" not in stored
    assert {row["class"] for row in result.report["markers"]} <= {"documented", "derived", "not-applicable", "pending"}


def test_results_on_data_of_ones_own_are_told_for_the_split_that_is_asked(tmp_path: Path) -> None:
    """Of a model with classes of its own, whose results only its `model-index` states."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    index = README.partition("  - task: {type: image-classification}\n    dataset: {name: ImageNet-1k")[0] + "---\n"
    asked = "Accuracy on the {} split: [More Information Needed]"
    card = f"{index}# Leaves\n\n{asked.format('test')}\n\n{asked.format('validation')}\n"
    told = harness.fill(card, model=str(tmp_path)).text.decode()
    assert "Accuracy on the test split: 0.9875" in told
    assert "Accuracy on the validation split: 0.98" not in told

"""Checkpoints that must not be used, each with its message; nothing in one is ever executed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import huggingface_hub.errors
import pytest
import safetensors.torch
import timm
import torch

from harness.errors import ExitCode, HarnessError, MissingInputError
from harness.models.registry import resolve
from tests.models.conftest import Load, Save, as_pickle, edit_json


@pytest.fixture
def folder(small_models: dict[str, Any], save: Save) -> Path:
    return save(small_models["convnext"])


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    state = safetensors.torch.load_file(folder / "model.safetensors")
    change(state)
    safetensors.torch.save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def refusal(load: Load, folder: Path) -> str:
    """The one-sentence error of a checkpoint that can't be used: no traceback, exit code 4."""
    with pytest.raises(HarnessError) as caught:
        load(folder)
    assert caught.value.exit_code is ExitCode.MISSING
    assert "\n" not in caught.value.message
    return str(caught.value)


class TestTensors:
    def test_a_missing_one_is_named_and_never_made_up(self, folder: Path, load: Load) -> None:
        change_tensors(folder, lambda state: state.pop("classifier.weight"))  # type: ignore[arg-type, return-value]
        message = refusal(load, folder)
        assert "1 tensors of the architecture are missing" in message
        assert "classifier.weight" in message

    def test_a_wrong_shape_is_named(self, folder: Path, load: Load) -> None:
        change_tensors(folder, lambda state: state.update({"classifier.bias": torch.zeros(7)}))
        assert "classifier.bias is (7,), config.json needs (1000,)" in refusal(load, folder)

    def test_fewer_names_than_outputs(self, folder: Path, load: Load) -> None:
        names = json.loads((folder / "config.json").read_text())["id2label"]
        del names["998"], names["999"]
        edit_json(folder / "config.json", id2label=names, label2id={name: int(i) for i, name in names.items()})
        assert "classifier.bias is (1000,), config.json needs (998,)" in refusal(load, folder)

    @pytest.mark.parametrize("keep", [0, 5, 500, -100])
    def test_truncated_safetensors(self, folder: Path, load: Load, keep: int) -> None:
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:keep])
        assert f"The checkpoint {folder} can't be used" in refusal(load, folder)

    @pytest.mark.parametrize("keep", [0, 5, 500, -100])
    def test_truncated_pickle(self, folder: Path, load: Load, keep: int) -> None:
        path = as_pickle(folder)
        path.write_bytes(path.read_bytes()[:keep])
        assert "can't be used" in refusal(load, folder)

    def test_a_pointer_instead_of_the_weights(self, folder: Path, load: Load) -> None:
        # What a clone without Git LFS leaves.
        (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
        refusal(load, folder)


class _Bomb:
    """Pickles as a call that makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


class TestCode:
    def test_the_bomb_goes_off_where_nobody_looks(self, tmp_path: Path) -> None:
        # Without this the next tests could pass with a bomb that does nothing.
        torch.save({"x": _Bomb(tmp_path / "written")}, tmp_path / "bomb.bin")
        torch.load(tmp_path / "bomb.bin", weights_only=False)
        assert (tmp_path / "written").is_dir()

    def test_a_pickle_with_code_is_refused_and_not_run(self, folder: Path, load: Load, tmp_path: Path) -> None:
        as_pickle(folder, extra=_Bomb(tmp_path / "written"))
        assert "holds something other than tensors, which harness never runs" in refusal(load, folder)
        assert not (tmp_path / "written").exists()

    def test_neither_in_timm_s_layout(self, load: Load, tmp_path: Path) -> None:
        folder = tmp_path / "timm"
        folder.mkdir()
        state = timm.create_model("test_convnext").state_dict()
        torch.save({**state, "extra": _Bomb(tmp_path / "written")}, folder / "pytorch_model.bin")
        pretrained = {
            "tag": "in1k",
            "input_size": [3, 160, 160],
            "interpolation": "bicubic",
            "mean": [0] * 3,
            "std": [1] * 3,
        }
        (folder / "config.json").write_text(
            json.dumps({"architecture": "test_convnext", "num_classes": 1000, "pretrained_cfg": pretrained})
        )
        assert "pytorch_model.bin can't be used" in refusal(load, folder)
        assert not (tmp_path / "written").exists()

    def test_code_of_the_repository_is_refused_and_not_run(self, folder: Path, load: Load, tmp_path: Path) -> None:
        (folder / "modeling.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'written')!r})\n")
        edit_json(folder / "config.json", auto_map={"AutoModelForImageClassification": "modeling.Model"})
        message = refusal(load, folder)
        assert "auto_map in config.json" in message
        assert "never runs" in message
        assert not (tmp_path / "written").exists()


class TestConfiguration:
    def test_no_preprocessing_is_stated(self, folder: Path, load: Load) -> None:
        (folder / "preprocessor_config.json").unlink()
        assert "has no preprocessor_config.json" in refusal(load, folder)

    def test_half_a_preprocessing_is_stated(self, folder: Path, load: Load) -> None:
        edit_json(folder / "preprocessor_config.json", image_mean=None)
        assert "it doesn't state image_mean" in refusal(load, folder)
        edit_json(folder / "preprocessor_config.json", image_mean=[0.5], image_std=[0.5])
        assert "mean is of 1 channels" in refusal(load, folder)

    @pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
    @pytest.mark.parametrize("text", ["{", "[]", ""])
    def test_damaged_json(self, folder: Path, load: Load, name: str, text: str) -> None:
        (folder / name).write_text(text)
        assert f"{folder / name} can't be used" in refusal(load, folder)

    @pytest.mark.parametrize(
        "fields",
        [
            {"hidden_sizes": {"a": 1}},
            {"hidden_sizes": float("nan")},
            {"hidden_sizes": json.loads("[" * 61 + "]" * 61)},
            {"num_channels": "x"},
            {"id2label": [1]},
            {"architecture": "test_convnext", "model_args": [1]},
            {"architecture": "test_convnext", "pretrained_cfg": [1]},
            {"architecture": "test_convnext", "num_classes": {}, "pretrained_cfg": {"num_classes": "x"}},
        ],
    )
    def test_odd_types(self, folder: Path, load: Load, fields: dict[str, Any]) -> None:
        edit_json(folder / "config.json", **fields)
        assert "can't be used" in refusal(load, folder)

    def test_an_architecture_that_classifies_no_images(self, folder: Path, load: Load) -> None:
        edit_json(folder / "config.json", model_type="bert", architectures=["BertModel"])
        assert "can't be used" in refusal(load, folder)

    @pytest.mark.parametrize(
        ("absent", "named"), [("config.json", "config.json"), ("model.safetensors", "model.safetensors or pytorch")]
    )
    def test_a_file_is_missing(self, folder: Path, absent: str, named: str) -> None:
        spec = resolve(str(folder))
        (folder / absent).unlink()
        with pytest.raises(MissingInputError, match=f"{named}.* is missing") as caught:
            spec.checkpoint.locate(spec, offline=True)
        assert "Expected: config.json, preprocessor_config.json" in str(caught.value)


class TestTheHub:
    """What a person is told where a checkpoint can't be had; the Hub's answers are played back."""

    @staticmethod
    def locate(reference: str, *, offline: bool) -> str:
        spec = resolve(reference)
        with pytest.raises(MissingInputError) as caught:
            spec.checkpoint.locate(spec, offline=offline)
        return str(caught.value)

    RESPONSE = SimpleNamespace(status_code=503, headers={}, request=None)

    def test_offline_and_never_fetched(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
        message = self.locate("regnet-y-040", offline=True)
        assert "The weights of facebook/regnet-y-040 are not on this machine, and this run is offline." in message
        assert "hf download facebook/regnet-y-040" in message

    @pytest.mark.parametrize(
        ("kind", "said", "remedy"),
        [
            ("LocalEntryNotFoundError", "the Hub can't be reached", "hf download org/name"),
            ("GatedRepoError", "org/name@v2 on the Hub is gated", "Accept its terms"),
            ("RepositoryNotFoundError", "The Hub has no model org/name", "Check the spelling"),
            ("RevisionNotFoundError", "The Hub has no revision v2 of org/name", "name of the revision"),
            ("HfHubHTTPError", "The Hub answered HTTP 503 for org/name@v2", "Try again later"),
        ],
    )
    def test_each_answer_has_its_message(
        self, monkeypatch: pytest.MonkeyPatch, kind: str, said: str, remedy: str
    ) -> None:
        error = getattr(huggingface_hub.errors, kind)

        def answer(*args: object, **kwargs: object) -> str:
            if kind == "LocalEntryNotFoundError":
                raise error("no")
            raise error("no", response=self.RESPONSE)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", answer)
        message = self.locate("hf:org/name@v2", offline=False)
        assert said in message
        assert remedy in message

    def test_a_dropped_connection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def drop(*args: object, **kwargs: object) -> str:
            raise ConnectionResetError(104, "Connection reset by peer")

        monkeypatch.setattr(huggingface_hub, "snapshot_download", drop)
        message = self.locate("hf:org/name", offline=False)
        assert "could not be fetched: ConnectionResetError" in message
        assert "it resumes" in message

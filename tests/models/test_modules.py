"""A network of the user's own becomes a model like any other, or the error says what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from harness.errors import HarnessError, MissingInputError
from harness.labels.spaces import label_space
from harness.models.loading import LoadedModel, load
from harness.models.modules import from_module, module_state
from harness.models.preprocessing import Preprocessing
from harness.models.wrapping import LogitsOnly, weights_fingerprint
from harness.settings import Settings

PREPROCESSING = Preprocessing(resize=36, crop=32, interpolation="bicubic", mean=(0.4, 0.5, 0.6), std=(0.2, 0.2, 0.3))
A_200 = list(label_space("imagenet-a-200").classes)


class Record(nn.Module):
    """Returns what `made` makes of a network's logits."""

    def __init__(self, core: nn.Module, made: Any) -> None:
        super().__init__()
        self.core = core
        self.made = made

    def forward(self, images: torch.Tensor) -> Any:
        return self.made(self.core(images))


@pytest.fixture
def network() -> nn.Module:
    """MobileNetV3 for 200 classes with random weights: batch norm and dropout included, in training mode."""
    torch.manual_seed(0)
    return torchvision.models.mobilenet_v3_small(weights=None, num_classes=200)


def run(loaded: LoadedModel) -> torch.Tensor:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return loaded.module(images)


def test_it_is_known_like_a_published_model(network: nn.Module) -> None:
    loaded = from_module(network, PREPROCESSING, "imagenet-a-200", name="mine")
    identity = loaded.identity
    assert (identity.name, identity.reference, identity.title) == ("mine", "MODULE/mine", "mine")
    assert (identity.library, identity.architecture) == ("torchvision", "MobileNetV3")
    assert identity.weights == weights_fingerprint(network.state_dict())
    assert identity.parameters == sum(p.numel() for p in network.parameters())
    assert identity.checkpoint_bytes == sum(t.numel() * t.element_size() for t in network.state_dict().values())
    assert (identity.outputs, identity.label_space, identity.revision) == (200, "imagenet-a-200", None)
    assert identity.preprocessing == PREPROCESSING
    assert from_module(network, PREPROCESSING, "imagenet-a-200").identity.name == "MobileNetV3"


def test_the_module_stays_as_it_is_and_the_model_as_it_was(network: nn.Module) -> None:
    loaded = from_module(network, PREPROCESSING, "imagenet-a-200")
    before = run(loaded)
    assert network.training
    assert not loaded.module.training
    with torch.no_grad():
        network.classifier[3].bias.add_(1.0)  # type: ignore[index, union-attr, operator]
    assert torch.equal(run(loaded), before)
    assert from_module(network, PREPROCESSING, "imagenet-a-200").identity.weights != loaded.identity.weights
    torch.testing.assert_close(
        run(loaded), network.eval()(torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))) - 1.0
    )


@pytest.mark.parametrize(("labels", "space"), [(A_200, "imagenet-a-200"), (A_200[::-1], "custom")])
def test_labels_may_be_listed(network: nn.Module, labels: list[str], space: str) -> None:
    identity = from_module(network, PREPROCESSING, labels).identity
    assert identity.label_space == space
    assert list(identity.output_labels().classes) == labels


def test_a_record_with_logits_and_half_precision_are_accepted(network: nn.Module) -> None:
    plain = from_module(network, PREPROCESSING, "imagenet-a-200")
    wrapped = from_module(
        Record(network, lambda logits: SimpleNamespace(logits=logits)), PREPROCESSING, "imagenet-a-200"
    )
    assert torch.equal(run(wrapped), run(plain))
    assert wrapped.identity.library == "pytorch"
    half = from_module(network.bfloat16(), PREPROCESSING, "imagenet-a-200")
    assert half.identity.weights == weights_fingerprint(network.state_dict())
    assert run(half).dtype is torch.float32


@pytest.mark.parametrize(
    ("made", "what"),
    [
        (lambda logits: (logits, logits), "tuple"),
        (lambda logits: {"scores": logits}, "dict"),
        (lambda logits: logits[0], r"a tensor of shape \(200,\)"),
        (lambda logits: logits[:, :, None, None], r"a tensor of shape \(1, 200, 1, 1\)"),
    ],
)
def test_other_outputs_are_refused(network: nn.Module, made: Any, what: str) -> None:
    with pytest.raises(HarnessError, match=f"For one image the module returns {what}, not logits"):
        from_module(Record(network, made), PREPROCESSING, "imagenet-a-200")


def test_labels_that_do_not_fit_are_refused(network: nn.Module) -> None:
    with pytest.raises(HarnessError, match="The model has 200 outputs, but imagenet-1k has 1,000 classes"):
        from_module(network, PREPROCESSING, "imagenet-1k")
    with pytest.raises(HarnessError, match="The model has 200 outputs, but 199 labels are given"):
        from_module(network, PREPROCESSING, A_200[1:])
    with pytest.raises(HarnessError, match="placeholder such as 'LABEL_0'") as caught:
        from_module(network, PREPROCESSING, [f"LABEL_{i}" for i in range(200)])
    assert "list with the class of each output" in str(caught.value)
    with pytest.raises(HarnessError, match="Unknown label space 'imagenet-a'"):
        from_module(network, PREPROCESSING, "imagenet-a")


def test_a_module_without_weights_is_refused(network: nn.Module) -> None:
    with pytest.raises(
        HarnessError, match=r"244 of the module's 244 tensors have no values yet .*features\.0\.0\.weight"
    ):
        from_module(network.to("meta"), PREPROCESSING, "imagenet-a-200")
    with pytest.raises(HarnessError, match="2 of the module's 2 tensors have no values yet"):
        from_module(nn.LazyLinear(200), PREPROCESSING, "imagenet-a-200")
    with pytest.raises(HarnessError, match="The module has no weights"):
        from_module(nn.Flatten(), PREPROCESSING, "imagenet-a-200")


def test_a_module_that_can_not_run_says_on_what(network: nn.Module) -> None:
    with pytest.raises(RuntimeError) as caught:
        from_module(nn.Linear(4, 200), PREPROCESSING, "imagenet-a-200")
    assert "torch.float32 tensor of shape (1, 3, 32, 32)" in caught.value.__notes__[0]
    with pytest.raises(HarnessError, match=r"'\.\./mine' can't be a model's name"):
        from_module(network, PREPROCESSING, "imagenet-a-200", name="../mine")


def test_a_plan_can_run_it_here_and_not_from_a_shell(network: nn.Module, tmp_path: Path) -> None:
    loaded = from_module(network, PREPROCESSING, "imagenet-a-200", name="mine")
    state = module_state(loaded)
    assert state.runnable
    assert (state.identity, state.files) == (loaded.identity, None)
    assert load(state, Settings(home=tmp_path)) is loaded
    assert state.spec.checkpoint.model_dump() == {"kind": "module", "class_name": "MobileNetV3"}
    with pytest.raises(MissingInputError, match="mine is a MobileNetV3 in the memory of another program"):
        state.spec.checkpoint.locate(state.spec, offline=True)


def test_wrapping_keeps_tensors_and_takes_logits_from_records() -> None:
    identity, images = nn.Identity(), torch.ones(1, 2)
    assert torch.equal(LogitsOnly(identity)(images), images)
    assert torch.equal(LogitsOnly(Record(identity, lambda x: SimpleNamespace(logits=x)))(images), images)

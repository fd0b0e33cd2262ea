"""The same tensors are the same model, whatever file they came in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from harness.models.wrapping import weights_fingerprint


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(4, 3, generator=draw),
        "bias": torch.randn(4, generator=draw),
        "half": torch.randn(5, generator=draw).to(torch.bfloat16),
        "steps": torch.tensor(7),
        "nothing": torch.zeros(0, 2),
    }


def test_safetensors_and_pickle_give_the_same_sha256(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    safetensors.torch.save_file(state, tmp_path / "model.safetensors")
    torch.save(state, tmp_path / "pytorch_model.bin")
    from_safetensors = safetensors.torch.load_file(tmp_path / "model.safetensors")
    from_pickle = torch.load(tmp_path / "pytorch_model.bin", weights_only=True)
    assert weights_fingerprint(from_safetensors) == weights_fingerprint(from_pickle) == weights_fingerprint(state)
    assert len(bytes.fromhex(weights_fingerprint(state))) == 32


def test_order_of_names_memory_layout_and_gradients_are_irrelevant(state: dict[str, torch.Tensor]) -> None:
    strided = state["weight"].t().contiguous().t()
    assert not strided.is_contiguous()
    trained = torch.nn.Parameter(state["weight"])
    for same in (dict(reversed(state.items())), state | {"weight": strided}, state | {"weight": trained}):
        assert weights_fingerprint(same) == weights_fingerprint(state)


def _one_element(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    changed = state["weight"].clone()
    changed[2, 1] = torch.nextafter(changed[2, 1], torch.tensor(torch.inf))
    return state | {"weight": changed}


@pytest.mark.parametrize(
    "change",
    [
        _one_element,
        lambda s: s | {"weight": s["weight"].reshape(3, 4)},
        lambda s: s | {"weight": s["weight"].view(torch.int32)},
        lambda s: {("renamed" if name == "bias" else name): value for name, value in s.items()},
        lambda s: {name: value for name, value in s.items() if name != "nothing"},
        lambda s: s | {"steps": torch.tensor(8)},
        lambda s: s | {"bias": s["bias"].flip(0)},
    ],
    ids=["one element", "shape", "dtype", "name", "missing", "buffer", "order of elements"],
)
def test_any_change_changes_it(
    state: dict[str, torch.Tensor], change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
) -> None:
    assert weights_fingerprint(change(state)) != weights_fingerprint(state)

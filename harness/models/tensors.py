"""Reading checkpoint files safely: safetensors, or pickles that may hold tensors only; a damaged one says why."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ExitCode, HarnessError
from harness.parsing.files import MalformedError
from harness.parsing.json import read_json

if TYPE_CHECKING:
    import torch


_FAULTS = (
    OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError, RuntimeError, MemoryError,
)  # fmt: skip
"""What readers and builders of networks raise on files and configurations that are none."""


def damaged(path: Path, why: str, remedy: str = "Fetch it again, or use another revision.") -> HarnessError:
    """An error for a checkpoint that is here and can't be used."""
    message = f"The checkpoint {path} can't be used: {why}."
    return HarnessError(message, remedy=remedy, exit_code=ExitCode.MISSING)


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Turn what the readers of checkpoints raise, on files that are damaged or hold more than tensors, into our error."""
    import safetensors
    from huggingface_hub.errors import StrictDataclassError

    try:
        yield
    except pickle.UnpicklingError as error:  # torch's own text advises to run what is inside
        why = "its pickle is damaged or holds something other than tensors, which harness never runs"
        raise damaged(path, why) from error
    except (*_FAULTS, safetensors.SafetensorError, StrictDataclassError) as error:
        lines = str(error).strip().splitlines()
        raise damaged(path, f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__) from error


def read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """A state dict from safetensors, or from a pickle that may hold tensors only.

    Raises HarnessError: the file is damaged or holds something else.
    """
    import safetensors.torch
    import torch

    with explaining(file):
        if file.suffix == ".safetensors":
            return safetensors.torch.load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise damaged(file, "it holds something other than named tensors")
    return state


def in_order(state: dict[str, torch.Tensor], target: dict[str, torch.Tensor], file: Path) -> dict[str, torch.Tensor]:
    """Match tensors to an architecture by order, comparing every shape."""
    if len(state) != len(target):
        raise damaged(file, f"it holds {len(state)} tensors, the architecture has {len(target)}")
    matched = {}
    for (given, tensor), (name, slot) in zip(state.items(), target.items(), strict=True):
        if tensor.shape != slot.shape:
            raise damaged(file, f"{given} has shape {tuple(tensor.shape)}, {name} needs {tuple(slot.shape)}")
        matched[name] = tensor
    return matched


def load_strictly(core: torch.nn.Module, state: dict[str, torch.Tensor], file: Path) -> None:
    """Fill a network; a tensor too few or too many is an error, since libraries would fill it with random numbers."""
    try:
        core.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise damaged(file, " ".join(str(error).split())[:300]) from error


def read_config(path: Path) -> dict[str, Any]:
    """A JSON object beside the weights."""
    try:
        data: dict[str, Any] = read_json(path)
    except MalformedError as error:
        raise damaged(path, error.why) from error
    return data

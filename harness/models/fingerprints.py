"""Fingerprint of a model's weights: the same tensors give the same fingerprint, whatever file they came in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def weights_fingerprint(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over the tensors in order of their names: name, dtype, shape and bytes of each.

    Args:
        state: a state dict, buffers included; tensors on any device.

    Returns:
        64 hexadecimal digits.
    """
    import torch

    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()

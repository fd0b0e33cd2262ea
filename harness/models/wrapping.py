"""What is the same for networks of all libraries: images in, logits out, and weights with a fingerprint. Imports torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch


class LogitsOnly(torch.nn.Module):
    """Returns the logits alone, whatever record the library's model returns; of a single output that says yes or no, two."""

    def __init__(self, core: torch.nn.Module, *, is_binary: bool = False) -> None:
        super().__init__()
        self.core = core
        self.is_binary = is_binary

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised float images (N, 3, H, W) to logits (N, outputs)."""
        output = self.core(images)
        logits: torch.Tensor = output if isinstance(output, torch.Tensor) else output.logits
        # The softmax of 0 and x is the sigmoid of x.
        return torch.cat([torch.zeros_like(logits), logits], dim=1) if self.is_binary else logits


def weights_fingerprint(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 (hex) over the tensors in order of their names: name, dtype, shape and bytes of each.

    The same tensors give the same fingerprint, whatever file they came in.

    Args:
        state: a state dict, buffers included; tensors on any device.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()

"""The one calling convention for models of all libraries: images in, logits out. Imports torch."""

from __future__ import annotations

import torch


class LogitsOnly(torch.nn.Module):
    """Returns the logits alone, whatever record the library's model returns."""

    def __init__(self, core: torch.nn.Module) -> None:
        super().__init__()
        self.core = core

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised float images (N, 3, H, W) to logits (N, outputs)."""
        output = self.core(images)
        return output if isinstance(output, torch.Tensor) else output.logits

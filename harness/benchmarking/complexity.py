"""How large a network is and how much arithmetic one image takes, from its architecture alone.

The network runs once on PyTorch's meta device: shapes without numbers, so a count at 1280 × 800 needs neither
memory nor weights. What is counted:

- MACs: multiply-adds of convolutions and matrix products (`torch.utils.flop_counter`; 1 MAC = 2 FLOPs). Left out:
  bias additions (given apart), normalisation, activation functions, pooling, and element-wise products such as the
  scaling step of squeeze-and-excitation, whose two convolutions are in.
- Activations: elements in the outputs of the same operations, as pycls and timm define "acts" (Radosavovic et al.,
  Designing Network Design Spaces, 2020, §3.2 and footnote 3).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from harness.errors import HarnessError

NOT_COUNTED = (
    "bias additions, normalisation, activation functions, pooling and element-wise products (so of "
    "squeeze-and-excitation the convolutions are counted and the scaling is not)"
)
ACTIVATIONS_DEFINITION = "elements in the outputs of convolutions and matrix products, as in pycls and timm"

HEAD = "head"
OTHER = "other"


# A module's dotted name, its stage, and the number that the library gives its first stage, where the pattern has one; ours
# is always 1. The first rule that speaks wins, so names inside a stage never reach the rules for stem and head.
_STAGE_RULES = (
    (re.compile(r"(?:^|\.)stages\.(\d+)\."), "stage", 0),  # transformers; timm's ConvNeXt
    (re.compile(r"(?:^|\.)s([1-4])\."), "stage", 1),  # timm's RegNet
    (re.compile(r"(?:^|\.)trunk_output\.block(\d+)\."), "stage", 1),  # torchvision's RegNet
    (re.compile(r"(?:^|\.)layer([1-4])\."), "stage", 1),  # ResNet in timm and torchvision
    (re.compile(r"(?:^|\.)blocks\.(\d+)\."), "block", 0),  # timm's EfficientNet and ViT
    (re.compile(r"(?:^|\.)encoder\.layer\.(\d+)\."), "block", 0),  # transformers' ViT
    (re.compile(r"(?:^|\.)(?:classifier\.|fc\.|heads\.|head\.(?:fc\.)?(?=weight|bias|$))"), HEAD, 1),
    (re.compile(r"(?:^|\.)(?:stem|embedder|embeddings|patch_embed|conv_stem|conv1|bn1)\."), "stem", 1),
)


def stage_of(name: str) -> str:
    """The stage that a module or parameter belongs to, by its dotted name: stem, stage-1 …, head, or other."""
    for pattern, stage, first in _STAGE_RULES:
        if match := pattern.search(name + "."):
            return f"{stage}-{int(match[1]) - first + 1}" if match.groups() else stage
    return OTHER


@dataclass(frozen=True)
class Complexity:
    """The size of a network and the arithmetic for one image of `input_size`."""

    input_size: tuple[int, int, int]
    """Channels, height, width."""
    parameters: int
    trainable: int
    parameters_by_stage: dict[str, int]
    buffers: int
    """Elements in buffers, e.g. batch norm's running statistics."""
    macs: int
    macs_by_stage: dict[str, int]
    bias_additions: int
    """Added up apart: pycls counts them among its multiply-adds."""
    activations: int
    state_bytes: dict[str, int]
    """Bytes of the state dict by dtype, e.g. {"float32": 82836280}."""
    outputs: int
    """Logits per image."""

    @property
    def flops(self) -> int:
        """Floating-point operations: two to a multiply-add."""
        return 2 * self.macs

    @property
    def head_parameters(self) -> int:
        """Parameters of the classifier; 0 where no stage rule knows it."""
        return self.parameters_by_stage.get(HEAD, 0)

    @property
    def checkpoint_bytes(self) -> int:
        """Bytes of all tensors in the state dict, without a file format's overhead."""
        return sum(self.state_bytes.values())


def count(module: nn.Module, input_size: tuple[int, int, int] = (3, 224, 224)) -> Complexity:
    """Count parameters, MACs and activations of a network for one image.

    Args:
        module: takes float32 (N, C, H, W), returns logits (N, classes); its weights are neither read nor moved.
        input_size: channels, height, width.

    Raises:
        HarnessError: the network can't run on the meta device or not at this size, or has no convolution or matrix
            product that could be counted.
    """
    flops = FlopCounterMode(display=False)
    outputs = _OutputCounter()
    state = {name: t.to("meta") for name, t in [*module.named_parameters(), *module.named_buffers()]}
    image = torch.empty(1, *input_size, device="meta")
    try:
        with evaluating(module), torch.no_grad(), flops, outputs:
            logits = functional_call(module, state, (image,))
    except (RuntimeError, NotImplementedError, ValueError) as error:
        channels, height, width = input_size
        raise HarnessError(
            f"Can't count {type(module).__name__} at {width} × {height} × {channels}: {error}",
            remedy="Give an input size that the architecture accepts.",
        ) from error
    total = flops.get_total_flops()
    if total == 0:
        raise HarnessError(
            f"{type(module).__name__} ran without any convolution or matrix product that could be counted.",
            remedy="Report the model: its MACs would be wrong, so none are given.",
        )
    parameters: Counter[str] = Counter()
    for name, tensor in module.named_parameters():
        parameters[stage_of(name)] += tensor.numel()
    return Complexity(
        input_size=input_size,
        parameters=parameters.total(),
        trainable=sum(p.numel() for p in module.parameters() if p.requires_grad),
        parameters_by_stage=dict(parameters),
        buffers=sum(b.numel() for b in module.buffers()),
        macs=total // 2,
        macs_by_stage=_macs_by_stage(flops),
        bias_additions=outputs.bias_additions,
        activations=outputs.elements,
        state_bytes=state_dict_bytes(module),
        outputs=logits.shape[-1],
    )


def state_dict_bytes(module: nn.Module) -> dict[str, int]:
    """Bytes of the state dict's tensors by dtype, each storage once: tied weights are saved once."""
    sizes: Counter[str] = Counter()
    for tensor in {id(tensor): tensor for tensor in module.state_dict(keep_vars=True).values()}.values():
        sizes[str(tensor.dtype).removeprefix("torch.")] += tensor.numel() * tensor.element_size()
    return dict(sizes)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, each submodule's own mode again afterwards."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training


# Operations that can add a bias, and at which argument it stands; then all whose outputs are activations.
_BIAS_ARGUMENT = {torch.ops.aten.convolution: 2, torch.ops.aten.addmm: 0, torch.ops.aten.baddbmm: 0}
_COUNTED = frozenset(_BIAS_ARGUMENT) | {torch.ops.aten.mm, torch.ops.aten.bmm}


class _OutputCounter(TorchDispatchMode):
    """Adds up the outputs of convolutions and matrix products, and how many of their elements get a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0
        self.bias_additions = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = function(*args, **(kwargs or {}))
        operation = function.overloadpacket
        if operation in _COUNTED:
            self.elements += output.numel()
        if operation in _BIAS_ARGUMENT and args[_BIAS_ARGUMENT[operation]] is not None:
            self.bias_additions += output.numel()
        return output


def _macs_by_stage(flops: FlopCounterMode) -> dict[str, int]:
    """MACs by stage: of nested modules the outermost that a rule knows counts; what lies in none is `other`."""
    macs: Counter[str] = Counter()
    for name, operations in flops.get_flop_counts().items():
        path = name.partition(".")[2]  # without the class of the whole network, which comes first
        outer = accumulate(path.split("."), lambda above, part: f"{above}.{part}")
        if path and path == next((p for p in outer if stage_of(p) != OTHER), None):
            macs[stage_of(path)] += sum(operations.values()) // 2
    rest = flops.get_total_flops() // 2 - macs.total()
    return dict(macs) | ({OTHER: rest} if rest else {})

"""The engine: images in, stored predictions out. One forward pass a sample, bounded memory, nothing lost on a kill.

Threads decode and preprocess the next batches (Pillow releases the GIL) while the model runs; at most a few batches
are in memory. Shards are fixed ranges of a condition's order and a multiple of the batch size, so batches are the same
however often a run was interrupted. An unreadable image is stored as such and left out; a single logit that is not finite
fails the condition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch

from harness.errors import HarnessError
from harness.labels.projections import LabelSpaceProjection
from harness.metrics.types import TOP, LabelSpacePredictions, concatenate
from harness.runtime.batches import Batch, batches
from harness.runtime.decoding import Pixels
from harness.runtime.network import Network
from harness.runtime.rows import ShardRows


@dataclass(frozen=True)
class DeviceProjection:
    """A projection's maps as tensors on the model's device."""

    name: str
    columns: torch.Tensor
    """int64 (classes,), missing ones clamped to 0."""
    absent: torch.Tensor | None
    """bool (classes,) or None where no class is missing."""
    label_map: np.ndarray

    @classmethod
    def of(cls, projection: LabelSpaceProjection, device: str) -> DeviceProjection:
        """The projection on a device."""
        columns = torch.from_numpy(projection.columns)
        absent = (columns < 0).to(device) if projection.missing else None
        return cls(projection.name, columns.clamp(min=0).to(device), absent, projection.label_map)

    def read(self, logits: torch.Tensor, labels: np.ndarray) -> LabelSpacePredictions:
        """Read logits in this label space.

        Args:
            logits: float32 (n, outputs).
            labels: int (n,), class indices of the benchmark.
        """
        scores = logits[:, self.columns]
        if self.absent is not None:
            scores = scores.masked_fill(self.absent, -torch.inf)
        own = self.label_map[labels]
        wanted = torch.from_numpy(np.maximum(own, 0)).to(scores.device)
        target = scores.gather(1, wanted[:, None])[:, 0].cpu().numpy().astype(np.float32)
        target[(own < 0) | ~np.isfinite(target)] = np.nan
        indices, values = top_classes(scores)
        return LabelSpacePredictions(
            label=own.astype(np.int32),
            target_logit=target,
            logsumexp=torch.logsumexp(scores, 1).cpu().numpy(),
            logsumexp2=torch.logsumexp(2 * scores, 1).cpu().numpy(),
            top5=indices,
            top5_logit=values,
        )


def top_classes(scores: torch.Tensor, count: int = TOP) -> tuple[np.ndarray, np.ndarray]:
    """The best classes of each row, ties to the lower class index.

    `torch.topk` leaves ties open; `torch.max` returns the first maximum, so it is asked `count` times.

    Args:
        scores: float32 (n, classes), -inf where a class is absent.

    Returns:
        int32 (n, count) indices and float32 (n, count) logits, -1 and -inf where there is no such class.
    """
    rest = scores.clone()
    indices = torch.full((len(scores), count), -1, dtype=torch.int64, device=scores.device)
    values = torch.full((len(scores), count), -torch.inf, dtype=torch.float32, device=scores.device)
    for rank in range(min(count, scores.shape[1])):
        best, where = rest.max(dim=1)
        found = best > -torch.inf
        indices[:, rank] = torch.where(found, where, -1)
        values[:, rank] = best
        rest.scatter_(1, where[:, None], -torch.inf)
    return indices.cpu().numpy().astype(np.int32), values.cpu().numpy()


_UNREAD = {"target_logit": np.nan, "logsumexp": np.nan, "logsumexp2": np.nan, "top5": -1, "top5_logit": -np.inf}
"""What stands in the rows of images that could not be read."""


@dataclass(frozen=True)
class Samples:
    """What the engine must know of a condition's samples, in the condition's order."""

    sample_id: Sequence[str]
    digest: Sequence[str]
    label: np.ndarray
    """int (n,): class index in the benchmark's label space."""


def predict(
    network: Network,
    projections: Sequence[LabelSpaceProjection],
    samples: Samples,
    todo: Sequence[int],
    pixels: Pixels,
    *,
    write: Callable[[ShardRows], object],
    shard_size: int,
    keep_logits: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Run a model on the samples at `todo` and write one shard for each fixed range of positions.

    Args:
        todo: ascending positions that have no stored prediction yet.
        pixels: decodes and preprocesses the image at a position.
        write: takes each finished shard.
        shard_size: positions a shard; rounded up to a multiple of the batch size.
        progress: called with the number of images that each finished batch adds.

    Raises:
        HarnessError: a logit that is not finite (names the first sample).
    """
    batch_size = network.config.batch_size
    shard_size = -(-shard_size // batch_size) * batch_size
    on_device = [DeviceProjection.of(projection, network.config.device) for projection in projections]
    shards = [list(members) for _, members in groupby(todo, key=lambda position: position // shard_size)]
    ends = {shard[-1] for shard in shards}
    groups = [shard[at : at + batch_size] for shard in shards for at in range(0, len(shard), batch_size)]
    done: list[ShardRows] = []
    for batch in batches(groups, pixels, workers=network.config.workers):
        done.append(_run_batch(network, on_device, samples, batch, keep_logits))
        if batch.positions[-1] in ends:
            write(_joined(done))
            done = []
        progress(len(batch.positions))


def _run_batch(
    network: Network, projections: Sequence[DeviceProjection], samples: Samples, batch: Batch, keep_logits: bool
) -> ShardRows:
    """The rows of one batch; images that can't be read have no prediction in theirs."""
    labels, readable = samples.label[batch.positions], batch.readable
    names = [samples.sample_id[position] for position in batch.positions]
    logits = network(batch.pixels) if readable.any() else torch.empty(0, network.outputs, device=network.config.device)
    _check_finite(logits, [name for name, is_readable in zip(names, readable, strict=True) if is_readable])

    def all_rows(values: np.ndarray, unread: float) -> np.ndarray:
        rows = np.full((len(labels), *values.shape[1:]), unread, values.dtype)
        rows[readable] = values
        return rows

    predictions = {}
    for projection in projections:
        read = projection.read(logits, labels[readable])
        columns = {name: all_rows(getattr(read, name), unread) for name, unread in _UNREAD.items()}
        predictions[projection.name] = replace(read, label=projection.label_map[labels].astype(np.int32), **columns)
    kept = all_rows(logits.cpu().numpy().astype(np.float16), np.nan) if keep_logits else None
    digests = [samples.digest[position] for position in batch.positions]
    return ShardRows(names, digests, labels.astype(np.int32), batch.errors, predictions, kept)


def _check_finite(logits: torch.Tensor, sample_ids: list[str]) -> None:
    bad = ~torch.isfinite(logits).all(dim=1)
    if bad.any():
        first = sample_ids[int(bad.int().argmax())]
        raise HarnessError(
            f"The model's logits are not finite for {int(bad.sum())} of {len(sample_ids)} images, first for {first}.",
            remedy="Run in full precision (--precision fp32); if they stay so, the weights are damaged.",
        )


def _joined(parts: Sequence[ShardRows]) -> ShardRows:
    """The rows of several batches as one shard."""
    logits = [part.logits for part in parts if part.logits is not None]
    return ShardRows(
        sample_id=[name for part in parts for name in part.sample_id],
        digest=[digest for part in parts for digest in part.digest],
        label=np.concatenate([part.label for part in parts]),
        error=[error for part in parts for error in part.error],
        predictions={name: concatenate([part.predictions[name] for part in parts]) for name in parts[0].predictions},
        logits=np.concatenate(logits) if logits else None,
    )

"""The engine: images in, stored predictions out. One forward pass a sample, bounded memory, nothing lost on a kill.

The next batches are decoded while the model runs; at most a few are in memory. A GPU is given a batch before it is done
with the one before, so that it never waits for this process. Shards are fixed ranges of a condition's order and a multiple
of the batch size, so batches are the same however often a run was interrupted and whoever computes which shard. An
unreadable image is stored as such and left out; a single logit that is not finite fails the condition.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby

import numpy as np
import torch

from harness.data.local import LocalDataset
from harness.errors import HarnessError
from harness.labels.label_maps import Rule
from harness.labels.projections import LabelSpaceProjection
from harness.metrics.types import TOP, LabelSpacePredictions, concatenate
from harness.runtime.batches import LAUNCHED, batches
from harness.runtime.decoders import Batch, Decoder
from harness.runtime.decoding import Pixels
from harness.runtime.network import Network, to_device
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
    members: torch.Tensor | None = None
    """int64 (classes, most members of one): the outputs that stand for each class, -1 beyond their number."""
    rule: Rule = "max"

    @classmethod
    def of(cls, projection: LabelSpaceProjection, device: str) -> DeviceProjection:
        """The projection on a device."""
        columns = torch.from_numpy(projection.columns)
        absent = (columns < 0).to(device) if projection.missing else None
        members = None
        if projection.members is not None:
            rows = [torch.tensor(outputs, dtype=torch.int64) for outputs in projection.members]
            members = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1).to(device)
        columns = columns.clamp(min=0).to(device)
        return cls(projection.name, columns, absent, projection.label_map, members, projection.rule)

    def scores(self, logits: torch.Tensor) -> torch.Tensor:
        """A score of each class (n, classes), -inf where the model has no output for it."""
        if self.members is None:
            scores = logits[:, self.columns]
        else:
            several = logits[:, self.members.clamp(min=0)].masked_fill(self.members < 0, -torch.inf)
            # Of the probabilities, which have one denominator, sum and mean are these logarithms but for a constant.
            scores = several.logsumexp(2) if self.rule in ("sum", "mean") else several.amax(2)
            if self.rule == "mean":
                scores = scores - (self.members >= 0).sum(1).clamp(min=1).log()
        return scores if self.absent is None else scores.masked_fill(self.absent, -torch.inf)

    def start(self, logits: torch.Tensor, labels: np.ndarray) -> Callable[[], LabelSpacePredictions]:
        """Read logits in this label space, without waiting for a GPU: the function that is returned may be called when it is
        done.

        Args:
            logits: float32 (n, outputs).
            labels: int (n,), class indices of the benchmark.
        """
        scores = self.scores(logits)
        own = self.label_map[labels]
        wanted = to_device(torch.from_numpy(np.maximum(own, 0)), scores.device)
        indices, values = top_classes(scores)
        target, *others = (
            column.to("cpu", non_blocking=column.is_cuda)
            for column in (
                scores.gather(1, wanted[:, None])[:, 0],
                torch.logsumexp(scores, 1),
                torch.logsumexp(2 * scores, 1),
                indices.to(torch.int32),
                values,
            )
        )

        def read() -> LabelSpacePredictions:
            target_logit = np.where((own < 0) | ~np.isfinite(target.numpy()), np.float32(np.nan), target.numpy())
            logsumexp, logsumexp2, top5, top5_logit = (column.numpy() for column in others)
            return LabelSpacePredictions(own.astype(np.int32), top5, top5_logit, target_logit, logsumexp, logsumexp2)

        return read


def top_classes(scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The `TOP` best classes of each row, ties to the lower class index.

    `torch.topk` leaves ties open; `torch.max` returns the first maximum, so it is asked as often.

    Args:
        scores: float32 (n, classes), -inf where a class is absent.

    Returns:
        int64 (n, 5) indices and float32 (n, 5) logits, -1 and -inf where there is no such class.
    """
    rest = scores.clone()
    indices = torch.full((len(scores), TOP), -1, dtype=torch.int64, device=scores.device)
    values = torch.full((len(scores), TOP), -torch.inf, dtype=torch.float32, device=scores.device)
    for rank in range(min(TOP, scores.shape[1])):
        best, where = rest.max(dim=1)
        found = best > -torch.inf
        indices[:, rank] = torch.where(found, where, -1)
        values[:, rank] = best
        rest.scatter_(1, where[:, None], -torch.inf)
    return indices, values


_UNREAD = {"target_logit": np.nan, "logsumexp": np.nan, "logsumexp2": np.nan, "top5": -1, "top5_logit": -np.inf}
"""What stands in the rows of images that could not be read."""


@dataclass(frozen=True)
class Samples:
    """What the engine must know of a condition's samples, in the condition's order."""

    sample_id: Sequence[str]
    digest: Sequence[str]
    label: np.ndarray
    """int (n,): class index in the benchmark's label space."""

    @classmethod
    def of(cls, dataset: LocalDataset) -> Samples:
        """Those of a data set."""
        frame = dataset.samples
        return cls(frame["sample_id"].tolist(), frame["digest"].tolist(), frame["label"].to_numpy())


@dataclass(frozen=True, eq=False)
class Job:
    """A condition at work."""

    name: str
    projections: Sequence[LabelSpaceProjection]
    samples: Samples
    pixels: Pixels
    """Decodes and preprocesses the image at a position."""
    keep_logits: bool = False


@dataclass(frozen=True, eq=False)
class Shard:
    """What is computed and stored together."""

    job: Job
    positions: Sequence[int]
    """Ascending, in the condition's order; those of a fixed range that have no stored prediction yet."""


def shards_of(job: Job, todo: Iterable[int], size: int) -> Iterator[Shard]:
    """The shards of a condition: its fixed ranges of `size` positions, as far as they are in `todo` (ascending).

    `size` is a multiple of the batch size, so that it never decides which images share a batch.
    """
    for _, members in groupby(todo, key=lambda position: position // size):
        yield Shard(job, [int(position) for position in members])


def predict(
    network: Network, shards: Iterable[Shard], *, decoder: Decoder, progress: Callable[[int], None] = lambda done: None
) -> Iterator[tuple[Shard, ShardRows | HarnessError]]:
    """Run a model on shards, one after the other; gives each one's rows, or why its condition can't go on.

    The other shards of a condition that failed are left out.

    Args:
        shards: of any conditions; drawn as they are needed.
        decoder: left open.
        progress: called with the number of images that each finished batch adds.
    """
    on_device = cache(lambda projection: DeviceProjection.of(projection, network.config.device))
    drawn: deque[tuple[Shard, bool]] = deque()
    failed: set[Job] = set()

    def groups() -> Iterator[tuple[Pixels, Sequence[int]]]:
        size = network.config.batch_size
        for shard in shards:
            for at in range(0, 0 if shard.job in failed else len(shard.positions), size):
                drawn.append((shard, at + size >= len(shard.positions)))
                yield shard.job.pixels, shard.positions[at : at + size]

    launched: deque[tuple[Shard, bool, Callable[[], ShardRows]]] = deque()
    done: list[ShardRows] = []

    def finish(most: int) -> Iterator[tuple[Shard, ShardRows | HarnessError]]:
        """Wait for batches until at most so many are under way."""
        while len(launched) > most:
            shard, is_last, rows = launched.popleft()
            if shard.job in failed:
                continue
            try:
                done.append(rows())
            except HarnessError as error:
                failed.add(shard.job)
                done.clear()
                yield shard, error
                continue
            images = len(done[-1].sample_id)
            if is_last:
                yield shard, _joined(done)
                done.clear()
            progress(images)

    for batch in batches(groups(), decoder):
        shard, is_last = drawn.popleft()
        projections = [on_device(projection) for projection in shard.job.projections]
        launched.append((shard, is_last, _launch(network, projections, shard.job, batch)))
        yield from finish(LAUNCHED if network.config.device_type == "cuda" else 0)
    yield from finish(0)


def _launch(
    network: Network, projections: Sequence[DeviceProjection], job: Job, batch: Batch
) -> Callable[[], ShardRows]:
    """Start a batch on its device; gives the function that waits for its rows.

    Images that can't be read have no prediction in theirs.
    """
    if batch.failure is not None:
        return _raising(batch.failure)
    readable, device = batch.readable, torch.device(network.config.device)
    labels = job.samples.label[batch.positions]
    names = [job.samples.sample_id[position] for position in batch.positions]
    try:
        logits = network(batch.pixels) if readable.any() else torch.empty(0, network.outputs, device=device)
    except HarnessError as error:  # out of memory
        return _raising(error)
    started = {projection.name: projection.start(logits, labels[readable]) for projection in projections}
    finite = torch.isfinite(logits).all(dim=1).to("cpu", non_blocking=logits.is_cuda)
    kept = logits.to(torch.float16).to("cpu", non_blocking=logits.is_cuda) if job.keep_logits else None
    answered = torch.cuda.Event(blocking=True) if device.type == "cuda" else None
    if answered is not None:
        answered.record(torch.cuda.current_stream(device))

    def all_rows(values: np.ndarray, unread: float) -> np.ndarray:
        rows = np.full((len(labels), *values.shape[1:]), unread, values.dtype)
        rows[readable] = values
        return rows

    def rows() -> ShardRows:
        if answered is not None:
            answered.synchronize()
        _check_finite(finite, [name for name, is_readable in zip(names, readable, strict=True) if is_readable])
        predictions = {}
        for projection in projections:
            read = started[projection.name]()
            columns = {name: all_rows(getattr(read, name), unread) for name, unread in _UNREAD.items()}
            predictions[projection.name] = replace(read, label=projection.label_map[labels].astype(np.int32), **columns)
        digests = [job.samples.digest[position] for position in batch.positions]
        all_logits = None if kept is None else all_rows(kept.numpy(), np.nan)
        return ShardRows(names, digests, labels.astype(np.int32), batch.errors, predictions, all_logits)

    return rows


def _raising(error: HarnessError) -> Callable[[], ShardRows]:
    def rows() -> ShardRows:
        raise error

    return rows


def _check_finite(finite: torch.Tensor, sample_ids: list[str]) -> None:
    bad = ~finite
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

"""The whole loop (read, decode, preprocess, forward, store) against the bare forward pass, side by side.

Same model, batch size, precision and layout; the two alternate, and the ratio of their medians is what counts.

    python tests/benchmarks/engine.py --model regnet-y-040 --images 256
    python tests/benchmarks/engine.py --device cuda --decoder processes --workers 16 --batch-size 256 --images 20000 --data VAL
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from harness.data.catalog import get_benchmark
from harness.data.local import LocalDataset, open_dataset
from harness.data.locations import locate
from harness.labels.outputs import declared_outputs
from harness.labels.projections import label_space_projections
from harness.models.loading import LoadedModel, ModelIdentity, build_architecture
from harness.models.registry import resolve
from harness.runtime.batches import batches, decoding_processes
from harness.runtime.decoders import Decoder, Threads, decode_batch
from harness.runtime.decoding import GeneratedCell, Images
from harness.runtime.engine import Job, Samples, predict, shards_of
from harness.runtime.execution import fixed_config
from harness.runtime.network import Network
from harness.runtime.rows import ShardRows
from harness.settings import Settings
from harness.store.predictions import PredictionKey, PredictionStore


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def random_model(name: str) -> LoadedModel:
    """The architecture of a registry model with random weights: speed does not depend on them."""
    spec = resolve(name)
    module = build_architecture(spec)
    identity = ModelIdentity(
        name=spec.name, reference=name, title=spec.title, revision=None, library=spec.architecture.library,
        architecture=spec.architecture.class_, weights="0" * 64, checkpoint_bytes=0, parameters=0,
        convolutional=True,
        outputs=spec.architecture.outputs, preprocessing=spec.preprocessing, preprocessing_origin="registry",
        label_space=spec.label_space, label_proof="registry", classes=None,
    )  # fmt: skip
    return LoadedModel(identity, module)


def repeated(copy: LocalDataset, count: int) -> LocalDataset:
    """`count` samples from a small copy, its images read again and again under new names."""
    index = [position % len(copy) for position in range(count)]
    samples = copy.samples.iloc[index].reset_index(drop=True)
    names = pd.Series(range(count)).astype(str) + "-" + samples["sample_id"]
    places = {name: [values[position] for position in index] for name, values in copy._places.items()}
    return replace(copy, samples=samples.assign(sample_id=names), _places=places)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="regnet-y-040")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--decoder", choices=("threads", "processes"), default="threads")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--corruption", help="such as fog/3: generate it on the way")
    parser.add_argument("--decoding", action="store_true", help="time decoding alone too")
    parser.add_argument("--data", help="folder of imagenet-val; default: foolbox's 20 photographs at their full size")
    options = parser.parse_args()

    work = Path(tempfile.mkdtemp(prefix="harness-benchmark-"))
    benchmark = get_benchmark("imagenet-val" if options.data else "foolbox-imagenet-20")
    copy = open_dataset(benchmark, locate(benchmark, given=options.data, offline=True), cache=work)
    loaded = random_model(options.model)
    settings = Settings(
        home=work, batch_size=options.batch_size, device=options.device, precision=options.precision,
        workers=options.workers,
    )  # fmt: skip
    config = fixed_config(settings, convolutional=True)
    network = Network.of(loaded, config)
    preprocessing = loaded.identity.preprocessing
    dataset = repeated(copy, options.images)
    cell = GeneratedCell.parse(options.corruption, seed=0, jpeg_quality=85) if options.corruption else None
    pixels = Images(dataset, preprocessing).pixels(cell)
    labels = declared_outputs(loaded.identity.label_space, loaded.identity.outputs, proof="registry")
    projections = label_space_projections(labels, benchmark.space, with_subsets=True)
    frame = dataset.samples
    samples = Samples(frame["sample_id"].tolist(), frame["digest"].tolist(), frame["label"].to_numpy())
    job = Job("benchmark", projections, samples, pixels)
    first = decode_batch(pixels, range(options.batch_size)).pixels
    count = -(-options.images // options.batch_size)

    def bare() -> None:
        for _ in range(count - 1):
            network(first)
        network(first).cpu()

    def whole(repeat: int, decoder: Decoder) -> None:
        store = PredictionStore(work, report=print)
        key = PredictionKey("0" * 64, benchmark.name, "clean", {"repeat": repeat})
        shards = shards_of(job, range(options.images), -(-512 // options.batch_size) * options.batch_size)
        for _, rows in predict(network, shards, decoder=decoder):
            assert isinstance(rows, ShardRows)
            store.write(key, rows, {})

    def decoding(decoder: Decoder) -> None:
        size = options.batch_size
        for _ in batches(((pixels, range(at, at + size)) for at in range(0, options.images - size + 1, size)), decoder):
            pass

    network(first).cpu()
    peaks = []
    rates: dict[str, list[float]] = {"bare forward": [], "whole loop": []}
    decoders = Threads(config.workers) if options.decoder == "threads" else decoding_processes(config, preprocessing)
    with decoders as made:
        decode_first = range(min(options.images, 4 * options.batch_size))
        list(
            batches(
                [(pixels, decode_first[at : at + options.batch_size]) for at in decode_first[:: options.batch_size]],
                made,
            )
        )
        for repeat in range(options.repeats):
            rates["bare forward"].append(count * options.batch_size / timed(bare))
            rates["whole loop"].append(options.images / timed(lambda repeat=repeat: whole(repeat, made)))  # type: ignore[misc]
            if options.decoding:
                rates.setdefault("decoding", []).append(options.images / timed(lambda: decoding(made)))
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(
        f"{options.model}, {config.device}, {config.label}, batch {options.batch_size}, {options.corruption or 'clean'}"
    )
    print(f"{config.workers} {options.decoder}, {torch.get_num_threads()} threads of torch {torch.__version__}")
    for name, values in rates.items():
        print(f"{name:13} median {statistics.median(values):9.2f} images/s  ({min(values):.2f}–{max(values):.2f})")
    ratios = [w / b for w, b in zip(rates["whole loop"], rates["bare forward"], strict=True)]
    print(f"ratio         median {statistics.median(ratios):9.3f}  ({min(ratios):.3f}–{max(ratios):.3f})")
    print(f"peak memory   {', '.join(f'{p:,.0f} MiB' for p in peaks)} after each repeat of {options.images} images")


if __name__ == "__main__":
    main()

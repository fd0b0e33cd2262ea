"""The whole loop (read, decode, preprocess, forward, store) against the bare forward pass, side by side.

Same model, batch size, precision and layout; the two alternate, and the ratio of their medians is what counts.

    python tests/benchmarks/engine.py --model regnet-y-040 --images 256
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from harness.data.catalog import get_benchmark
from harness.data.local import LocalDataset, open_dataset
from harness.data.locations import locate
from harness.labels.outputs import declared_outputs
from harness.labels.projections import label_space_projections
from harness.models.loading import LoadedModel, ModelIdentity, build_architecture
from harness.models.registry import resolve
from harness.runtime.decoding import direct
from harness.runtime.engine import Samples, predict
from harness.runtime.execution import fixed_config
from harness.runtime.network import Network
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
    assert spec.architecture is not None
    assert spec.preprocessing is not None
    assert spec.label_space is not None
    identity = ModelIdentity(
        name=spec.name, reference=name, title=spec.title, revision=None, library=spec.architecture.library,
        architecture=spec.architecture.class_, weights="0" * 64, checkpoint_bytes=0, parameters=0,
        convolutional=True,
        outputs=spec.architecture.outputs, preprocessing=spec.preprocessing, preprocessing_origin="registry",
        label_space=spec.label_space, label_proof="registry", synsets=None,
    )  # fmt: skip
    return LoadedModel(identity, module)


def many(copy: LocalDataset, count: int) -> tuple[Samples, Callable[[int], int]]:
    """`count` samples from a small copy, its images read again and again under new names."""
    size = len(copy)
    labels = copy.samples["label"].to_numpy()
    ids = [f"{i}-{copy.samples['sample_id'][i % size]}" for i in range(count)]
    digests = [copy.samples["digest"][i % size] for i in range(count)]
    return Samples(ids, digests, labels[[i % size for i in range(count)]]), lambda position: position % size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="regnet-y-040")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", help="folder of imagenet-val; default: foolbox's 20 photographs at their full size")
    options = parser.parse_args()

    work = Path(tempfile.mkdtemp(prefix="harness-benchmark-"))
    benchmark = get_benchmark("imagenet-val" if options.data else "foolbox-imagenet-20")
    copy = open_dataset(benchmark, locate(benchmark, given=options.data, offline=True), cache=work)
    loaded = random_model(options.model)
    config = fixed_config(Settings(home=work, batch_size=options.batch_size), convolutional=True)
    network = Network.of(loaded, config)
    samples, image_of = many(copy, options.images)
    specs = label_space_projections(
        declared_outputs(loaded.identity.label_space, loaded.identity.outputs, proof="registry"),
        benchmark.space,
        with_subsets=True,
    )
    read = direct(copy, loaded.identity.preprocessing)
    first = torch.stack(
        [torch.from_numpy(read(image_of(i)).copy()).permute(2, 0, 1) for i in range(options.batch_size)]
    )
    batches = -(-options.images // options.batch_size)

    def bare() -> None:
        for _ in range(batches):
            network(first).cpu()

    def whole(repeat: int) -> None:
        store = PredictionStore(work, report=print)
        key = PredictionKey("0" * 64, benchmark.name, "clean", {"repeat": repeat})
        predict(
            network, specs, samples, range(options.images), lambda position: read(image_of(position)),
            write=lambda rows: store.write(key, rows, {}), shard_size=512,
        )  # fmt: skip

    network(first)
    peaks = []
    rates: dict[str, list[float]] = {"bare forward": [], "whole loop": []}
    for repeat in range(options.repeats):
        rates["bare forward"].append(batches * options.batch_size / timed(bare))
        rates["whole loop"].append(options.images / timed(lambda repeat=repeat: whole(repeat)))  # type: ignore[misc]
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(f"{options.model}, {config.device}, {config.label}, batch {options.batch_size}")
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, images from {copy.location}")
    for name, values in rates.items():
        print(f"{name:13} median {statistics.median(values):7.2f} images/s  ({min(values):.2f}–{max(values):.2f})")
    ratios = [w / b for w, b in zip(rates["whole loop"], rates["bare forward"], strict=True)]
    print(f"ratio         median {statistics.median(ratios):7.3f}  ({min(ratios):.3f}–{max(ratios):.3f})")
    print(f"peak memory   {', '.join(f'{p:,.0f} MiB' for p in peaks)} after each repeat of {options.images} images")


if __name__ == "__main__":
    main()

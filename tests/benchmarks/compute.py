"""What the two named architectures cost on this machine, with random weights: speed doesn't depend on their values.

    python tests/benchmarks/compute.py [regnet-y-040 convnext-base-224-22k] [--limit SECONDS] [--precision bf16]

Prints counts, the placements tried, latency, the batch sweep, peak memory, energy and carbon. Run it on a quiet
machine: other work shows up as wide intervals.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import nn
from transformers import (
    ConvNextConfig,
    ConvNextForImageClassification,
    RegNetConfig,
    RegNetForImageClassification,
)

from harness.compute import results
from harness.compute.carbon import emissions, grid_intensity
from harness.compute.complexity import count
from harness.compute.energy import measure_energy, meters_for, repeat_forward
from harness.compute.hardware import describe
from harness.compute.memory import peak_memory
from harness.compute.placement import LAYOUTS, choose, prepare
from harness.compute.results import BenchmarkRow, Origin, timm_csv
from harness.compute.speed import Budget, batch_of, measure_latency, sweep_batches
from harness.evidence import Evidence, show


class Logits(nn.Module):
    """A transformers classifier that returns its logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images).logits


MODELS = {
    "regnet-y-040": lambda: RegNetForImageClassification(
        RegNetConfig(
            depths=[2, 6, 12, 2],
            hidden_sizes=[128, 192, 512, 1088],
            groups_width=64,
            layer_type="y",
            num_labels=1000,
        )
    ),
    "convnext-base-224-22k": lambda: ConvNextForImageClassification(
        ConvNextConfig(depths=[3, 3, 27, 3], hidden_sizes=[128, 256, 512, 1024], num_labels=21841)
    ),
}


def say(records: list[Evidence]) -> None:
    for record in records:
        print(f"  {record.key:38} {record.class_.value:10} {show(record)}")


def measure(name: str, device: torch.device, precisions: list[str], limit: float) -> BenchmarkRow:
    """Measure one architecture and print each figure as it comes."""
    torch.manual_seed(0)
    module = Logits(MODELS[name]()).to(device).eval()
    start = time.monotonic()
    complexity = count(module)
    large = count(module, (3, 800, 1280))
    print(f"\n{name} ({time.monotonic() - start:.1f} s for both counts)")
    plain = Origin()
    say(results.complexity_evidence(complexity, plain))
    say(results.complexity_evidence(large, plain, variant=True))

    images = torch.randn(8, 3, 224, 224, generator=torch.Generator().manual_seed(0)).to(device)
    placement = choose(module, images, precisions=precisions)
    for trial in placement.trials:
        speed = f"{trial.throughput.value:8.2f} images/s" if trial.throughput else "no speed"
        print(
            f"    {trial.setting.label:32} {speed}  largest difference {trial.largest_difference}  {trial.rejected or ''}"
        )
    origin = Origin(setting=placement.setting)
    say(results.placement_evidence(placement, origin))

    forward = prepare(module, placement.setting)
    images = images.contiguous(memory_format=LAYOUTS[placement.setting.layout])
    say(results.latency_evidence(measure_latency(forward, images[:1], Budget(0.03, limit, 100, 5)), origin))
    sweep = sweep_batches(forward, images, budget=Budget(limit_s=limit))
    for point in sweep.points:
        print(f"    batch {point.images_per_call:5} {point.throughput.value:8.2f} images/s")
    say(results.throughput_evidence(sweep, origin))

    batch = batch_of(images, sweep.best.images_per_call)
    peak = peak_memory(lambda: [forward(batch) for _ in range(3)], device)
    say(results.memory_evidence(peak, len(batch), 3, origin))

    def step() -> int:
        forward(batch)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return len(batch)

    meters = meters_for(device)
    say([results.idle_evidence([meter.idle(2) for meter in meters], origin)])
    repeats = [measure_energy(repeat_forward(step, limit / 10), meters) for _ in range(5)]
    say(results.energy_evidence(repeats, origin))
    joules = results.per_1000_images(repeats)
    carbon = emissions(joules, grid_intensity()) if joules else None
    say([results.carbon_evidence("carbon.per-1000-images", carbon, 1000, repeats[0].reason, origin)])
    return BenchmarkRow(name, sweep.best, complexity)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(MODELS), choices=MODELS)
    parser.add_argument("--limit", type=float, default=30.0, help="seconds for each measurement")
    parser.add_argument("--precision", action="append", default=["fp32"], help="try this one too, e.g. bf16")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(describe(device))
    rows = [measure(name, device, arguments.precision, arguments.limit) for name in arguments.models]
    print("\n" + timm_csv(rows))


if __name__ == "__main__":
    main()

"""What a measurement ran on: the machine, its threads and the library versions that decide speed."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

_CPUINFO = Path("/proc/cpuinfo")
_LIBRARIES = ("torch", "torchvision", "timm", "transformers")


@dataclass(frozen=True)
class Cpu:
    """The processor that the operating system shows."""

    model: str
    logical_cpus: int
    sockets: int
    virtual: bool
    """Whether a hypervisor shows it: the machine then owns part of a processor only."""


def read_cpu(cpuinfo: Path = _CPUINFO) -> Cpu:
    """The processor, from Linux's cpuinfo where there is one, else from the platform module."""
    logical = os.cpu_count() or 1
    if not cpuinfo.is_file():
        return Cpu(platform.processor() or platform.machine(), logical, sockets=1, virtual=False)
    by_name: dict[str, set[str]] = {}
    for line in cpuinfo.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        by_name.setdefault(name.strip(), set()).add(value.strip())
    models = sorted(by_name.get("model name", {platform.machine()}))
    flags = {flag for line in by_name.get("flags", set()) for flag in line.split()}
    sockets = len(by_name.get("physical id", {"0"}))
    return Cpu(models[0], logical, sockets, virtual="hypervisor" in flags)


def machine_memory_bytes() -> int:
    """Physical memory that the operating system shows."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def describe(device: torch.device) -> dict[str, Any]:
    """Hardware and software for a protocol: plain values, the same keys on every machine of a kind."""
    cpu = read_cpu()
    found: dict[str, Any] = {
        "device": device.type,
        "cpu": cpu.model,
        "logical_cpus": cpu.logical_cpus,
        "virtual_machine": cpu.virtual,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "memory_bytes": machine_memory_bytes(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "gpu": properties.name,
            "gpu_memory_bytes": properties.total_memory,
            "gpu_compute_capability": f"{properties.major}.{properties.minor}",
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return found

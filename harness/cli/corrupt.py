"""corrupt: images and data sets under corruption, to look at or for other tools."""

from __future__ import annotations

from typing import Any

import harness
from harness.cli.common import confirm, verb
from harness.errors import ExitCode


@verb(harness.corrupt, positional="image")
def corrupt(**given: Any) -> ExitCode:
    """Look at corruptions, or write a corrupted benchmark in ImageNet-C's official layout.

    A .png holds the exact pixels; a .jpg is stored at quality 85, as the official files are. Images are cropped as those
    were: shorter side 256, central 224 × 224. Interrupted, the same command writes what is missing.

    Examples:

    `harness corrupt cat.jpg --corruption fog --severity 3 --output fog.png`

    `harness corrupt cat.jpg --sheet sheet.png`

    `harness corrupt --benchmark imagenet-val --data imagenet-val=/data/val --output imagenet-c`
    """
    written = harness.corrupt(confirm=confirm, **given)
    return ExitCode.INCOMPLETE if written is not None and written.unreadable else ExitCode.DONE

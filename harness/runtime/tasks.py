"""How much of a run is handed to a worker at a time."""

from __future__ import annotations

TASK_SECONDS = 60.0
"""What a task takes, about: long beside what it costs to hand over, short beside what a lost worker throws away."""
MOST_IMAGES = 16_384
"""Of a task, which bounds the rows that come back at once."""

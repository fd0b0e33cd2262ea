"""What a person sees while something runs: bars on a terminal, plain lines elsewhere, both on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LINE_EVERY_SECONDS = 10.0
Advance = Callable[[int], None]
"""Takes the number of steps done since the last call."""


class Reporter:
    """Messages and progress on stderr."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._stream, self._quiet = sys.stderr, quiet

    def note(self, message: str) -> None:
        """A message for people."""
        if not self._quiet:
            self._stream.write(message + "\n")
            self._stream.flush()

    @contextmanager
    def progress(
        self, what: str, total: int, *, done: int = 0, detail: Callable[[], str] = lambda: ""
    ) -> Iterator[Advance]:
        """Progress of `total` steps, `done` of them already; yields the function to call as steps are done.

        Args:
            detail: what stands behind the rate, such as the rates of single machines.
        """
        if self._quiet:
            yield lambda count: None
        elif self._stream.isatty():
            with self._bar(what, total, done, detail) as advance:
                yield advance
        else:
            yield self._lines(what, total, done, detail)

    @contextmanager
    def _bar(self, what: str, total: int, done: int, detail: Callable[[], str]) -> Iterator[Advance]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(file=self._stream)) as bars:
            task = bars.add_task(what, total=total, completed=done, rate="")
            start, fresh = time.monotonic(), 0

            def advance(count: int) -> None:
                nonlocal fresh
                fresh += count
                rate = fresh / max(time.monotonic() - start, 1e-9)
                bars.update(task, advance=count, rate=f"{rate:.1f}/s{detail()}")

            yield advance

    def _lines(self, what: str, total: int, done: int, detail: Callable[[], str]) -> Advance:
        start = last = time.monotonic()
        reached = done

        def advance(count: int) -> None:
            nonlocal reached, last
            reached += count
            now = time.monotonic()
            if now - last >= _LINE_EVERY_SECONDS or reached == total:
                last = now
                rate = (reached - done) / max(now - start, 1e-9)
                self.note(f"{what}: {reached:,} of {total:,} ({rate:.1f}/s{detail()})")

        return advance

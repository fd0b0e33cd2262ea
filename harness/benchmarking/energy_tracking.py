"""Joules of a run's own forward passes, whatever the suite, kept on disk so that a killed run's part still counts.

Spans of work stand between meters; what lies outside (loading the model, opening data, scoring) is not counted. After
every stored shard the joules so far are written to a journal. The same command, started again after a kill, reads the
journal and adds to it; once the run's evidence is made, the journal goes. So `energy.this-run` is the energy of all images
that this command computed, over as many starts as it took. Given up: the work after the last stored shard before a kill.
One process owns a journal: where two run the same command at once, the second one reads no earlier joules and writes none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from harness.benchmarking import results
from harness.benchmarking.energy import EnergyUse, Meter, merged, meters_for
from harness.benchmarking.results import Provenance
from harness.evidence import Evidence
from harness.files import make_folder, read_kept, write_text

_IDLE_SECONDS = 2.0
_LEFT_OUT = "loading the model, opening the data, attacks and scoring; work that a kill threw away"
_JOURNAL = TypeAdapter(dict[str, list[EnergyUse]])


class RunEnergy:
    """The energy of one command, from its first forward pass to its last."""

    def __init__(
        self, journal: Path, device: torch.device, meters: Callable[[torch.device], Sequence[Meter]] = meters_for
    ) -> None:
        """
        Args:
            journal: file of this command with these weights; what a start that was killed left in it is continued.
            meters: gives the meters of a device.
        """
        self.device = device
        self._journal = journal
        self._open_meters = meters
        self._meters: Sequence[Meter] = ()
        self._earlier: list[EnergyUse] = []
        self._done: list[EnergyUse] = []
        self._images = 0
        self._running = False
        make_folder(journal.parent)
        self._lock = FileLock(journal.with_suffix(".lock"))
        # Without a journal, or where another process has its lock, earlier images count as stored before, which the evidence
        # says.
        with suppress(Timeout, OSError):
            self._lock.acquire(timeout=0)
            again = "the energy of earlier starts is not counted"
            self._earlier = (read_kept(journal, _JOURNAL.validate_json, again=again) or {}).get("parts", [])

    def begin(self) -> None:
        """Work begins, if it has not begun: the meters count from here."""
        if self._running:
            return
        self._meters = self._meters or self._open_meters(self.device)
        for meter in self._meters:
            meter.start()
        self._images, self._running = 0, True

    def tick(self) -> None:
        """Look at the meters, so that no counter wraps around unseen; cheap, for after every batch."""
        if self._running:
            self._now()

    def stored(self, images: int) -> None:
        """`images` more have their predictions on disk, so the journal moves on."""
        if not self._running:
            return  # others' work, which comes by `add`
        self._images += images
        self._keep([*self._done, self._now()])

    def _keep(self, done: Sequence[EnergyUse]) -> None:
        if self._lock.is_locked:
            parts = [*self._earlier, merged(done)]
            write_text(self._journal, _JOURNAL.dump_json({"parts": parts}, indent=1).decode() + "\n")

    def add(self, use: EnergyUse) -> None:
        """Work that was done elsewhere, by its own meters, and whose predictions are on disk."""
        self._done = [merged([*self._done, use])]
        self._keep(self._done)

    def end(self, images: int = 0) -> None:
        """Work ends for now.

        Args:
            images: that were run and not told to `stored`.
        """
        if self._running:
            self._images += images
            self._done.append(self._now())
            self._running = False

    def leave(self) -> None:
        """This start is over and the run is not: its journal stays for the next one."""
        self._lock.release()

    def close(self) -> None:
        """The run's evidence is made: its journal goes."""
        if self._lock.is_locked:
            self._journal.unlink(missing_ok=True)
            self._lock.release()

    def evidence(
        self, provenance: Provenance, region: str | None, *, includes: str, stored_before: int, idle: bool
    ) -> list[Evidence]:
        """`energy.this-run` and `carbon.this-run`; nothing where nothing was computed.

        Args:
            region: whose electricity it was; None for the world's range.
            includes: what the spans of work consist of.
            stored_before: images of this run that needed no forward pass at this start.
            idle: whether `energy.idle-power` is wanted too.
        """
        starts = [*self._earlier, *([merged(self._done)] if self._done else [])]
        use = merged(starts)
        if not use.images:
            return []
        not_covered = max(0, stored_before - sum(part.images for part in self._earlier))
        covers: dict[str, Any] = {
            "includes": includes,
            "leaves_out": _LEFT_OUT,
            "images_computed": use.images,
            "images_by_starts": [part.images for part in starts],
            "images_stored_before_and_not_covered": not_covered,
        }
        found = [
            results.run_energy_evidence(use, provenance, **covers),
            results.carbon_evidence(
                "carbon.this-run", use.joules, region, use.images, use.reason, provenance, **covers
            ),
        ]
        if not_covered:  # beside the value, where a reader sees it
            total = use.images + not_covered
            only = f"covers {use.images:,} of this run's {total:,} images: the others were stored before it was metered"
            update = {"N": total}
            found = [e.model_copy(update=update | {"reason": "; ".join(filter(None, (only, e.reason)))}) for e in found]
        if idle and self._meters:
            found.append(results.idle_evidence([meter.idle(_IDLE_SECONDS) for meter in self._meters], provenance))
        return found

    def _now(self) -> EnergyUse:
        return EnergyUse(self._images, tuple(meter.read() for meter in self._meters))

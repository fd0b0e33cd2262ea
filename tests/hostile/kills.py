"""SIGKILL at random moments of every verb: `python -m tests.hostile.kills [--kills 200] [VERB …]`.

Each verb is run undisturbed, then killed again and again in a copy of the same folder. After every kill each file is still the old
one or already the new one, never a part of it, and none was found damaged. Then the verb is repeated to its end: what it wrote and
said is what the undisturbed one did. Work is EfficientNet-Lite0 on the demo photographs; cards go to a Hub on the loopback interface.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.hostile.corpus import CARD, command, forked, point_at, prepared

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "hub"))  # as pytest does
from server import Hub, RunningHub

MODEL, REPO, TOKEN = "efficientnet-lite0", "alice/model", f"hf_alice{'Secret' * 5}"
SUITE = """
name: {name}
title: A few cells
description: Photographs and what is done to them.
benchmarks: [{benchmarks}]
metrics: [{metrics}]
"""
CELLS = "{name: foolbox-imagenet-20-c-generated, corruptions: [gaussian_noise, fog], severities: [2, 5]}"
ATTACKS = "attacks: {epsilons: {linf: [1]}, steps: 2, minimum_norm_steps: 2, checked_images: 1}\n"
EXAMINATION = "examination: {methods: [gradient-x-input, grad-cam], images: 2, randomised_images: 2}\n"
FILES = {
    "cells.yaml": SUITE.format(
        name="cells", benchmarks=f"foolbox-imagenet-20, {CELLS}", metrics="accuracy, corruption"
    ),
    "attacked.yaml": SUITE.format(name="attacked", benchmarks="foolbox-imagenet-20", metrics="accuracy, adversarial")
    + ATTACKS,
    "examined.yaml": SUITE.format(name="examined", benchmarks="foolbox-imagenet-20", metrics="accuracy, attribution")
    + EXAMINATION,
    "asked.md": CARD,
}
RUN = ("-m", MODEL, "--offline", "--batch-size", "2", "--shard-size", "2", "--limit", "12")
VERBS: dict[str, tuple[str, ...]] = {
    "run": ("run", "--suite", "cells.yaml", *RUN, "--output", "out"),
    "score": ("score", "--predictions", "p.csv", "-b", "foolbox-imagenet-20", "--name", "other", "--output", "scored"),
    "run --suite attacked": ("run", "--suite", "attacked.yaml", *RUN, "--attack-images", "2", "--output", "attacked"),
    "run --suite examined": ("run", "--suite", "examined.yaml", *RUN, "--output", "examined"),
    "plan": ("plan", "--suite", "cells.yaml", "-m", MODEL, "--offline", "--no-probe"),
    "predictions": ("predictions", "-m", MODEL, "-b", "foolbox-imagenet-20", "--output", "rows.parquet"),
    "export": ("export", MODEL, "--format", "samples", "--output", "samples"),
    "render": ("render", "-m", MODEL, "--output", "card.md"),
    "fill": ("fill", "asked.md", "-m", MODEL, "--front-matter", "--output", "filled.md"),
    "claims": ("claims", "out/card.md", "-m", MODEL, "--format", "json"),
    "verify": ("verify", "out/card.md", "--format", "json"),
    "compare": ("compare", MODEL, "other", "--disagreements", "differ.parquet", "--format", "json", "--output", "compared.json"),
    "check": ("check", "out/evidence.json", "--baseline", "out/evidence.json", "--max-drop", "*.top1=1"),
    "corrupt": ("corrupt", "-b", "foolbox-imagenet-20", "--corruption", "fog", "--limit", "8", "--output", "c", "--offline"),
    "report": ("report", "--output", "report.html"),
    "view": ("view", "--no-browser"),
    "push": ("push", "out/card.md", "--repo-id", REPO, "--yes"),
    "pull": ("pull", REPO, "--output", "pulled.md"),
}  # fmt: skip
BUILDING = ("run", "score")
"""Verbs whose results the others are given."""
BY_NATURE = ("energy.", "carbon.", "compute.", "attack-time")
"""Keys of evidence that differs between two runs: what each took."""
OF_ONE_RUN = ("made_on", "date", "created", "endpoint", "commit", "pushed")
PASSING = ("home/runs/", "home/energy/", "home/attacks/", "home/examinations/")
"""Folders of files that belong to one start of a command, and of logs, whose last line may be cut off."""


@dataclass
class Scene:
    """A folder in which a verb is run, and the Hub that it speaks with."""

    folder: Path
    hub: Hub

    def start(self, arguments: Sequence[str]) -> int:
        """The process of a verb; what it says goes to files beside the folder."""
        os.environ |= {"HARNESS_HOME": "home", "HF_TOKEN": TOKEN, "COLUMNS": "200"}

        def work() -> int:
            os.chdir(self.folder)
            if arguments[0] in ("push", "pull"):
                point_at(self.hub.endpoint)
            return command(arguments)

        return forked(work, self.folder.with_suffix(".out"), self.folder.with_suffix(".err"))

    def finish(self, arguments: Sequence[str]) -> tuple[float, dict[str, object]]:
        """Run a verb to its end; the seconds it took, and what is there then."""
        begun, pid, page = time.monotonic(), self.start(arguments), ""
        if arguments[0] == "view":
            while "press Ctrl-C" not in self.said(".err"):
                time.sleep(0.01)
            took = time.monotonic() - begun
            page = urllib.request.urlopen(self.said(".err").split()[4], timeout=20).read().decode()
            os.kill(pid, signal.SIGINT)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        assert code in (0, 3, 5), f"{' '.join(arguments)} ended with {code}: {self.said('.err')}"
        took = took if page else time.monotonic() - begun
        said = "" if arguments[0] == "run" else self.said(".out")  # a run's table has its energy
        return took, self.contents() | {"exit code": code, "said": said, "page": undated(page)}

    def said(self, where: str) -> str:
        told = self.folder.with_suffix(where)
        return told.read_text() if told.exists() else ""  # the process may not have begun

    def contents(self) -> dict[str, object]:
        """What each file holds that is no lock, hidden or passing; and what the Hub has."""
        found: dict[str, object] = {}
        for path in self.folder.rglob("*"):
            name = path.relative_to(self.folder).as_posix()
            if path.is_file() and not path.name.startswith(".") and path.suffix != ".lock":
                held = compared(path)  # also of passing ones: they can be read
                if not name.startswith(PASSING):
                    found[name] = held
        for ref in self.hub.repos[REPO].refs:
            found[ref] = {name: self.hub.read(REPO, name, ref) for name in self.hub.files(REPO, ref)}
        return found


def compared(path: Path) -> object:
    """What a file holds, without what two runs differ in by nature: times, energy, and the hash of the ledger that has them."""
    data = path.read_bytes()
    if path.suffix == ".json":
        return _lasting(json.loads(data))
    if path.suffix == ".md":
        from harness.cards.record import without_record

        return [line for line in without_record(data.decode()).splitlines() if "Time of the attacks" not in line]
    return undated(data.decode()) if path.suffix == ".html" else data


def undated(page: str) -> str:
    """A report without the minute that it was made in."""
    return re.sub(r"Made [\d-]+ [\d:]+ UTC", "", page)


def _lasting(held: Any) -> Any:
    if isinstance(held, list):
        return [_lasting(part) for part in held if not (isinstance(part, dict) and _passes(str(part.get("key"))))]
    if isinstance(held, dict):
        return {name: _lasting(part) for name, part in held.items() if not _passes(name)}
    return held


def _passes(name: str) -> bool:
    return name in OF_ONE_RUN or any(word in name for word in BY_NATURE)


def prepared_hub(running: RunningHub) -> Hub:
    hub = running.__enter__()
    hub.tokens[TOKEN] = ("alice", "write")
    hub.add_repo(REPO, {"README.md": b"---\nlicense: apache-2.0\n---\n# A model\n"})
    return hub


def tried(verb: str, base: Path, kills: int, chance: random.Random) -> Path:
    """Kill a verb so often; gives the folder of the undisturbed run."""
    arguments, scratch = VERBS[verb], Path(tempfile.mkdtemp(prefix="harness-kills-"))

    def fresh(name: str) -> Scene:
        shutil.rmtree(scratch / name, ignore_errors=True)
        shutil.copytree(base, scratch / name)
        return Scene(scratch / name, prepared_hub(RunningHub()))

    def check(scene: Scene) -> None:
        _, end = scene.finish(arguments)
        differing = sorted(name for name in whole | end if whole.get(name) != end.get(name))
        assert not differing, f"{verb} differs after {killed} kills: {differing} in {scene.folder}"

    scene = fresh("whole")
    before = scene.contents()
    took, whole = scene.finish(arguments)
    scene, killed, rounds = fresh("killed"), 0, 1
    while killed < kills:
        pid = scene.start(arguments)
        time.sleep(chance.uniform(0, took))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            killed += 1
            for name, held in scene.contents().items():
                assert held in (before.get(name), whole.get(name)), (
                    f"{verb}, killed: {name} is neither the old nor the new one"
                )
        else:  # it was done: begin anew, so that every kill falls into work
            check(scene)
            scene, rounds = fresh("killed"), rounds + 1
    check(scene)
    print(f"{verb}: {killed} kills in {rounds} rounds of {took:.1f} s, {len(whole) - 3} files equal", flush=True)
    return scratch / "whole"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verbs", nargs="*", help="all of them without it")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20261128)
    options = parser.parse_args()
    prepared()
    from harness.labels.spaces import installed_folder

    base, chance = Path(tempfile.mkdtemp(prefix="harness-kills-")), random.Random(options.seed)
    photographs = sorted((installed_folder("foolbox") or Path()).glob("data/imagenet_*.jpg"))
    rows = [f"{path.stem},{path.stem.rpartition('_')[2]},{path.stem.rpartition('_')[2]}\n" for path in photographs]
    for name, text in (FILES | {"p.csv": f"sample_id,label,top1\n{''.join(rows)}"}).items():
        (base / name).write_text(text)
    begun, verbs = time.monotonic(), options.verbs or list(VERBS)
    each = Counter(list(VERBS)[number % len(VERBS)] for number in range(options.kills))
    for verb in VERBS:
        if verb in BUILDING or verb in verbs:
            whole = tried(verb, base, each[verb] if verb in verbs else 0, chance)
            base = whole if verb in BUILDING else base
    print(
        f"{sum(each[verb] for verb in verbs)} kills in {time.monotonic() - begun:.0f} s: nothing lost, no value changed"
    )


if __name__ == "__main__":
    main()

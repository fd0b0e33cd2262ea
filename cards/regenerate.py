"""Make the cards in this folder again, and with --run the ledgers they are made from.

    python cards/regenerate.py                          the cards, from the ledgers beside them
    python cards/regenerate.py --run --images FOLDER    the ledgers too, by running the suites below on this machine

FOLDER holds 1,300 images of the ImageNet validation set that were squashed to 227 × 227 pixels by their publisher, with
their labels. Without it what needs it is pending. Runs take half an hour, and their timings are only as good as the machine
is quiet: those that are not fit to be published stay in the ledger, withheld with the reason.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.benchmarking.results import withhold_unfit
from harness.cards.record import sidecar_name
from harness.cards.render import render_card
from harness.evidence import Evidence, EvidenceClass, Ledger

FOLDER = Path(__file__).resolve().parent
SUITES = {
    "regnet-y-040": ("compute",),
    "convnext-base-224-22k": ("compute",),
    "efficientnet-lite0": ("demo", "imagenet", "subgroups", "compute"),
}
"""Models of the cards, and the suites that are run for each."""
RESIZED = (
    "from a part of the validation set, 1,300 images of 725 classes that whoever published this part had squashed to 227 × "
    "227 pixels; top-1 on them is 8.5 points above the published score, and the cause was not established"
)
"""What a reader must know beside each number from those images."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="store_true", help="run the suites and write the ledgers too")
    parser.add_argument("--images", type=Path, help="folder with the 1,300 resized validation images")
    parser.add_argument("--seconds", default="30", help="time limit of each measurement of speed or energy")
    arguments = parser.parse_args()
    for model, suites in SUITES.items():
        card = FOLDER / f"{model}.md"
        if arguments.run:
            run(model, suites, card.with_name(sidecar_name(card)), arguments)
        ledger = Ledger.load(card.with_name(sidecar_name(card)))
        ledger.evidence = withhold_unfit(ledger.evidence)
        ledger.save(card.with_name(sidecar_name(card)))
        render_card(ledger, sidecar=sidecar_name(card)).save(card)
        sys.stdout.write(f"{card.name}: {len(ledger.evidence)} pieces of evidence\n")
    return 0


def run(model: str, suites: tuple[str, ...], ledger: Path, arguments: argparse.Namespace) -> None:
    """Run suites in a store of their own and keep the model's ledger."""
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"HARNESS_HOME": home, "HF_HUB_OFFLINE": "1"}
        environment.pop("HARNESS_DATA", None)
        data = ["--data", f"imagenet-val={arguments.images}"] if arguments.images else []
        for suite in suites:
            command = [str(Path(sys.executable).with_name("harness")), "run", "--suite", suite, "--model", model]
            command += ["--precision", "auto", "--seconds", arguments.seconds] if suite == "compute" else data
            code = subprocess.run([*command, "--output", f"{home}/{suite}"], env=environment, check=False).returncode
            if code not in (0, 3, 4):  # done, incomplete, or nothing of this suite can be had here
                sys.exit(code)
        found = Ledger.load(Path(home) / "ledgers" / model / "evidence.json")
        kept = [item for item in found if not item.key.startswith("imagenet-val@class")]  # one to three images each
        evidence = [resized(item) if arguments.images else item for item in kept]
        found.model_copy(update={"evidence": evidence}).save(ledger)


def resized(item: Evidence) -> Evidence:
    """A value from the resized images, with that said beside it."""
    if item.class_ is not EvidenceClass.MEASURED or item.name.benchmark not in ("imagenet-val", "imagenet-real"):
        return item
    return item.model_copy(update={"reason": "; ".join(filter(None, [RESIZED, item.reason]))})


if __name__ == "__main__":
    sys.exit(main())

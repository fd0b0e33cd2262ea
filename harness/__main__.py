"""`python -m harness`, and the `harness` command: what holds before the command line is imported, and after it has ended."""

import sys

from harness.crash import INTERRUPTED, interrupt_at_once, told, was_interrupted
from harness.errors import ExitCode


def main() -> None:
    """Entry point of the `harness` command."""
    interrupt_at_once()
    try:
        from harness.cli import main as run

        run()
    except Exception as error:  # noqa: BLE001 - the last net
        sys.stderr.write(f"{INTERRUPTED if was_interrupted() else told(error)}\n")
        raise SystemExit(int(ExitCode.INTERRUPTED if was_interrupted() else ExitCode.FAILED)) from None


if __name__ == "__main__":
    main()

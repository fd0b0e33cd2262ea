"""`python -m harness`, and the `harness` command: what holds before the command line is imported, and after it has ended."""

import sys

from harness.crash import ended, interrupt_at_once


def main() -> None:
    """Entry point of the `harness` command."""
    interrupt_at_once()
    try:
        from harness.cli import main as run

        run()
    except Exception as error:  # noqa: BLE001 - the last net
        said, code = ended(error)
        sys.stderr.write(f"{said}\n")
        raise SystemExit(code) from None


if __name__ == "__main__":
    main()

"""The command line: parse, call, print. Results go to stdout, messages to stderr; torch is imported only by the verbs
that need it. One module a group of verbs; importing it adds them to the application."""

from harness.cli import run, inventory, costs, predictions, corrupt, cards, compare, report, hub  # isort: skip
from harness.cli.common import app

__all__ = [
    "app",
    "cards",
    "compare",
    "corrupt",
    "costs",
    "hub",
    "inventory",
    "main",
    "predictions",
    "report",
    "run",
]


def main() -> None:
    """Entry point of the `harness` command."""
    app()

"""The command line: parse, call, print. Results go to stdout, messages to stderr; torch is imported only by the verbs
that need it. One module a group of verbs; importing it adds them to the application."""

from harness.cli import running, looking, costs, exchanging, corrupting, cards, comparing, reporting, publishing  # isort: skip
from harness.cli.common import app

__all__ = [
    "app",
    "cards",
    "comparing",
    "corrupting",
    "costs",
    "exchanging",
    "looking",
    "main",
    "publishing",
    "reporting",
    "running",
]


def main() -> None:
    """Entry point of the `harness` command."""
    app()

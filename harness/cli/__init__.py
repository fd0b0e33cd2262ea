"""The command line: parse, call the public functions of `harness`, print. Results go to stdout, messages to stderr.

One module a group of verbs; importing it adds them to the application. What a verb needs is imported when it runs.
"""

from harness.cli import run, inventory, predictions, corrupt, cards, models, hub  # isort: skip
from harness.cli.common import app

__all__ = ["app", "cards", "corrupt", "hub", "inventory", "main", "models", "predictions", "run"]


def main() -> None:
    """The command line, without what `harness.__main__` puts around it."""
    app(prog_name="harness")

"""push, pull: model cards to and from the Hugging Face Hub."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

import harness
from harness.cli import options
from harness.cli.common import confirm, print_json, print_text, say, show, verb
from harness.cli.tables import push_text
from harness.errors import ExitCode, HarnessError, UsageError

if TYPE_CHECKING:
    from harness.hub.plan import PushPlan


@verb(harness.push, positional="card")
def push(
    dry_run: bool = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    output_format: options.Format = "table",
    **given: Any,
) -> None:
    """Publish a card with its figures and its evidence.json on the Hub, as one commit in a pull request.

    First shown: account, place, files, and what changes in front matter and body. What others changed on the Hub since
    stays; where they changed the same places, nothing is sent (exit code 5). Needs a Hub token with write rights.

    Example: `harness push card.md --repo-id me/my-model --dry-run`
    """
    as_json = output_format == "json"

    def show_and_ask(plan: PushPlan) -> bool:
        (say if as_json else print_text)(push_text(plan))
        if not (plan.nothing_to_do or dry_run or yes):
            _ask(plan)
        return True

    plan, sent = harness.push(dry_run=dry_run, confirm=show_and_ask, **given)
    if as_json:
        print_json(plan.to_dict() | {"sent": vars(sent) if sent else None})
    if sent is None:
        say(f"Nothing to send: {plan.nothing_to_do}" if plan.nothing_to_do else "A dry run: nothing was sent.")
        return None
    if not as_json:
        print_text(sent.url)
    for name in sent.left_out:
        say(f"Left out by the repository's .gitignore: {name}")
    for note in sent.notes:
        say(note)
    if sent.pull_request is not None:
        say(f"Pull request #{sent.pull_request}; to update it: --revision refs/pr/{sent.pull_request}")


def _ask(plan: PushPlan) -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "Nothing was sent: there is no terminal to ask on.",
            remedy="Look at the plan above, then repeat the command with --yes.",
        )
    if not confirm(f"Send this as {plan.target} of {plan.request.repo_id}?"):
        raise HarnessError("Nothing was sent.", exit_code=ExitCode.FAILED)


@verb(harness.pull, positional="repo_id")
def pull(output_format: options.Format = "table", **given: Any) -> None:
    """Fetch a model's card from the Hub, to fill and push back.

    A small file beside it remembers the commit, so that `harness push` sees what others changed since.

    Example: `harness pull facebook/regnet-y-040 --output regnet.md`
    """
    pulled = harness.pull(**given)
    record = {"path": str(pulled.path), "repo_id": pulled.repo_id, "commit": pulled.commit, "changed": pulled.changed}
    show(output_format, record, str(pulled.path))
    say(f"{'Fetched' if pulled.changed else 'Unchanged:'} the card of {pulled.repo_id} at {pulled.commit[:8]}.")

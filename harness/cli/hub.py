"""push, pull: model cards to and from the Hugging Face Hub."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import harness
from harness.cli import options
from harness.cli.common import confirm, print_json, print_text, say, show, verb
from harness.cli.tables import push_text
from harness.errors import ExitCode, HarnessError, UsageError

if TYPE_CHECKING:
    from harness.hub.plan import PushPlan


@verb()
def push(
    card: Annotated[Path, typer.Argument(help="The model card to publish, Markdown.")],
    repo_id: Annotated[str, typer.Option(help="The model's repository on the Hub: ORG/NAME.")],
    revision: Annotated[
        str | None, typer.Option(help="A branch other than main, or refs/pr/N: your open pull request to update.")
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="The card's evidence.json; without it the one beside the card.")
    ] = None,
    create_pr: Annotated[
        bool, typer.Option("--create-pr/--no-create-pr", help="Open a pull request, or commit to the branch.")
    ] = True,
    create_repo: Annotated[
        bool, typer.Option("--create-repo", help="Make the repository (public) if it isn't there.")
    ] = False,
    message: Annotated[str, typer.Option(help="Title of the commit and the pull request.")] = "Update the model card",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    output_format: options.Format = "table",
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

    plan, sent = harness.push(
        card,
        repo_id,
        revision=revision,
        ledger=ledger,
        create_pr=create_pr,
        create_repo=create_repo,
        message=message,
        dry_run=dry_run,
        confirm=show_and_ask,
    )
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


@verb()
def pull(
    repo_id: Annotated[str, typer.Argument(help="The model's repository on the Hub: ORG/NAME.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; NAME.md in this folder without it.")
    ] = None,
    revision: Annotated[str, typer.Option(help="A branch, or refs/pr/N for a pull request.")] = "main",
    output_format: options.Format = "table",
) -> None:
    """Fetch a model's card from the Hub, to fill and push back.

    A small file beside it remembers the commit, so that `harness push` sees what others changed since.

    Example: `harness pull facebook/regnet-y-040 --output regnet.md`
    """
    pulled = harness.pull(repo_id, output=output, revision=revision)
    record = {"path": str(pulled.path), "repo_id": repo_id, "commit": pulled.commit, "changed": pulled.changed}
    show(output_format, record, str(pulled.path))
    say(f"{'Fetched' if pulled.changed else 'Unchanged:'} the card of {repo_id} at {pulled.commit[:8]}.")

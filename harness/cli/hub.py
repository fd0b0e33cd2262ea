"""push, pull: model cards to and from the Hugging Face Hub."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.common import FormatOption, app, check_format, confirm, fails_cleanly, print_json, print_text, say
from harness.cli.tables import table
from harness.errors import ExitCode, HarnessError


@app.command()
@fails_cleanly
def push(
    card: Annotated[Path, typer.Argument(help="The model card to publish, Markdown.")],
    repo_id: Annotated[str, typer.Option("--repo-id", help="The model's repository on the Hub: ORG/NAME.")],
    revision: Annotated[
        str | None,
        typer.Option("--revision", help="A branch other than main, or refs/pr/N: your open pull request to update."),
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="The card's evidence.json; without it the one beside the card.")
    ] = None,
    create_pr: Annotated[
        bool, typer.Option("--create-pr/--no-create-pr", help="Open a pull request, or commit to the branch.")
    ] = True,
    create_repo: Annotated[
        bool, typer.Option("--create-repo", help="Make the repository (public) if it isn't there.")
    ] = False,
    message: Annotated[
        str, typer.Option("--message", help="Title of the commit and the pull request.")
    ] = "Update the model card",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    output_format: FormatOption = "table",
) -> ExitCode | None:
    """Publish a card with its figures and its evidence.json on the Hub, as one commit in a pull request.

    First shown: account, place, files, and what changes in front matter and body. What others changed on the Hub since
    stays; where they changed the same places, nothing is sent (exit code 5). Needs a Hub token with write rights.

    Example: `harness push card.md --repo-id me/my-model --dry-run`
    """
    from harness.hub.plan import PushRequest, plan_push
    from harness.hub.send import push as send
    from harness.hub.transport import connect

    check_format(output_format)
    if not message.strip():
        raise HarnessError("--message is empty.", remedy="Give a title.", exit_code=ExitCode.USAGE)
    as_json = output_format == "json"
    with connect("push a card") as hub:
        plan = plan_push(hub, PushRequest(card, repo_id, revision, create_pr, create_repo, ledger, message))
        (say if as_json else print_text)(_describe(plan))
        if plan.nothing_to_do or dry_run:
            if as_json:
                print_json(plan.to_dict() | {"sent": None})
            say(f"Nothing to send: {plan.nothing_to_do}" if plan.nothing_to_do else "A dry run: nothing was sent.")
            return None
        if not yes:
            _ask(plan)
        sent = send(hub, plan)
    if as_json:
        print_json(plan.to_dict() | {"sent": vars(sent)})
    else:
        print_text(sent.url)
    for name in sent.left_out:
        say(f"Left out by the repository's .gitignore: {name}")
    for note in sent.notes:
        say(note)
    if sent.pull_request is not None:
        say(f"Pull request #{sent.pull_request}; to update it: --revision refs/pr/{sent.pull_request}")
    return None


def _ask(plan: Any) -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise HarnessError(
            "Nothing was sent: there is no terminal to ask on.",
            remedy="Look at the plan above, then repeat the command with --yes.",
            exit_code=ExitCode.USAGE,
        )
    if not confirm(f"Send this as {plan.target} of {plan.request.repo_id}?"):
        raise HarnessError("Nothing was sent.", exit_code=ExitCode.FAILED)


def _describe(plan: Any) -> str:
    rows = [[f.path, f.state, f"{len(f.content):,}", str(f.source)] for f in plan.files]
    front, body = plan.diff()
    new = " (to be made)" if plan.head is None else ""
    sections = [
        f"Hub:         {plan.endpoint}\n"
        f"Account:     {plan.account.name}\n"
        f"Repository:  {plan.request.repo_id}{new}\n"
        f"Goes to:     {plan.target}",
        table(["file on the Hub", "state", "bytes", "from"], rows, numeric=frozenset({2})),
        f"Changes in the front matter:\n{front or '    none'}",
        f"Changes in the body:\n{body or '    none'}",
    ]
    if plan.notes:
        sections.append("\n".join(f"Note: {note}" for note in plan.notes))
    return "\n\n".join(section.rstrip("\n") for section in sections)


@app.command()
@fails_cleanly
def pull(
    repo_id: Annotated[str, typer.Argument(help="The model's repository on the Hub: ORG/NAME.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; NAME.md in this folder without it.")
    ] = None,
    revision: Annotated[str, typer.Option("--revision", help="A branch, or refs/pr/N for a pull request.")] = "main",
    output_format: FormatOption = "table",
) -> ExitCode | None:
    """Fetch a model's card from the Hub, to fill and push back.

    A small file beside it remembers the commit, so that `harness push` sees what others changed since.

    Example: `harness pull facebook/regnet-y-040 --output regnet.md`
    """
    from harness.hub.publish import fetch_card

    check_format(output_format)
    pulled = fetch_card(repo_id, output, revision=revision)
    if output_format == "json":
        print_json({"path": str(pulled.path), "repo_id": repo_id, "commit": pulled.commit, "changed": pulled.changed})
    else:
        print_text(str(pulled.path))
    say(f"{'Fetched' if pulled.changed else 'Unchanged:'} the card of {repo_id} at {pulled.commit[:8]}.")
    return None

"""Our card together with what others did on the Hub since: which version both were made from, and the merge upon it.

What ours was made from is known from the file beside the card (`harness.hub.origin`). On a pull request of ours, it is our
own last commit to it, so that a maintainer's edit there is seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.errors import CheckFailedError
from harness.hub.client import git_hash
from harness.hub.merge import Merge, merge_cards, merges_by_lines
from harness.hub.origin import Origin, Pushed
from harness.hub.transport import CARD, Connection


@dataclass(frozen=True)
class Place:
    """A branch or a pull request on the Hub, as it is now."""

    repo_id: str
    revision: str
    head: str | None
    """The commit that it points to; None where the repository doesn't exist yet."""
    card: bytes | None = field(repr=False)
    pull_request: int | None = None


def merge_with_hub(hub: Connection, branch: Place, place: Place, origin: Origin | None, ours: bytes) -> Merge:
    """Ours with what is on the branch, and on our pull request to it where `place`, where the commit goes, is one.

    Raises:
        HarnessError: they collide, the version that ours was made from is gone, or the pull request couldn't be merged
            afterwards (exit code 5).
    """
    merge = Merge(ours, (), 0)
    if place is branch:
        theirs = branch.card
        return merge if theirs is None else _merged(_common_base(hub, branch, theirs, origin), branch, theirs, ours)
    fork = _card_at_the_fork(hub, branch, place)
    _check_that_git_can_merge(branch, place, fork, place.card)
    is_from_it = origin is not None and origin.revision == place.revision
    if not is_from_it:
        merge = merge_with_hub(hub, branch, branch, origin, ours)
    if place.card is not None:
        base = _common_base(hub, place, place.card, origin) if is_from_it else fork
        pushed = origin.pushed if origin else None
        if origin and pushed and pushed.pull_request == place.pull_request:
            pulled_since = is_from_it and pushed.made_from != origin.commit
            base = base if pulled_since else pushed.card.encode()
        second = _merged(base, place, place.card, merge.text)
        merge = Merge(second.text, (), merge.taken + second.taken)
    _check_that_git_can_merge(branch, place, fork, merge.text)
    return merge


def _merged(base: bytes | None, place: Place, theirs: bytes, ours: bytes) -> Merge:
    merge = merge_cards(base, theirs, ours)
    if not merge.conflicts:
        return merge
    why = "changed since this card was made from it, in the same places"
    if base is None and place.pull_request is None:
        why = "wasn't made into this one"
    places = "\n".join(map(str, merge.conflicts[:5]))
    more = f"\n    and {len(merge.conflicts) - 5} more" if len(merge.conflicts) > 5 else ""
    option = "" if place.revision == "main" else f" --revision {place.revision}"
    raise CheckFailedError(
        f"Nothing was sent: the card on {place.revision} of {place.repo_id} {why}:\n{places}{more}",
        remedy=f"Start from the card that is there now: harness pull {place.repo_id}{option} --output NEW.md; "
        f"then harness fill NEW.md, or bring your changes over; then push the result{f' with{option}' if option else ''}.",
    )


def _common_base(hub: Connection, place: Place, theirs: bytes, origin: Origin | None) -> bytes | None:
    """The card that ours and the one on the Hub were both made from."""
    if origin is None:
        return None
    if git_hash(theirs) == origin.blob:
        return theirs
    pushed = origin.pushed
    if pushed is not None and pushed.branch == place.revision and _is_part_of_it(hub, place, theirs, origin, pushed):
        return pushed.card.encode()
    if origin.blob is None or origin.revision != place.revision:
        return None
    base = hub.read(place.repo_id, CARD, origin.commit)
    if base is None or git_hash(base) != origin.blob:
        message = f"{place.repo_id} no longer has the commit {origin.commit[:8]} that this card was made from."
        remedy = f"Pull the card again: harness pull {place.repo_id} --output NEW.md, then fill and push that."
        raise CheckFailedError(message, remedy=remedy)
    return base


def _is_part_of_it(hub: Connection, place: Place, theirs: bytes, origin: Origin, pushed: Pushed) -> bool:
    """Whether what we sent last became part of its branch, and the card wasn't pulled again since."""
    if pushed.made_from != origin.commit:
        return False
    if pushed.pull_request is None or git_hash(theirs) == pushed.blob:
        return True
    with hub.explained(f"look at pull request #{pushed.pull_request}", place.repo_id):
        return hub.api.get_discussion_details(place.repo_id, pushed.pull_request).status == "merged"


def _card_at_the_fork(hub: Connection, branch: Place, proposal: Place) -> bytes | None:
    """The card that a pull request left its branch with."""
    on_branch = {commit.commit_id for commit in hub.commits(branch.repo_id, branch.revision)}
    proposed = hub.commits(proposal.repo_id, proposal.revision)
    fork = next((commit.commit_id for commit in proposed if commit.commit_id in on_branch), None)
    return hub.read(proposal.repo_id, CARD, fork) if fork is not None else None


def _check_that_git_can_merge(branch: Place, proposal: Place, fork: bytes | None, card: bytes | None) -> None:
    """Refuse to go on with a pull request that git could no longer merge into its branch: a commit over HTTP has one
    parent, so what happened on the branch since can't be brought in."""
    if branch.card is not None and card is not None and not merges_by_lines(fork or b"", branch.card, card):
        raise CheckFailedError(
            f"Nothing was sent: the card on {branch.revision} of {branch.repo_id} changed where pull request "
            f"#{proposal.pull_request} does, so it can't be merged any more.",
            remedy="Close it on the Hub, and push without --revision: that opens a new one upon what is there now.",
        )

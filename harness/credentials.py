"""What looks like a credential: it is neither sent nor shown."""

from __future__ import annotations

import re

_KINDS = {
    "a private key": r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-\d",
    "a Hub token": r"\bhf_[A-Za-z0-9]{16,}",
    "a GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{22,}",
    "a GitLab token": r"\bglpat-[\w-]{20,}",
    "an AWS key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a Google key": r"\bAIza[\w-]{35}|\bya29\.[\w-]{20,}|\bGOCSPX-[\w-]{20,}",
    "an API key": r"\bsk-(?:ant-|proj-|or-)?[A-Za-z0-9][\w-]{30,}|\b[sr]k_live_[A-Za-z0-9]{20,}|\bwandb_v1_\w{30,}",
    "a Slack token": r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    "a package registry's token": r"\bnpm_[A-Za-z0-9]{36}|\bpypi-AgE[\w-]{50,}",
    "a signed web token": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
}
_ANY = re.compile("|".join(f"(?:{pattern})" for pattern in _KINDS.values()))


def credential_in(data: bytes | str, known: str | None = None) -> str | None:
    """What kind of credential a text holds, in words; None for none.

    Args:
        known: a token that isn't recognised by its form.
    """
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    if known and known in text:
        return "a Hub token"
    return next((kind for kind, pattern in _KINDS.items() if re.search(pattern, text)), None)


def without_credentials(text: str, known: str | None = None) -> str:
    """A text in which `<token>` stands for each credential; `known` as in `credential_in`."""
    return _ANY.sub("<token>", text.replace(known, "<token>") if known else text)

"""What a text must hold for an expression to match it at all: a fast look before a slow one.

Python's own parser of expressions is private; a release that moves it costs the fast look, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

try:
    import re._constants as op  # type: ignore[import-not-found]
    import re._parser as parser  # type: ignore[import-not-found]
except ImportError:
    parser = None


def literals(pattern: str) -> frozenset[str]:
    """Lower-case strings, one of which every match of an expression holds, whatever its case; the empty string where none must be."""
    return frozenset(_needed(list(parser.parse(pattern)))) if parser else frozenset({""})


def _needed(tokens: Sequence[tuple[Any, Any]]) -> Iterable[str]:
    """The strings of the part of a sequence that says most."""
    options: list[set[str]] = []
    run = ""
    for code, value in [*tokens, (None, None)]:
        if code is op.LITERAL:
            run += chr(value).lower()
            continue
        options += [{run}] if run else []
        run = ""
        if code is op.BRANCH:
            options.append({word for branch in value[1] for word in _needed(list(branch))})
        elif code is op.SUBPATTERN:
            options.append(set(_needed(list(value[3]))))
        elif code in (op.MAX_REPEAT, op.MIN_REPEAT) and value[0] > 0:
            options.append(set(_needed(list(value[2]))))
    return max(options, key=lambda words: min(map(len, words)), default={""})

"""Numbered references of a card: `[3]` in the text, and one list at the end that has each place of a source once.

While a card is written, a mark is a private token; `settle` numbers those that the finished text holds, in the order in
which a reader meets them, so that answers which were dropped leave no gaps. A mark is written `[[3]]`, with the place's
address in a definition at the end (`[3]: https://…`): any Markdown shows the number in brackets, also in a table's cell,
and a click leads to the very lines. A caveat that holds for many values stands once as a note, with `†` at each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from harness.cards.markdown import MARK, escape_markdown
from harness.evidence import Source

_SIGNS = "†‡§¶"


@dataclass
class References:
    """The sources and notes of one card.

    >>> references = References()
    >>> zoo = Source(title="pycls", place="README.md:9", url="https://github.com/x/pycls/blob/1/README.md#L9")
    >>> (text,) = references.settle(f"8 GPUs {references.cite(zoo)}{references.note('for the pycls weights')}")
    >>> text
    '8 GPUs [[1]]†'
    >>> print(references.notes())
    † for the pycls weights
    >>> print(references.listed())
    - [[1]] pycls, README.md, line 9
    <BLANKLINE>
    [1]: https://github.com/x/pycls/blob/1/README.md#L9
    """

    prefix: str = ""
    """Before each number: a filled card has numbers of its own, ours are `[h1]`, `[h2]`, …"""
    first: int = 1
    _entries: dict[str, Source | str] = field(default_factory=dict)
    """Sources and notes by what makes them one."""
    _labels: dict[int, str] = field(default_factory=dict)
    """What is printed, by position in `_entries`, in the order of appearance."""

    def cite(self, *sources: Source | None) -> str:
        """The mark of one or several places; empty for none."""
        ids = [self._id(f"{source.url} {source.place} {source.title}", source) for source in sources if source]
        return f"\ue000{','.join(dict.fromkeys(ids))}\ue001" if ids else ""

    def note(self, text: str) -> str:
        """The mark of a note."""
        return f"\ue000{self._id(f'note {text}', text)}\ue001"

    def _id(self, key: str, entry: Source | str) -> str:
        self._entries.setdefault(key, entry)
        return str(list(self._entries).index(key))

    def settle(self, *texts: str) -> list[str]:
        """The texts with numbers and signs in place of the tokens, given in the order in which they are read."""
        entries = list(self._entries.values())
        found = (int(part) for match in MARK.finditer("".join(texts)) for part in match[1].split(","))
        ids = [at for at in dict.fromkeys(found) if at not in self._labels]
        taken = [isinstance(entries[at], Source) for at in self._labels]
        number, sign = self.first + sum(taken), len(taken) - sum(taken)
        for at in ids:
            if isinstance(entries[at], Source):
                self._labels[at], number = f"{self.prefix}{number}", number + 1
            else:
                self._labels[at], sign = _SIGNS[sign % len(_SIGNS)] * (1 + sign // len(_SIGNS)), sign + 1

        def shown(match: re.Match[str]) -> str:
            ids = sorted(map(int, match[1].split(",")), key=list(self._labels).index)
            if isinstance(entries[ids[0]], str):
                return self._labels[ids[0]]
            return f"[{', '.join(_link(entries[at], self._labels[at]) for at in ids)}]"

        return [MARK.sub(shown, text) for text in texts]

    def notes(self) -> str:
        """The notes that the settled texts refer to, a paragraph each."""
        entries = list(self._entries.values())
        found = [f"{label} {entries[at]}" for at, label in self._labels.items() if isinstance(entries[at], str)]
        return "\n\n".join(found)

    def listed(self) -> str:
        """The sources that the settled texts refer to, as a list with the addresses of its entries after it."""
        entries = list(self._entries.values())
        lines, addresses = [], []
        for at, label in self._labels.items():
            if isinstance(source := entries[at], Source):
                lines.append(f"- [{_link(source, label)}] {escape_markdown(place_name(source.title, source.place))}")
                addresses += [f"[{label}]: {source.url}"] if _has_address(source) else []
        return "\n".join([*lines, *([""] if addresses else []), *addresses])


def _link(source: Source | str, label: str) -> str:
    """A number, in brackets where there is an address to define for it."""
    return f"[{label}]" if isinstance(source, Source) and _has_address(source) else label


def _has_address(source: Source) -> bool:
    return source.url is not None and re.match(r"https://[^\s()<>]+$", source.url) is not None


def place_name(title: str, place: str | None) -> str:
    """Title and place as a reader says them: `pycls, MODEL_ZOO.md, line 9`."""
    match = re.match(r"(?:.*/)?(?P<file>[^/:]+?)(?::(?P<first>\d+)(?:-(?P<last>\d+))?)?$", place or "")
    if not place:
        return title
    if re.fullmatch(r"commit [0-9a-f]{40}", place):
        return f"{title}, {place[:14]}"
    if match is None or not re.search(r"\.\w+$|^LICENSE$", match["file"]):
        return f"{title}, {place}"
    lines = ""
    if match["first"]:
        lines = f", lines {match['first']}–{match['last']}" if match["last"] else f", line {match['first']}"
    return f"{title}, {match['file']}{lines}"

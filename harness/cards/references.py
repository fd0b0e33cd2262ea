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
_LABELLED = re.compile(r"^(?P<label>- \*\*[^*\n]+:\*\*)(?P<text>.*)$", re.MULTILINE)
_MANY = 3
"""So many of the same note in a labelled line are one at its label."""


@dataclass
class References:
    """The sources and notes of one card.

    >>> references = References()
    >>> zoo = Source(title="pycls", place="README.md:9", url="https://github.com/x/pycls/blob/1/README.md#L9")
    >>> (text,) = references.settle(f"8 GPUs {references.cite(zoo)}{references.note('For the pycls weights.')}")
    >>> text
    '8 GPUs [[1]]†'
    >>> print(references.notes())
    † For the pycls weights.
    >>> print(references.listed())
    - pycls, README.md: [[1]] line 9
    <BLANKLINE>
    [1]: https://github.com/x/pycls/blob/1/README.md#L9
    """

    prefix: str = ""
    """Before each number: a filled card has numbers and signs of its own, ours are `[h1]`, `[h2]`, …, also for notes."""
    first: int = 1
    _entries: dict[str, Source | str] = field(default_factory=dict)
    """Sources and notes by what makes them one."""
    _labels: dict[int, str] = field(default_factory=dict)
    """What is printed, by position in `_entries`, in the order of appearance."""
    said: set[str] = field(default_factory=set)
    """Notes that the text says by itself, so that nothing is marked with them."""
    _given: set[int] = field(default_factory=set)
    """Notes that stand in the text already."""

    notes_here = "\ue002"
    """In a text: the notes that marks before it refer to, as far as they stand nowhere yet."""

    def cite(self, *sources: Source | None) -> str:
        """The mark of one or several places; empty for none."""
        ids = [self._id(f"{source.url} {source.place} {source.title}", source) for source in sources if source]
        return f"\ue000{','.join(dict.fromkeys(ids))}\ue001" if ids else ""

    def note(self, text: str, key: str | None = None) -> str:
        """The mark of a note, which is a sentence; empty where the text says it. A later one of the same key replaces it."""
        text = f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."
        if text in self.said:
            return ""
        name = f"note {key or text}"
        self._entries[name] = text
        return f"\ue000{self._id(name, text)}\ue001"

    def _id(self, key: str, entry: Source | str) -> str:
        self._entries.setdefault(key, entry)
        return str(list(self._entries).index(key))

    def settle(self, *texts: str) -> list[str]:
        """The texts with numbers and signs in place of the tokens, given in the order in which they are read."""
        entries = list(self._entries.values())
        gathered = [_LABELLED.sub(lambda found: self._gathered(found, entries), text) for text in texts]
        return [
            re.sub(f"{MARK.pattern}|{self.notes_here}", lambda found: self._shown(found, entries), t) for t in gathered
        ]

    def _gathered(self, line: re.Match[str], entries: list[Source | str]) -> str:
        """A labelled line with the note that holds for all of its sources once, at the label."""
        marks = MARK.findall(line["text"])
        notes = [ids for ids in marks if isinstance(entries[int(ids.split(",")[0])], str)]
        if len(notes) < _MANY or len(set(notes)) > 1 or len(marks) != 2 * len(notes):
            return line.group()
        note = f"\ue000{notes[0]}\ue001"
        return f"{line['label']}{note}{line['text'].replace(note, '')}"

    def _shown(self, found: re.Match[str], entries: list[Source | str]) -> str:
        if found[1] is None:
            return self.notes()
        ids = [int(part) for part in found[1].split(",")]
        for at in ids:
            if at not in self._labels:
                kinds = [bool(self.prefix) or isinstance(entries[known], Source) for known in self._labels]
                number, sign = self.first + sum(kinds), len(kinds) - sum(kinds)
                has_number = self.prefix or isinstance(entries[at], Source)
                signs = _SIGNS[sign % len(_SIGNS)] * (1 + sign // len(_SIGNS))
                self._labels[at] = f"{self.prefix}{number}" if has_number else signs
        if isinstance(entries[ids[0]], str):
            return self._sign(ids[0])
        order = list(self._labels)
        runs: list[list[int]] = []
        for at in sorted(ids, key=order.index):
            if runs and int(self._number(runs[-1][-1])) + 1 == int(self._number(at)):
                runs[-1].append(at)
            else:
                runs.append([at])
        parts = (run if len(run) < 3 else [run[0], run[-1]] for run in runs)
        joined = (
            ("–" if len(run) > 2 else ", ").join(_link(entries[at], self._labels[at]) for at in part)
            for run, part in zip(runs, parts, strict=False)
        )
        return f"[{', '.join(joined)}]"

    def _number(self, at: int) -> str:
        return self._labels[at].removeprefix(self.prefix)

    def _sign(self, at: int) -> str:
        """How a note is marked: a card that is not ours has signs of its own, so that ours are numbers."""
        return f"[{self._labels[at]}]" if self.prefix else self._labels[at]

    def notes(self) -> str:
        """The notes that the settled texts refer to and that stand nowhere yet."""
        entries = list(self._entries.values())
        left = {
            at: label for at, label in self._labels.items() if isinstance(entries[at], str) and at not in self._given
        }
        self._given |= left.keys()
        return "<br>\n".join(f"{self._sign(at)} {entries[at]}" for at in left)

    def listed(self) -> str:
        """The sources that the settled texts refer to, a line a document, with the addresses after them."""
        entries = list(self._entries.values())
        places: dict[str, list[str]] = {}
        addresses = []
        for at, label in self._labels.items():
            if isinstance(source := entries[at], Source):
                document, place = _parts(source.title, source.place)
                entry = f"[{_link(source, label)}] {escape_markdown(place)}".rstrip()
                places.setdefault(escape_markdown(document), []).append(entry)
                addresses += [f"[{label}]: {source.url}"] if _has_address(source) else []
        lines = [f"- {document}: {'; '.join(found)}" for document, found in places.items()]
        return "\n".join([*lines, *([""] if addresses else []), *addresses])


def _link(source: Source | str, label: str) -> str:
    """A number, in brackets where there is an address to define for it."""
    return f"[{label}]" if isinstance(source, Source) and _has_address(source) else label


def _has_address(source: Source) -> bool:
    return source.url is not None and re.match(r"https://[^\s()<>]+$", source.url) is not None


def place_name(title: str, place: str | None) -> str:
    """Title and place as a reader says them: `pycls, MODEL_ZOO.md, line 9`."""
    return ", ".join(filter(None, _parts(title, place)))


def _parts(title: str, place: str | None) -> tuple[str, str]:
    """The document and the place in it: `pycls, MODEL_ZOO.md` and `line 9`."""
    match = re.match(r"(?:.*/)?(?P<file>[^/:]+?)(?::(?P<first>\d+)(?:-(?P<last>\d+))?)?$", place or "")
    if re.fullmatch(r"commit [0-9a-f]{40}", place or ""):
        return title, (place or "")[:14]
    if match is None or not re.search(r"\.\w+$|^LICENSE$", match["file"]):
        return title, place or ""
    is_readme = match["file"] == "README.md"  # a repository has several
    file = (place or "").partition(":")[0] if is_readme else match["file"]
    lines = f"lines {match['first']}–{match['last']}" if match["last"] else f"line {match['first']}"
    return f"{title}, {file}", lines if match["first"] else ""

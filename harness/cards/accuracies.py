"""Accuracies and errors that a card states: of which benchmark and metric, by what stands near the number."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.cards.passages import Passage
from harness.cards.quantities import Quantity
from harness.cards.sentences import Span, clause_around, outermost
from harness.cards.stated import ACCURACY, COPULA, GAP, STOP, Statement, renamed, runs, statement_in
from harness.cards.vocabulary import Vocabulary, phrase, wording

_RELATIVE = wording("relative")
_PLAIN_TITLE = wording("plain-title")
_WRONG = re.compile(
    r"\b(?:err(?:or)?s?|mis(?:s|ses|sed|classif\w*|tak\w*)|wrong\w*|fail\w*|incorrect\w*)\b", re.IGNORECASE
)
"""What says that a share is of errors."""
_RIGHT = re.compile(r"[^\d,;.]*\b(?:right|correct)", re.IGNORECASE)
_PIECES = re.compile(r"[;,.]\s|[()]")
_PARTS = re.compile(r"[;.]\s|, (?:and|but|while)\b")
_PARTIAL = re.compile(r"\b\d[\d,]* of \d[\d,]*\b")


@dataclass
class AccuracyReader:
    """Reads accuracies with a vocabulary."""

    words: Vocabulary
    own: Sequence[str] = ()
    """Names of benchmarks that only the model's ledger knows."""
    benchmarks: tuple[tuple[str, re.Pattern[str]], ...] = field(init=False)
    others: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        self.others = phrase(self.words.other_benchmarks)
        self.benchmarks = (*self.words.benchmark_patterns, *((name, phrase(re.escape(name))) for name in self.own))

    def read(self, passage: Passage, numbers: list[Quantity]) -> Iterator[Statement]:
        """The accuracies and errors among the numbers of a passage that are of nothing else."""
        text, metrics = passage.text, self._metrics(passage.text)
        led = {m[2:] for m in self._metrics(passage.before)} if passage.before.endswith(":") else set()
        benches = [(*match.span(), name) for name, pattern in self.benchmarks for match in pattern.finditer(text)]
        longest = outermost(bench[:2] for bench in benches)
        benches = sorted(bench for bench in benches if bench[:2] in longest)
        lists = runs([(q.start, q.end) for q in numbers], text)
        named = [(runs([thing[:2] for thing in things], text), things) for things in (metrics, benches)]
        for index, number in enumerate(numbers):
            left = numbers[index - 1].end if index else 0
            right = numbers[index + 1].start if index + 1 < len(numbers) else len(text)
            span = number.start, number.end
            run = next((run for run in lists if span in run), [])
            metric, bench = (_in_list(listed, things, run, span) for listed, things in named)
            near = metric is not None or bench is not None
            if metric is None:
                metric, adjacent = self._near_metric(text, number, metrics, benches, left, right)
                near = near or adjacent
            if bench is None:
                bench, adjacent = self._near_benchmark(text, number, benches, left, right, passage)
                near = near or (adjacent and (number.percent or self._is_column(bench, passage)))
            is_single = metric is None and len(led) == 1
            if is_single and bench and re.fullmatch(r"[\s:=–—|(]*", text[bench[1] : number.start]):
                metric, near = (passage.begin, passage.begin, *next(iter(led))), True  # "Top-1 accuracies:"
            if not near:
                continue
            statement = self._accuracy(passage, number, metric, bench, len({b[2] for b in benches}))
            if statement is not None:
                yield statement

    def _metrics(self, text: str) -> list[tuple[int, int, str, bool]]:
        """Words for a metric in a text: where, which, and whether they mean its error."""
        found = [
            (match.start(), match.end(), name, is_error)
            for name, metric in self.words.metrics.items()
            for pattern, is_error in ((metric.pattern, False), (metric.error_pattern, True))
            for match in pattern.finditer(text)
        ]
        longest = outermost(metric[:2] for metric in found)
        return sorted(metric for metric in found if metric[:2] in longest)

    def _near_metric(
        self, text: str, number: Quantity, metrics: list[Any], benches: list[Any], left: int, right: int
    ) -> tuple[Any, bool]:
        def words(a: int, b: int) -> str:
            gap = text[a:b]
            for first, last, _ in benches:
                if a <= first and last <= b:
                    gap = gap.replace(text[first:last], " ")
            return re.sub(r"\b(?:on|for|in|the|val\w*|set|test|single crop|crop)\b", " ", gap)

        following = next((m for m in metrics if number.end <= m[0] <= right), None)
        if following and re.fullmatch(r"[\s%()*]*(?:of|in|for|\s)*", words(number.end, following[0])):
            return following, True
        prior = next((m for m in reversed(metrics) if left <= m[0] and m[1] <= number.start), None)
        if prior and (
            GAP.fullmatch(words(prior[1], number.start))
            or (
                len(text[prior[1] : number.start]) < 60
                and not STOP.search(words(prior[1], number.start))
                and COPULA.search(text[prior[1] : number.start])
            )
        ):
            return prior, True
        clause = [m for m in metrics if left <= m[1] and m[0] <= right]
        return (clause[0], False) if len({m[2:] for m in clause}) == 1 else (None, False)

    @staticmethod
    def _near_benchmark(
        text: str, number: Quantity, benches: list[Any], left: int, right: int, passage: Passage
    ) -> tuple[Any, bool]:
        following = next((b for b in benches if number.end <= b[0] <= right), None)
        if (
            following
            and not re.search(r"[.;:]|,\s|\band\b", text[number.end : following[0]])
            and following[0] - number.end < 60
        ):
            return following, bool(re.search(r"\b(?:on|for|over|of|in|from)\b", text[number.end : following[0]]))
        prior = next((b for b in reversed(benches) if left <= b[0] and b[1] <= number.start), None)
        if prior and not re.search(r"[.;]\s", text[prior[1] : number.start]) and number.start - prior[1] < 60:
            return prior, bool(
                re.fullmatch(
                    r"(?:(?!\b(?:from|between|rises?|over|of the|needs?|takes?|uses?|requires?|much|more|less|err\w*|miss\w*|wrong\w*|fail\w*|incorrect\w*|mistak\w*)\b)[^.;\d])*",
                    text[prior[1] : number.start],
                )
            )
        return None, False

    @staticmethod
    def _is_column(bench: Any, passage: Passage) -> bool:
        """Whether a benchmark is what a cell's column is titled, as a whole."""
        title = passage.titles[-1].strip(" *`") if passage.titles else ""
        return bench is not None and passage.kind == "cell" and passage.text[bench[0] : bench[1]] == title

    def _accuracy(self, passage: Passage, number: Quantity, metric: Any, bench: Any, known: int) -> Statement | None:
        text = passage.text
        clause = text[slice(*clause_around(text, number.start, number.end, _PARTS))]
        if any(not self._is_plain(title) for title in (*passage.titles, *_worded(passage.row))):
            return None
        if _PARTIAL.search(f"{passage.row} {text}") or self.others.search(" ".join(passage.section[-2:])):
            return None
        if (
            _RELATIVE.search(clause)
            or number.relation in ("least", "most")
            or (number.upper is not None and "±" not in number.text)
        ):
            return None
        name, is_error = (metric[2], metric[3]) if metric else ("top1", False)
        is_only = metric or text.count("%") < 2
        piece = clause if is_only else text[slice(*clause_around(text, number.start, number.end, _PIECES))]
        is_wrong = _WRONG.search(piece) or _WRONG.search(clause.rpartition(":")[0])
        if is_wrong and not re.search(r"\bacc", piece) and not _RIGHT.match(text, number.end):
            is_error = True  # "an error of 20.6 % (top-1)"
        if bench is None:
            if self.others.search(text) or (known > 0 and metric is None):
                return None
            told = (*passage.row.split(" | "), passage.label or "", *passage.section[-1:])
            heads = [n for n, pattern in self.benchmarks if any(map(pattern.search, told))]
            benchmark = heads[0] if heads else "imagenet-val"
        else:
            benchmark = bench[2]
            first, last = sorted([(bench[0], bench[1]), (number.start, number.end)])
            if self.others.search(text[first[1] : last[0]]):
                return None
        if name == "mce" and benchmark == "imagenet-val":
            benchmark = "imagenet-c"
        is_error = is_error and name != "mce"
        if benchmark == "imagenet-c-bar":
            name, is_error = "mean-error", False
        value = number
        if not number.percent and 0 < number.value < 1 and number.step <= 0.01:
            value = replace(number.times(100), percent=True)
        if not 1 <= value.value <= 100 or (value.scaled and value is number):
            return None
        if not number.percent and value is number and metric is None and passage.kind != "cell":
            return None
        shown = value.complement() if is_error else value
        called = {"top1": "top-1 accuracy", "top5": "top-5 accuracy"}.get(name, "corruption error")
        is_before = metric and passage.begin <= metric[0] < number.start
        return statement_in(
            passage,
            renamed(ACCURACY, called),
            shown,
            number.start,
            number.end,
            metric=(benchmark, name),
            first=metric[0] if is_before else number.start,
            last=max(metric[1], number.end) if metric else number.end,
        )

    def _is_plain(self, title: str) -> bool:
        """Whether a table's heading says nothing that would make an accuracy one of something else."""
        named = [self.words.model_names, *(pattern for _, pattern in self.benchmarks)]
        named += [pattern for m in self.words.metrics.values() for pattern in (m.pattern, m.error_pattern)]
        return bool(_PLAIN_TITLE.fullmatch(title.strip()) or any(pattern.search(title) for pattern in named))


def _in_list(listed: list[list[Span]], things: list[Any], run: list[Span], span: Span) -> Any:
    """Of a list of things as long as one of numbers, the thing in a number's place."""
    spans = [other[run.index(span)] for other in listed if run and len(other) == len(run)]
    return next((thing for thing in things if thing[:2] in spans[-1:]), None)


def _worded(row: str) -> list[str]:
    """A row's cells that hold words: they may say that its values are of something else."""
    return [cell for cell in row.split(" | ") if not re.search(r"\d", cell) or len(cell) > 60]

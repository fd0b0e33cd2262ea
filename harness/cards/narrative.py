"""What a card says of a model: its headline, its siblings, its limits, and answers to the questions of the question table.

Measured values come first and are named so; what others published stands beside the checkpoint that it is about, with a
numbered reference. The answers are those that a fill writes: one question table and one set of templates for both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.cards import slices
from harness.cards.answers import Form, Writer
from harness.cards.markdown import capital, cell, enumerate_words
from harness.cards.metadata import metadata_remarks
from harness.cards.questions import Place
from harness.cards.references import References
from harness.cards.views import View, caveat, marks
from harness.data.catalog import Benchmark, benchmarks
from harness.data.slicings import CLASS
from harness.evidence import (
    Evidence,
    EvidenceClass,
    EvidenceKey,
    Ledger,
    fixed,
    show_count,
    show_interval,
    show_short,
    show_value,
)
from harness.facts.loader import Fact, Relation
from harness.figures.style import Point, point
from harness.metrics.intervals import wilson
from harness.metrics.registry import metrics, title_of

ENOUGH = 100
"""Images below which a value is no headline and no finding: its interval is some twenty points wide."""
_ENOUGH_OWN = 30
"""The same of a group of one's own images, of which nobody has more."""
_MOST_HEADLINES, _MOST_LIMITS, _MOST_SIBLINGS, _MOST_COLUMNS = 7, 7, 8, 4
_LICENCES = ("file", "hub-tag", "front-matter", "code", "timm-weights")
_INTERVALS = " Intervals of published values were computed for this card, from the number of images alone."
_MEAN = "mean of"
"""What the setting of a result says that is of several runs, and so of no checkpoint."""
_OF_LABELS = ("real",)
"""Slicings whose groups differ in how they are labelled: a right answer counts as wrong, which is no fault of the model."""
_LABELS_FAULT = "; in part the labels' doing: where several are right, the benchmark counts one"
_ERRORS = {"mce": "mCE", "mean-error": "mean error"}
_DOWNSTREAM = ("documented.coco.box-ap", "documented.coco.mask-ap", "documented.ade20k.miou")
_FIRST = ("imagenet-val", "imagenet-a", "imagenet-r", "imagenet-sketch", "imagenetv2-matched-frequency", "imagenet-c")
"""Benchmarks that stay in the headline where there is no room for all."""


@dataclass(frozen=True)
class Headline:
    """One line of the table that a reader sees first; Markdown, but for the points."""

    benchmark: str
    value: str
    who: str
    """Who measured it, on how many images; of a published one, who published it."""
    title: str
    """The benchmark in the figure."""
    is_measured: bool
    point: Point | None
    """For the figure; None for what is no accuracy."""
    rank: tuple[bool, bool, int]
    """Which goes first where there is no room for all: whole benchmarks, measured here, the best known."""

    @property
    def is_partial(self) -> bool:
        return self.rank[0]


@dataclass(frozen=True)
class Siblings:
    """What one evaluation found for checkpoints that a reader would choose instead; Markdown."""

    by: str
    columns: list[str]
    rows: list[tuple[str, str | None, str, list[str]]]
    """Model, its name in timm, parameters, accuracies, the first of them with its source."""
    points: dict[str, tuple[tuple[bool, bool], dict[str, Point]]]
    """Of the other checkpoints, whether they have this one's size, and its resolution, and accuracies by benchmark."""


@dataclass
class Narrative:
    """The words of one card."""

    writer: Writer
    references: References
    said: dict[tuple[str, Form], str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.knowledge = self.writer.knowledge
        self.ledger: Ledger = self.knowledge.ledger
        self.benchmarks = benchmarks(self.ledger)
        self.provenance = self._provenance()

    # --- answers ---

    def say(self, question: str, form: Form = "value") -> str | None:
        """The answer to a question of the question table; None where nothing is known or it waits for a run."""
        if (question, form) not in self.said:
            place = Place(sentence="", label=None, label_is_own=False, beside=(), section=(question,))
            answer = self.writer.answer(self.writer.table.get(question), form, place)
            known = answer is not None and answer.class_ is not EvidenceClass.PENDING
            self.said[question, form] = answer.text if answer is not None and known else None
        return self.said[question, form]

    def known(self, question: str, form: Form = "value") -> str | None:
        """The same, and None also where it is known only that it was not published."""
        answer = self.say(question, form)
        return None if self.writer.classes.get(question) is EvidenceClass.UNDISCLOSED else answer

    def answers(self, questions: Mapping[str, str]) -> list[tuple[str, str]]:
        """Labels with what is known of the questions that they stand for."""
        found = ((label, self.known(question)) for label, question in questions.items())
        return [(label, answer) for label, answer in found if answer]

    def unpublished(self, questions: Mapping[str, str]) -> str:
        """Which of these questions, by id, have no published answer: their words as an enumeration."""
        return enumerate_words(
            words for question, words in questions.items() if self.say(question) and not self.known(question)
        )

    def fact(self, key: str) -> str | None:
        """What documents say under a key, with its reference."""
        view = self.knowledge.find(key)
        return f"{view.text} {marks(self.references, view)}" if view is not None else None

    @property
    def classes(self) -> str:
        """` into the 3 classes a, b and c`: those that it names, as far as they are known; empty where they aren't."""
        about, count = self.ledger.model, self._number("documented.data.classes")
        if named := about.get("classes"):
            more = " and others" if len(named) > 10 else ""
            return f" into {len(named):,} classes ({', '.join(str(cell(name)) for name in named[:10])}{more})"
        space = str(about.get("label_space") or self._number("documented.data.training") or "")
        count = about.get("outputs") or count
        named = cell(space.replace("imagenet", "ImageNet"))
        return f" into the {count:,} classes of {named}" if count and space else ""

    # --- the first screen ---

    @cached_property
    def facts(self) -> list[str]:
        """The model in a line: size, cost, input, licence, training data, speed."""
        about, found = self.ledger.model, []
        if (parameters := self._number("compute.parameters") or about.get("parameters")) is not None:
            head = self._number("compute.parameters:head") or 0
            share = f" ({_counted(head)} in the classifier)" if 10 * head > parameters else ""
            found.append(f"{_counted(parameters)} parameters{share}")
        if (macs := self._number("compute.macs")) is not None:
            found.append(f"{macs / 1e9:.3g} GMACs" if macs >= 1e8 else f"{macs / 1e6:.3g} MMACs")
        if (size := self._input_size()) is not None:
            found.append(f"{size[1]} × {size[0]} pixels")
        file, size_known = self.ledger.get("compute.checkpoint-bytes"), about.get("checkpoint_bytes")
        if file is not None and file.is_number:
            found.append(show_short(file))
        elif size_known:
            found.append(f"{size_known / 1e6:.3g} MB")
        documented = self._values(*(f"documented.license.{place}" for place in _LICENCES))
        licence = (about.get("checkpoint") or {}).get("licence")
        found += documented or ([str(cell(licence))] if licence else [])
        if found and (remark := metadata_remarks(self.knowledge).get("license")):
            found[-1] += self.references.note(f"On the licence, {remark}")
        found += [f"trained on {data}" for data in self._values("documented.data.training")]
        if (speed := self.speed) is not None:
            protocol = speed.protocol or {}
            way = f" in {protocol.get('precision', 'fp32')}"
            way += " and channels last" if protocol.get("layout") == "channels_last" else ""
            if slower := self._slower_in_fp32():
                way += f", by a short trial {slower} times as long in plain fp32"
            random = ", random weights" if str(protocol.get("weights", "")).startswith("random") else ""
            where = cell(device_of(protocol))
            found.append(f"about {show_short(speed)} an image{way} (forward pass alone{random}) on {where}")
        return found

    def _slower_in_fp32(self) -> str | None:
        """How many times as long an image takes as code runs it that asks for nothing, by the bounds of both rates; None where
        that is what was timed."""
        chosen = self.ledger.get("compute.execution-agreement")
        protocol: dict[str, Any] = (chosen.protocol if chosen is not None else None) or {}
        rates = {trial["config"]: trial for trial in protocol.get("trials", ()) if trial.get("low")}
        plain = rates.get(protocol.get("reference"))
        compared = str(protocol.get("precision")), str(protocol.get("layout")), "eager"
        rate = None if protocol.get("compiled") else rates.get(", ".join(compared))
        if not rate or not plain or rate["low"] <= plain["high"]:
            return None
        return f"{rate['low'] / plain['high']:.1f}–{rate['high'] / plain['low']:.1f}"

    @property
    def speed(self) -> Evidence | None:
        """The latency of one image, in whatever precision it was measured in, where it is fit to be published."""
        timed = [item for item in self.ledger if str(item.name.plain) == "compute.latency-p50" and item.is_number]
        fit = (item for item in timed if not item.withheld and "with-decoding" not in item.name.variants)
        return next(fit, None)

    def _number(self, key: str) -> Any:
        view = self.knowledge.find(key)
        return view.value if view is not None else None

    def _input_size(self) -> list[int] | None:
        macs = self.ledger.get("compute.macs")
        counted = ((macs.protocol if macs else None) or {}).get("input_size")
        crop: list[int] | None = (self.ledger.model.get("preprocessing") or {}).get("crop") or (counted or [])[1:]
        return crop or None

    def _values(self, *keys: str) -> list[str]:
        view = next(filter(None, map(self.knowledge.find, keys)), None)
        return [f"{cell(view.value)} {marks(self.references, view)}"] if view else []

    @cached_property
    def published(self) -> dict[str, View]:
        """By `<benchmark>.<metric>` what others published for this checkpoint, of several evaluations the widest first."""
        rows: dict[str | None, list[str]] = {}
        for fact in self.knowledge.facts.facts:
            if fact.setting and self.knowledge.stands_for(fact):
                rows.setdefault(fact.evidence.name.variant, []).append(fact.evidence.name.subject)
        found: dict[str, View] = {}
        for variant, row in sorted(rows.items(), key=lambda row: -len(row[1])):
            for metric in row:
                view = self.knowledge.published(f"{metric}:{variant}", own=True)
                found |= {metric: view} if view is not None and metric not in found else {}
        return found

    @cached_property
    def relative(self) -> dict[str, View]:
        """By `<benchmark>.top1` what others published for the nearest relative, where nothing is known of this checkpoint."""
        tops = [f"{name}.top1" for name, benchmark in self.benchmarks.items() if not benchmark.corruptions]
        return {} if self._headline(self.published) else self.knowledge.reference_row(tops)

    @property
    def relative_name(self) -> str:
        """That relative, by the name in timm if it has one."""
        about = next(view.fact.checkpoint for view in self.relative.values() if view.fact is not None)
        return about.timm or about.label or about.name

    @cached_property
    def headline(self) -> list[Headline]:
        """Accuracies on whole benchmarks, measured here or else published for this checkpoint, and last those on a part of
        one; where there are none, those of the nearest relative."""
        return self._headline(self.relative or self.published)

    def _headline(self, published: Mapping[str, View]) -> list[Headline]:
        found = []
        for name, benchmark in self.benchmarks.items():
            for metric in ("mce", "mean-error") if benchmark.corruptions else ("top1",):
                item, other = self.ledger.measured(f"{name}.{metric}"), published.get(f"{name}.{metric}")
                item = item if item is not None and ((item.n or 0) >= ENOUGH or benchmark.is_own) else None
                item = None if item is not None and item.is_partial and other is not None else item
                title = short_title(benchmark)
                title += f", {_ERRORS[metric]} (less is better)" if metric in _ERRORS else ""
                shortest = _shortest_title(benchmark)
                rank = _FIRST.index(name) if name in _FIRST else len(_FIRST)
                fact = other.fact if other is not None else None
                if other is not None and fact is not None and item is None:
                    bounds = self.interval(fact)
                    within = " ({}–{})".format(*(self.shown(fact, bound) for bound in bounds)) if bounds else ""
                    value = f"{self.shown(fact)} %{within}"
                    cited = marks(self.references, other) if self.knowledge.stands_for(fact) else self._cite(fact)
                    who = f"{cell(fact.setting)} {cited}".removeprefix("evaluated by ")
                    at = Point(fact.evidence.number, *bounds) if bounds else None
                    found.append(Headline(title, value, who, shortest, False, at, (False, True, rank)))
                if item is not None:
                    imported, part = "imported" in (item.protocol or {}), item.is_partial and not benchmark.is_own
                    who = "scored here from imported predictions" if imported else "measured here"
                    who = who if imported or part else f"**{who}**"
                    who += ", not comparable" if part else f", {show_count(item)} images"
                    who += self.references.note(item.reason) if item.reason else ""
                    value = show_value(item) if part else f"**{show_value(item)}**"
                    named = f"{title}, {show_count(item)}" if part else title
                    at = point(item) if metric == "top1" else None
                    value += f" ({show_interval(item)})"
                    found.append(Headline(named, value, who, shortest, True, at, (part, False, rank)))
                if item is not None or other is not None:
                    break
        kept = sorted(found, key=lambda row: row.rank)[:_MOST_HEADLINES]
        return sorted((row for row in found if row in kept), key=lambda row: row.is_partial)

    def _cite(self, fact: Fact) -> str:
        return self.references.cite(fact.evidence.source)

    @property
    def glossary(self) -> str:
        """What the benchmarks of the headline show, for readers who don't know them, and whose the intervals are."""
        titles = {row.title for row in self.headline}
        known = [b for b in self.benchmarks.values() if b.shows and _shortest_title(b) in titles]
        are_computed = any(row.point is not None and not row.is_measured for row in self.headline)
        told = (f"{_shortest_title(b)}: {b.shows}{', of 200 classes' if _is_of_200(b) else ''}" for b in known)
        return "; ".join(told) + ("." if known else "") + (_INTERVALS if are_computed else "")

    def _provenance(self) -> str:
        """For which probable origin most of what is documented holds. It is said once: no value after it is marked so."""
        facts = [f for f in self.knowledge.facts.facts if f.checkpoint.relation is Relation.PROBABLE and f.setting]
        view = next(map(self.knowledge.view, filter(self.knowledge.stands_for, facts)), None)
        if view is None:
            return ""
        self.references.said.add(caveat(view))
        said = f"Published scores and the training are {caveat(view)[:1].lower()}{caveat(view)[1:]}".rstrip(".")
        lineage = self.knowledge.facts.lineage
        if lineage is not None and self.knowledge.lineage is None:
            second = sorted(lineage.candidates, key=lambda candidate: -candidate.prior)[1]
            key = f"documented.imagenet-val.top1:{second.published}"
            other = next((fact for fact in self.knowledge.facts.facts if fact.key == key), None)
            if other is not None:
                label = re.sub(r" at \d+ px$", "", str(other.checkpoint.label))
                said += f"; were they {label}, top-1 on ImageNet-1k would be {self.shown(other)} % {self._cite(other)}"
        return f"{said}."

    def interval(self, fact: Fact) -> tuple[float, float] | None:
        """Wilson's interval of a published accuracy, from its benchmark's number of images; None of what is no accuracy."""
        name = EvidenceKey.parse(fact.evidence.name.subject)
        benchmark = self.benchmarks.get(name.benchmark)
        if benchmark is None or name.metric not in ("top1", "top5"):
            return None
        n = benchmark.scored or benchmark.size
        low, high = wilson(fact.evidence.number / 100 * n, n)
        return 100 * float(low), 100 * float(high)

    def shown(self, fact: Fact, value: float | None = None) -> str:
        """A published value, or a bound of it, in percent: with the decimals of its row of results, two at most."""
        row = fact.evidence.name.variant
        facts = (*self.knowledge.facts.facts, *self.knowledge.facts.family)
        same = (f.evidence.number for f in facts if f.setting and f.evidence.name.variant == row)
        decimals = min(2, max(len(f"{float(v):g}".partition(".")[2]) for v in same))
        number: Any = fact.evidence.value if value is None else value
        return fixed(number, decimals)

    @cached_property
    def siblings(self) -> Siblings | None:
        """Other trainings and sizes that one evaluator, the one with most of them, has results for."""
        known = (*self.knowledge.facts.facts, *self.knowledge.facts.family)
        counted = {
            f.evidence.name.variant: f.evidence.number for f in known if f.evidence.name.subject == "compute.parameters"
        }
        tables: dict[str, dict[str | None, list[Fact]]] = {}
        for fact in known:
            if fact.setting and fact.evidence.source and fact.evidence.name.metric == "top1":
                rows = tables.setdefault(fact.evidence.source.title, {})
                rows.setdefault(fact.evidence.name.variant, []).append(fact)
        wanted = max(tables.values(), key=lambda rows: (len(rows), sum(map(len, rows.values()))), default={})
        mine = [row for row in wanted if self.knowledge.stands_for(wanted[row][0])]
        others = [row for row in wanted if row not in mine][:_MOST_SIBLINGS]
        if not others:
            return None
        held = Counter(EvidenceKey.parse(f.evidence.name.subject).benchmark for row in wanted.values() for f in row)
        compared = [name for name in self.benchmarks if 2 * held[name] > len(wanted)]
        best_known = sorted(compared, key=lambda name: (*_FIRST, name).index(name))[:_MOST_COLUMNS]
        columns = [name for name in compared if name in best_known]
        table, points, own_parameters = [], {}, (self._number("compute.parameters") or 0) / 1e6
        shown = next((view.fact for view in self.relative.values() if view.fact is not None), None)
        its_size = counted.get(shown.evidence.name.variant, 0) if shown is not None else own_parameters
        for row in (*mine[:1], *others):
            first, *_ = facts = wanted[row]
            name = str(self.ledger.model["title"] if row in mine else first.checkpoint.label or first.checkpoint.name)
            found = {
                column: fact for column in compared for fact in facts if fact.evidence.name.subject == f"{column}.top1"
            }
            parameters = own_parameters if row in mine else counted.get(row)
            size = f"{parameters:#.3g} M".replace(". ", " ") if parameters else "—"
            values = [self.shown(found[column]) if column in found else "—" for column in columns]
            cited = marks(self.references, self.knowledge.view(first)) if row in mine else self._cite(first)
            values[0] += f" {cited}"
            table.append((f"**{cell(name)}**" if row in mine else cell(name), first.checkpoint.timm, size, values))
            if row not in mine and (shown is None or first.checkpoint_id != shown.checkpoint_id):
                is_as_large = bool(parameters and its_size and 0.98 < parameters / its_size < 1.02)
                accuracies = {
                    _shortest_title(self.benchmarks[c]): Point(f.evidence.number, *(self.interval(f) or ()))
                    for c, f in found.items()
                }
                resolution, input_size = re.search(r"(\d+) px", name), self._input_size()
                is_as_fine = not (resolution and input_size) or int(resolution[1]) == input_size[0]
                points[name] = (is_as_large, is_as_fine), accuracies
        by = wanted[others[0]][0].evidence.source
        titles = [_shortest_title(self.benchmarks[column]) for column in columns]
        return Siblings(by.title if by else "", titles, table, points)

    @cached_property
    def published_results(self) -> list[tuple[str, str, str, str]]:
        """What else others published for this checkpoint beside the headline: benchmark, metric, value, and by whom."""
        found, above = [], {(row.title, row.value.partition(" ")[0]) for row in self.headline}
        for fact in self.knowledge.facts.facts:
            name = EvidenceKey.parse(fact.evidence.name.subject)
            if fact.setting and _MEAN not in fact.setting and self.knowledge.stands_for(fact):
                title = short_title(self.benchmarks[name.benchmark])
                is_whole = name.metric == "top1" and name.is_whole
                if is_whole and (_shortest_title(self.benchmarks[name.benchmark]), self.shown(fact)) in above:
                    continue
                view = self.knowledge.published(f"{name}:{fact.evidence.name.variant}", own=True)
                who = f"{cell(fact.setting)} {marks(self.references, view)}"
                part = next((b for b in self.benchmarks.values() if b.label_space == name.slice), None)
                title += f", the classes of {short_title(part)}" if part else ""
                found.append((title, title_of(name.metric)[0], self.shown(fact), who))
        return found

    @cached_property
    def published_means(self) -> list[str]:
        """What was published for several runs of this training together, a line a source."""
        means = [fact for fact in self.knowledge.facts.facts if _MEAN in (fact.setting or "")]
        rows = {fact.setting: View(fact.evidence, fact) for fact in means if self.knowledge.stands_for(fact)}
        return [f"{capital(cell(setting))} {marks(self.references, view)}." for setting, view in rows.items()]

    @cached_property
    def published_speeds(self) -> list[str]:
        """Speeds that others published for this network, or else for its relatives."""
        names = [(fact, fact.evidence.name) for fact in self.knowledge.facts.facts if fact.says]
        speeds = [f for f, n in names if n.benchmark == "documented.inference" or n.subject == "compute.throughput"]
        if own := [fact for fact in speeds if self.knowledge.stands_for(fact)]:
            return [f"{fact.says} {marks(self.references, self.knowledge.view(fact))}" for fact in own]
        of_one: dict[str, list[str]] = {}
        for fact in speeds:
            said = f"{fact.says} {self.references.cite(*self.knowledge.view(fact).sources)}"
            of_one.setdefault(str(cell(fact.checkpoint.label)), []).append(said)
        return [f"of {label}, {enumerate_words(said)}" for label, said in of_one.items()]

    @cached_property
    def downstream(self) -> list[str]:
        """What was reached by training further from this checkpoint, a line a task."""
        views: dict[str, list[View]] = {}
        for view in filter(None, map(self.knowledge.find, _DOWNSTREAM)):
            views.setdefault(view.fact.checkpoint.name if view.fact else view.label, []).append(view)
        return [
            f"{label}: {', '.join(view.text for view in found)} {self.references.cite(*(v.evidence.source for v in found))}"
            for label, found in views.items()
        ]

    @cached_property
    def corrupted_siblings(self) -> dict[str, dict[str, str]]:
        """What was published under corruption for relatives of this checkpoint, where nothing was for itself: a row each, by
        what was measured."""
        rows: dict[str, dict[str, str]] = {}
        for fact in self.knowledge.facts.facts:
            name = EvidenceKey.parse(fact.evidence.name.subject)
            if fact.setting and name.metric in ("mce", "mean-error"):
                if self.knowledge.stands_for(fact):
                    return {}
                label = capital(cell(fact.checkpoint.label or fact.checkpoint.name))
                what = f"{title_of(name.metric)[0]}, {name.benchmark.replace('imagenet-c', 'ImageNet-C')}"
                rows.setdefault(label, {})[what] = f"{self.shown(fact)} {self._cite(fact)}"
        return rows

    @cached_property
    def training_impact(self) -> tuple[Evidence, str] | None:
        """An estimate of the training's emissions where they themselves are not published, and what it assumes."""
        absent, estimate = self.knowledge.absent("carbon.training"), self.knowledge.find("estimated.training.carbon")
        if self.knowledge.find("carbon.training") is not None or absent is None or estimate is None:
            return None
        hours = self.knowledge.find("estimated.training.gpu-hours")
        assumed = f". The hours come from {hours.note}" if hours is not None and hours.note else ""
        cited = self.references.cite(*estimate.sources)
        said = f"{capital(absent.reason)}. The estimate assumes {estimate.text} {cited}; {estimate.note}{assumed}."
        return estimate.evidence.model_copy(update={"key": "carbon.training", "reason": None}), said

    # --- limitations ---

    @cached_property
    def limitations(self) -> list[str]:
        """What speaks against the model, the strongest findings first; at most seven Markdown sentences."""
        found = [
            *([] if self._numbers or (self.headline and not self.relative) else self._unmeasured()),
            *self._chance(),
            *self._drop(),
            *self._group(),
            *self._calibration(),
            *self._abstention(),
            *self._outliers(),
            *self._corruption(),
            *self._attacks(),
            *self._documented(),
        ]
        return list(dict.fromkeys([*found[: _MOST_LIMITS - 1], *self._unmeasured()]))

    @property
    def _numbers(self) -> list[Evidence]:
        """Measured numbers on enough images of a benchmark, or on somebody's own data."""
        known = self.benchmarks
        items = (item for item in self.ledger if item.class_ is EvidenceClass.MEASURED and item.is_number)
        items = (item for item in items if item.name.benchmark in known)
        return [item for item in items if (item.n or 0) >= ENOUGH or known[item.name.benchmark].is_own]

    def _chance(self) -> Iterator[str]:
        guessed = 100 / len(self.ledger.model.get("classes") or range(1000))
        for item in self._numbers:
            if item.name.metric == "top1" and item.name.is_whole and item.interval and item.interval.low <= guessed:
                yield f"On {self._title(item)} it is not shown to be better than guessing, which is right in {guessed:.3g} %."

    def _drop(self) -> Iterator[str]:
        drops = [i for i in self._numbers if (i.name.metric, i.name.variant) == ("accuracy-drop", None)]
        drops = [item for item in drops if item.interval is None or item.interval.low > 0]
        if drops:
            worst = max(drops, key=lambda item: item.number)
            yield (
                f"On {self._title(worst)} its top-1 accuracy is {show_value(worst)} ({show_interval(worst)}) lower than on the "
                "same classes of ImageNet's validation set."
            )
            return
        yield from self._published_drop()

    def _published_drop(self) -> Iterator[str]:
        """The lowest published accuracy beside that on validation images of the same classes, both of one evaluation."""
        own = (fact for fact in self.knowledge.facts.facts if fact.setting and self.knowledge.stands_for(fact))
        found = {(fact.evidence.name.variant, fact.evidence.name.subject): fact for fact in own}
        drops = []
        for (row, subject), fact in found.items():
            name = EvidenceKey.parse(subject)
            benchmark = self.benchmarks.get(name.benchmark)
            if benchmark is None or name.metric != "top1" or not name.is_whole:
                continue
            same = found.get((row, f"imagenet-val@{benchmark.label_space}.top1"))
            clean = same or found.get((row, "imagenet-val.top1"))
            if clean is not None and clean is not fact:
                is_same = same is not None or benchmark.label_space == self.benchmarks["imagenet-val"].label_space
                drops.append((clean.evidence.number - fact.evidence.number, benchmark, fact, clean, is_same))
        if drops:
            _, benchmark, worst, clean, is_same = max(drops, key=lambda drop: drop[0])
            of = "the same classes" if is_same else "all classes (of its own it is not known)"
            cited = marks(self.references, *map(self.knowledge.view, (worst, clean)))
            title = short_title(benchmark)
            title += ", 200 classes" if _is_of_200(benchmark) else ""
            images = f"{benchmark.shows} ({title})" if benchmark.shows else title
            yield (
                f"On {images} it is right in {self.shown(worst)} %, on validation images of {of} in {self.shown(clean)} % "
                f"(published {cited})."
            )

    def _group(self) -> Iterator[str]:
        """The weakest group of all that were searched, else of those detectably below the others of their slicing, and the
        weakest that differs in its labels."""
        results = slices.slice_results(self.ledger)
        searched = {row["key"]: row for rows in results.worst.values() for row in rows if row["gap_at_least"] > 0}
        groups = [(view, item) for view in results.measured for item in view.groups]
        found = [(searched[item.key]["gap_at_least"], view, item) for view, item in groups if item.key in searched]
        large = [
            (view, item)
            for view, item in groups
            if view.name not in _OF_LABELS
            and (item.n or 0) >= (_ENOUGH_OWN if self.benchmarks[item.name.benchmark].is_own else ENOUGH)
        ]
        alone = [(view, item) for view, item in large if view.where not in results.worst and item in view.detectable]
        found += [(-gap, view, item) for view, item in alone if (gap := slices.comparison(item)["gap"]) < 0]
        weakest: dict[bool, tuple[slices.SlicingView, Evidence]] = {}
        for _, view, item in sorted(found, key=lambda weak: weak[0], reverse=True):
            weakest.setdefault(view.name in _OF_LABELS, (view, item))
        how = "weakest"
        for of_labels, (view, worst) in weakest.items():
            by = "" if view.name == CLASS else f" ({cell(view.title)})"
            if (row := searched.get(worst.key)) is not None:
                least = f"{row['gap_at_least']:.1f} allowing for all groups that were searched"
                below = f"{row['gap']:.1f} points below all images, at least {least}"
            else:
                below = f"{-slices.comparison(worst)['gap']:.1f} points below the other images"
            yield (
                f"On {self._title(worst)} it is {how} on “{cell(slices.group_of(worst))}”{by}: "
                f"top-1 {show_value(worst)} ({show_interval(worst)}, n = {show_count(worst)}), {below}"
                f"{self._taken_for(view, worst)}{_LABELS_FAULT if of_labels else ''}."
            )
            how = "also weak"
        if large and not found:
            fewest = min(item.n or 0 for _, item in large)
            yield f"None of the {len(large)} groups with {min(fewest, ENOUGH)} images or more is detectably below the others."

    def _taken_for(self, view: slices.SlicingView, item: Evidence) -> str:
        """What a class is taken for most often; empty for other groups."""
        pairs = self.ledger.get(f"{item.name.benchmark}.confused-pairs") if view.name == CLASS else None
        for pair in pairs.value if pairs is not None and isinstance(pairs.value, list) else ():
            if pair["true"] == slices.group_of(item):
                return f"; {pair['count']} of its {pair['of']} images are taken for “{cell(pair['predicted'])}”"
        return ""

    def _calibration(self) -> Iterator[str]:
        for stated in (item for item in self._numbers if item.name.metric == "mean-confidence" and item.name.is_whole):
            right = self.ledger.measured(str(stated.name.with_metric("top1")))
            if right is None or right.interval is None or right.interval.low <= stated.number <= right.interval.high:
                continue
            if stated in self.unfit:
                continue
            which = "less" if stated.number < right.number else "more"
            ece = self.ledger.measured(str(stated.name.with_metric("ece")))
            error = ""
            if ece is not None and ece.interval is not None and ece.interval.low > 0:
                error = f"; its expected calibration error is {show_value(ece)} ({show_interval(ece)})"
            yield (
                f"It is {which} sure of itself than right on {self._title(stated)}: mean confidence {show_value(stated)}, top-1 "
                f"{show_value(right)} ({show_interval(right)}){error}."
            )
            return

    def _abstention(self) -> Iterator[str]:
        """How many of its answers may be kept, by its largest probability, where 5 % of them may be wrong."""
        kept = [i for i in self._numbers if (i.name.metric, i.name.variant) == ("coverage", "5-percent-risk+msp")]
        for item in (item for item in kept[:1] if item.number < 100):
            yield (
                f"If no more than 5 % of its answers may be wrong, it can be asked for {show_value(item)} ({show_interval(item)}, "
                f"n = {show_count(item)}) of {self._title(item)}, those with the largest probabilities."
            )

    def _outliers(self) -> Iterator[str]:
        """The set of images of none of its classes that it takes for its own most often, by its largest probability."""
        taken = [item for item in self._numbers if (item.name.metric, item.name.variant) == ("fpr95", "msp")]
        if taken:
            worst = max(taken, key=lambda item: item.number)
            yield (
                f"Of images that show none of its classes ({self._title(worst)}), it gives {show_value(worst)} ({show_interval(worst)}, n of both sets = "
                f"{show_count(worst)}) a probability as large as that of the surest 95 % of the validation set."
            )

    def _corruption(self) -> Iterator[str]:
        """The corruption with the highest mean error, over all severities or at the highest that was run."""
        items = [item for item in self._numbers if item.name.corruption and not (item.name.slice or item.name.variant)]
        means = [item for item in items if item.name.metric in ("mean-error", "ce")]
        cells = [item for item in items if item.name.metric == "top1" and item.name.severity is not None]
        if means:
            worst = max(means, key=lambda item: (item.name.metric == "mean-error", item.number))
            what = "wrong over all severities" if worst.name.metric == "mean-error" else "of AlexNet's error"
        elif cells:
            severity = max(item.name.severity or 0 for item in cells)
            worst = min((item for item in cells if item.name.severity == severity), key=lambda item: item.number)
            what = f"right at severity {severity}"
        else:
            return
        name = str(worst.name.corruption).replace("_", " ")
        yield f"Of the corruptions of {self._title(worst)}, {name} hurts most: {show_value(worst)} {what} ({show_interval(worst)})."

    def _attacks(self) -> Iterator[str]:
        """The smallest perturbation that leaves at most half of the answers right, else the largest that was tried."""
        measured = (item for item in self.ledger if item.class_ is EvidenceClass.MEASURED)  # few images tell enough
        under = (item for item in measured if item.name.metric == "robust-accuracy" and not item.name.variant)
        found = sorted(under, key=lambda item: (item.name.condition or "").startswith("l2"))
        if found:
            item = next((item for item in found if item.number <= 50), found[-1])
            protocol = item.protocol or {}
            yield (
                f"Perturbations of {protocol['epsilon']} in {protocol['norm']}, which attacks make from its own gradients, leave at "
                f"most {show_value(item)} ({show_interval(item)}) of its answers on {self._title(item)} right "
                f"(n = {show_count(item)})."
            )

    def _documented(self) -> Iterator[str]:
        for key in ("documented.limits.training-distribution", "documented.data.label-map"):
            if (view := self.knowledge.find(key)) is not None:
                first = re.split(r"\. (?=[A-Z])", capital(view.text))[0]
                yield f"{first} {marks(self.references, view)}."
        lineage = self.knowledge.facts.lineage
        if lineage is not None and self.knowledge.lineage is None:
            first = max(lineage.candidates, key=lambda candidate: candidate.prior)
            judged = self.knowledge.find(f"identity.lineage:{first.checkpoint}")
            why = f" These are {judged.text} {self.references.cite(*judged.sources)}; {judged.note}." if judged else ""
            yield f"Several trainings have carried this model's name, and the weights themselves have not been compared.{why}"

    def _unmeasured(self) -> Iterator[str]:
        measured = {item.name.benchmark for item in self._numbers}
        if not measured:
            few = any(i.name.metric == "top1" and i.class_ is EvidenceClass.MEASURED for i in self.ledger)
            where, are_published = f" on {ENOUGH} images or more" if few else "", self.headline and not self.relative
            above = (
                ": those above are what others published"
                if are_published
                else ", and none is published for this checkpoint"
            )
            yield f"No accuracy was measured for this card{where}{above}."
            return
        pending = [i.name.benchmark for i in self.ledger if i.class_ is EvidenceClass.PENDING and i.name.is_whole]
        waiting = [name for name in dict.fromkeys(pending) if name in self.benchmarks and name not in measured]
        missing = [short_title(self.benchmarks[name]) for name in waiting]
        missing += [] if slices.slice_results(self.ledger).measured else ["accuracy by group of images"]
        tried = max((item.n or 0 for item in self.ledger if item.name.corruption and item.is_number), default=0)
        corrupted = f"accuracy under corruption (tried on {tried:,})" if tried else "accuracy under corruption"
        is_own = "classes" in self.ledger.model  # of which nobody publishes corrupted images
        missing += [] if is_own or any(i.name.corruption for i in self._numbers) else [corrupted]
        missing += [] if self.speed is not None else ["speed"]
        if missing:
            yield f"Not measured, or on fewer than {ENOUGH} images: {enumerate_words(missing)}."

    @cached_property
    def unfit(self) -> list[Evidence]:
        """Measured calibration that a card leaves out: how often a model is right on images that are unlike the benchmark's is
        not how often it is right there."""
        about = metrics()
        of_confidence = {name for name, spec in about.items() if spec.group in ("calibration", "selective")}
        return [item for item in self._numbers if item.name.metric in of_confidence and self._is_unlike(item)]

    def published_beside(self, item: Evidence) -> str:
        """What was published for this checkpoint of what was measured here."""
        view = self.published.get(str(item.name))
        return f"{self.shown(view.fact)} % {marks(self.references, view)}" if view is not None and view.fact else "—"

    def _is_unlike(self, item: Evidence) -> bool:
        """Whether it is from a part of a benchmark on which top-1 is not what was published for the whole."""
        whole = self.ledger.measured(f"{item.name.benchmark}.top1")
        other = self.published.get(f"{item.name.benchmark}.top1")
        if whole is None or other is None or other.fact is None or whole.interval is None or not whole.is_partial:
            return False
        return not whole.interval.low <= other.fact.evidence.number <= whole.interval.high

    def _title(self, item: Evidence) -> str:
        """The benchmark, of a part of it how many images, and the mark of what a reader must know of them."""
        benchmark = self.benchmarks[item.name.benchmark]
        title, whole = short_title(benchmark), self.ledger.measured(f"{item.name.prefix}.top1") or item
        the = "" if benchmark.is_own else "the "
        title = f"{show_count(whole)} images of {the}{title}" if whole.is_partial else title
        return title + (self.references.note(whole.reason) if whole.reason else "")


def _shortest_title(benchmark: Benchmark) -> str:
    """A benchmark among others of ImageNet: `V2`, `A`, `Sketch`."""
    return re.sub(r"ImageNet[- ]?(?=V2|[ACR]\b|ReaL|Sketch)|,? (validation set|matched.*)", "", short_title(benchmark))


def _is_of_200(benchmark: Benchmark) -> bool:
    """Whether accuracy on it is among its 200 classes, not among all of ImageNet-1k's."""
    return not benchmark.is_own and benchmark.label_space.endswith("-200")


def short_title(benchmark: Benchmark) -> str:
    """A benchmark's title without what stands in brackets: `ImageNet-A`."""
    return re.sub(r" \([^)]*\)", "", benchmark.title)


def _counted(number: float) -> str:
    """A number with three digits: `8.59 M`, `79,600`."""
    return f"{number / 1e6:.3g} M" if number >= 1e6 else f"{float(f'{number:.3g}'):,.0f}"


def device_of(protocol: Mapping[str, Any]) -> str:
    """The device of a measurement: `Intel Xeon @ 2.50GHz (2 threads of a VM)`."""
    hardware: dict[str, Any] = protocol.get("hardware") or {}
    name = str(hardware.get("gpu") or hardware.get("cpu") or "this machine")
    name = " ".join(re.sub(r"\((?:R|TM|C)\)|\b(?:CPU|Processor)\b(?= @)", " ", name).split())
    if "threads" not in hardware or "gpu" in hardware:
        return name
    virtual = " of a VM" if hardware.get("virtual_machine") else ""
    return f"{name} ({hardware['threads']} thread{'s' if hardware['threads'] > 1 else ''}{virtual})"

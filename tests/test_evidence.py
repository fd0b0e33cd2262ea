"""Evidence: what may be said, under which name, and how it is kept, merged and shown."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import harness
from harness.errors import HarnessError
from harness.evidence import (
    Evidence,
    EvidenceClass,
    Fingerprints,
    Interval,
    Ledger,
    Source,
    decimals_for,
    show,
    show_count,
    show_interval,
    show_value,
)

INTERVAL = Interval(low=75.76, high=76.50, method="Wilson", kind="wilson")
SOURCE = Source(title="A paper", place="Table 1")
VALUED = ("measured", "derived", "documented", "estimated")
VALUELESS = ("pending", "undisclosed", "not-applicable")


def make(class_: str = "measured", **changes: Any) -> Evidence:
    """Evidence of a class with everything that class needs; `changes` replace or remove (None) fields."""
    fields: dict[str, Any] = {"key": "imagenet-val.top1", "class": class_}
    if class_ in VALUED:
        fields |= {"value": 76.13, "unit": "%", "interval": INTERVAL, "n": 50_000, "N": 50_000, "protocol": {"a": 1}}
        fields["source"] = SOURCE if class_ == "documented" else None
    else:
        fields["reason"] = "the data are not here"
    return Evidence(**(fields | changes))


class TestClasses:
    @pytest.mark.parametrize("class_", [*VALUED, *VALUELESS])
    def test_each_class_has_a_valid_form(self, class_: str) -> None:
        item = make(class_)
        assert item.class_ is EvidenceClass(class_)
        assert (item.value is None) == (class_ in VALUELESS)
        assert item.class_.has_value == (class_ in VALUED)

    @pytest.mark.parametrize("class_", VALUED)
    def test_a_class_with_values_needs_one(self, class_: str) -> None:
        with pytest.raises(ValidationError, match="an unknown is pending, undisclosed or not-applicable"):
            make(class_, value=None, interval=None)

    @pytest.mark.parametrize("class_", VALUELESS)
    @pytest.mark.parametrize("smuggled", [{"value": 0}, {"value": 76.13}, {"interval": INTERVAL}])
    def test_an_unknown_carries_no_number(self, class_: str, smuggled: dict[str, Any]) -> None:
        with pytest.raises(ValidationError, match="carries a reason, not a value"):
            make(class_, **smuggled)

    @pytest.mark.parametrize("class_", VALUELESS)
    @pytest.mark.parametrize("reason", [None, ""])
    def test_an_unknown_needs_a_reason(self, class_: str, reason: str | None) -> None:
        with pytest.raises(ValidationError, match="needs a reason"):
            make(class_, reason=reason)

    @pytest.mark.parametrize("missing", ["n", "protocol"])
    def test_a_measurement_needs_its_count_and_protocol(self, missing: str) -> None:
        with pytest.raises(ValidationError, match="needs n and its protocol"):
            make("measured", **{missing: None})

    def test_a_measured_number_without_an_interval_needs_a_reason(self) -> None:
        with pytest.raises(ValidationError, match="needs an interval, or a reason why there is none"):
            make("measured", interval=None)
        assert make("measured", interval=None, reason="a count has none").interval is None

    def test_an_estimate_needs_an_interval(self) -> None:
        with pytest.raises(ValidationError, match="needs an interval"):
            make("estimated", interval=None)
        assert make("estimated", interval=None, value="between two and three days", unit=None).interval is None

    def test_a_documented_value_needs_its_source(self) -> None:
        with pytest.raises(ValidationError, match="needs its source"):
            make("documented", source=None)

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [1.0, v], lambda v: {"a": {"b": [v]}}])
    def test_no_value_holds_a_number_that_is_none(self, value: float, wrap) -> None:
        with pytest.raises(ValidationError, match="not finite"):
            make("derived", value=wrap(value), interval=None)

    @pytest.mark.parametrize("value", ["12", [1.0], {"a": 1.0}, True])
    def test_what_has_a_unit_is_a_number(self, value: object) -> None:
        with pytest.raises(ValidationError, match="has a unit, and a value that is no number"):
            make("derived", value=value, interval=None)

    @pytest.mark.parametrize(("low", "high"), [(2.0, 1.0), (math.nan, 1.0), (0.0, math.inf)])
    def test_an_interval_is_finite_and_ordered(self, low: float, high: float) -> None:
        with pytest.raises(ValidationError, match="finite low <= high"):
            Interval(low=low, high=high, method="m")

    @pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
    def test_a_level_is_a_fraction(self, level: float) -> None:
        with pytest.raises(ValidationError):
            Interval(low=0.0, high=1.0, level=level, method="m")

    def test_unknown_fields_and_negative_counts_are_refused(self) -> None:
        with pytest.raises(ValidationError, match="Extra inputs"):
            make(accuracy=1.0)
        with pytest.raises(ValidationError, match="greater than or equal to 0"):
            make(n=-1)

    def test_evidence_is_never_changed_in_place(self) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            make().value = 100.0


class TestKeys:
    @pytest.mark.parametrize(
        "key",
        # every form that the design names
        [
            "imagenet-val.top1",
            "imagenetv2-matched-frequency.top1",
            "imagenetv2-threshold-0.7.top1",
            "imagenet-a.top1:open",
            "imagenet-val@imagenet-a-200.top1",
            "imagenet-val.top1:restricted-999",
            "imagenet-c/gaussian_noise/3.top1",
            "imagenet-c/gaussian_noise.ce",
            "imagenet-c.relative-mce",
            "imagenet-val@imagenet-x/pose.top1",
            "imagenet-val@wordnet/n02084071.top1",
            "imagenet-val@brightness/q1.top1",
            "imagenet-val@imagenet-x.top1:difference",
            "compute.macs:1280x800",
            "documented.training.epochs",
        ],
    )
    def test_the_grammar_accepts_what_the_design_names(self, key: str) -> None:
        assert make(key=key).key == key

    @pytest.mark.parametrize(
        "key",
        ["", "top1", ".top1", "imagenet-val.", "Imagenet-val.top1", "imagenet val.top1", "imagenet-val.top1:",
         "imagenet-val@.top1", "imagenet-c//3.top1", "imagenet-val.top1\n", "imagenet-val.top1:open:open", "a.TOP1"],
    )  # fmt: skip
    def test_the_grammar_refuses_the_rest(self, key: str) -> None:
        with pytest.raises(ValidationError, match="is not <benchmark>"):
            make(key=key)

    @given(
        st.from_regex(r"[a-z0-9][a-z0-9-]{0,8}", fullmatch=True),
        st.lists(st.from_regex(r"[a-z0-9_]{1,8}", fullmatch=True), max_size=2),
        st.lists(st.from_regex(r"[a-z0-9_-]{1,8}", fullmatch=True), max_size=2),
        st.from_regex(r"[a-z0-9-]{1,8}", fullmatch=True),
        st.none() | st.from_regex(r"[A-Za-z0-9-]{1,8}", fullmatch=True),
    )
    def test_every_key_put_together_from_its_parts_is_accepted(
        self, benchmark: str, condition: list[str], slice_: list[str], metric: str, variant: str | None
    ) -> None:
        key = "/".join([benchmark, *condition])
        key += ("@" + "/".join(slice_) if slice_ else "") + f".{metric}" + (f":{variant}" if variant else "")
        assert make(key=key).key == key


class TestLedger:
    def test_a_round_trip_through_a_file_changes_nothing(self, tmp_path: Path) -> None:
        items = [make(class_, key=f"a.{class_}") for class_ in (*VALUED, *VALUELESS)]
        items += [
            make("derived", key="a.text", unit=None, value="läuft – 5 × 5", interval=None),
            make("derived", key="a.list", unit=None, value=[1, 2.5, "x"], interval=None),
            make("derived", key="a.flag", unit=None, value=True, interval=None),
            make("derived", key="a.count", value=20_646_656, unit="parameters", interval=None),
        ]
        ledger = Ledger(model={"name": "m"}, environment={"torch": "2"}, evidence=items)
        path = tmp_path / "evidence.json"
        ledger.save(path)
        again = Ledger.load(path)
        assert again == ledger
        assert [type(item.value) for item in again] == [type(item.value) for item in ledger]
        again.save(tmp_path / "again.json")
        assert (tmp_path / "again.json").read_bytes() == path.read_bytes()

    @given(
        st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text() | st.booleans(),
        st.integers(0, 10**9),
    )
    def test_any_value_survives_json(self, value: float | int | str | bool, n: int) -> None:
        item = make("measured", value=value, unit=None, interval=None, reason="r", n=n)
        again = Ledger.model_validate_json(Ledger(model={}, evidence=[item]).to_json()).evidence[0]
        assert again == item
        assert type(again.value) is type(value)

    def test_the_file_has_the_published_layout(self) -> None:
        data = json.loads(Ledger(model={"name": "m"}, evidence=[make()]).to_json())
        assert list(data) == ["schema", "model", "environment", "evidence"]
        assert data["schema"] == 1
        fields = "key class value unit interval n N protocol fingerprints source reason command created"
        assert set(data["evidence"][0]) == set(fields.split())
        interval = {"low": 75.76, "high": 76.50, "level": 0.95, "method": "Wilson", "kind": "wilson"}
        assert data["evidence"][0]["interval"] == interval

    def test_the_schema_speaks_of_the_same_fields(self) -> None:
        schema = Ledger.json_schema()
        assert set(schema["properties"]) == {"schema", "model", "environment", "evidence", "benchmarks"}
        assert set(schema["$defs"]["Evidence"]["properties"]) == set(make().to_dict())

    def test_two_answers_under_one_key_are_refused(self) -> None:
        with pytest.raises(ValidationError, match=r"two pieces of evidence are called imagenet-val\.top1"):
            Ledger(model={}, evidence=[make(), make()])

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("not json", "not valid JSON"),
            ("[]", "the file as a whole"),
            ('{"schema": 2, "model": {}}', "schema: Input should be 1"),
            ('{"schema": 1}', "model: Field required"),
            ('{"schema": 1, "model": {}, "evidence": [{"key": "a.b", "class": "guess"}]}', "evidence.0.class"),
            ('{"schema": 1, "model": {}, "evidence": [{"key": "a.b", "class": "pending"}]}', "needs a reason"),
        ],
    )
    def test_a_file_that_is_no_ledger_is_named_with_its_first_fault(self, tmp_path: Path, text: str, why: str) -> None:
        path = tmp_path / "evidence.json"
        path.write_text(text)
        with pytest.raises(HarnessError) as caught:
            Ledger.load(path)
        assert str(path) in str(caught.value)
        assert why in str(caught.value)

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(HarnessError, match="no such file"):
            Ledger.load(tmp_path / "none.json")


class TestMerging:
    ONE, OTHER = Fingerprints(weights="1" * 64), Fingerprints(weights="2" * 64)

    def merged(self, old: Evidence, new: Evidence) -> Evidence:
        ledger = Ledger(model={}, evidence=[old])
        ledger.add([new])
        (only,) = ledger.evidence
        return only

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (make(fingerprints=ONE), make(value=77.0, fingerprints=ONE)),
            (make("pending"), make()),
            (make(n=1_000, fingerprints=ONE), make(n=50_000, fingerprints=ONE)),
            (make(n=50_000, fingerprints=ONE), make(n=1_000, fingerprints=OTHER)),
            (make("documented", fingerprints=ONE), make("measured", n=20, fingerprints=ONE)),
        ],
        ids=["newer", "a value for none", "more images", "other weights", "measured for documented"],
    )
    def test_what_replaces_an_old_answer(self, old: Evidence, new: Evidence) -> None:
        assert self.merged(old, new) is new

    @pytest.mark.parametrize("class_", VALUELESS)
    def test_a_pending_answer_never_replaces_a_value(self, class_: str) -> None:
        old = make(fingerprints=self.ONE)
        assert self.merged(old, make(class_)) is old
        assert self.merged(old, make(class_, fingerprints=self.ONE)) is old

    def test_less_of_a_benchmark_never_replaces_more(self) -> None:
        old = make(n=50_000, fingerprints=self.ONE)
        assert self.merged(old, make(n=1_000, fingerprints=self.ONE)) is old

    def test_order_is_kept_and_new_keys_come_last(self) -> None:
        ledger = Ledger(model={}, evidence=[make(key="a.one"), make(key="a.two")])
        ledger.add([make(key="a.three"), make(key="a.one", value=1.0)])
        assert [item.key for item in ledger] == ["a.one", "a.two", "a.three"]
        assert ledger.get("a.one").value == 1.0
        assert ledger.get("a.four") is None

    @given(st.lists(st.tuples(st.sampled_from(["measured", "pending"]), st.integers(1, 50)), min_size=1, max_size=8))
    def test_adding_twice_is_adding_once_and_the_largest_count_wins(self, runs: list[tuple[str, int]]) -> None:
        def item(class_: str, n: int) -> Evidence:
            count = {"n": n} if class_ == "measured" else {}
            return make(class_, fingerprints=self.ONE, created="2025-01-01T00:00:00+00:00", **count)

        ledger = Ledger(model={})
        ledger.add([item(*run) for run in runs])
        kept = ledger.evidence
        ledger.add(kept)
        assert ledger.evidence == kept
        counts = [n for class_, n in runs if class_ == "measured"]
        assert kept[0].n == max(counts, default=None)


class TestDisplay:
    @pytest.mark.parametrize(
        ("half_width", "unit", "decimals"),
        [
            (None, "%", 2),
            (None, "s", 3),
            (0.37, "%", 2),
            (4.2, "%", 1),
            (42.0, "%", 0),
            (0.0004, None, 3),
            (0.0, "%", 2),
        ],
    )
    def test_decimals_follow_the_interval(self, half_width: float | None, unit: str | None, decimals: int) -> None:
        assert decimals_for(half_width, unit) == decimals

    @pytest.mark.parametrize(
        ("changes", "text"),
        [
            ({}, "76.13 %"),
            ({"value": 90.0, "interval": Interval(low=69.9, high=97.2, method="Wilson")}, "90 %"),
            ({"value": 1_281_167, "unit": None, "interval": None, "reason": "a count"}, "1,281,167"),
            ({"value": 3738.382, "unit": "ms", "interval": None, "reason": "few calls"}, "3,738 ms"),
            ({"value": 12.3456, "unit": "ms", "interval": None, "reason": "few calls"}, "12.35 ms"),
            ({"value": 0.1234567, "unit": None, "interval": None, "reason": "a maximum"}, "0.123"),
            ({"value": 100.0, "interval": None, "reason": "none"}, "100.00 %"),
            ({"value": True, "unit": None, "interval": None}, "yes"),
            ({"value": False, "unit": None, "interval": None}, "no"),
            ({"value": [128, 192], "unit": None, "interval": None}, "128, 192"),
            ({"value": "bicubic", "unit": None, "interval": None}, "bicubic"),
        ],
    )
    def test_values(self, changes: dict[str, Any], text: str) -> None:
        assert show_value(make(**changes)) == text

    def test_a_value_with_everything_beside_it(self) -> None:
        assert show(make()) == "76.13 % (95 % interval 75.76–76.50, n = 50,000)"
        assert show_interval(make()) == "75.76–76.50"

    def test_part_of_a_benchmark_says_so_beside_the_number(self) -> None:
        item = make(n=20)
        assert item.is_partial
        assert show_count(item) == "20 of 50,000"
        assert "n = 20 of 50,000" in show(item)

    def test_an_unknown_shows_its_class_and_reason(self) -> None:
        item = make("pending")
        assert show(item) == "pending: the data are not here"
        assert (show_value(item), show_interval(item), show_count(item)) == ("pending", "—", "—")

    @given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
    def test_shown_bounds_never_leave_their_order(self, value: float, below: float, above: float) -> None:
        item = make(value=value, interval=Interval(low=value - below, high=value + above, method="m"), unit=None)
        low, high = (float(part.replace(",", "")) for part in show_interval(item).split("–"))
        assert low <= float(show_value(item).replace(",", "")) <= high


CUTTING = re.compile("r?partition|r?split|(starts|ends)with|remove(prefix|suffix)|count")
"""Methods of text that a key must not be asked by."""


def cuts(tree: ast.AST) -> Iterator[int]:
    """Lines that take an evidence key (`item.key`, or a name for one) apart as text."""

    def is_key(node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and node.attr == "key"

    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            method = node.func.attr
            if is_key(node.func.value) and CUTTING.fullmatch(method):
                yield node.lineno
            if method in ("match", "fullmatch", "search") and any(is_key(argument) for argument in node.args):
                yield node.lineno
        elif (
            isinstance(node, ast.Compare)
            and isinstance(node.ops[0], ast.In | ast.NotIn)
            and is_key(node.comparators[0])
        ):
            yield node.lineno


def test_no_module_but_the_grammars_own_takes_keys_apart() -> None:
    package = Path(harness.__file__).parent
    paths = [path for path in package.rglob("*.py") if path.relative_to(package).as_posix() != "evidence/key.py"]
    found = [
        f"{path.relative_to(package)}:{line}" for path in paths for line in cuts(ast.parse(path.read_text("utf-8")))
    ]
    assert found == [], "ask item.name, an EvidenceKey"
    assert list(cuts(ast.parse('item.key.rpartition(".")\n_CELL.fullmatch(item.key)\n"@" in item.key'))) == [1, 2, 3]

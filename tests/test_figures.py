"""Figures are valid SVG with their text in it, the same bytes each time, and say in words what they show."""

from __future__ import annotations

import hashlib
import itertools
import re
import subprocess
from xml.etree import ElementTree

import pytest

from harness.evidence import Evidence, EvidenceClass, Interval
from harness.figures.accuracy import accuracy_by_benchmark
from harness.figures.compute import accuracy_against_cost, throughput_by_batch
from harness.figures.corruption import corruption_bars, corruption_small_multiples
from harness.figures.style import Point, error_of, point

SVG = "{http://www.w3.org/2000/svg}"
GROUPS = {"noise": ("gaussian_noise",), "weather": ("fog", "snow")}
ERRORS = {
    (name, severity): Point(10.0 * severity + i, 10.0 * severity + i - 2, 10.0 * severity + i + 3)
    for i, name in enumerate(("gaussian_noise", "fog", "jpeg_compression"))
    for severity in (1, 3, 5)
}
CE = {"fog": Point(61.5, 60, 63), "gaussian_noise": Point(82.25, 80, 84), "jpeg_compression": Point(70.0)}
NOTE = "imagenet-c, 500 of 50,000 images"

SAME = """
import hashlib, sys
from harness.figures.compute import accuracy_against_cost
from harness.figures.corruption import corruption_bars
from harness.figures.style import Point
assert not any(name.partition(".")[0] == "matplotlib" for name in sys.modules), "imported before a figure is drawn"
svg = corruption_bars({"fog": Point(61.5, 60, 63)}, Point(61.5), title="t", note="n")
assert "matplotlib.pyplot" not in sys.modules
print(hashlib.sha256(svg.encode()).hexdigest())
"""


def multiples(**changes: object) -> str:
    arguments = {"title": "A <model> & its $errors$", "note": NOTE, "clean": Point(7.5, 6, 9), "groups": GROUPS}
    return corruption_small_multiples(ERRORS, **(arguments | changes))


def bars(**changes: object) -> str:
    return corruption_bars(CE, Point(71.25, 69, 73), title="CE", note=NOTE, groups=GROUPS, **changes)


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_small_multiples_carry_their_text_as_text() -> None:
    shown = texts(multiples())
    for expected in ("Gaussian noise", "Fog", "JPEG compression", "severity", "error, %", "weather", NOTE):
        assert expected in shown, expected
    assert "A <model> & its $errors$" in shown
    assert "without corruption: 7.5 %" in shown


def test_groups_that_are_not_in_the_figure_are_not_in_its_legend() -> None:
    assert "blur" not in texts(multiples(groups=GROUPS | {"blur": ("zoom_blur",)}))
    assert "weather" not in texts(multiples(groups=None))


def test_text_alternative_tells_every_number() -> None:
    root = ElementTree.fromstring(multiples())
    assert root.get("role") == "img"
    assert [child.tag for child in root][:2] == [f"{SVG}title", f"{SVG}desc"]
    assert root[0].text == "A <model> & its $errors$"
    described = root[1].text or ""
    assert "Without corruption: 7.5 (6.0 to 9.0)" in described
    assert "Fog: 11.0 (9.0 to 14.0) at severity 1, 31.0 (29.0 to 34.0) at severity 3" in described
    assert described.endswith(f"{NOTE}.")


def test_bars_are_sorted_and_tell_value_and_mean() -> None:
    svg = bars()
    shown = texts(svg)
    assert "mCE: 71.2 (69.0 to 73.0) %" in shown
    assert {"82.2", "70.0", "61.5", "corruption error, % of AlexNet's"} <= set(shown)
    heights = {
        node.text: float(node.get("y") or 0)
        for node in ElementTree.fromstring(svg).iter(f"{SVG}text")
        if node.text in ("Gaussian noise", "JPEG compression", "Fog")
    }
    assert sorted(heights, key=heights.__getitem__) == ["Gaussian noise", "JPEG compression", "Fog"]


def test_bars_without_normalisation_are_named_so() -> None:
    shown = texts(bars(mean_name="mean error", axis="error, %"))
    assert "error, %" in shown
    assert not any("mCE" in text or "AlexNet" in text for text in shown)


def test_marks_sit_where_the_values_are() -> None:
    """The three markers of one panel: equal steps in x, and y falling (SVG counts downwards) in steps of 20 %."""
    errors = {("fog", severity): Point(20.0 * severity) for severity in (1, 2, 3)}
    svg = corruption_small_multiples(errors, title="t", note="n")
    marks = [
        (float(x), float(y))
        for x, y in re.findall(r'<use xlink:href="#\w+" x="([\d.]+)" y="([\d.]+)" style="fill: #56', svg)
    ]
    assert len(marks) == 3
    ticks = {node.text: float(node.get("y") or 0) for node in ElementTree.fromstring(svg).iter(f"{SVG}text")}
    height_of_percent = (ticks["0"] - ticks["100"]) / 100
    assert marks[1][0] - marks[0][0] == pytest.approx(marks[2][0] - marks[1][0], abs=1e-4)
    for first, second in itertools.pairwise(marks):
        assert first[1] - second[1] == pytest.approx(20 * height_of_percent, rel=1e-3)


def test_same_bytes_in_another_process_and_nothing_imported_early(python: str) -> None:
    here = corruption_bars({"fog": Point(61.5, 60, 63)}, Point(61.5), title="t", note="n")
    there = subprocess.run([python, "-c", SAME], check=True, capture_output=True, text=True).stdout.strip()
    assert there == hashlib.sha256(here.encode()).hexdigest()
    assert "<dc:date>" not in here


def test_points_from_evidence() -> None:
    interval = Interval(low=70.0, high=74.0, level=0.95, method="Wilson")
    item = Evidence(
        key="imagenet-c/fog/3.top1",
        class_=EvidenceClass.MEASURED,
        value=72.5,
        unit="%",
        n=500,
        interval=interval,
        protocol={"suite": "demo"},
    )
    assert point(item) == Point(72.5, 70.0, 74.0)
    assert error_of(point(item)) == Point(27.5, 26.0, 30.0)
    assert error_of(Point(40.0)) == Point(60.0)
    pending = Evidence(key="imagenet-c/fog/3.top1", class_=EvidenceClass.PENDING, reason="no images")
    with pytest.raises(ValueError, match="no numeric value"):
        point(pending)


def test_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        corruption_small_multiples({}, title="t", note="n")
    with pytest.raises(ValueError, match="nothing to draw"):
        corruption_bars({}, Point(1.0), title="t", note="n")


SWEEP = {1: Point(20.0, 19.5, 20.5), 8: Point(31.0, 30, 32), 2: Point(25.0), 16: Point(30.0, 29, 31)}


def test_throughput_tells_every_batch_size_and_the_one_taken() -> None:
    svg = throughput_by_batch(SWEEP, 8, title="Speed", note="a CPU")
    shown = texts(svg)
    for expected in ("1", "2", "8", "16", "images a batch", "images/s", "taken: 8", "a CPU"):
        assert expected in shown, expected
    described = ElementTree.fromstring(svg)[1].text or ""
    assert "1 images a batch: 20 (19.5 to 20.5) images/s. 2 images a batch: 25 images/s. 8 images" in described
    assert svg == throughput_by_batch(dict(reversed(SWEEP.items())), 8, title="Speed", note="a CPU")
    with pytest.raises(ValueError, match="nothing to draw"):
        throughput_by_batch({}, 8, title="t", note="n")


def test_accuracy_against_cost_names_every_model() -> None:
    models = {
        "small <one>": (Point(0.4, 0.3, 0.5), Point(70.0, 69, 71)),
        "large": (Point(15.4), Point(84.0)),
        "wide": (Point(40.0, 0.0, 4000.0), Point(83.0)),  # an energy's low bound may be 0
    }
    svg = accuracy_against_cost(models, cost="billion multiply-adds", title="Cost", note="a note")
    shown = texts(svg)
    for expected in ("1 small <one>", "2 large", "3 wide", "top-1 %", "billion multiply-adds", "a note"):
        assert expected in shown, expected
    described = ElementTree.fromstring(svg)[1].text or ""
    assert "small <one>: 70 (69 to 71) % at 0.4 (0.3 to 0.5). large: 84 % at 15.4" in described
    with pytest.raises(ValueError, match="positive cost"):
        accuracy_against_cost({"a": (Point(0.0), Point(1.0))}, cost="c", title="t", note="n")


def test_benchmarks_stand_in_their_order_and_models_in_the_legend() -> None:
    own, other = {"A": Point(9.0), "B": Point(79.2, 78.0, 80.0)}, {"B": Point(82.3)}
    svg = accuracy_by_benchmark(["B", "A"], {"mine": own, "a sibling": other}, title="t", note="n")
    described = ElementTree.fromstring(svg)[1].text or ""
    assert "mine: A 9.0, B 79.2 (78.0 to 80.0). a sibling: B 82.3" in described
    height = {n.text: float(n.get("y") or 0) for n in ElementTree.fromstring(svg).iter(f"{SVG}text")}
    assert height["B"] < height["A"], "SVG counts downwards"
    assert {"mine", "a sibling"} <= set(texts(svg))
    with pytest.raises(ValueError, match="nothing to draw"):
        accuracy_by_benchmark([], {}, title="t", note="n")

"""Random and damaged inputs for each layer that parses: it answers or raises HarnessError, and nothing else.

Part of the slow tests, with few examples; for as long as one likes: `python -m tests.hostile.fuzz SECONDS`.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image
from yaml import YAMLError

from harness.cards.hub_schema import card_faults
from harness.cards.record import CardRecord, read_record
from harness.errors import HarnessError
from harness.evaluation.gate import Policy
from harness.evaluation.suites import parse_suite
from harness.evidence import Ledger
from harness.parsing.archives import unpack
from harness.parsing.images import load_image
from harness.parsing.json import parse_json, shaped
from harness.parsing.tables import read_parquet, texts, whole_numbers
from harness.parsing.yaml import ODD, Loader, built, fast_loader, parse_yaml

EXAMPLES = 150
_WORDS = st.sampled_from([
    "a", "license", "name", "benchmarks", "model-index", "imagenet-val", ": ", "\n", "\n  ", "\n    ", "- ", "? ", "[", "]", "{", "}", ", ", "&a ", "*a", "<<: ", "!!int ",
    "!!float ", "!!binary ", "!!set ", "!x ", "2024-13-40", "2024-01-01", "1:90", "0x", "1e999", ".nan", ".inf", "9" * 30, "~", "yes", "'", '"', "|\n", ">-\n", "#", "---\n", "...\n",
    "%", "\t", "\\", '"\\ud800"', "\0", "é", "\u2028", "=",
])  # fmt: skip
_YAML = st.lists(_WORDS, max_size=40).map("".join)
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_JSON = st.recursive(
    _SCALARS,
    lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=6), part, max_size=4),
    max_leaves=12,
)
_EDITS = st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=4), st.integers(0, 8)), min_size=1, max_size=4)


def _edited(data: bytes, edits: list[tuple[int, bytes, int]]) -> bytes:
    """A file after some bytes were replaced, put in or taken out."""
    for place, new, gone in edits:
        at = place % (len(data) + 1)
        data = data[:at] + new + data[at + gone :]
    return data


@cache
def _pictures() -> tuple[bytes, ...]:
    found = []
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        buffer = io.BytesIO()
        Image.effect_noise((24, 20), 90).convert("RGB").save(buffer, kind)
        found.append(buffer.getvalue())
    return tuple(found)


@cache
def _table() -> bytes:
    buffer = io.BytesIO()
    columns = {"sample_id": ["a", "b", None], "label": [1, 2, 3], "m": [[1, 2], [2, 3], [3, 4]]}
    pq.write_table(pa.table(columns), buffer, write_page_checksum=True)
    return buffer.getvalue()


@cache
def _archives() -> tuple[tuple[str, bytes], ...]:
    import tarfile

    packed, plain = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive, tarfile.open(fileobj=plain, mode="w") as tar:
        for name in ("a/b.txt", "a/c.txt"):
            archive.writestr(name, name * 50)
            info = tarfile.TarInfo(name)
            info.size = 100
            tar.addfile(info, io.BytesIO(b"x" * 100))
    return ("a.zip", packed.getvalue()), ("a.tar", plain.getvalue()), ("a.tar.gz", gzip.compress(plain.getvalue()))


def _answers(read: Callable[[], object]) -> None:
    """It returns, or raises the one error, with a sentence that can be written."""
    try:
        read()
    except HarnessError as error:
        str(error).encode()


def yaml(text: str) -> None:
    _answers(lambda: parse_yaml(text).data)
    _answers(lambda: parse_suite(f"name: a\ntitle: a\ndescription: a\n{text}", Path("s.yaml")))
    card_faults(f"---\n{text}\n---\n".encode("utf-8", "surrogatepass"))


def two_yamls(text: str) -> None:
    """libyaml, which reads most texts, reads them as PyYAML does."""
    text, found = ODD.sub(" ", text), []
    for loader in (Loader, fast_loader()):
        with contextlib.suppress(YAMLError):
            found.append(repr(built(loader(text)).data))
    assert len(set(found)) < 2, text


def json_shapes(value: Any, field: str, edits: list[tuple[int, bytes, int]]) -> None:
    ledger = {"schema": 1, "model": {"name": "a"}, "evidence": [], field: value}
    written = json.dumps(ledger).encode()
    for data in (written, _edited(written, edits)):
        _answers(lambda data=data: parse_json(data, "ledger", Ledger).to_json())  # type: ignore[misc]
    for shape in (CardRecord, dict[str, int], list[int]):
        _answers(lambda shape=shape: shaped(value, shape, "it"))  # type: ignore[misc]
    _answers(lambda: read_record(f"<!-- harness card {json.dumps({'made_by': value, field: value})} -->"))


def tables(edits: list[tuple[int, bytes, int]]) -> None:
    def read() -> None:
        frame = read_parquet(_edited(_table(), edits)).to_pandas()
        for name in frame.columns:
            for column_of in (whole_numbers, texts):
                _answers(partial(column_of, frame[name], "it"))

    _answers(read)


def images(kind: int, edits: list[tuple[int, bytes, int]]) -> None:
    _answers(lambda: load_image(_edited(_pictures()[kind], edits)))


def archives(kind: int, edits: list[tuple[int, bytes, int]]) -> None:
    name, data = _archives()[kind]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, name)
        file.write_bytes(_edited(data, edits))
        _answers(lambda: unpack(file, Path(folder, "target")))


def policies(text: str) -> None:
    _answers(lambda: shaped(parse_yaml(text).data or {}, Policy, "p.yaml"))


LAYERS: tuple[tuple[tuple[Any, ...], Callable[..., None]], ...] = (
    ((_YAML,), yaml),
    ((_YAML,), two_yamls),
    ((_JSON, st.sampled_from(["model", "environment", "evidence", "benchmarks", "schema"]), _EDITS), json_shapes),
    ((_EDITS,), tables),
    ((st.integers(0, 5), _EDITS), images),
    ((st.integers(0, 2), _EDITS), archives),
    ((_YAML,), policies),
)
"""Each with what it is given."""


def bounded(layer: Callable[..., None], examples: int, **more: Any) -> Callable[[], None]:
    """A property with so many examples."""
    checks = tuple(HealthCheck)
    ready = settings(max_examples=examples, deadline=None, database=None, suppress_health_check=checks, **more)(layer)
    return cast("Callable[[], None]", ready)


def main(seconds: float) -> None:
    """Other seeds until the time is over; a failure ends it with its example."""
    begun, number = time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        for kinds, layer in LAYERS:
            bounded(seed(number)(given(*kinds)(layer)), EXAMPLES, derandomize=False)()
        number += 1
    sys.stdout.write(f"{number} seeds of {EXAMPLES} examples for each of {len(LAYERS)} layers: nothing found\n")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)

"""Hostile and damaged inputs, each given to the verbs that read it: `python -m tests.hostile.corpus [WORD …]`.

Each case runs the command line (or one function) in a process of its own, in a folder of its own, with bounds on time and memory. It
has to end with a sentence: a traceback, the last net's report, a hang or running out of memory is a failure.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import struct
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 20.0
"""Seconds from which a case counts as hanging."""
MOST_MEMORY = 8 << 30
NET = "This is a fault of harness itself"
"""What the last net says."""

SUITE = "name: odd\ntitle: Odd\ndescription: Odd.\nbenchmarks: [imagenet-val]\nmetrics: [accuracy]\n"
CARD = "# A model\n\nTop-1 accuracy is 77.1 %.\n\n- **Licence:** [More Information Needed]\n"


@dataclass(frozen=True)
class Case:
    """One input and what reads it."""

    name: str
    run: tuple[str, ...] | Callable[[], object]
    """Arguments of the command line, or a function."""
    files: dict[str, bytes | str] = field(default_factory=dict)
    prepare: Callable[[], object] | None = None
    """Called in the case's folder before."""
    environment: dict[str, str] = field(default_factory=dict)


# --- YAML -----------------------------------------------------------------------------------------------------------


def laughs(levels: int = 9, width: int = 9) -> str:
    lines = ["a0: &a0 [lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def merges(levels: int = 24) -> str:
    lines = ["m0: &m0 {k0: v}"]
    lines += [f"m{n}: &m{n}\n  <<: [*m{n - 1}, *m{n - 1}]\n  k{n}: v" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


YAMLS: dict[str, str | bytes] = {
    "laughs": laughs(),
    "quadratic": "a: &a [" + "x, " * 3000 + "x]\nb: [" + "*a, " * 3000 + "*a]\n",
    "merges": merges(),
    "merge-itself": "a: &a\n  <<: *a\n  b: 1\n",
    "merge-text": "a:\n  <<: text\n",
    "list-in-itself": "a: &a [1, *a]\n",
    "map-in-itself": "a: &a {b: *a}\n",
    "map-as-its-key": "? &a {b: 1}\n: *a\n",
    "month-13": "a: 2024-13-45\n",
    "hour-99": "a: 2024-01-01T99:99:99Z\n",
    "zone-99": "a: 2001-12-14t21:59:43.10+99:99\n",
    "date": "a: 2024-01-01\n",
    "huge-integer": f"a: {'9' * 5000}\n",
    "huge-hex": f"a: 0x{'f' * 20000}\n",
    "big-integer": "a: 99999999999999999999999999\n",
    "sixties": f"a: 1{':10' * 5000}\n",
    "underscore": "a: 0x_\n",
    "tag-int": "a: !!int word\n",
    "tag-float": "a: !!float word\n",
    "tag-bool": "a: !!bool maybe\n",
    "tag-date": "a: !!timestamp soon\n",
    "tag-binary": 'a: !!binary "===="\n',
    "tag-bytes": "a: !!binary aGVsbG8=\n",
    "tag-set": "a: !!set {x, y}\n",
    "tag-pairs": "a: !!pairs [x: 1, y: 2]\n",
    "tag-map-of-list": "a: !!map [1]\n",
    "tag-python": "a: !!python/object/apply:os.system ['touch pwned']\n",
    "tag-own": "a: !mine x\n",
    "value-sign": "a: =\n",
    "deep-lists": f"a: {'[' * 5000}{']' * 5000}\n",
    "deep-maps": f"a: {'{a: ' * 3000}1{'}' * 3000}\n",
    "deep-block": "a: " + "- " * 2000 + "x\n",
    "fairly-deep": f"a: {'[' * 240}{']' * 240}\n",
    "nan": "a: .nan\n",
    "infinity": "a: -.inf\n",
    "beyond-float": "a: 1e999\nb: 1.0e+999\n",
    "half-a-pair": 'a: "\\ud800"\n',
    "nul-escape": 'a: "x\\0y"\n',
    "nul": b"a: x\x00y\n",
    "bell": b"a: x\x07y\n",
    "latin-1": "a: caf\xe9\n".encode("latin-1"),
    "utf-16": "a: b\n".encode("utf-16"),
    "tab": "a:\n\tb: 1\n",
    "open-quote": 'a: "x\n',
    "list-as-key": "? [1, 2]\n: x\n",
    "map-as-key": "? {a: 1}\n: x\n",
    "unknown-alias": "a: *nobody\n",
    "twice": "license: mit\nlicense: apache-2.0\nname: odd\nname: other\n",
    "number-as-key": "1: a\n",
    "nothing-as-key": "~: a\n",
    "truth-as-key": "yes: a\n",
    "date-as-key": "2024-01-01: a\n",
    "nan-as-key": ".nan: a\n",
    "long-key": f"{'k' * 100_000}: a\n",
    "two-megabytes": f"a: {'x' * 2_000_000}\n",
    "many-keys": "".join(f"k{n}: {n}\n" for n in range(60_000)),
    "documents": "a: 1\n---\na: 2\n...\n",
    "directive": "%YAML 9.9\n---\na: 1\n",
}
WHOLE_YAMLS = {"list": "- 1\n", "word": "word\n", "empty": "", "comment": "# nothing\n", "number": "1\n", "date-only": "2024-13-45\n"}  # fmt: skip


def _bytes(data: str | bytes) -> bytes:
    return data if isinstance(data, bytes) else data.encode()


def yaml_cases() -> Iterator[Case]:
    readers: dict[str, tuple[bytes, bytes, str, tuple[str, ...], dict[str, str]]] = {
        "suite": (SUITE.encode(), b"", "s.yaml", ("plan", "--suite", "s.yaml", "--model", "efficientnet-lite0", "--offline", "--no-probe"), {}),
        "policy": (b"", b"", "p.yaml", ("check", "ledger.json", "--baseline", "ledger.json", "--policy", "p.yaml"), {}),
        "catalog": (b"", b"", "more/c.yaml", ("list", "benchmarks"), {"HARNESS_CATALOG": "more"}),
        "fill": (b"---\n", b"---\n" + CARD.encode(), "c.md", ("fill", "c.md", "--model", "regnet-y-040", "--output", "o.md"), {}),
        "front": (b"---\n", b"---\n" + CARD.encode(), "c.md", ("fill", "c.md", "--model", "regnet-y-040", "--output", "o.md", "--front-matter"), {}),
        "claims": (b"---\n", b"---\n" + CARD.encode(), "c.md", ("claims", "c.md", "--model", "regnet-y-040"), {}),
        "verify": (b"---\n", b"---\n" + CARD.encode(), "c.md", ("verify", "c.md"), {}),
        "readme": (b"---\n", b"---\n" + CARD.encode(), "m/README.md", ("fill", "card.md", "--model", "./m", "--output", "o.md"), {}),
    }  # fmt: skip
    for reader, (before, after, file, arguments, environment) in readers.items():
        for name, text in YAMLS.items():
            files = {file: before + _bytes(text) + after, "card.md": CARD, "m/config.json": "{}"}
            yield Case(f"yaml/{reader}/{name}", arguments, files, environment=environment)
    for reader in ("suite", "policy", "catalog"):
        _, _, file, arguments, environment = readers[reader]
        for name, whole in WHOLE_YAMLS.items():
            yield Case(f"yaml/{reader}/whole-{name}", arguments, {file: whole}, environment=environment)
    drop = "max-drop: {imagenet-val.top1: .nan}\n"
    policies = {"drop": drop, "word": "max-drop: soon\n", "flips": "max-flips: [1]\n", "share": "max-flips: 1e999%\n"}
    for name, text in policies.items():
        yield Case(f"yaml/policy/{name}", readers["policy"][3], {"p.yaml": text})
    suites = {
        "name-outside": SUITE.replace("name: odd", "name: ../../x"), "name-long": SUITE.replace("odd", "o" * 300),
        "published-nan": SUITE + "published: [{key: imagenet-val.top1, value: .nan, model: m, title: t}]\n",
        "published-beyond": SUITE + f"published: [{{key: imagenet-val.top1, value: {'9' * 400}, model: m, title: t}}]\n",
        "slices-a-folder": SUITE + "slices: .\nslicings: [x]\n", "metrics-date": SUITE.replace("[accuracy]", "[2024-01-01]"),
        "own-path-number": SUITE.replace("[imagenet-val]", "[{name: a, path: 3}]"), "own-nul": SUITE.replace("[imagenet-val]", '[{name: a, path: "x\\0y"}]'),
        "own-long": SUITE.replace("[imagenet-val]", "[{name: a, path: " + "p" * 5000 + "}]"),
        "two-of-one-key": SUITE.replace("[imagenet-val]", "[imagenet-val, imagenet-val]"),
    }  # fmt: skip
    for name, text in suites.items():
        yield Case(f"yaml/suite/{name}", readers["suite"][3], {"s.yaml": text})


# --- JSON -----------------------------------------------------------------------------------------------------------

JSONS: dict[str, str | bytes] = {
    "empty": "", "null": "null", "list": "[]", "text": '"x"', "number": "1", "cut": '{"a": ', "comma": '{"a": 1,}', "html": "<html>no</html>",
    "deep": "[" * 1000 + "]" * 1000, "very-deep": '{"a":' * 100_000 + "1" + "}" * 100_000, "fairly-deep": '{"a":' * 190 + "1" + "}" * 190,
    "nul": b'{"a": "\x00"}', "latin-1": '{"a": "é"}'.encode("latin-1"), "utf-16": '{"a": 1}'.encode("utf-16"), "bom": b"\xef\xbb\xbf{}",
    "huge-integer": '{"a": ' + "9" * 5000 + "}",
}  # fmt: skip
VALUES: dict[str, str] = {
    "nan": "NaN", "infinity": "Infinity", "beyond": "1e999", "big": "9" * 400, "half-a-pair": '"\\ud800"', "deep": "[" * 150 + "]" * 150,
    "deeper": "[" * 990 + "]" * 990, "map": '{"a": {"b": 1}}', "list": '[[1], "a", null]', "negative": "-1", "text": '"x"', "null": "null",
}  # fmt: skip


def _config(**changes: str) -> str:
    fields = {
        "architectures": '["ViTForImageClassification"]', "model_type": '"vit"', "hidden_size": "24", "num_hidden_layers": "1",
        "num_attention_heads": "2", "intermediate_size": "32", "image_size": "32", "patch_size": "8", "id2label": '{"0": "a", "1": "b"}',
    } | changes  # fmt: skip
    return "{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}"


PROCESSOR: dict[str, Any] = {
    "image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
}  # fmt: skip
MODEL = {"m/config.json": _config(), "m/preprocessor_config.json": json.dumps(PROCESSOR)}
"""A small network, whose weights `_weights` writes."""
RUN = ("run", "--model", "./m", "--offline", "--output", "o", "--data")


def _ledger() -> dict[str, Any]:
    return json.loads((ROOT / "cards" / "regnet-y-040.evidence.json").read_text())


def _changed(where: tuple[str | int, ...], value: str) -> str:
    """The ledger with another value at one place."""
    ledger = _ledger()
    part: Any = ledger
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = "@@"
    return json.dumps(ledger).replace('"@@"', value)


def _with_record(record: str) -> dict[str, bytes | str]:
    """A card that ends with this record, and its ledger."""
    return {"c.md": f"{CARD}\n<!-- harness card {record} -->\n", "c.evidence.json": _text()}


def _told(**more: str) -> str:
    """The record of a filled card, as JSON."""
    return json.dumps(
        {"made_by": "fill", "model": "regnet-y-040", "ledger": None, "sha256": None, "fill": "c.fill.json"} | more
    )


def _put(fields: Mapping[str, Any], place: str, value: str) -> str:
    """A JSON object with another value, itself JSON, at one place."""
    return json.dumps({**fields, place: "@@"}).replace('"@@"', value)


def json_cases() -> Iterator[Case]:
    fill, verify = ("fill", "card.md", "--model", "./m", "--output", "o.md"), ("verify", "c.md")
    render = ("render", "--ledger", "l.json", "--output", "o.md")
    run, model = (*RUN, "images", "--limit", "2"), {"card.md": CARD} | MODEL
    config, processor = "m/config.json", "m/preprocessor_config.json"
    for name, text in JSONS.items():
        line = _bytes(text).replace(b"\n", b"")
        card = CARD.encode() + b"\n<!-- harness card {" + line[1:] + b" -->\n"
        readers: dict[str, tuple[tuple[str, ...], dict[str, bytes | str], Callable[[], object] | None]] = {
            "config": (fill, model | {config: text}, None),
            "processor": (fill, model | {processor: text}, None),
            "trainer": (fill, model | {"m/trainer_state.json": text, "m/all_results.json": text}, None),
            "loaded": (run, model | {config: text}, _weights),
            "loaded-processor": (run, model | {processor: text}, _weights),
            "ledger": (render, {"l.json": text}, None),
            "record": (verify, {"c.md": card, "c.evidence.json": _text()}, None),
            "told": (verify, {**_with_record(_told()), "c.fill.json": text}, None),
            "origin": (("fill", "card.md", "--model", "regnet-y-040", "--output", "o.md"), {"card.md": CARD, "card.md.harness.json": text}, None),
            "runs": (("list", "runs"), {"home/runs/1-a-b.json": text}, None),
            "lines": (("data", "images"), {"images/metadata.jsonl": line + b"\n"}, _images),
        }  # fmt: skip
        for reader, (arguments, files, prepare) in readers.items():
            yield Case(f"json/{reader}/{name}", arguments, files, prepare)
    check = ("check", "l.json", "--baseline", "ledger.json", "--max-drop", "imagenet-val.top1=1")
    written = {"made_by": "render", "model": "regnet-y-040", "ledger": "c.evidence.json", "sha256": "0" * 64}
    for name, value in VALUES.items():
        for place in ("hidden_size", "id2label", "architectures", "model_type", "image_size"):
            files = model | {config: _config(**{place: value})}
            yield Case(f"json/config/{place}-{name}", fill, files)
            if place in ("hidden_size", "id2label", "image_size"):
                yield Case(f"json/loaded/{place}-{name}", run, files, _weights)
        for key in ("pretrained_cfg", "model_args", "num_classes"):
            files = model | {config: _put({"architecture": "resnet10t"}, key, value)}
            yield Case(f"json/timm/{key}-{name}", fill, files)
            yield Case(f"json/loaded-timm/{key}-{name}", run, files, _weights)
        for key in ("size", "image_mean", "resample", "crop_pct"):
            text = _put(PROCESSOR | {"do_center_crop": True}, key, value)
            yield Case(f"json/processor/{key}-{name}", fill, model | {processor: text})
        for where in (("model", "name"), ("model", "weights"), ("model", "extra"), ("environment", "extra"), ("evidence", 0, "value"), ("evidence", 0, "protocol"),
                      ("evidence", 0, "source"), ("evidence", 3, "interval"), ("benchmarks",), ("evidence", 0, "created")):  # fmt: skip
            yield Case(f"json/ledger/{'-'.join(map(str, where))}-{name}", render, {"l.json": _changed(where, value)})
        ledgers = {
            "l.json": _changed(("model", "extra"), value),
            "home/ledgers/a/evidence.json": _changed(("environment", "extra"), value),
            "home/ledgers/b/evidence.json": _text(),
        }
        yield Case(f"json/compare/{name}", ("compare", "a", "b"), ledgers)
        yield Case(f"json/check/{name}", check, ledgers)
        for place in ("made_by", "ledger", "sha256", "lines", "figures", "before", "model"):
            yield Case(f"json/record/{place}-{name}", verify, _with_record(_put(written, place, value)))
        told = f'{{"before": "{CARD[:9]}", "markers": {value}, "neighbours": {value}}}'
        yield Case(f"json/told/parts-{name}", verify, {**_with_record(_told(before="00")), "c.fill.json": told})
    twice = _ledger()
    twice["evidence"].append(twice["evidence"][0])
    yield Case("json/ledger/twice", ("render", "--ledger", "l.json"), {"l.json": json.dumps(twice)})


def _text() -> str:
    return json.dumps(_ledger())


# --- tables ---------------------------------------------------------------------------------------------------------


def _parquet(columns: dict[str, Any]) -> Callable[[], object]:
    def write() -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table(columns), "p.parquet")

    return write


def table_cases() -> Iterator[Case]:
    import pyarrow as pa

    score = ("score", "--predictions", "p.parquet", "--benchmark", "imagenetv2-matched-frequency", "--name", "odd")
    ids, labels = ["a", "b"], [1, 2]
    good = {"sample_id": ids, "label": labels, "top1": [1, 2]}
    tables: dict[str, dict[str, Any]] = {
        "null-label": good | {"label": [1, None]}, "null-id": good | {"sample_id": ["a", None]}, "null-top": good | {"top1": [1, None]},
        "all-null": good | {"top1": pa.nulls(2)}, "text-label": good | {"label": ["1", "x"]}, "list-label": good | {"label": [[1], [2]]},
        "list-id": good | {"sample_id": [["a"], ["b"]]}, "struct-top": good | {"top1": [{"a": 1}, {"a": 2}]}, "float-top": good | {"top1": [1.5, 2.0]},
        "nan-top": good | {"top1": [float("nan"), 2.0]}, "big-top": good | {"top1": pa.array([2**63, 1], pa.uint64())}, "negative": good | {"top1": [-5, 2]},
        "lists": {"sample_id": ids, "label": labels, "m": [[1, 2], [2, 3]]}, "nested": {"sample_id": ids, "label": labels, "m": [[[1], [2]], [[2], [3]]]},
        "null-in-list": {"sample_id": ids, "label": labels, "m": [[1, None], [2, 3]]}, "null-list": {"sample_id": ids, "label": labels, "m": [[1, 2], None]},
        "null-first": {"sample_id": ids, "label": labels, "m": [None, [1, 2]]}, "empty-list": {"sample_id": ids, "label": labels, "m": [[], [1, 2]]},
        "text-list": {"sample_id": ids, "label": labels, "m": [["a"], ["b"]]}, "no-rows": {"sample_id": pa.array([], pa.string()), "label": pa.array([], pa.int64()), "top1": pa.array([], pa.int64())},
        "binary-id": good | {"sample_id": [b"a", b"\xff"]}, "date-label": good | {"label": pa.array([1, 2], pa.timestamp("s"))}, "bool": good | {"top1": [True, False]},
        "dictionary": good | {"top1": pa.array([1, 2]).dictionary_encode()}, "twice": good | {"sample_id": ["a", "a"]}, "map": good | {"top1": pa.array([[("a", 1)], [("b", 2)]], pa.map_(pa.string(), pa.int64()))},
    }  # fmt: skip
    for name, columns in tables.items():
        yield Case(f"table/parquet/{name}", score, prepare=_parquet(columns))
    wrong = {"empty": b"", "magic": b"PAR1PAR1", "noise": bytes(range(256)) * 40, "text": b"sample_id,label\n"}
    for name, data in wrong.items():
        yield Case(f"table/parquet/{name}", score, {"p.parquet": data})
    csvs: dict[str, str | bytes] = {
        "empty": "", "nul": b"sample_id,label,top1\na,1,\x00\n", "latin-1": "sample_id,label,top1\n\xe9,1,1\n".encode("latin-1"), "ragged": "sample_id,label,top1\na,1,1,1,1\nb\n",
        "nan": "sample_id,label,top1\na,nan,1\n", "quote": 'sample_id,label,top1\n"a,1,1\n', "twice-named": "sample_id,label,label,top1\na,1,2,1\n", "big": f"sample_id,label,top1\na,1,{'9' * 400}\n",
        "long-cell": f"sample_id,label,top1\n{'a' * 300_000},1,1\n", "words": "sample_id,label,top1\na,one,two\n",
    }  # fmt: skip
    for name, text in csvs.items():
        yield Case(f"table/csv/{name}", (*score[:2], "p.csv", *score[3:]), {"p.csv": text})
        yield Case(f"table/labels/{name}", ("data", "images"), {"images/labels.csv": text, "images/images/a.png": b"x"})
        slices = _bytes(text).replace(b"top1", b"kind")
        yield Case(f"table/slices/{name}", (*score, "--slices", "s.csv"), {"s.csv": slices}, _parquet(good))
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows: dict[str, Any] = {
        "neither": [{"bytes": None, "path": None}] * 2, "outside": [{"bytes": None, "path": "/etc/passwd"}] * 2, "null": [None, None], "up": [{"bytes": None, "path": "../../x"}] * 2,
        "no-image": [{"bytes": b"no image", "path": "a.png"}] * 2, "empty": [{"bytes": b"", "path": ""}] * 2, "folder": [{"bytes": None, "path": "."}] * 2,
    }  # fmt: skip
    plain = {"list": [[1], [2]], "text": ["a", "b"], "number": [1, 2], "no-path": [{"bytes": b"x"}] * 2}
    run, model = (*RUN, "p.parquet", "--labels", "a", "--labels", "b"), MODEL

    def both(columns: dict[str, Any]) -> Callable[[], object]:
        return lambda: (_weights(), _parquet(columns)())

    for name, values in rows.items():
        yield Case(f"table/rows/{name}", run, model, both({"image": pa.array(values, image), "label": ["a", "b"]}))
    for name, values in plain.items():
        yield Case(f"table/rows/{name}", run, model, both({"image": values, "label": ["a", "b"]}))
    right = pa.array([{"bytes": b"x", "path": "p"}] * 2, image)
    odd_labels = {"null": ["a", None], "list": [["a"], ["b"]], "float": [0.5, 1.5], "none": [None, None]}
    for name, values in odd_labels.items():
        yield Case(f"table/rows/label-{name}", run, model, both({"image": right, "label": values}))


# --- images, archives, files ----------------------------------------------------------------------------------------


def _weights() -> None:
    """Weights of the network that `_config` describes."""
    from safetensors.numpy import save_file

    global _STATE
    save_file(_STATE, "m/model.safetensors")
    _images()


_STATE: dict[str, Any] = {}


def _picture(width: int = 40, height: int = 40, kind: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new(mode, (width, height), 77).save(buffer, kind, **options)
    return buffer.getvalue()


def _images() -> None:
    for class_ in ("a", "b"):
        Path("images", class_).mkdir(parents=True, exist_ok=True)
        for number in range(2):
            Path("images", class_, f"{class_}{number}.png").write_bytes(_picture())


def image_cases() -> Iterator[Case]:
    short = PROCESSOR | {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {"height": 32, "width": 32}}  # fmt: skip
    cropped = MODEL | {"m/preprocessor_config.json": json.dumps(short)}
    run = (*RUN, "images")
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n%%EndComments\nshowpage\n%%EOF\n"
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
        + _chunk(b"IEND", b"")
    )
    pictures: dict[str, Callable[[], bytes]] = {
        "one-wide": lambda: _picture(60_000, 1), "one-high": lambda: _picture(1, 60_000), "eps": lambda: eps, "bomb": lambda: bomb, "empty": lambda: b"", "noise": lambda: bytes(range(256)),
        "cut": lambda: _picture()[:-20], "pcx": lambda: _picture(kind="PCX"), "sgi": lambda: _picture(kind="SGI"), "grey-16": lambda: _picture(mode="I;16"), "float": lambda: _picture(kind="TIFF", mode="F"),
        "int-32": lambda: _picture(kind="TIFF", mode="I"), "pdf": lambda: b"%PDF-1.4\n", "svg": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "ico": lambda: _picture(kind="ICO"),
    }  # fmt: skip
    corrupt = ("corrupt", "images/a/odd.png", "--corruption", "fog", "--severity", "1", "--output", "o.png")
    for name, make in pictures.items():

        def write(make: Callable[[], bytes] = make) -> None:
            _weights()
            Path("images/a/odd.png").write_bytes(make())

        yield Case(f"image/run/{name}", run, cropped, write)
        yield Case(f"image/corrupt/{name}", corrupt, cropped, write)

    oddities: dict[str, Callable[[], object]] = {
        "pipe": lambda: os.mkfifo("images/a/odd.png"), "folder": lambda: Path("images/a/odd.png").mkdir(), "bad-name": lambda: Path(os.fsdecode(b"images/a/\xff.png")).write_bytes(_picture()),
        "dead-link": lambda: os.symlink("nowhere", "images/a/odd.png"), "circle": lambda: os.symlink("odd.png", "images/a/odd.png"), "link-outside": lambda: os.symlink("/etc/passwd", "images/a/odd.png"),
        "bad-folder": lambda: (Path(os.fsdecode(b"images/\xff")).mkdir(), Path(os.fsdecode(b"images/\xff/x.png")).write_bytes(_picture())), "device": lambda: os.symlink("/dev/zero", "images/a/odd.png"),
        "newline": lambda: Path("images/a/x\ny.png").write_bytes(_picture()),
    }  # fmt: skip
    for name, prepare in oddities.items():
        yield Case(f"file/images/{name}", run, MODEL, lambda prepare=prepare: (_weights(), prepare()))
    path = "/".join(["d" * 200] * 30)
    commands: dict[str, tuple[str, ...]] = {
        "fill": ("fill", "@", "--model", "regnet-y-040", "--output", "o.md"), "fill-out": ("fill", "card.md", "--model", "regnet-y-040", "--output", "@"), "claims": ("claims", "@", "--model", "regnet-y-040"),
        "verify": ("verify", "@"), "verify-template": ("verify", "card.md", "--template", "@"), "render": ("render", "--ledger", "@"), "render-out": ("render", "--ledger", "ledger.json", "--output", "@/x"), "render-template": ("render", "--ledger", "ledger.json", "--template", "@"),
        "suite": ("plan", "--model", "efficientnet-lite0", "--suite", "@.yaml"), "model": ("plan", "--model", "./@", "--suite", "imagenet"), "data": ("data", "./@"), "corrupt": ("corrupt", "@.png", "--corruption", "fog", "--severity", "1"),
        "score": ("score", "--predictions", "@.parquet", "--benchmark", "imagenet-val", "--name", "x"), "score-name": ("score", "--predictions", "p.csv", "--benchmark", "imagenetv2-top-images", "--name", "@"), "check": ("check", "@.json", "--baseline", "@.json"), "policy": ("check", "ledger.json", "--baseline", "ledger.json", "--policy", "@"),
        "push": ("push", "@", "--repo-id", "a/b", "--dry-run"), "compare": ("compare", "@", "@"), "view": ("view", "@.html", "--no-browser"), "data-option": ("plan", "--model", "efficientnet-lite0", "--suite", "imagenet", "--data", "imagenet-val=@"), "model-of-store": ("render", "--model", "@"), "slices": ("score", "--predictions", "p.csv", "--benchmark", "imagenetv2-top-images", "--name", "x", "--slices", "@.csv"),
    }  # fmt: skip
    words = {"long-name": "n" * 300, "long-path": path, "missing": "no/such", "not-utf-8": os.fsdecode(b"\xff\xfe")}
    files: dict[str, bytes | str] = {"card.md": CARD, "p.csv": "sample_id,label,top1\na,1,1\n"}
    for name, arguments in commands.items():
        for what, word in words.items():
            yield Case(f"file/{name}/{what}", tuple(part.replace("@", word) for part in arguments), files)
        if name in ("compare", "model-of-store", "score-name"):  # they take a name
            continue
        odd = tuple(part.replace("@", "odd") for part in arguments)
        place = next(new for new, part in zip(odd, arguments, strict=True) if "@" in part)
        target = Path(place.rpartition("=")[2].removesuffix("/x"))
        yield Case(f"file/{name}/folder", odd, files, target.mkdir)
        yield Case(f"file/{name}/pipe", odd, files, partial(os.mkfifo, target))
    score = ("score", "--predictions", "p.csv", "--benchmark", "imagenetv2-top-images", "--name", "x")
    home, catalog, listed = "HARNESS_HOME", "HARNESS_CATALOG", ("list", "benchmarks")
    yield Case("file/home/long", ("list", "runs"), environment={home: path})
    yield Case("file/home/file", score, files | {"h": ""}, environment={home: "h"})
    yield Case("file/catalog/file", listed, {"h": ""}, environment={catalog: "h"})
    yield Case("file/catalog/folder-in-it", listed, {"more/c.yaml/x": ""}, environment={catalog: "more"})
    for device in ("mps", "cuda", "cuda:7", "tpu", "cpu:3", "meta", ""):
        yield Case(f"device/{device}", (*run, "--device", device), MODEL, _weights)
    templates = {"itself": '{% include "t.md.j2" %}', "macro": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "extends": '{% extends "t.md.j2" %}', "endless": "{% for a in range(10**9) %}x{% endfor %}",
                 "power": "{{ 'x' * (10 ** 10) }}", "syntax": "{% if", "unknown": "{{ nothing.at.all }}", "division": "{{ 1 / 0 }}", "dunder": "{{ ''.__class__.__mro__ }}", "latin-1": "\xe9"}  # fmt: skip
    render = ("render", "--ledger", "ledger.json", "--template", "t.md.j2")
    for name, text in templates.items():
        yield Case(f"template/{name}", render, {"t.md.j2": text.encode("latin-1")})


def _chunk(kind: bytes, data: bytes) -> bytes:
    import zlib

    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _unpacked(name: str, data: Callable[[], bytes]) -> Callable[[], object]:
    def unpack() -> None:
        from harness.parsing.archives import unpack

        Path(name).write_bytes(data())
        unpack(Path(name), Path("target"))

    return unpack


def archive_cases() -> Iterator[Case]:
    def packed(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for name, data in members:
                archive.writestr(name, data)
        return buffer.getvalue()

    def encrypted() -> bytes:
        data = bytearray(packed(("a.png", b"x" * 100)))
        for at in (data.find(b"PK\x03\x04") + 6, data.find(b"PK\x01\x02") + 8):
            data[at] |= 1
        return bytes(data)

    def compressed_oddly() -> bytes:
        data = bytearray(packed(("a.png", b"x" * 100)))
        for at in (data.find(b"PK\x03\x04") + 8, data.find(b"PK\x01\x02") + 10):
            data[at : at + 2] = struct.pack("<H", 97)
        return bytes(data)

    def flipped(data: bytes, at: int) -> bytes:
        return data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]

    zips: dict[str, Callable[[], bytes]] = {
        "encrypted": encrypted, "compression": compressed_oddly, "outside": lambda: packed(("../x.png", b"x")), "absolute": lambda: packed(("/tmp/x.png", b"x")), "empty": lambda: b"", "noise": lambda: b"PK" + bytes(999),
        "flipped": lambda: flipped(packed(("a.png", os.urandom(999)), method=zipfile.ZIP_STORED), 300), "cut": lambda: packed(("a.png", os.urandom(999)))[:-50], "long": lambda: packed(("n" * 300, b"x")), "folder-and-file": lambda: packed(("a", b"x"), ("a/b", b"y")), "nul": lambda: packed(("a\0b.png", b"x")),
    }  # fmt: skip
    for name, make in zips.items():
        yield Case(f"archive/zip/{name}", _unpacked("a.zip", make))

    def tarred(*members: tuple[str, bytes]) -> bytes:
        import tarfile

        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for name, data in members:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return buffer.getvalue()

    whole = tarred(("a/b.png", b"x" * 9999))
    tars: dict[str, Callable[[], bytes]] = {
        "crc": lambda: flipped(whole, len(whole) - 6), "length": lambda: flipped(whole, len(whole) - 2), "cut": lambda: whole[:-9], "empty": lambda: b"", "outside": lambda: tarred(("../x", b"x")), "long": lambda: tarred(("n" * 300, b"x")), "noise": lambda: bytes(999),
    }  # fmt: skip
    for name, make in tars.items():
        yield Case(f"archive/tar/{name}", _unpacked("a.tar.gz", make))


# --- answers of a Hub -----------------------------------------------------------------------------------------------

ANSWERS: dict[str, bytes] = {name: _bytes(text) for name, text in JSONS.items()} | {
    "words-for-maps": b'{"id": 1, "sha": [1], "siblings": "x", "cardData": 3, "tags": {}, "auth": "x", "name": ["x"]}',
    "lists-for-maps": b'{"id": "a/b", "sha": "0", "siblings": [1], "cardData": [], "auth": [], "name": null}',
    "deep-parts": b'{"id": "a/b", "cardData": ' + b"[" * 150 + b"]" * 150 + b', "auth": {"accessToken": "x"}}',
    "nan-parts": b'{"id": "a/b", "sha": NaN, "siblings": [{"rfilename": NaN}], "cardData": {"license": NaN}}',
    "gzip-not": b"{}",
}


def hub_cases() -> Iterator[Case]:
    commands = {
        "pull": ("pull", "a/b"), "push": ("push", "card.md", "--repo-id", "a/b", "--yes"), "fill": ("fill", "card.md", "--model", "hf:a/b", "--output", "o.md"),
        "run": ("run", "--model", "hf:a/b", "--data", "images", "--output", "o"), "data": ("data", "hf:a/b"),
    }  # fmt: skip
    for name, body in ANSWERS.items():
        for verb, arguments in commands.items():
            run = partial(_against_hub, arguments, body, is_gzip=name == "gzip-not")
            yield Case(f"hub/{verb}/{name}", run, {"card.md": CARD}, _images)


def _against_hub(arguments: tuple[str, ...], body: bytes, *, is_gzip: bool) -> int:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            if is_gzip:
                self.send_header("Content-Encoding", "gzip")
            for header, value in {"Content-Length": len(body), "ETag": '"0"', "X-Repo-Commit": "0" * 40}.items():
                self.send_header(header, str(value))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_POST = do_PUT = do_GET

        def log_message(self, *parts: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["HF_TOKEN"] = "hf_" + "a" * 34
    point_at(f"http://127.0.0.1:{server.server_port}")
    return command(arguments)


def point_at(endpoint: str) -> None:
    """Let the Hub's clients, which have read their environment already, ask another Hub, and keep what they fetch in this folder."""
    import datasets
    from huggingface_hub import constants

    os.environ |= {"HF_ENDPOINT": endpoint, "HF_HOME": os.path.abspath("hf")}
    constants.ENDPOINT = endpoint
    constants.HUGGINGFACE_CO_URL_TEMPLATE = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    datasets.config.HF_ENDPOINT = endpoint
    datasets.config.HUB_DATASETS_URL = endpoint + "/datasets/{repo_id}/resolve/{revision}/{path}"
    constants.HF_HUB_CACHE = os.path.abspath("hf/hub")
    constants.HF_HUB_DISABLE_XET = constants.HF_HUB_DISABLE_TELEMETRY = True


# --- running --------------------------------------------------------------------------------------------------------


def cases() -> Iterator[Case]:
    for group in (yaml_cases, json_cases, table_cases, image_cases, archive_cases, hub_cases):
        yield from group()


def command(arguments: Sequence[str]) -> int:
    """Run the command line in this process; its exit code."""
    from harness.__main__ import main

    sys.argv = ["harness", *arguments]
    try:
        main()
    except SystemExit as error:
        return int(error.code or 0) if not isinstance(error.code, str) else 1
    return 0


def forked(work: Callable[[], int], out: Path, error: Path | None = None) -> int:
    """Do some work in a process of its own, which ends with the code that the work gives, or 70; its number.

    Args:
        out: file for what it says.
        error: another one for stderr.
    """
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.setsid()
        for stream, path in enumerate((Path(os.devnull), out, error or out)):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC * (stream > 0)), stream)
        if error is None:
            os.dup2(1, 2)
        code = work()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _child(case: Case, folder: Path) -> int:
    """Run a case; its exit code."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(folder)
    for name, data in {"ledger.json": _TEXT, **case.files}.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(_bytes(data))
    os.environ |= {"HARNESS_HOME": "home", "HF_HUB_OFFLINE": "0", "COLUMNS": "200"} | case.environment
    if case.prepare is not None:
        case.prepare()
    from harness.errors import HarnessError

    try:
        code = command(case.run) if isinstance(case.run, tuple) else case.run()
    except HarnessError as error:
        sys.stderr.write(f"harness: {error}\n")
        return int(error.exit_code)
    return code if isinstance(code, int) else 0


_TEXT = ""


@dataclass(frozen=True)
class Outcome:
    case: str
    kind: str
    """ok, traceback, net, hang or memory."""
    code: int | None
    said: str
    seconds: float


def run_case(case: Case) -> Outcome:
    """Run one case in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as scratch:
        folder, out = Path(scratch, "case"), Path(scratch, "out")
        folder.mkdir()
        begun = time.monotonic()
        pid = forked(lambda: _child(case, folder), out)
        status = None
        while status is None and time.monotonic() - begun < LONGEST:
            done, found = os.waitpid(pid, os.WNOHANG)
            status = found if done else None
            time.sleep(0.005)
        if status is None:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        said = out.read_text("utf-8", "replace")
        seconds = time.monotonic() - begun
        code = None if status is None else os.waitstatus_to_exitcode(status)
        kinds = {
            "hang": status is None,
            "memory": "MemoryError" in said or code in (-9, -6),
            "net": NET in said,
            "traceback": "Traceback (most recent call last)" in said or code not in (0, 1, 2, 3, 4, 5),
        }
        kind = next((kind for kind, is_so in kinds.items() if is_so), "ok")
        return Outcome(case.name, kind, code, said, seconds)


def prepared() -> None:
    """Import once what all cases need, so that a case takes a tenth of a second."""
    global _TEXT, _STATE
    os.environ.pop("HF_TOKEN", None)
    os.environ["OMP_NUM_THREADS"] = "1"
    import datasets  # noqa: F401
    import torch
    import transformers
    from transformers.models.vit import modeling_vit

    import harness.cli
    import harness.evaluation.run  # noqa: F401
    from harness.models.registry import resolve  # noqa: F401

    torch.set_num_threads(1)
    config = json.loads(_config())
    config["id2label"] = {int(key): name for key, name in config["id2label"].items()}
    names = {name: value for name, value in config.items() if name not in ("architectures", "model_type")}
    network = modeling_vit.ViTForImageClassification(transformers.ViTConfig(**names))
    _STATE = {name: value.numpy() for name, value in network.state_dict().items()}
    _TEXT = _text()


def main(words: list[str]) -> int:
    prepared()
    outcomes = []
    for case in cases():
        if words and not any(case.name.startswith(word) for word in words):
            continue
        outcome = run_case(case)
        outcomes.append(outcome)
        if outcome.kind != "ok" or "-v" in sys.argv:
            last = " ".join(outcome.said.strip().splitlines()[-1:])[:160]
            print(f"{outcome.kind:9} {outcome.case} [{outcome.code}, {outcome.seconds:.1f} s] {last}", flush=True)
    counted = Counter(outcome.kind for outcome in outcomes)
    print(f"{len(outcomes)} cases: " + ", ".join(f"{n} {kind}" for kind, n in counted.most_common()))
    print(
        "slowest: " + ", ".join(f"{o.case} {o.seconds:.1f} s" for o in sorted(outcomes, key=lambda o: -o.seconds)[:5])
    )
    return 1 if counted.keys() - {"ok"} else 0


if __name__ == "__main__":
    raise SystemExit(main([word for word in sys.argv[1:] if not word.startswith("-")]))

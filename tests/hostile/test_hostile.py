"""One layer parses each format: nobody else does, it stands random and damaged inputs, and so do the verbs above it."""

from __future__ import annotations

import ast
import errno
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzz import LAYERS, bounded
from hypothesis import given
from PIL import Image

import harness
from harness.cards.claims import check_claims
from harness.cards.fill import fill_card
from harness.cards.hub_schema import card_faults
from harness.corruptions.generate import base_crop
from harness.crash import ended
from harness.data.sources import list_folder
from harness.evidence import Ledger
from harness.models.preprocessing import Preprocessing
from harness.parsing.files import read_bytes
from harness.parsing.images import UnreadableImageError
from harness.parsing.json import parse_json
from harness.parsing.yaml import parse_yaml
from tests.hostile.corpus import CARD, laughs, merges

PACKAGE = Path(harness.__file__).parent
READERS = {
    "yaml": ("load", "safe_load", "load_all", "safe_load_all", "compose", "parse", "scan"),
    "json": ("load", "loads"),
    "Image": ("open",),
    "pq": ("read_table", "ParquetFile", "read_pandas"),
    "pd": ("read_parquet", "read_csv", "read_json", "read_pickle"),
    "shutil": ("unpack_archive",),
    "zipfile": ("ZipFile",),
}
"""What only `harness/parsing` calls."""
METHODS = ("model_validate_json", "validate_json")
ALLOWED = {("corruptions/digital.py", "Image.open")}
"""The JPEG that it has just written."""


def test_only_one_room_parses() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        file = path.relative_to(PACKAGE).as_posix()
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or file.startswith("parsing/"):
                continue
            owner, _, name = ast.unparse(call.func).rpartition(".")
            if name in READERS.get(owner, ()) or name in (*METHODS, "literal_eval"):
                found.add((file, f"{owner}.{name}"))
    assert found == ALLOWED


def test_reading_a_pipe_is_refused_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for read in (read_bytes, harness.view):
        with pytest.raises(harness.HarnessError, match="named pipe"):
            read(tmp_path / "pipe")


def test_what_is_said_can_always_be_written() -> None:
    with pytest.raises(harness.HarnessError, match=r"'\\ud800' is no int") as caught:
        parse_yaml('!!int "\\ud800"')
    str(caught.value).encode()


YAMLS = {
    laughs(): "with its aliases written out it has more than 200,000 values",
    merges(): "with its aliases written out it has more than 200,000 values",
    "a: &a [1, *a]": "it contains itself",
    "a: &a\n  <<: *a\n": "it contains itself",
    "a: 2024-13-45": "'2024-13-45' is no timestamp",
    "a: 2024-01-01T99:99:99Z": "is no timestamp",
    f"a: {'9' * 5000}": "is no int",
    f"a: 1{'0' * 400}": "is no int",
    "a: 1.0e+999": "is no finite number",
    "a: !!int word": "'word' is no int",
    "a: !!set {x, y}": "the tag !!set is not allowed",
    "a: !!python/object/apply:os.getcwd []": "the tag !!python/object/apply:os.getcwd is not allowed",
    f"a: {'[' * 61}{']' * 61}": "it is nested more than 60 deep",
    f"a: {'[' * 5000}{']' * 5000}": "it is nested more than 60 deep",
    "? [1]\n: x": "a list or map can't be a key",
    "a: 1\na: 2": "'a' is given more than once",
    'a: "x\\0"': "this text holds characters that are none",
    "a: x\x07": "it holds a character that can't be printed",
}
JSONS = {
    '{"a": NaN}': "not valid JSON",
    '{"a": -Infinity}': "not valid JSON",
    '{"a": 1e999}': "not valid JSON|larger than any float",
    f'{{"a": {"9" * 400}}}': "a number in it is larger than any float",
    f'{{"a": {"[" * 61}{"]" * 61}}}': "it is nested more than 60 deep",
    f'{{"a": {"[" * 1000}{"]" * 1000}}}': "not valid JSON: recursion limit",
    "[1]": "the file as a whole: Input should be a valid dictionary",
}


@pytest.mark.parametrize("text", YAMLS, ids=lambda text: text[:30])
def test_odd_yaml_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(harness.HarnessError, match=YAMLS[text]):
        parse_yaml(text)
    card = f"---\n{text}\n---\n\n{CARD}".encode()
    for read in (fill_card, check_claims):  # a front matter that can't be read is left as it is
        read(card, model="regnet-y-040", ledger=None)
    assert card_faults(card)  # what is asked before a push


@pytest.mark.parametrize("text", JSONS, ids=lambda text: text[:30])
def test_odd_json_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(harness.HarnessError, match=JSONS[text]):
        parse_json(text)


def test_what_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    for parse in (parse_yaml, parse_json):
        with pytest.raises(harness.HarnessError, match="are the most"):
            parse(" " * 64_000_001)
    (tmp_path / "a").write_bytes(b"12345")
    with pytest.raises(harness.HarnessError, match="it has 5 bytes; 4 are the most"):
        read_bytes(tmp_path / "a", most=4)


@pytest.mark.parametrize("name", ["n" * 300, "/".join(["d" * 200] * 30), "a\0b", "folder", "socket"])
def test_a_path_that_can_not_be_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
        for read in (read_bytes, harness.verify, Ledger.load):
            with pytest.raises(harness.HarnessError) as caught:
                read(Path(name))
            assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "text", ['{% include "t.md.j2" %}', "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "{{ 1 / 0 }}"]
)
def test_a_template_that_fails_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.md.j2").write_text(text)
    with pytest.raises(harness.HarnessError, match=r"t\.md\.j2"):
        harness.render(ledger=Ledger(model={"name": "m", "title": "M"}), template=tmp_path / "t.md.j2")


@pytest.mark.slow
def test_random_inputs_get_an_answer() -> None:
    for kinds, layer in LAYERS:
        bounded(given(*kinds)(layer), 60)()


@pytest.mark.slow
def test_hostile_inputs_end_with_a_sentence(python: str) -> None:
    """A part of the corpus; all of it: `python -m tests.hostile.corpus`."""
    parts = ["archive", "json/record/made_by", "json/loaded/image_size-map", "hub/pull/deep", "template/itself"]
    parts += ["template/macro", "file/view/pipe", "yaml/verify/laughs", "yaml/verify/merges", "yaml/suite/merges"]
    parts += ["yaml/policy/deep"]
    command = [python, "-m", "tests.hostile.corpus", *parts]
    done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_error_that_nobody_foresaw_is_one_line_and_a_file(python: str, tmp_path: Path) -> None:
    secret, hub_token = "s3cret-value-of-mine", "hf_" + "a" * 34
    code = (
        "import harness, sys; from harness.__main__ import main\n"
        f"def broken(what): raise RuntimeError('odd {secret} and {hub_token}')\n"
        "harness.inventory = broken; sys.argv = ['harness', 'list', 'suites']; main()"
    )
    environment = os.environ | {"HARNESS_HOME": str(tmp_path / "home"), "MY_API_KEY": secret}
    done = subprocess.run(
        [python, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    (report,) = (tmp_path / "home" / "reports").iterdir()
    assert str(report) in done.stderr
    assert "Traceback" in report.read_text()
    for text in (done.stderr, report.read_text()):
        assert secret not in text
        assert hub_token not in text


def test_what_the_system_refuses_is_no_fault_of_harness() -> None:
    said, code = ended(OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), "n" * 5000))
    assert code == 1
    assert "nnn: File name too long." in said
    assert "fault" not in said
    assert len(said) < 600


@pytest.mark.slow
def test_ctrl_c_at_any_moment_is_one_line(python: str, tmp_path: Path) -> None:
    """From 0.25 s on: before that the interpreter itself is starting."""
    for step in range(6):
        command = [python, "-m", "harness", "plan", "--suite", "imagenet", "--model", "efficientnet-lite0", "--offline"]
        environment = os.environ | {"HARNESS_HOME": str(tmp_path)}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(0.25 + 0.3 * step)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert "Traceback" not in said
        if process.returncode not in (0, 3, 4):  # it was over before
            # -2 where it came into an exec(): Python then ends by the signal itself, which a shell sees as 130 too.
            assert process.returncode in (130, -signal.SIGINT), said
            assert said.count("interrupted") == 1, said


def test_a_ctrl_c_that_a_library_swallows_leaves_no_alarm_behind(python: str) -> None:
    """An alarm that comes while the interpreter ends kills the process by SIGALRM, without a word."""
    code = """
import contextlib, os, signal
from harness import crash

crash.interrupt_at_once()
with crash.interruptible(), contextlib.suppress(KeyboardInterrupt):
    os.kill(os.getpid(), signal.SIGINT)
print(signal.alarm(0))
"""
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("a folder", lambda path: path.mkdir()),
        ("a dead link, a pipe or a device", os.mkfifo),
        ("a dead link, a pipe or a device", lambda path: path.symlink_to("nowhere")),
    ],
)
def test_an_image_that_is_no_file_is_named(tmp_path: Path, name: str, build: Callable[[Path], object]) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    build(tmp_path / "b.png")
    with pytest.raises(harness.HarnessError, match=rf"b\.png, {name}"):
        list_folder(tmp_path)


def test_an_image_whose_name_is_not_utf_8_is_named(tmp_path: Path) -> None:
    Path(os.fsdecode(bytes(tmp_path) + b"/\xff.png")).write_bytes(b"x")
    with pytest.raises(harness.HarnessError, match=r"udcff\.png, whose name is not UTF-8"):
        list_folder(tmp_path)


@pytest.mark.parametrize("size", [(60_000, 1), (1, 60_000)])
def test_an_image_that_grows_beyond_the_limit_is_refused(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size)
    preprocessing = Preprocessing(resize=256, crop=224, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3)
    for grow in (preprocessing.pixels, base_crop):
        with pytest.raises(UnreadableImageError, match="would be resized"):
            grow(image)

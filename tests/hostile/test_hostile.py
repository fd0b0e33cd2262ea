"""One layer parses each format: nobody else does, it stands random and damaged inputs, and so do the verbs above it."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzz import LAYERS, bounded
from hypothesis import given

import harness
from harness.parsing.files import read_bytes
from harness.parsing.yaml import parse_yaml

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


@pytest.mark.slow
def test_random_inputs_get_an_answer() -> None:
    for kinds, layer in LAYERS:
        bounded(given(*kinds)(layer), 60)()


@pytest.mark.slow
def test_hostile_inputs_end_with_a_sentence(python: str) -> None:
    """A part of the corpus; all of it: `python -m tests.hostile.corpus`."""
    parts = [
        "archive",
        "json/record/made_by",
        "json/loaded/image_size-map",
        "hub/pull/deep",
        "template/itself",
        "template/macro",
        "file/view/pipe",
    ]
    parts += ["yaml/verify/laughs", "yaml/verify/merges", "yaml/suite/merges", "yaml/policy/deep"]
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


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("a folder", lambda path: path.mkdir()),
        ("a dead link, a pipe or a device", os.mkfifo),
        ("a dead link, a pipe or a device", lambda path: path.symlink_to("nowhere")),
    ],
)
def test_an_image_that_is_no_file_is_named(tmp_path: Path, name: str, build: Callable[[Path], object]) -> None:
    from harness.data.sources import list_folder

    (tmp_path / "a.png").write_bytes(b"x")
    build(tmp_path / "b.png")
    with pytest.raises(harness.HarnessError, match=rf"b\.png, {name}"):
        list_folder(tmp_path)


def test_an_image_whose_name_is_not_utf_8_is_named(tmp_path: Path) -> None:
    from harness.data.sources import list_folder

    Path(os.fsdecode(bytes(tmp_path) + b"/\xff.png")).write_bytes(b"x")
    with pytest.raises(harness.HarnessError, match=r"udcff\.png, whose name is not UTF-8"):
        list_folder(tmp_path)


@pytest.mark.parametrize("size", [(60_000, 1), (1, 60_000)])
def test_an_image_that_grows_beyond_the_limit_is_refused(size: tuple[int, int]) -> None:
    from PIL import Image

    from harness.corruptions.generate import base_crop
    from harness.models.preprocessing import Preprocessing
    from harness.parsing.images import UnreadableImageError

    image = Image.new("RGB", size)
    preprocessing = Preprocessing(resize=256, crop=224, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3)
    for grow in (preprocessing.pixels, base_crop):
        with pytest.raises(UnreadableImageError, match="would be resized"):
            grow(image)

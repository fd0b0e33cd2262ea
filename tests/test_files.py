"""Files are whole or absent, and a place that can't be written is named with what to do about it."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import textwrap
from pathlib import Path
from typing import BinaryIO

import pytest

from harness.errors import ExitCode, HarnessError
from harness.files import atomic_write, make_folder, write_text


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "evidence.json"
    path.write_text("old")
    return path


class TestWholeOrAbsent:
    def test_a_write_replaces_the_file(self, target: Path) -> None:
        write_text(target, "läuft\r\n")
        assert target.read_bytes() == "läuft\r\n".encode()
        assert leftovers(target.parent) == [target.name]

    def test_folders_are_made(self, tmp_path: Path) -> None:
        path = tmp_path / "a" / "b" / "file"
        write_text(path, "x")
        assert path.read_text() == "x"

    def test_permissions_are_those_of_an_ordinary_file(self, target: Path) -> None:
        plain = target.with_name("plain")
        plain.write_text("")
        write_text(target, "x")
        assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)

    @pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()], ids=["fault", "interrupt"])
    def test_a_writer_that_fails_half_way_leaves_the_old_file(self, target: Path, error: BaseException) -> None:
        def half(file: BinaryIO) -> None:
            file.write(b"new, but only ha")
            file.flush()
            raise error

        with pytest.raises(type(error)):
            atomic_write(target, half)
        assert target.read_text() == "old"
        assert leftovers(target.parent) == [target.name]

    @pytest.mark.parametrize("moment", ["fsync", "replace"])
    def test_a_failure_at_any_later_moment_leaves_the_old_file(
        self, target: Path, monkeypatch: pytest.MonkeyPatch, moment: str
    ) -> None:
        def fail(*args: object) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, moment, fail)
        with pytest.raises(HarnessError, match="Input/output error"):
            write_text(target, "new")
        assert target.read_text() == "old"
        assert leftovers(target.parent) == [target.name]

    def test_readers_see_the_old_file_until_the_new_one_is_whole(self, target: Path) -> None:
        def slow(file: BinaryIO) -> None:
            file.write(b"new")
            file.flush()
            assert target.read_text() == "old"

        atomic_write(target, slow)
        assert target.read_text() == "new"

    def test_a_killed_process_leaves_the_old_file(self, target: Path, python: str) -> None:
        script = textwrap.dedent("""
            import os, signal, sys
            from pathlib import Path
            from harness.files import atomic_write

            def write(file):
                file.write(b"new, but only ha")
                file.flush()
                os.kill(os.getpid(), signal.SIGKILL)

            atomic_write(Path(sys.argv[1]), write)
        """)
        done = subprocess.run([python, "-c", script, str(target)], check=False, timeout=60)
        assert done.returncode == -signal.SIGKILL
        assert target.read_text() == "old"


class TestPlacesThatCanNotBeWritten:
    @pytest.mark.parametrize(
        ("number", "said", "remedy"),
        [
            (errno.EROFS, "Read-only file system", "The file system is read-only"),
            (errno.EACCES, "Permission denied", "You may not write there"),
            (errno.ENOSPC, "No space left on device", "Free some space"),
            (errno.EDQUOT, "Disk quota exceeded", "quota is used up"),
            (errno.EIO, "Input/output error", "Choose another place"),
        ],
    )
    def test_the_error_names_the_file_the_cause_and_the_mend(
        self, target: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str, remedy: str
    ) -> None:
        def refuse(*args: object, **kwargs: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("harness.files.tempfile.mkstemp", refuse)
        with pytest.raises(HarnessError) as caught:
            write_text(target, "new")
        assert f"Can't write {target}: {said}" in str(caught.value)
        assert remedy in str(caught.value)
        assert caught.value.exit_code is ExitCode.FAILED
        assert target.read_text() == "old"

    def test_a_file_where_a_folder_is_needed(self, target: Path) -> None:
        for write in (lambda: make_folder(target / "sub"), lambda: write_text(target / "sub" / "file", "x")):
            with pytest.raises(HarnessError, match="Not a directory") as caught:
                write()
            assert "is a file, not a folder" in str(caught.value)

    def test_a_full_disk_leaves_the_old_file(self, target: Path, python: str) -> None:
        # A limit on the size of files fails a write half way just as a full disk does, without needing one.
        script = textwrap.dedent("""
            import resource, signal, sys
            from pathlib import Path
            from harness.errors import HarnessError
            from harness.files import write_text

            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
            try:
                write_text(Path(sys.argv[1]), "x" * 100_000)
            except HarnessError as error:
                print(error)
        """)
        done = subprocess.run(
            [python, "-c", script, str(target)], check=True, timeout=60, capture_output=True, text=True
        )
        assert f"Can't write {target}: File too large" in done.stdout
        assert target.read_text() == "old"
        assert leftovers(target.parent) == [target.name]


class TestRealFileSystems:
    """The same on real mounts, where the tests may make them."""

    @pytest.fixture
    def mount(self, tmp_path: Path):
        mounted: list[Path] = []

        def make(options: str) -> Path:
            folder = tmp_path / f"mount-{len(mounted)}"
            folder.mkdir()
            done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
            if done.returncode != 0:
                pytest.skip("this user may not mount a file system")
            mounted.append(folder)
            return folder

        if os.geteuid() != 0:
            pytest.skip("mounting a file system needs root")
        yield make
        for folder in mounted:
            subprocess.run(["umount", str(folder)], check=True)

    def test_a_full_disk(self, mount) -> None:
        folder = mount("size=64k")
        write_text(folder / "file", "old")
        with pytest.raises(HarnessError, match="No space left on device") as caught:
            write_text(folder / "file", "x" * 200_000)
        assert "Free some space" in str(caught.value)
        assert (folder / "file").read_text() == "old"
        assert leftovers(folder) == ["file"]

    def test_a_read_only_place(self, mount) -> None:
        folder = mount("size=64k")
        write_text(folder / "file", "old")
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        for write in (lambda: write_text(folder / "file", "new"), lambda: make_folder(folder / "new")):
            with pytest.raises(HarnessError, match="Read-only file system"):
                write()
        assert (folder / "file").read_text() == "old"

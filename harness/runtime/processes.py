"""Helper processes: fresh interpreters that know nothing but a connection to this one.

They are started by command, not by `multiprocessing`, whose children import the user's script again (and run it, where
it has no `if __name__ == "__main__"`), and they are never forked, which a process that has used a GPU must not be. A
child ends when its connection closes, so none outlives a killed parent, and leaves Ctrl-C to its parent.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from typing import Any

_CODE = "import sys; sys.path[:] = {path}; from harness.runtime.processes import _serve; _serve({target!r}, {number}, {arguments})"


@dataclass(frozen=True)
class Child:
    """A helper process."""

    process: subprocess.Popen[bytes]
    connection: Connection

    def close(self) -> None:
        """End it: at once where it waits, by force where it is at work."""
        self.connection.close()
        self.process.kill()
        self.process.wait()


def start(
    target: str,
    arguments: Sequence[Any] = (),
    *,
    files: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
) -> Child:
    """Start a process that calls a function with its end of the connection.

    Args:
        target: `module:function`.
        arguments: what the function takes after the connection: what `repr` can write.
        files: descriptors that it keeps, by the same numbers.
        environment: variables that are set for it.
    """
    ours, theirs = Pipe()
    path = [os.getcwd() if entry == "" else entry for entry in sys.path]
    code = _CODE.format(path=path, target=target, number=theirs.fileno(), arguments=list(arguments))
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=2,  # what this program prints on stdout is its result
            pass_fds=(theirs.fileno(), *files),
            env=os.environ | (environment or {}),
        )
    return Child(process, ours)


def _serve(target: str, number: int, arguments: Sequence[Any]) -> None:
    """What runs in the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    module, _, function = target.partition(":")
    call = getattr(importlib.import_module(module), function)
    with Connection(number) as connection:
        try:
            call(connection, *arguments)
        except (EOFError, ConnectionError):  # the parent has gone
            return

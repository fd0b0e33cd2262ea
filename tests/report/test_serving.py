"""`harness view`: one page, on loopback, for this machine's own names only, and a clean end."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.report.serving import make_server

PAGE = "<!doctype html><title>Größe</title>"


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with make_server(PAGE, 0) as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(server: ThreadingHTTPServer, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, bytes, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body, str(answer.headers)


def test_the_page_and_nothing_else(server: ThreadingHTTPServer) -> None:
    status, body, headers = ask(server)
    assert (status, body.decode()) == (200, PAGE)
    assert "nosniff" in headers
    assert ask(server, method="HEAD")[:2] == (200, b"")
    for path in ("/etc/passwd", "/../report.html", "/favicon.ico"):
        assert ask(server, path)[0] == 404
    assert ask(server, method="POST")[0] == 501


def test_it_listens_on_loopback_only(server: ThreadingHTTPServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", ""])
def test_other_hosts_are_refused(server: ThreadingHTTPServer, host: str) -> None:
    assert ask(server, Host=host)[0] == 421


def test_localhost_is_this_machine(server: ThreadingHTTPServer) -> None:
    assert ask(server, Host=f"localhost:{server.server_port}")[0] == 200


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(HarnessError, match=f"Can't serve on 127.0.0.1:{port}"):
            make_server(PAGE, port)


@pytest.mark.slow
def test_ctrl_c_ends_it_cleanly(python: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(PAGE, encoding="utf-8")
    # What starts in the background of a script ignores interrupts, and so does what it starts in turn.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from harness.cli import main; main()"
    )
    command = [python, "-c", code, "view", "report.html", "--no-browser"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        try:
            said = process.stderr.readline()
            address = re.search(r"http://127\.0\.0\.1:(\d+)/", said)
            assert address, said
            connection = http.client.HTTPConnection("127.0.0.1", int(address[1]), timeout=10)
            connection.request("GET", "/")
            assert connection.getresponse().read().decode() == PAGE
            connection.close()
            process.send_signal(signal.SIGINT)
            _, rest = process.communicate(timeout=20)
            assert (process.returncode, rest) == (0, "Closed.\n")
        finally:
            process.kill()

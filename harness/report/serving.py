"""The report on this machine's own loopback address: one page, for one person, until Ctrl-C.

Requests under another host name are refused, so that a foreign web page can't reach it by pointing a name at 127.0.0.1.
"""

from __future__ import annotations

import gzip
import webbrowser
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness.errors import HarnessError

ADDRESS = "127.0.0.1"
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


def make_server(text: str, port: int) -> ThreadingHTTPServer:
    """A server of this one page, bound but not serving yet. Port 0 takes a free one.

    Raises:
        HarnessError: the port is taken or not allowed.
    """
    plain = text.encode()
    packed = gzip.compress(plain, 6)

    class Handler(BaseHTTPRequestHandler):
        server_version = "harness"
        sys_version = ""

        def do_GET(self) -> None:
            if self.headers.get("Host") not in allowed:
                self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "This page is for this machine only")
                return
            if self.path.partition("?")[0] != "/":
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            takes_gzip = "gzip" in self.headers.get("Accept-Encoding", "")
            body = packed if takes_gzip else plain
            self.send_response(HTTPStatus.OK)
            encoding = {"Content-Encoding": "gzip"} if takes_gzip else {}
            for name, value in (_HEADERS | encoding | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the server's name for it

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads a log of one page."""

    try:
        server = ThreadingHTTPServer((ADDRESS, port), Handler)
    except OSError as error:
        raise HarnessError(
            f"Can't serve on {ADDRESS}:{port}: {error.strerror}.", remedy="Choose another --port, or 0 for a free one."
        ) from error
    allowed = {f"{name}:{server.server_port}" for name in (ADDRESS, "localhost")}
    return server


def serve(text: str, port: int, *, announce: Callable[[str], None], open_browser: bool) -> None:
    """Serve the page until Ctrl-C, which ends it without an error."""
    with make_server(text, port) as server:
        address = f"http://{ADDRESS}:{server.server_port}/"
        announce(f"The report is at {address} until you press Ctrl-C.")
        if open_browser:
            webbrowser.open(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            announce("Closed.")

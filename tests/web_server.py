"""A web server on this machine, for tests of what is fetched; with TLS and a certificate for it."""

import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme


@dataclass
class Answer:
    """What a path gives. `cuts`: after how many bytes the connection breaks, one for each request
    until there are none left; `gate`: waited for after the first half of the body."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    length: bool = True
    cuts: list[int] = field(default_factory=list)
    gate: threading.Event | None = None


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]


class WebServer:
    """`answers` by path, without the query; `seen` are the requests so far."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, Answer] = {}
        self.seen: list[Seen] = []

    def file(self, path: str, body: bytes, tag: str = '"one"', **more: Any) -> Answer:
        answer = Answer(body, headers={"ETag": tag} if tag else {}, **more)
        self.answers[path] = answer
        return answer

    def json(self, path: str, data: Any) -> None:
        headers = {"Content-Type": "application/json"}
        self.answers[path] = Answer(json.dumps(data).encode(), headers=headers, ranges=False)

    def redirect(self, path: str, to: str, status: int = 302) -> None:
        self.answers[path] = Answer(b"elsewhere", status, {"Location": to}, ranges=False)

    def paths(self) -> list[str]:
        return [each.path for each in self.seen]


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    scheme = "http"
    if context is not None:
        scheme = "https"
        server.socket = context.wrap_socket(server.socket, server_side=True)
    web = WebServer(f"{scheme}://127.0.0.1:{server.server_port}")
    server.web = web  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        web: WebServer = self.server.web  # type: ignore[attr-defined]
        path = self.path.partition("?")[0]
        web.seen.append(
            Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
        )
        answer = web.answers.get(path, Answer(b"nothing here", 404))
        body, status, more = answer.body, answer.status, dict(answer.headers)
        start = self._start(answer)
        if start is not None and start >= len(body):
            body, status, more = b"", 416, {"Content-Range": f"bytes */{len(body)}"}
        elif start is not None:
            more["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            body, status = body[start:], 206
        self.send_response(status)
        for name, value in more.items():
            self.send_header(name, value)
        if answer.length:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if self.command == "HEAD":
            return
        if answer.cuts:
            body = body[: answer.cuts.pop(0)]
        if answer.gate is not None:
            self.wfile.write(body[: len(body) // 2])
            answer.gate.wait(30)
            body = body[len(body) // 2 :]
        self.wfile.write(body)

    def _start(self, answer: Answer) -> int | None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", answer.headers.get("ETag")) == answer.headers.get(
            "ETag"
        )
        return int(asked[1]) if asked and same and answer.ranges else None

    def handle(self) -> None:
        with suppress(ConnectionError, ssl.SSLError):  # who asked may leave, as some tests want
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """What a server on 127.0.0.1 needs for TLS, and the file that makes a client trust it."""
    made = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.issue_cert("127.0.0.1").configure_cert(context)
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    made.cert_pem.write_to_path(str(path))
    return context, path


@pytest.fixture
def plain() -> Iterator[WebServer]:
    """Without TLS."""
    with serving() as web:
        yield web


@pytest.fixture
def untrusted(authority: tuple[ssl.SSLContext, Path]) -> Iterator[WebServer]:
    """With a certificate of nobody that is known."""
    with serving(authority[0]) as web:
        yield web


@pytest.fixture
def web(
    untrusted: WebServer, authority: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> WebServer:
    """With TLS, trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[1]))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return untrusted

"""Requests to a server that the person named: one connection each, no redirections, no proxies."""

import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from inferflow_core.errors import EngineError, InferflowError, UsageError
from inferflow_core.version import __version__
from inferflow_server.client.failures import failure

CONNECT_S = 10.0
MAX_BYTES = 64 << 20
MAX_LINE = 4 << 20
"""Of what a server sends: whole, and a line of a stream."""


class Server:
    """`timeout_s`: how long it may say nothing. Raises UsageError for a URL that is none."""

    def __init__(self, url: str, *, key: str | None, timeout_s: float) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UsageError(f"{url!r} is no URL: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{url!r}: a server's URL begins with http:// or https://")
        if parts.query or parts.fragment or parts.username is not None:
            raise UsageError(f"{url!r}: only scheme, host, port and path can be in a server's URL")
        if not url.isascii() or not url.isprintable() or " " in url:
            raise UsageError(f"{url!r} has characters that cannot be in a URL")
        if key is not None and not (key and key.isascii() and key.isprintable()):
            raise UsageError("the API key must be printable ASCII, and not empty")
        self.url = url.rstrip("/")
        # What OpenAI's clients call the base URL ends with /v1; the paths of requests have it too.
        self._prefix = parts.path.rstrip("/").removesuffix("/v1")
        self._host, self._port = parts.hostname, port
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._key = key
        self._timeout_s = timeout_s

    def ask(self, path: str, body: Any = None) -> "Reply":
        """GET, or with a body POST. Raises InferflowError where there is no answer of success."""
        headers = {"User-Agent": f"inferflow/{__version__}", "Content-Type": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        connection = self._connection()
        try:
            connection.connect()
            connection.sock.settimeout(self._timeout_s)
            data = None if body is None else json.dumps(body).encode()
            connection.request(
                "GET" if body is None else "POST", self._prefix + path, data, headers
            )
            reply = Reply(self, connection, connection.getresponse())
            if reply.status != 200:
                raise failure(reply.status, reply.start(), location=reply.location)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self.trouble(error) from error
        except BaseException:
            connection.close()
            raise
        return reply

    def trouble(self, error: Exception) -> InferflowError:
        """What a failed connection means to the person."""
        if isinstance(error, ConnectionRefusedError):
            return EngineError(
                f"nothing answers at {self.url}", hint="start one with: inferflow serve MODEL"
            )
        if isinstance(error, TimeoutError):
            return EngineError(f"{self.url} did not answer in time", hint="--timeout allows more")
        if isinstance(error, ssl.SSLError):
            return EngineError(f"{self.url}: TLS: {error.reason or error}")
        what = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return EngineError(f"the connection to {self.url} failed: {what}")

    def _connection(self) -> http.client.HTTPConnection:
        limit = min(CONNECT_S, self._timeout_s)
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=limit)
        return http.client.HTTPSConnection(self._host, self._port, timeout=limit, context=self._tls)


class Reply:
    """The answer to one request, to be read once and closed."""

    def __init__(
        self,
        server: Server,
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse,
    ) -> None:
        self.status = response.status
        self.location = response.getheader("Location")
        self._server = server
        self._connection = connection
        self._response = response

    def start(self) -> bytes:
        """As much as an error needs."""
        return self._response.read(65536)

    def json(self) -> Any:
        """Raises EngineError."""
        try:
            data = self._response.read(MAX_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise self._server.trouble(error) from error
        finally:
            self.close()
        try:
            if len(data) > MAX_BYTES:
                raise ValueError
            return json.loads(data)
        except (ValueError, RecursionError):
            raise EngineError(
                f"{self._server.url} answered with something else than JSON"
            ) from None

    def lines(self) -> Iterator[str]:
        """As they come, until the server ends or the reply is closed. Raises EngineError."""
        while True:
            try:
                line = self._response.readline(MAX_LINE)
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise self._server.trouble(error) from error
            if not line:
                return
            if len(line) == MAX_LINE:
                raise EngineError(f"{self._server.url} sends lines without end")
            yield line.decode("utf-8", "replace")

    def close(self) -> None:
        """The server sees it, and ends what it was doing. Safe to call twice."""
        with suppress(OSError):
            self._response.close()
        self._connection.close()

"""What happens around an answer: clients that leave, overload, death, silence, shutdown."""

import json
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from inferflow_server.http import batch as batch_module

from inferflow_core.catalog import Catalog
from inferflow_core.hooks import Hooks, hookimpl

BODY = {"model": "scripted", "messages": [{"role": "user", "content": "hi"}]}


def eventually(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_cancels(url: str, model: Any, stream: bool) -> None:
    model.engine.gate.clear()
    body = BODY | {"stream": stream, "n": 2}
    with httpx.Client(timeout=0.3) as client:
        if stream:
            with client.stream("POST", f"{url}/v1/chat/completions", json=body) as answer:
                next(answer.iter_lines())
        else:
            with pytest.raises(httpx.ReadTimeout):
                client.post(f"{url}/v1/chat/completions", json=body)
    eventually(lambda: [s.cancelled.is_set() for s in model.engine.streams] == [True, True])


def test_a_finished_answer_is_not_cancelled_late(url: str, model: Any) -> None:
    httpx.post(f"{url}/v1/chat/completions", json=BODY).raise_for_status()
    assert httpx.get(f"{url}/ready").status_code == 200


def test_overload_is_429_and_takes_nothing_half(url: str, model: Any) -> None:
    model.engine.room = 1
    model.engine.gate.clear()
    answer = httpx.post(f"{url}/v1/chat/completions", json=BODY | {"n": 2, "stream": True})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"]["code"] == "overloaded"
    eventually(lambda: model.engine.streams[0].cancelled.is_set())


def test_a_dead_engine(url: str, model: Any) -> None:
    assert httpx.get(f"{url}/health").json() == {"status": "ok"}
    model.engine.alive = False
    assert httpx.get(f"{url}/health").status_code == 503
    assert httpx.get(f"{url}/ready").status_code == 503
    answer = httpx.post(f"{url}/v1/chat/completions", json=BODY)
    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == "the engine has stopped: out of paper"


def test_a_stalled_engine_is_unhealthy(url: str, model: Any) -> None:
    model.engine.gate.clear()
    model.engine.heartbeat_age_s = 1e4
    assert httpx.get(f"{url}/health").status_code == 200
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=BODY | {"stream": True}):
        assert httpx.get(f"{url}/health").status_code == 503


def test_a_stream_whose_engine_dies_ends_with_an_error(url: str, model: Any) -> None:
    model.engine.gate.clear()
    body = BODY | {"stream": True}
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body) as answer:
        lines = answer.iter_lines()
        next(lines)
        model.engine.alive = False
        rest = [line for line in lines if line]
    assert json.loads(rest[-1].removeprefix("data: "))["error"]["message"] == "out of paper"


def test_an_engine_that_says_nothing_and_is_dead(
    url: str, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_module, "SILENCE_S", 0.05)
    monkeypatch.setattr(model.engine, "_recite", lambda *_: None)
    threading.Timer(0.2, lambda: setattr(model.engine, "alive", False)).start()
    answer = httpx.post(f"{url}/v1/chat/completions", json=BODY)
    assert answer.status_code == 503


def test_a_failed_request_is_500(url: str, model: Any) -> None:
    model.engine.fail_at = 2
    answer = httpx.post(f"{url}/v1/chat/completions", json=BODY)
    assert answer.status_code == 500
    assert answer.json()["error"] == {
        "message": "out of paper",
        "type": "server_error",
        "param": None,
        "code": None,
    }


def test_silence_is_filled(url: str, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "SILENCE_S", 0.05)
    model.engine.gate.clear()
    body = BODY | {"stream": True}
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body) as answer:
        lines = answer.iter_lines()
        while next(lines) != ": keep-alive":
            pass
        model.engine.gate.set()
        assert "data: [DONE]" in list(lines)


class Reader:
    """Reads a stream in a thread; `begun` once it has its first line."""

    def __init__(self, url: str) -> None:
        self.lines: list[str] = []
        self.begun = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(url,))
        self._thread.start()
        assert self.begun.wait(5)

    def _read(self, url: str) -> None:
        body = BODY | {"stream": True}
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=20) as answer:
            for line in answer.iter_lines():
                self.lines += [line] if line else []
                self.begun.set()

    def last(self) -> str:
        self._thread.join(5)
        return self.lines[-1]


def test_shutdown_lets_streams_finish(serve: Any, model: Any) -> None:
    model.engine.pause_s = 0.05
    with serve(model) as url:
        reader = Reader(url)
    assert reader.last() == "data: [DONE]"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")


def test_shutdown_has_a_limit(serve: Any, model: Any) -> None:
    model.engine.gate.clear()
    with serve(model, drain_s=0.3) as url:
        reader = Reader(url)
        start = time.monotonic()
    assert 0.2 < time.monotonic() - start < 3
    assert "shutting down" in reader.last()


def test_a_second_signal_does_not_wait(serve: Any, model: Any) -> None:
    model.engine.gate.clear()
    servers: list[Any] = []
    with serve(model, drain_s=60, servers=servers) as url:
        reader = Reader(url)
        start = time.monotonic()
        servers[0].handle_exit(signal.SIGINT, None)
        time.sleep(0.3)
        assert not any("error" in line for line in reader.lines)
        servers[0].handle_exit(signal.SIGINT, None)
    assert time.monotonic() - start < 5
    assert "shutting down" in reader.last()


def test_hooks_hear_of_requests_and_add_routes(serve: Any, model: Any) -> None:
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    heard: list[Any] = []
    reports: list[str] = []

    class Plugin:
        @hookimpl
        def inferflow_http_routes(self) -> Any:
            return [Route("/plugin", lambda request: PlainTextResponse("mine"))]

        @hookimpl
        def inferflow_request_finished(self, request: Any, event: Any) -> None:
            heard.append((request.ids, event.finish, event.completion_tokens))

        @hookimpl
        def inferflow_shutdown(self) -> None:
            heard.append("shutdown")

    class Broken:
        @hookimpl
        def inferflow_request_finished(self) -> None:
            raise OSError("disk full")

    hooks = Hooks(Catalog(entries=[]), reports.append)
    hooks.register(Broken(), "broken")
    hooks.register(Plugin(), "good")
    with serve(model, hooks=hooks) as url:
        assert httpx.get(f"{url}/plugin").text == "mine"
        httpx.post(f"{url}/v1/chat/completions", json=BODY).raise_for_status()
    assert heard == [(tuple(b"u:hi"), "stop", 8), "shutdown"]
    assert reports == ["inferflow_request_finished of 'broken' failed: OSError: disk full"]


def test_half_a_body_is_no_request(url: str, model: Any) -> None:
    host, port = url.removeprefix("http://").split(":")
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port))) as client:
        client.sendall(head + b"Content-Length: 100\r\n\r\n{")
    assert httpx.get(f"{url}/health").status_code == 200
    assert model.engine.requests == []

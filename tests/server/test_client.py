"""`inferflow client` against our server, and against servers that misbehave."""

import contextlib
import io
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from inferflow_server.cli.main import run
from inferflow_server.client.connection import Server
from inferflow_server.client.remote import RemoteAnswers, remote_settings
from inferflow_server.client.shapes import SHAPES
from inferflow_server.conversation.conversation import Conversation
from inferflow_server.conversation.lines import Entries

import inferflow_core


@pytest.fixture
def client(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """`client(url, "hi")` -> code, out, err."""

    def call(*arguments: str) -> Any:
        code = run(["client", *arguments])
        captured = capsys.readouterr()
        return SimpleNamespace(code=code, out=captured.out, err=captured.err)

    return call


def test_help(client: Any) -> None:
    done = client("--help")
    assert done.code == 0
    for word in ("--api", "--no-stream", "--stat", "--timeout", "Example"):
        assert word in done.out


@pytest.mark.parametrize("api", SHAPES)
@pytest.mark.parametrize("streaming", [(), ("--no-stream",)])
def test_an_answer(client: Any, url: str, model: Any, api: str, streaming: Any) -> None:
    done = client(url, "hi", "--api", api, "--max-tokens", "5", "--seed", "3", *streaming)
    assert (done.code, done.out, done.err) == (0, "Hello\n", "")
    request = model.engine.requests[0]
    assert (request.max_tokens, request.seed) == (5, 3)
    assert bytes(request.ids) == (b"hi" if api == "completions" else b"u:hi")


def test_options_reach_the_server(client: Any, url: str, model: Any) -> None:
    for api in ("chat", "native"):
        done = client(f"{url}/v1/", "hi", "--api", api, "--system", "s", "--temperature", "0")
        assert done.code == 0, done.err
    assert [bytes(r.ids) for r in model.engine.requests] == [b"s:su:hi"] * 2
    assert [r.sampling for r in model.engine.requests] == [{"temperature": 0}] * 2


def test_json_and_stats(client: Any, url: str, model: Any) -> None:
    done = client(url, "hi", "--max-tokens", "5", "--json", "--stats")
    answer = json.loads(done.out)
    assert list(answer) == ["url", "api", "model", "text", "finish_reason", "usage"]
    assert (answer["text"], answer["finish_reason"]) == ("Hello", "length")
    assert answer["usage"]["completion_tokens"] == 5
    assert "5 tokens" in done.err
    assert "finish: stop" in client(url, "hi", "--stats").err
    native = json.loads(client(url, "hi", "--api", "native", "--json").out)
    assert (native["text"], native["model"], native["usage"]) == ("Hello 😀!", None, None)


def test_statistics(client: Any, url: str, model: Any) -> None:
    stat = json.loads(client(url, "--stat", "--json").out)
    assert (stat["model"], stat["context"], stat["alive"]) == ("scripted", 64, True)
    assert "scripted" in client(url, "--stat").out


def test_the_prompt_may_be_piped_and_the_url_left_out(
    client: Any, url: str, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("two\nlines\n"))
    assert client(url).code == 0
    assert bytes(model.engine.requests[0].ids) == b"u:two\nlines"
    monkeypatch.setattr("inferflow_server.cli.client.DEFAULT_URL", url)
    assert client("just a prompt").out == "Hello 😀!\n"


def test_the_key(client: Any, serve: Any, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(model, key="k") as url:
        refused = client(url, "hi")
        assert refused.code == 1
        assert "INFERFLOW_API_KEY" in refused.err
        assert client(url, "hi", "--api-key", "k").code == 0
        monkeypatch.setenv("INFERFLOW_API_KEY", "k")
        assert client(url, "hi", "--api", "native").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("ftp://x", "hi"), 2, "begins with http:// or https://"),
        (("http://", "hi"), 2, "begins with http"),
        (("http://user:pw@x", "hi"), 2, "only scheme"),
        (("http://x/?q=1", "hi"), 2, "only scheme"),
        (("http://x:99999", "hi"), 2, "is no URL"),
        (("http://x/a b", "hi"), 2, "characters"),
        (("nonsense", "hi"), 2, "begins with http"),
        (("URL", "hi", "--api", "soap"), 2, "soap"),
        (("URL", "hi", "--api-key", "ü"), 2, "ASCII"),
        (("URL", "hi", "--temperature", "-1"), 2, "temperature"),
        (("URL", "hi", "--api", "completions", "--system", "s"), 2, "--api chat has one"),
        (("URL", "hi", "--api", "native", "--seed", "0"), 2, "another one each time"),
        (("URL", "hi", "--model", "gpt"), 1, "does not exist"),
        (("URL", "hi", "--max-tokens", "1000"), 1, "context is 64 tokens"),
        (("URL", "hi", "--max-tokens", "1000", "--api", "native"), 1, "context is 64 tokens"),
        (("URL/elsewhere", "hi"), 1, "Unknown request URL"),
    ],
)
def test_what_is_refused(
    client: Any, url: str, model: Any, arguments: Any, code: int, words: str
) -> None:
    done = client(*(word.replace("URL", url) for word in arguments))
    assert done.code == code
    assert words in done.err
    assert done.out == ""
    assert "Traceback" not in done.err


@pytest.mark.parametrize("api", SHAPES)
def test_an_answer_that_fails_on_its_way(client: Any, url: str, model: Any, api: str) -> None:
    model.engine.fail_at = 2
    done = client(url, "hi", "--api", api)
    assert (done.code, done.out) == (7, "He")
    assert "Error: out of paper" in done.err
    model.engine.room = 0
    assert "queue is full" in client(url, "hi", "--api", api).err


@pytest.fixture
def raw() -> Iterator[Callable[..., str]]:
    """`raw(b"…")`: the URL of a server that answers these bytes to everything; None: nothing."""
    listeners: list[socket.socket] = []
    open_ones: list[socket.socket] = []

    def start(data: bytes | None) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                open_ones.append(connection)
                if data is not None:
                    # The client may have had enough and be gone before all is said.
                    with contextlib.suppress(OSError):
                        connection.recv(65536)
                        connection.sendall(data)
                        connection.shutdown(socket.SHUT_WR)

        threading.Thread(target=answer, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for each in (*listeners, *open_ones):
        each.close()


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNK = b'data: {"choices": [{"delta": {"content": "He"}}]}\n\n'


def chunked(data: bytes) -> bytes:
    return CHUNKED + b"%x\r\n%s\r\n" % (len(data), data)


@pytest.mark.parametrize(
    ("data", "out", "words"),
    [
        (b"", "", "failed"),
        (b"SSH-2.0\r\n", "", "failed"),
        (b"HTTP/1.1 500 Oh\r\n\r\n", "", "answered 500"),
        (b"HTTP/1.1 502 Oh\r\n\r\n<html>", "", "answered 502"),
        (b"HTTP/1.1 400 Oh\r\n\r\n" + b'{"error": "\\u001b[2J"}', "", "␛[2J"),
        (b"HTTP/1.1 302 Oh\r\nLocation: http://evil/\r\n\r\n", "", "points to http://evil/"),
        (OK + b"\r\n<html>", "", "broke off"),
        (OK + b"\r\ndata: [1]\n\n", "", "something else than JSON"),
        (OK + b"\r\ndata: " + b"[" * 100_000 + b"\n\n", "", "something else than JSON"),
        (chunked(CHUNK), "He", "broke off"),
        (chunked(CHUNK) + b"0\r\n\r\n", "He", "broke off"),
        (chunked(CHUNK)[:-20], "", "failed"),
        (chunked(b'data: {"error": {"message": "no ink"}}\n\n'), "", "no ink"),
        (chunked(b'data: {"choices": [7]}\n\n'), "", "something else"),
        (chunked(b'data: {"choices": [{"delta": 7}]}\n\n'), "", "something else"),
        (chunked(b'data: {"choices": [], "usage": 7}\n\n'), "", "something else"),
        (chunked(b"data: null\n\n"), "", "something else"),
    ],
)
def test_servers_that_misbehave(client: Any, raw: Any, data: bytes, out: str, words: str) -> None:
    done = client(raw(data), "hi", "--model", "m")
    assert done.code in (1, 7)
    assert done.out == out
    assert words in done.err
    assert "defect" not in done.err


@pytest.mark.parametrize("data", [b"[]", b"{}", b'"x"', b"{", b'{"choices": []}', b"\xff"])
@pytest.mark.parametrize("arguments", [("--no-stream", "--model", "m"), (), ("--stat",)])
def test_bodies_that_are_no_answer(client: Any, raw: Any, data: bytes, arguments: Any) -> None:
    done = client(raw(OK + b"\r\n" + data), "hi", *arguments)
    assert done.code in (2, 7)
    assert "defect" not in done.err
    assert done.out == ""


def test_a_server_that_says_nothing(client: Any, raw: Any) -> None:
    done = client(raw(None), "hi", "--model", "m", "--timeout", "1")
    assert done.code == 7
    assert "did not answer in time" in done.err


def test_nobody_there(client: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    done = client(url, "hi")
    assert done.code == 7
    assert "start one with: inferflow serve" in done.err


def talk(url: str, api: str, *lines: str) -> tuple[str, str]:
    """A conversation through a server: what was answered, and the notes."""
    answers = RemoteAnswers(
        Server(url, key=None, timeout_s=10), SHAPES[api], model="scripted", stream=True
    )
    out: list[str] = []
    notes: list[str] = []
    rest = iter(lines)

    def read(prompt: str) -> str:
        line = next(rest, None)
        if line is None:
            raise EOFError
        return line

    conversation = Conversation(answers, remote_settings(), write=out.append, note=notes.append)
    conversation.run(Entries(read))
    return "".join(out), "\n".join(notes)


def test_a_conversation_through_a_server(url: str, model: Any) -> None:
    model.engine.script = "Hi!"
    out, notes = talk(url, "chat", "a", "b", "/set temperature 9", "c", "/set temperature 1", "d")
    assert out == "Hi!\n" * 3
    prompts = [bytes(request.ids) for request in model.engine.requests]
    assert prompts == [b"u:a", b"u:aa:Hi!u:b", b"u:aa:Hi!u:ba:Hi!u:d"]
    assert "Error: temperature: Input should be less than or equal to 2" in notes
    model.engine.script = "x" * 20
    out, notes = talk(url, "chat", "a" * 20, "b" * 20, "c" * 20)
    assert "no longer fits" in notes
    assert bytes(model.engine.requests[-1].ids)[:4] != b"u:aa"


def test_a_conversation_without_roles(url: str, model: Any) -> None:
    model.engine.script = "Hi!"
    _, notes = talk(url, "native", "a", "b", "/set stop x", "c")
    assert [bytes(request.ids) for request in model.engine.requests] == [b"u:a", b"u:b"]
    assert "each text, alone" in notes
    assert "no stop texts" in notes


def test_leaving_a_stream_ends_the_generation(url: str, model: Any) -> None:
    model.engine.pause_s = 0.05
    server = Server(url, key=None, timeout_s=10)
    answers = RemoteAnswers(server, SHAPES["chat"], model="scripted", stream=True)
    answer = answers.start([{"role": "user", "content": "hi"}], remote_settings())
    assert next(iter(answer)) == "H"
    answer.cancel()
    assert model.engine.streams[0].cancelled.wait(5)


def test_a_real_model_says_the_same_by_every_route(client: Any, shared: Path, serve: Any) -> None:
    file = shared / "data" / "stories260K" / "stories260K.bin"
    options = ("--max-tokens", "8", "--temperature", "0")
    with inferflow_core.load(file, backend="numpy") as model, serve(model) as url:
        texts = {
            client(url, "Once upon a time", "--api", api, *options, *more).out
            for api in ("completions", "native")
            for more in ((), ("--no-stream",))
        }
        assert texts == {", there was a little girl\n"}
        assert "has no chat template" in client(url, "hi").err

"""A model whose engine recites a script, and servers on free ports of the loopback."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from inferflow_server.http.app import build_app
from inferflow_server.http.server import Server, listen
from inferflow_server.http.service import Service

from inferflow_core.catalog import Catalog
from inferflow_core.errors import (
    EngineError,
    InferflowError,
    OverloadedError,
    RequestError,
    TemplateError,
)
from inferflow_core.hooks import Hooks
from inferflow_core.interfaces import LoadedModel, Prompt, Request, Stats, TokenEvent

EOS = 256


class ByteTokenizer:
    """A token a byte, and one that ends a text."""

    vocab_size = 257
    bos = None
    eos = EOS
    stop_ids = frozenset({EOS})
    chat_template: str | None = "yes"

    def encode(self, text: str, *, special: bool = True, parse_special: bool = False) -> list[int]:
        return list(text.encode())

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        return bytes(id for id in ids if id != EOS).decode("utf-8", "replace")

    def stream(self, *, skip_special: bool = True, prompt: Sequence[int] = ()) -> Any:
        return SimpleNamespace(push=lambda id: self.decode([id]), flush=lambda: "")


@dataclass
class ScriptedStream:
    id: int
    cancelled: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        self.cancelled.set()


class ScriptedEngine:
    """Answers every request with `script`, a character an event, after `gate` opens."""

    context = 64
    max_sequences = 4

    def __init__(self) -> None:
        self.script = "Hello 😀!"
        self.pause_s = 0.0
        self.gate = threading.Event()
        self.gate.set()
        self.alive = True
        self.heartbeat_age_s = 0.0
        self.room = 100
        self.requests: list[Request] = []
        self.streams: list[ScriptedStream] = []
        self.fail_at: int | None = None

    def submit(
        self, request: Request, sink: Callable[[TokenEvent], None] | None = None
    ) -> ScriptedStream:
        if not self.alive:
            raise EngineError("the engine has stopped: out of paper")
        if max(request.ids) > EOS:
            raise RequestError(f"token id {max(request.ids)} is too large", param="ids")
        if self.room == 0:
            raise OverloadedError("the queue is full")
        self.room -= 1
        assert sink is not None
        self.requests.append(request)
        stream = ScriptedStream(len(self.streams))
        self.streams.append(stream)
        threading.Thread(target=self._recite, args=(request, stream, sink), daemon=True).start()
        return stream

    def _recite(
        self, request: Request, stream: ScriptedStream, sink: Callable[[TokenEvent], None]
    ) -> None:
        text = self.script
        finish = "stop"
        for stop in request.stop:
            text = text.partition(stop)[0]
        if len(text) > request.max_tokens:
            text, finish = text[: request.max_tokens], "length"
        count = 0

        def event(token: int | None, piece: str, finish: str | None = None, **more: Any) -> None:
            sink(
                TokenEvent(
                    *(token, piece, finish),
                    prompt_tokens=len(request.ids),
                    cached_tokens=1,
                    completion_tokens=count,
                    **more,
                )
            )

        for character in text:
            while not self.gate.wait(0.01) and not stream.cancelled.is_set() and self.alive:
                pass
            if self.pause_s:
                time.sleep(self.pause_s)
            if stream.cancelled.is_set():
                return event(None, "", "cancelled")
            if not self.alive or count == self.fail_at:
                return event(None, "", "error", error="out of paper")
            count += 1
            token = character.encode()[0]
            more: dict[str, Any] = {}
            if request.logprobs is not None:
                more = {"logprob": -0.5, "top": ((token, -0.5), (65, -2.0))[: request.logprobs]}
            event(token, character, **more)
        event(EOS if finish == "stop" else None, "", finish)

    def stats(self) -> Stats:
        running = sum(not stream.cancelled.is_set() for stream in self.streams)
        return Stats(
            *(running, 0, 9, 8, self.heartbeat_age_s),
            steps=1,
            alive=self.alive,
        )

    def close(self, *, drain: bool = False) -> None:
        self.alive = False


@dataclass(frozen=True)
class Chain:
    """Stands for a sampler: its fields are what requests may set."""

    temperature: float = 1.0
    top_k: float = 0
    min_p: float = 0.0


class ScriptedModel:
    name = "scripted"
    backend_choice = "paper"
    outputs = {"logits": False, "hidden": False}  # noqa: RUF012
    reads_source = False

    def __init__(self) -> None:
        self.tokenizer: Any = ByteTokenizer()
        self.engine: Any = ScriptedEngine()
        self.plan = SimpleNamespace(run=SimpleNamespace(samplers=(Chain(),), page_tokens=16))
        self.threads: set[str] = set()

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Any = None,
        add_generation_prompt: bool = True,
    ) -> list[int]:
        self.threads.add(threading.current_thread().name)
        if messages[0]["content"] == "refuse me":
            raise TemplateError("the template refuses: no", refused=True)
        text = "".join(f"{message['role'][0]}:{message['content']}" for message in messages)
        return list(text.encode())

    def prompt(self, given: Any, **choices: Any) -> Prompt:
        self.choices = {name: value for name, value in choices.items() if value is not None}
        if isinstance(given, str):
            given = self.tokenizer.encode(given)
        elif given and isinstance(given[0], dict):
            given = self.render(given)
        return Prompt((EOS,), tuple(given)) if self.reads_source else Prompt(tuple(given))

    def logits(self, ids: Any, *, encoder: Any = None) -> list[Any]:
        raise InferflowError("not scripted")

    def hidden(self, ids: Any, **options: Any) -> list[Any]:
        raise InferflowError("not scripted")

    def generate(self, *prompt: Any, **sampling: Any) -> Any:
        raise InferflowError("not scripted")

    def close(self) -> None:
        self.engine.close()


@contextmanager
def serving(
    model: LoadedModel,
    *,
    hooks: Hooks | None = None,
    drain_s: float = 5.0,
    servers: list[Server] | None = None,
    **options: Any,
) -> Iterator[str]:
    """A running server; gives its URL, and adds the server itself to `servers`."""
    hooks = hooks or Hooks(Catalog(entries=[]), lambda line: None)
    service = Service(model, hooks)
    bound = listen("127.0.0.1", 0)
    ready = threading.Event()
    app = build_app(service, **options)
    server = Server(app, service, drain_s=drain_s, on_ready=ready.set)
    if servers is not None:
        servers.append(server)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([bound])), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(drain_s + 10)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def one_server() -> Iterator[SimpleNamespace]:
    model = ScriptedModel()
    with serving(model) as url:
        yield SimpleNamespace(url=url, model=model)


@pytest.fixture
def model(one_server: SimpleNamespace) -> ScriptedModel:
    """The model of a module's one server, with a new engine for each test."""
    one_server.model.engine = ScriptedEngine()
    one_server.model.threads.clear()
    return one_server.model


@pytest.fixture
def url(one_server: SimpleNamespace, model: ScriptedModel) -> str:
    """Of the module's one server."""
    return one_server.url


@pytest.fixture(scope="session")
def serve() -> Callable[..., Any]:
    """`with serve(model, key=…) as url:`: a server of the test's own."""
    return serving

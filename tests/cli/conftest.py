"""The command, called in this process on a model that recites."""

import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hub import hub
from inferflow_server.cli.main import run
from web_server import authority, untrusted, web

import inferflow_core
from inferflow_core.interfaces import Prompt, Request, Stats, TokenEvent

__all__ = ["authority", "hub", "untrusted", "web"]


class Tokenizer:
    vocab_size = 8
    chat_template: str | None = "yes"

    def encode(self, text: str, *, special: bool = True, parse_special: bool = False) -> list[int]:
        return [1] * special + [2 + ord(character) % 6 for character in text]


class Engine:
    context = 64
    max_sequences = 4

    def __init__(self) -> None:
        self.pieces = ["Hello", ", ", "world 😀"]
        self.finish = "stop"
        self.requests: list[Request] = []
        self.cancelled = 0

    def submit(self, request: Request, sink: Callable[[TokenEvent], None] | None = None) -> Any:
        self.requests.append(request)
        events = list(self._events(request))
        if sink is not None:
            threading.Thread(target=lambda: [sink(event) for event in events]).start()
        return _Stream(self, events)

    def _events(self, request: Request) -> Iterator[TokenEvent]:
        pieces = self.pieces if not request.ignore_stop_ids else ["x"] * request.max_tokens
        counts = {"prompt_tokens": len(request.ids), "completion_tokens": len(pieces)}
        for number, piece in enumerate(pieces, 1):
            last = number == len(pieces)
            yield TokenEvent(5, piece, self.finish if last else None, error="no ink", **counts)

    def stats(self) -> Stats:
        return Stats(0, 0, 8, 8, 0.0, 0, alive=True)


@dataclass
class _Stream:
    engine: Engine
    events: list[TokenEvent]

    def __iter__(self) -> Iterator[TokenEvent]:
        return iter(self.events)

    def cancel(self) -> None:
        self.engine.cancelled += 1


class Model:
    name = "reciter"
    backend_choice = "paper (the best that is installed)"
    outputs = {"logits": False, "hidden": False}  # noqa: RUF012
    reads_source = False

    def __init__(self) -> None:
        self.tokenizer = Tokenizer()
        self.engine = Engine()
        self.plan = SimpleNamespace(
            run=SimpleNamespace(backend="numpy", page_tokens=16, samplers=()),
            model=SimpleNamespace(vocab=8),
        )
        self.closed = 0
        self.opened_with: tuple[Any, ...] = ()
        self.messages: Sequence[Mapping[str, Any]] = ()

    def render(self, messages: Sequence[Mapping[str, Any]], *_: Any) -> list[int]:
        self.messages = messages
        return [1, 2, 3]

    def prompt(self, given: Any, **choices: Any) -> Prompt:
        self.choices = {name: value for name, value in choices.items() if value is not None}
        if isinstance(given, str):
            return Prompt(tuple(self.tokenizer.encode(given)))
        return Prompt(tuple(self.render(given) if isinstance(given[0], Mapping) else given))

    def logits(self, ids: Sequence[Sequence[int]], *, encoder: Any = None) -> list[Any]:
        """The next token is the same again with odds of 3 to 1 against each other one."""
        rows = [
            np.array([[np.log(3) if v == id else 0.0 for v in range(8)] for id in one])
            for one in ids
        ]
        return [each.astype(np.float32) for each in rows]

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    """What every command of the test opens."""
    model = Model()

    def load(reference: str, **options: Any) -> Model:
        model.opened_with = (reference, options)
        return model

    monkeypatch.setattr(inferflow_core, "load", load, raising=False)
    return model


@pytest.fixture
def inferflow(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """`inferflow("run", "m", "hi")` -> code, out, err."""

    def call(*arguments: str) -> Any:
        code = run(list(arguments))
        captured = capsys.readouterr()
        return SimpleNamespace(code=code, out=captured.out, err=captured.err)

    return call


@pytest.fixture(scope="session")
def gguf_file(tiny: Path) -> Path:
    return tiny / "model.gguf"


@pytest.fixture(scope="session")
def strange_file(gguf_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same file, of a family that nobody knows."""
    path = tmp_path_factory.mktemp("strange") / "strange.gguf"
    path.write_bytes(gguf_file.read_bytes().replace(b"llama", b"venus"))
    return path


@pytest.fixture
def installs() -> Callable[[Path], None]:
    """Writes what pip would write beside a package from its pyproject.toml: enough for its entry
    points to be found by whoever has the folder on the path."""

    def installs(folder: Path) -> None:
        project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
        info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir()
        lines = [f"Name: {project['name']}", f"Version: {project['version']}"]
        lines += [f"Requires-Dist: {each}" for each in project.get("dependencies", ())]
        (info / "METADATA").write_text("Metadata-Version: 2.4\n" + "\n".join(lines) + "\n")
        points = [
            f"[{group}]\n" + "\n".join(f"{name} = {value}" for name, value in entries.items())
            for group, entries in project["entry-points"].items()
        ]
        (info / "entry_points.txt").write_text("\n".join(points))

    return installs

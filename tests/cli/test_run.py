"""`inferflow run`: the answer on stdout, all else on stderr."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def test_the_answer_goes_to_stdout(inferflow: Any, model: Any) -> None:
    done = inferflow("run", "m.gguf", "hi")
    assert (done.code, done.out, done.err) == (0, "Hello, world 😀\n", "")
    assert model.opened_with[0] == "m.gguf"
    assert model.messages == [{"role": "user", "content": "hi"}]
    assert model.engine.requests[0].max_tokens == 61
    assert (model.closed, model.engine.cancelled) == (1, 1)


def test_spec_instead_of_the_first_word(inferflow: Any, model: Any) -> None:
    done = inferflow("run", "--spec", "m.gguf", "hi", "--backend", "numpy", "--set", "run.a=1")
    assert done.code == 0
    assert model.opened_with[0] == "m.gguf"
    assert model.opened_with[1]["backend"] == "numpy"
    assert list(model.opened_with[1]["set"]) == ["run.a=1"]
    assert model.messages[-1]["content"] == "hi"


def test_sampling_and_stats(inferflow: Any, model: Any) -> None:
    options = ["--max-tokens", "5", "--temperature", "0", "--top-k", "3", "--top-p", "0.5"]
    options += ["--min-p", "0.1", "--seed", "7", "--stop", "a", "--stop", "b", "--stats"]
    done = inferflow("run", "m.gguf", "hi", *options)
    request = model.engine.requests[0]
    assert request.sampling == {"temperature": 0, "top_k": 3, "top_p": 0.5, "min_p": 0.1}
    assert (request.seed, request.stop, request.max_tokens) == (7, ("a", "b"), 5)
    lines = done.err.splitlines()
    assert [line.split()[0] for line in lines] == ["load", "prompt", "answer"]
    assert "answer  3 tokens" in lines[2]
    assert lines[2].endswith("finish: stop")
    assert done.out == "Hello, world 😀\n"


def test_only_what_is_given_overrides_the_spec(inferflow: Any, model: Any) -> None:
    inferflow("run", "m.gguf", "hi")
    assert model.engine.requests[0].sampling == {}


def test_raw_and_models_without_template(inferflow: Any, model: Any) -> None:
    inferflow("run", "m.gguf", "ab", "--raw")
    model.tokenizer.chat_template = None
    inferflow("run", "m.gguf", "ab")
    assert [request.ids for request in model.engine.requests] == [(1, 3, 4)] * 2
    done = inferflow("run", "m.gguf", "ab", "--system", "be brief")
    assert done.code == 2


def test_a_system_message(inferflow: Any, model: Any) -> None:
    inferflow("run", "m.gguf", "hi", "--system", "be brief")
    assert [message["role"] for message in model.messages] == ["system", "user"]


def test_the_prompt_may_be_piped(
    inferflow: Any, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("two\nlines\n"))
    assert inferflow("run", "m.gguf").code == 0
    assert model.messages[-1]["content"] == "two\nlines"


def test_a_failing_answer(inferflow: Any, model: Any) -> None:
    model.engine.finish = "error"
    done = inferflow("run", "m.gguf", "hi")
    assert done.code == 7
    assert done.err.strip() == "Error: no ink"
    assert model.closed == 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "no model"),
        (("a.gguf", "b", "--spec", "c.gguf"), "two models"),
        (("m.gguf", "hi", "--set", "novalue"), "KEY=VALUE"),
        (("m.gguf", "hi", "--temperature", "-1"), "temperature"),
        (("m.gguf", "hi", "--no-such"), "--no-such"),
    ],
)
def test_wrong_calls(inferflow: Any, model: Any, arguments: tuple[str, ...], word: str) -> None:
    done = inferflow("run", *arguments)
    assert done.code == 2
    assert word in done.err
    assert done.err.startswith("Error: ")
    assert "Hint: inferflow run --help" in done.err
    assert done.out == ""


PIPE = """
import sys, time
import inferflow_core
class Stream(list):
    def cancel(self): pass
from inferflow_core.interfaces import Prompt, TokenEvent
class Engine:
    context = 10
    def submit(self, request):
        return Stream(TokenEvent(1, "word " * 1000) for _ in range(1000))
class Tokenizer:
    chat_template = None
class Model:
    name = "m"; engine = Engine(); tokenizer = Tokenizer(); reads_source = False
    outputs = {"logits": False}
    def prompt(self, text, **choices): return Prompt((1,))
    def close(self): print("closed", file=sys.stderr)
inferflow_core.load = lambda *_, **__: Model()
from inferflow_server.cli import main
main(["run", "m.gguf", "hi"])
"""


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PIPE], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(30) != 0
    assert process.stderr.read() == b"closed\n"
    process.stderr.close()


def test_ctrl_c_is_quiet(inferflow: Any, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(request: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(model.engine, "submit", interrupted)
    done = inferflow("run", "m.gguf", "hi")
    assert (done.code, done.err, model.closed) == (130, "\n", 1)


def test_a_real_model_is_repeatable(inferflow: Any, shared: Path) -> None:
    stories = str(shared / "data" / "stories260K" / "stories260K.bin")
    greedy = inferflow(
        "run", stories, "Once upon a time", "--temperature", "0", "--max-tokens", "9"
    )
    assert greedy.out == ", there was a little girl named\n"
    drawn = ["run", stories, "One day", "--seed", "3", "--max-tokens", "12"]
    assert inferflow(*drawn).out == inferflow(*drawn).out != greedy.out

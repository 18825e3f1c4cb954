"""Embeddings over HTTP: of a tiny encoder, with the official client and by hand."""

import base64
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import tiny_bert
from inferflow_server.http import embeddings

import inferflow_core
from inferflow_core.errors import EngineError
from inferflow_core.interfaces import LoadedModel

TEXTS = ["the sky is blue", "a small river sings", "stone"]


@pytest.fixture(scope="module")
def encoder(tiny: Path) -> Iterator[LoadedModel]:
    with inferflow_core.load(tiny / "encoder", backend="numpy") as model:
        yield model


@pytest.fixture(scope="module")
def at(encoder: LoadedModel, serve: Callable[..., Any]) -> Iterator[str]:
    """The URL of its server."""
    with serve(encoder) as url:
        yield url


@pytest.fixture(scope="module")
def client(at: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{at}/v1", api_key="none", max_retries=0)


def post(at: str, path: str = "/v1/embeddings", **body: Any) -> httpx.Response:
    return httpx.post(f"{at}{path}", json={"model": "encoder"} | body, timeout=30)


def vectors(answer: Any) -> np.ndarray[Any, Any]:
    return np.array([each.embedding for each in answer.data], np.float32)


def test_the_client_gets_them_in_both_encodings(
    client: openai.OpenAI, encoder: LoadedModel
) -> None:
    expected = encoder.embed(TEXTS)
    usual = client.embeddings.create(model="encoder", input=TEXTS, user="somebody")
    assert np.array_equal(vectors(usual), expected)
    assert (usual.object, usual.model) == ("list", "encoder")
    assert [(each.object, each.index) for each in usual.data] == [
        *(("embedding", index) for index in range(3))
    ]
    tokens = sum(map(len, encoder.text_ids(TEXTS)))
    assert (usual.usage.prompt_tokens, usual.usage.total_tokens) == (tokens, tokens)
    floats = client.embeddings.create(model="encoder", input=TEXTS, encoding_format="float")
    assert np.array_equal(vectors(floats), expected)


def test_base64_is_little_endian_float32(at: str, encoder: LoadedModel) -> None:
    (one,) = post(at, input="stone", encoding_format="base64").json()["data"]
    raw = base64.b64decode(one["embedding"])
    assert np.array_equal(np.frombuffer(raw, "<f4"), encoder.embed(["stone"])[0])


def test_what_may_be_the_input(client: openai.OpenAI, encoder: LoadedModel) -> None:
    ids = encoder.text_ids(TEXTS)
    expected = encoder.embed(TEXTS)
    for given, count in ((TEXTS[0], 1), (ids[0], 1), (TEXTS, 3), (ids, 3)):
        answer = client.embeddings.create(model="encoder", input=given)
        assert np.array_equal(vectors(answer), expected[:count])


def test_dimensions(client: openai.OpenAI, encoder: LoadedModel) -> None:
    answer = client.embeddings.create(model="encoder", input=TEXTS, dimensions=8)
    assert np.array_equal(vectors(answer), encoder.embed(TEXTS, dimensions=8))


def test_many_come_in_order(client: openai.OpenAI, encoder: LoadedModel) -> None:
    words = tiny_bert.WORDS
    texts = [" ".join(words[: n % 20 + 1]) for n in range(200)]
    answer = client.embeddings.create(model="encoder", input=texts)
    assert np.array_equal(vectors(answer), encoder.embed(texts))


def test_long_texts_are_refused_or_cut(at: str, encoder: LoadedModel) -> None:
    long = "sky " * 40
    answer = post(at, input=["sky", long])
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], error["type"]) == ("input", "invalid_request_error")
    assert "text 1 has 42 tokens; this model reads at most 24" in error["message"]
    for most, ids in ((-1, encoder.text_ids([long], truncate=True)), (5, None)):
        ids = ids or encoder.text_ids([long], truncate=5)
        answer = post(at, input=long, truncate_prompt_tokens=most, encoding_format="float").json()
        assert answer["usage"]["prompt_tokens"] == len(ids[0])
        assert np.array_equal(np.float32(answer["data"][0]["embedding"]), encoder.embed(ids)[0])


@pytest.mark.parametrize(
    ("body", "param", "word"),
    [
        ({}, "input", "you must provide input"),
        ({"input": ""}, "input", "the input is empty"),
        ({"input": []}, "input", "the input is empty"),
        ({"input": ["sky", ""]}, "input", "the input 1 is empty"),
        ({"input": [[3], []]}, "input", "the input 1 is empty"),
        ({"input": [3, "sky"]}, None, "valid"),
        ({"input": {"text": "sky"}}, "input", "valid"),
        ({"input": [99]}, "input", "token id 99 is outside of 0"),
        ({"input": ["x"] * 2049}, "input", "2049 inputs; at most 2048"),
        ({"input": "x" * 4000}, "input", "context is 24 tokens, but your input has 4000 char"),
        ({"input": "sky", "dimensions": 0}, "dimensions", "greater than or equal to 1"),
        ({"input": "sky", "dimensions": 33}, "dimensions", "vectors have 32"),
        ({"input": "sky", "encoding_format": "hex"}, "encoding_format", "float"),
        ({"input": "sky", "truncate_prompt_tokens": 0}, "truncate_prompt_tokens", "from 1"),
        ({"input": "sky", "prompt_name": "query"}, "prompt_name", "no prompt 'query'"),
        ({"input": "sky", "dimension": 3}, "dimension", "Did you mean 'dimensions'?"),
    ],
)
def test_refused(at: str, body: dict[str, Any], param: str | None, word: str) -> None:
    answer = post(at, **body)
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert word in error["message"]
    assert param is None or error["param"] == param
    assert set(error) == {"message", "type", "param", "code"}


def test_all_inputs_together_are_bounded(at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "MAX_TOKENS", 5)
    assert post(at, input="sky").status_code == 200
    answer = post(at, input=["sky", "sky"])
    assert answer.status_code == 400
    assert "6 tokens together; at most 5" in answer.json()["error"]["message"]


def test_another_model_is_not_here(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.embeddings.create(model="other", input="sky")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"prompt": "sky"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "sky"}]}),
    ],
)
def test_an_encoder_writes_no_text(at: str, path: str, body: dict[str, Any]) -> None:
    answer = post(at, path, **body)
    assert answer.status_code == 400
    assert "writes no text" in answer.json()["error"]["message"]
    assert "POST /v1/embeddings" in answer.json()["error"]["message"]


def test_nor_by_the_native_route(at: str) -> None:
    answer = httpx.post(at, json={"text": "sky", "is_streaming_mode": False})
    assert answer.status_code == 400
    assert answer.json()["ret_code"] == "error.invalid_request_format"
    assert "writes no text" in answer.json()["error_text"]


def test_a_model_that_writes_gives_no_embeddings(url: str) -> None:
    answer = httpx.post(f"{url}/v1/embeddings", json={"model": "scripted", "input": "sky"})
    assert answer.status_code == 400
    assert "gives no embeddings" in answer.json()["error"]["message"]


def test_the_other_routes_are_as_ever(at: str) -> None:
    (card,) = httpx.get(f"{at}/v1/models").json()["data"]
    assert (card["id"], card["context_length"]) == ("encoder", tiny_bert.CONTEXT)
    assert httpx.get(f"{at}/health").json() == {"status": "ok"}
    assert httpx.get(f"{at}/ready").json()["status"] == "ready"
    stat = {"header": {"fn": "get_stat"}}
    assert httpx.post(at, json=stat).json()["stat"]["alive"] is True


def test_the_ready_line_can_be_pasted(tiny: Path) -> None:
    call = "from inferflow_server.cli import main; main()"
    words = ["serve", str(tiny / "encoder"), "--port", "0", "--backend", "numpy"]
    with subprocess.Popen(
        [sys.executable, "-c", call, *words], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        line = next(line for line in lines if line.startswith("curl "))
        _, url, _, header, _, body = shlex.split(line)
        assert url.endswith("/v1/embeddings")
        name, _, value = header.partition(": ")
        answer = httpx.post(url, content=body, headers={name: value}).json()
        assert len(answer["data"][0]["embedding"]) == tiny_bert.HIDDEN
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
        assert process.wait(30) == 0


class SlowEncoder:
    """Embeds two texts at a time, each time after `gate` opens."""

    name = "encoder"
    backend_choice = "paper"
    outputs: Any = {"hidden": False, "embedding": True}  # noqa: RUF012
    plan = SimpleNamespace()

    def __init__(self, tokenizer: Any, engine: Any) -> None:
        self.tokenizer, self.engine = tokenizer, engine
        engine.max_sequences = 2
        self.gate = threading.Event()
        self.calls: list[int] = []
        self.error: Exception | None = None

    def text_ids(self, texts: Sequence[str], **_: Any) -> list[list[int]]:
        return [[1] for _ in texts]

    def embed(self, ids: Sequence[Sequence[int]], **_: Any) -> Any:
        self.calls.append(len(ids))
        assert self.gate.wait(10)
        if self.error:
            raise self.error
        return np.ones((len(ids), 3), np.float32)


@pytest.fixture
def slow(model: Any) -> SlowEncoder:
    return SlowEncoder(model.tokenizer, model.engine)


def test_others_are_answered_meanwhile(slow: Any, serve: Callable[..., Any]) -> None:
    with serve(slow) as url:
        thread = threading.Thread(target=lambda: post(url, input=["a"] * 5))
        thread.start()
        while not slow.calls:
            time.sleep(0.01)
        assert httpx.get(f"{url}/health", timeout=5).status_code == 200
        slow.gate.set()
        thread.join()
        assert slow.calls == [2, 2, 1]


def test_a_client_that_leaves_ends_the_work(slow: Any, serve: Callable[..., Any]) -> None:
    with serve(slow) as url:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                f"{url}/v1/embeddings", json={"model": "encoder", "input": ["a"] * 8}, timeout=0.5
            )
        time.sleep(0.5)  # until the server has noticed
        slow.gate.set()
        assert post(url, input="a").status_code == 200
        assert slow.calls == [2, 1]


def test_a_dead_engine_is_a_503(slow: Any, serve: Callable[..., Any]) -> None:
    slow.gate.set()
    slow.error = EngineError("the engine has stopped")
    with serve(slow) as url:
        answer = post(url, input="a")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")


def test_too_many_that_wait_are_refused(
    slow: Any, serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferflow_server.http.service.VECTOR_QUEUE", 1)
    with serve(slow) as url:
        thread = threading.Thread(target=lambda: post(url, input="a"))
        thread.start()
        while not slow.calls:
            time.sleep(0.01)
        answer = post(url, input="a")
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "overloaded")
        slow.gate.set()
        thread.join()

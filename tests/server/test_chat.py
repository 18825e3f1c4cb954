"""Chat over HTTP, with the official client and with plain requests."""

from typing import Any

import httpx
import openai
import pytest

HELLO = [{"role": "user", "content": "hi"}]


@pytest.fixture
def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def post(url: str, **body: Any) -> httpx.Response:
    body = {"model": "scripted", "messages": HELLO} | body
    return httpx.post(f"{url}/v1/chat/completions", json=body)


def test_an_answer(client: openai.OpenAI, model: Any) -> None:
    answer = client.chat.completions.create(model="scripted", messages=HELLO, seed=7)  # type: ignore[arg-type]
    assert answer.id.startswith("chatcmpl-")
    assert answer.object == "chat.completion"
    choice = answer.choices[0]
    assert (choice.message.role, choice.message.content) == ("assistant", "Hello 😀!")
    assert choice.finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 8)
    assert answer.usage.total_tokens == 12
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 1
    assert model.engine.requests[0].ids == tuple(b"u:hi")
    assert model.engine.requests[0].max_tokens == 60
    assert model.engine.requests[0].seed == 7
    assert all(name.startswith("text") for name in model.threads)


def test_a_stream_says_the_same(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="scripted",
            messages=HELLO,  # type: ignore[arg-type]
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    pieces = [chunk.choices[0] for chunk in chunks[:-1]]
    assert "".join(piece.delta.content or "" for piece in pieces) == "Hello 😀!"
    assert [p.finish_reason for p in pieces if p.finish_reason] == ["stop"]
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 12


def test_a_stream_on_the_wire(url: str) -> None:
    answer = post(url, stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "content-length" not in answer.headers
    lines = answer.text.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    assert all(line.startswith("data: {") for line in lines[:-2])
    assert "usage" not in answer.text


def test_sampling_reaches_the_engine(url: str, model: Any) -> None:
    extras = {"top_k": 3, "min_p": 0.1, "temperature": 0, "stop": ["!", "?"], "n": 2, "seed": 1}
    answer = post(url, max_completion_tokens=3, **extras).json()
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    assert [choice["message"]["content"] for choice in answer["choices"]] == ["Hel", "Hel"]
    assert {choice["finish_reason"] for choice in answer["choices"]} == {"length"}
    assert answer["usage"]["prompt_tokens"] == 4
    assert answer["usage"]["completion_tokens"] == 6
    first, second = model.engine.requests
    assert first.sampling == {"top_k": 3, "min_p": 0.1, "temperature": 0}
    assert (first.stop, first.max_tokens) == (("!", "?"), 3)
    assert (first.seed, second.seed) == (1, 2)


def test_n_streams_are_told_apart(client: openai.OpenAI) -> None:
    texts = {0: "", 1: "", 2: ""}
    for chunk in client.chat.completions.create(
        model="scripted",
        messages=HELLO,  # type: ignore[arg-type]
        stream=True,
        n=3,
    ):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert set(texts.values()) == {"Hello 😀!"}


def test_logprobs(url: str) -> None:
    answer = post(url, logprobs=True, top_logprobs=2, stop="llo").json()
    content = answer["choices"][0]["logprobs"]["content"]
    assert [item["token"] for item in content] == ["H", "e"]
    assert content[0]["bytes"] == [72]
    assert content[0]["top_logprobs"][1] == {"token": "A", "logprob": -2.0, "bytes": [65]}


def test_contents_in_parts_and_newer_roles(url: str, model: Any) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    messages = [{"role": "developer", "content": "x"}, {"role": "user", "content": parts}]
    assert post(url, messages=messages).status_code == 200
    assert bytes(model.engine.requests[0].ids) == b"s:xu:ab"


NEUTRAL = {"tools": [], "tool_choice": "auto", "logit_bias": {}, "frequency_penalty": 0.0}


def test_fields_without_effect_are_accepted(url: str, model: Any) -> None:
    harmless = {"user": "me", "store": True, "response_format": {"type": "text"}, "seed": None}
    assert post(url, **NEUTRAL, **harmless, top_p=1).status_code == 200
    assert model.engine.requests[0].sampling == {}


@pytest.mark.parametrize(
    ("body", "param", "word"),
    [
        ({"temperature": 3}, "temperature", "less than or equal to 2"),
        ({"temperature": "hot"}, "temperature", "number"),
        ({"top_p": -1}, "top_p", "greater"),
        ({"n": 0}, "n", "greater"),
        ({"n": 1.5}, "n", "integer"),
        ({"max_tokens": 0}, "max_tokens", "greater"),
        ({"max_tokens": 1000}, "messages", "context is 64 tokens"),
        ({"messages": []}, "messages", "at least 1"),
        ({"messages": [{"role": "user", "content": "x" * 64}]}, "messages", "has 66 tokens"),
        ({"messages": [{"role": "user", "content": "x" * 9000}]}, "messages", "9000 characters"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role", "developer"),
        ({"messages": [{"content": "x"}]}, "messages.0.role", "must provide"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages.0.content.0.type",
            "text",
        ),
        ({"messages": [{"role": "user", "content": "refuse me"}]}, "messages", "refuses"),
        ({"stop": list("abcde")}, "stop", "at most 4"),
        ({"stop": ""}, "stop", "at least 1"),
        ({"top_logprobs": 21}, "top_logprobs", "20"),
        ({"seed": 2**64}, "seed", "less"),
        ({"tools": [{"type": "function"}]}, "tools", "not supported"),
        ({"logit_bias": {"1": 5}}, "logit_bias", "not supported"),
        ({"frequency_penalty": 0.5}, "frequency_penalty", "not supported"),
        ({"response_format": {"type": "json_object"}}, "response_format", "not supported"),
        ({"temprature": 1}, "temprature", "Did you mean 'temperature'?"),
        ({"top_k": "many"}, "top_k", "number"),
        ({"top_k": True}, "top_k", "number"),
    ],
)
def test_what_is_refused(url: str, model: Any, body: Any, param: str, word: str) -> None:
    answer = post(url, **body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert word in error["message"]
    assert model.engine.requests == []


def test_another_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-4", messages=HELLO)  # type: ignore[arg-type]
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[" * 100_000, "JSON"),
        (b"null", "object"),
        (b'{"model": "scripted", "messages": HELLO, "temperature": NaN}', "JSON"),
        (b'{"model": "\xff"}', "JSON"),
    ],
)
def test_bodies_that_are_no_json(url: str, model: Any, raw: bytes, word: str) -> None:
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{url}/v1/chat/completions", content=raw, headers=headers)
    assert answer.status_code == 400
    assert word in answer.json()["error"]["message"]


def test_a_body_must_say_that_it_is_json(url: str, model: Any) -> None:
    answer = httpx.post(f"{url}/v1/chat/completions", content=b"{}")
    assert answer.status_code == 415
    assert "application/json" in answer.json()["error"]["message"]

"""Completions over HTTP: texts and ids, one and several."""

from typing import Any

import httpx
import openai
import pytest


def post(url: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/completions", json={"model": "scripted", "prompt": "ab"} | body)


def test_a_text(url: str, model: Any) -> None:
    answer = post(url).json()
    assert answer["object"] == "text_completion"
    assert answer["id"].startswith("cmpl-")
    assert answer["choices"] == [
        {"index": 0, "text": "Hello 😀!", "logprobs": None, "finish_reason": "stop"}
    ]
    assert model.engine.requests[0].ids == (97, 98)
    assert model.engine.requests[0].max_tokens == 16


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (["ab", "c"], [(97, 98), (99,)]),
        ([97, 98], [(97, 98)]),
        ([[97], [98, 99]], [(97,), (98, 99)]),
    ],
)
def test_several_prompts(url: str, model: Any, prompt: Any, expected: Any) -> None:
    answer = post(url, prompt=prompt, n=2, seed=10).json()
    assert [request.ids for request in model.engine.requests] == [
        ids for ids in expected for _ in range(2)
    ]
    assert [choice["index"] for choice in answer["choices"]] == list(range(2 * len(expected)))
    assert answer["usage"]["prompt_tokens"] == sum(len(ids) for ids in expected)
    assert [request.seed for request in model.engine.requests] == [10, 11] * len(expected)


def test_echo(url: str) -> None:
    assert post(url, echo=True).json()["choices"][0]["text"] == "abHello 😀!"
    assert post(url, prompt=[99], echo=True).json()["choices"][0]["text"] == "cHello 😀!"


def test_a_stream(url: str) -> None:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    stream = client.completions.create(model="scripted", prompt="ab", stream=True, echo=True)
    choices = [chunk.choices[0] for chunk in stream]
    assert "".join(choice.text for choice in choices) == "abHello 😀!"
    assert choices[-1].finish_reason == "stop"


def test_logprobs(url: str) -> None:
    whole = post(url, logprobs=2, max_tokens=2).json()["choices"][0]["logprobs"]
    assert whole == {
        "tokens": ["H", "e"],
        "token_logprobs": [-0.5, -0.5],
        "top_logprobs": [{"H": -0.5, "A": -2.0}, {"e": -0.5, "A": -2.0}],
        "text_offset": [0, 1],
    }


def test_a_small_context_shortens_the_default(url: str, model: Any) -> None:
    assert post(url, prompt="x" * 60).status_code == 200
    assert model.engine.requests[0].max_tokens == 4


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"prompt": []}, "empty"),
        ({"prompt": [[]]}, "empty"),
        ({"prompt": ""}, "empty"),
        ({"prompt": [5, "a"]}, "valid"),
        ({"prompt": [257]}, "token id 257 is too large"),
        ({"prompt": [-1]}, "prompt.0"),
        ({"prompt": "x" * 64}, "context is 64"),
        ({"prompt": "x" * 60, "max_tokens": 5}, "you asked for 65"),
        ({"prompt": ["a"] * 65, "n": 2}, "at most 128"),
        ({"suffix": "end"}, "not supported"),
        ({"best_of": 2}, "not supported"),
        ({"echo": True, "logprobs": 1}, "echo together"),
        ({"logprobs": 6}, "less"),
        ({"max_tokens": 0}, "greater"),
    ],
)
def test_what_is_refused(url: str, model: Any, body: Any, word: str) -> None:
    answer = post(url, **body)
    assert answer.status_code == 400
    assert word in answer.json()["error"]["message"]
    assert answer.json()["error"]["param"].partition(".")[0] in (next(reversed(body)), "prompt")
    assert model.engine.requests == []

"""`POST /`, the original engine's route: every field, every ret_code, and that nothing hangs."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from inferflow_server.http import batch as batch_module
from inferflow_server.http import native as native_module

import inferflow_core

JSON = {"content-type": "application/json"}


def post(url: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{url}/", json={"text": "hi", "is_streaming_mode": False} | body)


def objects(answer: httpx.Response) -> list[Any]:
    """A stream's objects; each is followed by an empty line."""
    assert answer.text.endswith("\n\n")
    return [json.loads(line) for line in answer.text.split("\n\n") if line.strip()]


def test_an_answer(url: str, model: Any) -> None:
    answer = post(url)
    body = answer.json()
    assert answer.status_code == 200
    assert body.pop("time_cost") > 0
    assert body == {"text": "Hello 😀!", "ret_code": "succ", "is_end": 1}
    request = model.engine.requests[0]
    assert bytes(request.ids) == b"u:hi"
    assert (request.max_tokens, request.seed, request.sampling) == (60, None, {})
    assert all(name.startswith("text") for name in model.threads)


def test_streaming_is_the_default(url: str) -> None:
    answer = httpx.post(f"{url}/", json={"text": "hi"})
    assert answer.headers["transfer-encoding"] == "chunked"
    *pieces, last = objects(answer)
    assert all(list(piece) == ["text"] for piece in pieces)
    assert "".join(piece["text"] for piece in [*pieces, last]) == "Hello 😀!"
    assert last["ret_code"] == "succ"
    assert (last["is_end"], last["time_cost"] > 0) == (1, True)
    assert objects(post(url, is_streaming_mode=1))[-1]["is_end"] == 1
    assert post(url, is_streaming_mode=0).json()["text"] == "Hello 😀!"


def test_fields_reach_the_engine(url: str, model: Any) -> None:
    fields = {"system_prompt": "s", "random_seed": 7, "temperature": 0.5, "max_output_len": 3}
    assert post(url, **fields, top_k=4).json()["text"] == "Hel"
    post(url, max_new_tokens=2, random_seed=0, header={"user": "u", "passcode": "p"})
    first, second = model.engine.requests
    assert bytes(first.ids) == b"s:su:hi"
    assert (first.seed, first.max_tokens) == (7, 3)
    assert first.sampling == {"temperature": 0.5, "top_k": 4}
    assert (second.seed, second.max_tokens) == (None, 2)


def test_the_answer_begins_with_res_prefix_once(url: str, model: Any) -> None:
    assert post(url, res_prefix="Sure, ").json()["text"] == "Sure, Hello 😀!"
    pieces = objects(post(url, res_prefix="Sure, ", is_streaming_mode=True))
    assert "".join(piece["text"] for piece in pieces) == "Sure, Hello 😀!"
    assert [bytes(r.ids) for r in model.engine.requests] == [b"u:hiSure, "] * 2


def test_the_default_length_is_the_originals(url: str, model: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(native_module, "DEFAULT_TOKENS", 5)
    assert post(url).json()["text"] == "Hello"


def test_a_model_without_chat_template_continues_the_text(url: str, model: Any) -> None:
    model.tokenizer.chat_template = None
    try:
        assert post(url, res_prefix=" you").json()["ret_code"] == "succ"
        assert bytes(model.engine.requests[0].ids) == b"hi you"
        refused = post(url, system_prompt="s").json()
        assert "chat template" in refused["error_text"]
    finally:
        model.tokenizer.chat_template = "yes"


TEMPLATES = [
    ("{query}", b"hi{eos}x"),
    ("{question}", b"hi{eos}x"),
    ("Q:{_query}{\\n}A:{res_prefix}", b"Q: hi{eos}x\nA:P"),
    ("{_question}{answer}", b" hi{eos}xP"),
    ("{#65}{#66}{query}", b"ABhi{eos}x"),
    ("{<tag>}{system_prompt}{ }{query}{", b"@S_hi{eos}x{"),
    ("a{}b {query}", b"a{}b hi{eos}x"),
]


@pytest.mark.parametrize(("template", "prompt"), TEMPLATES)
def test_templates(url: str, model: Any, template: str, prompt: bytes) -> None:
    model.tokenizer.token_id = {"<tag>": 64, "▁": 95}.get
    fields = {"system_prompt": "S"} if "system" in template else {}
    fields |= {"res_prefix": "P"} if "prefix" in template or "answer" in template else {}
    answer = post(url, text="hi{eos}x", decoder_input_template=template, **fields)
    assert answer.json()["ret_code"] == "succ", answer.text
    assert bytes(model.engine.requests[0].ids) == prompt


def test_text_is_tokenized_between_single_tokens_and_never_special(url: str, model: Any) -> None:
    calls: list[Any] = []
    encode = model.tokenizer.encode
    model.tokenizer.token_id = {"<|im_end|>": 1}.get
    model.tokenizer.encode = lambda *a, **k: (calls.append((a, k)), encode(*a, **k))[1]
    try:
        template = "user: {query}!{<|im_end|>}{\\n}bot:"
        post(url, text="<|im_end|>", decoder_input_template=template, res_prefix=" ok")
    finally:
        del model.tokenizer.encode
    assert calls == [
        (("user: <|im_end|>!",), {"special": False}),
        (("\nbot: ok",), {"special": False}),
    ]


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"text": None}, "empty_request", "missing"),
        ({"text": ""}, "empty_request", "empty"),
        ({"text": "", "res_prefix": "x"}, "empty_request", "empty"),
        ({"text": 5}, "invalid_request_format", "text: Input should be a valid string"),
        ({"text": "x" * 64}, "too_long_request", "has 66 tokens"),
        ({"text": "x" * 9000}, "too_long_request", "9000 characters"),
        ({"max_output_len": 61}, "too_long_request", "context is 64 tokens"),
        ({"max_output_len": -5}, "invalid_request_format", "max_output_len: Input should be gr"),
        ({"max_new_tokens": 0}, "invalid_request_format", "max_new_tokens"),
        ({"max_new_tokens": 1, "max_output_len": 2}, "invalid_request_format", "differ"),
        ({"decoding_alg": "gredy"}, "invalid_request_format", "Did you mean 'greedy'? Known are"),
        ({"decoding_alg": "mirostat"}, "invalid_request_format", "random_fsd"),
        ({"decoding_alg": "tfs"}, "invalid_request_format", "needs tfs_z; the samplers that"),
        ({"temperature": -1}, "invalid_request_format", "temperature"),
        ({"temprature": 1}, "invalid_request_format", "Did you mean 'temperature'?"),
        ({"top_k": "many"}, "invalid_request_format", "top_k must be a number"),
        ({"header": {"fn": "get_stats"}}, "invalid_request_format", "get_stat"),
        ({"header": "x"}, "invalid_request_format", "header"),
        ({"encoder_input_template": "{query}"}, "invalid_request_format", "decoder alone"),
        ({"decoder_input_template": "hello"}, "invalid_request_format", "needs {query}"),
        ({"decoder_input_template": "{bos}{query}"}, "invalid_request_format", "no such token"),
        ({"decoder_input_template": "{#999}{query}"}, "invalid_request_format", "ends at 256"),
        (
            {"decoder_input_template": "{query}{system_promt}"},
            *("invalid_request_format", "Did you mean 'system_prompt'?"),
        ),
        (
            {"decoder_input_template": "{query}{res_prefix} and"},
            *("invalid_request_format", "goes on after"),
        ),
        (
            {"decoder_input_template": "{query}", "system_prompt": "s"},
            *("invalid_request_format", "would be lost"),
        ),
        ({"text": "refuse me", "system_prompt": "refuse me"}, "invalid_request_format", "refuses"),
    ],
)
@pytest.mark.parametrize("streaming", [True, False])
def test_what_is_refused(
    url: str, model: Any, fields: Any, code: str, words: str, streaming: bool
) -> None:
    model.tokenizer.token_id = lambda token: None
    answer = post(url, is_streaming_mode=streaming, **fields)
    body = answer.json()
    assert answer.status_code == 400
    assert (body["ret_code"], body["text"], body["is_end"]) == (f"error.{code}", "", 1)
    assert words in body["error_text"]
    assert body["time_cost"] >= 0
    assert model.engine.requests == []


@pytest.mark.parametrize("raw", [b"", b"{", b"null", b"[]", b"[" * 100_000, b'{"text": "\xff"}'])
def test_bodies_that_are_no_json_are_answered_at_once(url: str, raw: bytes) -> None:
    answer = httpx.post(f"{url}/", content=raw, headers=JSON, timeout=5)
    assert answer.status_code == 400
    assert answer.json()["ret_code"] == "error.invalid_request_format"


def test_refusals_of_the_guards_have_the_same_shape(serve: Any, model: Any) -> None:
    with serve(model, key="k", hosts=("127.0.0.1",), max_body=2_000_000) as url:
        keyed = {**JSON, "authorization": "Bearer k"}
        answers = [
            (401, httpx.post(f"{url}/", json={"text": "hi"})),
            (421, httpx.post(f"{url}/", json={"text": "hi"}, headers={"host": "evil.example"})),
            (405, httpx.get(f"{url}/", headers=keyed)),
            (415, httpx.post(f"{url}/", content=b"{}", headers=keyed | {"content-type": "a/b"})),
            (413, httpx.post(f"{url}/", content=b" " * 1_000_001, headers=keyed)),
            (413, httpx.post(f"{url}/", content=b" " * 2_000_001, headers=keyed)),
        ]
        ok = httpx.post(f"{url}/", json={"text": "hi", "is_streaming_mode": 0}, headers=keyed)
    assert ok.json()["ret_code"] == "succ"
    for status, answer in answers:
        assert answer.status_code == status
        code = "too_long_request" if status == 413 else "invalid_request_format"
        assert answer.json()["ret_code"] == f"error.{code}"
        assert answer.json()["is_end"] == 1


def test_busy_and_dead_engines(url: str, model: Any) -> None:
    model.engine.room = 0
    busy = post(url)
    assert (busy.status_code, busy.json()["ret_code"]) == (429, "error.busy")
    assert busy.headers["retry-after"]
    model.engine.alive = False
    dead = post(url)
    assert (dead.status_code, dead.json()["ret_code"]) == (503, "error.processing")


def test_a_generation_that_fails(url: str, model: Any) -> None:
    model.engine.fail_at = 2
    answer = post(url)
    assert answer.status_code == 500
    assert answer.json()["error_text"] == "out of paper"
    *pieces, last = objects(post(url, is_streaming_mode=True))
    assert "".join(piece["text"] for piece in pieces) == "He"
    assert (last["ret_code"], last["error_text"], last["is_end"]) == (
        *("error.processing", "out of paper"),
        1,
    )


def test_silence_is_filled_with_empty_lines(url: str, model: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(batch_module, "SILENCE_S", 0.05)
    model.engine.gate.clear()
    with httpx.stream("POST", f"{url}/", json={"text": "hi"}) as answer:
        chunks = answer.iter_text()
        assert next(chunks).strip() == ""
        model.engine.gate.set()
        assert json.loads("".join(chunks).split("\n\n")[-2])["ret_code"] == "succ"


@pytest.mark.parametrize("streaming", [True, False])
def test_a_client_that_leaves_cancels(url: str, model: Any, streaming: bool) -> None:
    model.engine.pause_s = 0.2
    host, port = url.removeprefix("http://").split(":")
    body = json.dumps({"text": "hi", "is_streaming_mode": streaming}).encode()
    head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}"
    with socket.create_connection((host, int(port))) as client:
        client.sendall(head.encode() + b"\r\n\r\n" + body)
        while not model.engine.streams:
            time.sleep(0.01)
    assert model.engine.streams[0].cancelled.wait(5)


def test_statistics(url: str, model: Any) -> None:
    body = httpx.post(f"{url}/", json={"header": {"fn": "get_stat"}}).json()
    assert (body["ret_code"], body["is_end"]) == ("succ", 1)
    stat = body["stat"]
    assert (stat["model"], stat["context"], stat["max_sequences"]) == ("scripted", 64, 4)
    assert (stat["cache_pages"], stat["free_cache_pages"], stat["alive"]) == (9, 8, True)
    model.engine.gate.clear()
    with httpx.stream("POST", f"{url}/", json={"text": "hi"}):
        stat = httpx.post(f"{url}/", json={"header": {"fn": "get_stat"}}).json()["stat"]
        assert stat["running"] == 1


@pytest.fixture(scope="module")
def stories(shared: Path, serve: Any) -> Iterator[str]:
    """A server of a real model, with the usual chain of samplers."""
    file = shared / "data" / "stories260K" / "stories260K.bin"
    with inferflow_core.load(file, backend="numpy") as model, serve(model) as url:
        yield url


STORY = {"text": "Once upon a time", "max_output_len": 16}


def test_forty_equal_greedy_requests_are_answered_with_one_text(stories: str) -> None:
    """The original lost what was queued when the end came: three different texts."""

    def ask(number: int) -> str:
        streaming = number % 2 == 0
        body = STORY | {"decoding_alg": "greedy", "is_streaming_mode": streaming}
        answer = httpx.post(f"{stories}/", json=body, timeout=60)
        parts = objects(answer) if streaming else [answer.json()]
        assert parts[-1]["ret_code"] == "succ"
        return "".join(part["text"] for part in parts)

    with ThreadPoolExecutor(8) as threads:
        texts = set(threads.map(ask, range(40)))
    completion = {"model": "stories260K", "prompt": STORY["text"], "max_tokens": 16}
    other = httpx.post(f"{stories}/v1/completions", json=completion | {"temperature": 0})
    assert texts == {other.json()["choices"][0]["text"]}


def story(url: str, **fields: Any) -> str:
    body = STORY | {"is_streaming_mode": False, "max_output_len": 10} | fields
    answer = httpx.post(f"{url}/", json=body, timeout=60).json()
    assert answer["ret_code"] == "succ", answer
    return answer["text"]


def test_drawing_strategies_are_repeatable_by_seed(stories: str) -> None:
    names = ["sample.std", "top_k", "Sample.Top_P", "min_p", "tfs", "typical", "random_fsd"]
    seeds = (99999999, 99999999, 777777777, 2000000000, 31415926)
    with ThreadPoolExecutor(16) as threads:
        asked = [(name, seed) for name in names for seed in seeds]
        texts = list(
            threads.map(
                lambda a: story(stories, decoding_alg=a[0], random_seed=a[1], temperature=1.5),
                asked,
            )
        )
    for name, i in zip(names, range(0, len(texts), len(seeds)), strict=True):
        first, again, *others = texts[i : i + len(seeds)]
        assert first == again, name
        assert {first} != {*others}, name


def test_fsd_draws_nothing(stories: str) -> None:
    assert len({story(stories, decoding_alg="fsd", random_seed=seed) for seed in (1, 2)}) == 1
    novel = story(stories, decoding_alg="fsd", fsd_alpha=0.9, max_output_len=12)
    assert novel != story(stories, decoding_alg="greedy", max_output_len=12)

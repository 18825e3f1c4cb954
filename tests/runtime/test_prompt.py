"""What a request begins with: texts, ids and conversations of decoders and encoder-decoders."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import inferflow_core
from inferflow_core.errors import InferflowError, RequestError, TemplateError
from inferflow_core.interfaces import Prompt


@pytest.fixture(scope="module")
def translator(tiny: Path) -> Iterator[Any]:
    with inferflow_core.load(tiny / "translator", backend="numpy") as model:
        yield model


def text(events: Any) -> str:
    return "".join(event.text for event in events)


def test_a_text_becomes_a_source_and_the_target_begins_with_its_language(translator: Any) -> None:
    assert translator.reads_source
    languages = translator.tokenizer.languages
    sky = translator.tokenizer.token_id("▁sky")
    for source, prefix in ((None, languages["en"]), ("de", languages["de"])):
        prompt = translator.prompt("sky", source_language=source, target_language="fr")
        assert prompt == Prompt((2, languages["fr"]), (prefix, sky, 2))
        assert prompt.given == 3


def test_ids_are_the_source(translator: Any) -> None:
    assert translator.prompt([5, 6], first=[7, 8]) == Prompt((2, 7, 8), (5, 6))
    assert translator.prompt((5,), first=()) == Prompt((2,), (5,))
    fr = translator.tokenizer.languages["fr"]
    assert translator.prompt([5], target_language="fr") == Prompt((2, fr), (5,))


def test_generate(translator: Any) -> None:
    options = {"temperature": 0.0}
    assert text(translator.generate("the wind", target_language="de", **options)) == "der Wind"
    ids = translator.prompt("the wind", target_language="de").source
    de = translator.tokenizer.languages["de"]
    for given in ({"ids": ids}, {"prompt": ids}):
        events = list(translator.generate(**given, first=[de], **options))
        assert text(events) == "der Wind"
        assert events[-1].finish == "stop"
        assert (events[-1].prompt_tokens, events[-1].completion_tokens) == (4 + 2, 3)


def test_a_chat_template_writes_the_source(tiny: Path) -> None:
    chat = "{% for message in messages %}{{ message.content }}{% endfor %}"
    with inferflow_core.load(
        tiny / "translator", backend="numpy", set={"tokenizer.chat": chat}
    ) as model:
        messages = [{"role": "user", "content": "wind"}]
        wind, de = model.tokenizer.token_id("▁wind"), model.tokenizer.languages["de"]  # type: ignore[attr-defined]
        assert model.prompt(messages, target_language="de") == Prompt((2, de), (wind,))
        with pytest.raises(RequestError, match="for a text"):
            model.prompt(messages, source_language="en", target_language="de")


def test_the_spec_may_force_a_first_token(tiny: Path) -> None:
    """As `forced_bos_token_id` of a checkpoint does; a language of the request goes before it."""
    with inferflow_core.load(
        tiny / "translator", backend="numpy", set={"config.forced_bos_token_id": 55}
    ) as model:
        assert model.prompt("wind").ids == (2, 55)
        assert model.prompt("wind", target_language="fr").ids == (2, 57)
        assert model.prompt("wind", first=[]).ids == (2,)
        assert text(model.generate("the wind", temperature=0.0)) == "der Wind"


def test_a_target_may_start_with_its_language(tiny: Path) -> None:
    """As mBART's: `decoder_start_token_id` is that of a language."""
    with inferflow_core.load(
        tiny / "translator", backend="numpy", set={"generation.start": 55}
    ) as model:
        assert model.prompt("wind").ids == (55,)
        assert model.prompt("wind", target_language="fr").ids == (57,)


@pytest.mark.parametrize(
    ("given", "choices", "param", "says"),
    [
        ("x", {}, "target_language", "It knows de, en, fr"),
        ([5], {}, "target_language", "name the language"),
        ("x", {"target_language": "f"}, "target_language", "no language 'f'"),
        ("x", {"target_language": "fr", "source_language": "en_"}, "source_language", "mean 'en'"),
        ("x", {"target_language": "fr", "first": [1]}, "first", "not both"),
        ([5], {"target_language": "fr", "source_language": "en"}, "source_language", "for a text"),
    ],
)
def test_what_is_refused(translator: Any, given: Any, choices: Any, param: str, says: str) -> None:
    with pytest.raises(RequestError, match=says) as error:
        translator.prompt(given, **choices)
    assert error.value.param == param


def test_messages_without_a_template_are_refused(translator: Any) -> None:
    with pytest.raises(TemplateError, match="no chat template"):
        translator.generate([{"role": "user", "content": "x"}], target_language="fr")


def test_a_spec_without_a_start_is_told_so(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "spec.toml").write_text(
        f'spec = 1\nextends = "m2m100"\n[weights]\npath = "{tiny / "translator"}"\n'
        '[generation]\nstart = "${none}"\n'
    )
    with (
        inferflow_core.load(tmp_path / "spec.toml", backend="numpy") as model,
        pytest.raises(RequestError, match="start"),
    ):
        model.prompt("x", target_language="fr")


@pytest.mark.parametrize("param", ["source_language", "target_language", "first"])
def test_a_decoder_alone_has_no_source(tiny: Path, param: str) -> None:
    value = [1] if param == "first" else "fr"
    with inferflow_core.load(tiny / "checkpoint", backend="numpy") as model:
        assert not model.reads_source
        assert model.prompt([5, 6]) == Prompt((5, 6))
        with pytest.raises(RequestError, match="what they make of a source") as error:
            model.generate("x", **{param: value})  # type: ignore[arg-type]
    assert error.value.param == param


def test_without_a_tokenizer_ids_go_in_and_languages_do_not(tiny: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((tiny / "translator" / name).read_bytes())
    with inferflow_core.load(tmp_path, backend="numpy") as model:
        assert model.prompt([5, 6]) == Prompt((2,), (5, 6))
        with pytest.raises(RequestError, match="tells no languages"):
            model.prompt([5], target_language="fr")
        with pytest.raises(InferflowError, match="no tokenizer"):
            model.prompt("x", first=())
        assert len(list(model.generate(ids=[5, 6], max_tokens=3, ignore_stop_ids=True))) == 3


@pytest.mark.parametrize("backend", ["numpy", "cpu"])
def test_the_same_bits_alone_and_in_company(tiny: Path, backend: str) -> None:
    """The numeric law, for sources and targets of all lengths, whatever steps they share."""
    if backend == "cpu":
        pytest.importorskip("numba", reason="the cpu backend needs numba")
    import numpy as np

    rng = np.random.default_rng(3)
    sources = [rng.integers(3, 58, n).tolist() for n in (1, 40, 5, 17, 33, 16, 2)]
    targets = [[2, *rng.integers(3, 58, n).tolist()] for n in (30, 1, 16, 3, 7, 48, 15)]
    options = {"run.step_tokens": 256, "run.threads": 1}
    with inferflow_core.load(tiny / "translator", backend=backend, set=options) as model:
        alone = [
            model.logits([target], encoder=[source])[0]
            for source, target in zip(sources, targets, strict=True)
        ]
        states = [model.encode([source])[0] for source in sources]
        for chunk in (None, 5):
            together = model.logits(targets * 3, encoder=sources * 3, chunk=chunk)
            for one, other in zip(alone * 3, together, strict=True):
                assert one.tobytes() == other.tobytes()
        for one, other in zip(states, model.encode(sources), strict=True):
            assert one.tobytes() == other.tobytes()

"""What a request begins with: languages, sources and the beginnings of targets."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from inferflow_core.errors import InferflowError, RequestError, nearest
from inferflow_core.interfaces import Multilingual, Tokenizer

MOST_NAMED = 250


def if_any(open_tokenizer: Callable[[], Tokenizer]) -> Tokenizer | None:
    """None where there is none that opens: ids still go in and out, and whoever asks the model
    for its tokenizer is told the reason."""
    try:
        return open_tokenizer()
    except InferflowError:
        return None


def refuse_choices(name: str, given: Mapping[str, Any]) -> None:
    """Raises RequestError for what only an encoder-decoder can be told."""
    for param, value in given.items():
        if value is not None:
            raise RequestError(
                f"{param} is for models that write what they make of a source; {name} has none",
                param=param,
            )


def source_of(text: str, tokenizer: Tokenizer, language: str | None) -> list[int]:
    """The ids of a text, told to be of this language. Raises RequestError."""
    if language is None:
        return tokenizer.encode(text)
    token_of(tokenizer, language, "source_language")
    assert isinstance(tokenizer, Multilingual)
    return tokenizer.encode_in(text, language)


def languages_of(tokenizer: Tokenizer | None) -> Mapping[str, int]:
    """Language -> its token; empty where texts tell none."""
    return tokenizer.languages if isinstance(tokenizer, Multilingual) else {}


def token_of(tokenizer: Tokenizer | None, language: str, param: str) -> int:
    """Raises RequestError that says which languages there are."""
    languages = languages_of(tokenizer)
    if not languages:
        raise RequestError(f"this model's tokenizer tells no languages: no {param}", param=param)
    if language not in languages:
        near = nearest(language, languages)
        raise RequestError(f"no language {language[:80]!r}.{near} {_known(languages)}", param=param)
    return languages[language]


def target_of(
    generation: Mapping[str, Any],
    tokenizer: Tokenizer | None,
    language: str | None,
    first: Sequence[int] | None,
) -> tuple[int, ...]:
    """The spec's start, then what is forced. `generation` is the spec's table. Where the start is
    itself a language (the first models of mBART), another takes its place. Raises RequestError
    where no language is named and a translation needs one."""
    if "start" not in generation:
        raise RequestError("the spec names no token that a target starts with: [generation] start")
    start: int = generation["start"]
    languages = languages_of(tokenizer)
    starts_told = start in languages.values()
    if first is not None:
        if language is not None:
            raise RequestError("give target_language or first, not both", param="first")
        return (start, *first)
    if language is not None:
        token = token_of(tokenizer, language, "target_language")
        return (token,) if starts_told else (start, token)
    if "first" in generation:
        return (start, generation["first"])
    if languages and not starts_told:
        raise RequestError(
            f"this model translates: name the language that it is to write, target_language. "
            f"{_known(languages)}",
            param="target_language",
        )
    return (start,)


def _known(languages: Mapping[str, int]) -> str:
    named = ", ".join([*languages][:MOST_NAMED])
    return f"It knows {named}{' …' if len(languages) > MOST_NAMED else ''}"

"""Text to token ids and back, and conversations as the model's template writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from inferflow_core.interfaces.model_files import Checkpoint


class StreamDecoder(Protocol):
    """Turns token ids into text one by one; never splits a character, never decodes twice."""

    def push(self, token: int) -> str:
        """The text that is now certain (may be empty)."""
        ...

    def flush(self) -> str:
        """What is left at the end; an incomplete character becomes U+FFFD."""
        ...


class Tokenizer(Protocol):
    """What an entry of `inferflow.tokenizers` gives: opened on the files of a model."""

    vocab_size: int
    bos: int | None
    eos: int | None
    mask: int | None
    """What stands for a token that is to be guessed."""
    stop_ids: frozenset[int]
    """Every id that ends a text or a turn, as the files say."""
    chat_template: str | None

    def encode(self, text: str, *, special: bool = True, parse_special: bool = False) -> list[int]:
        """`special`: adds BOS/EOS/prefix by the model's policy. `parse_special`: texts of special
        tokens inside `text` become those tokens (templates need it; user text must not have it)."""
        ...

    def encode_pair(self, first: str, second: str) -> tuple[list[int], list[int]]:
        """Ids of two texts as one sequence, with the special tokens around and between them, and
        the type of each id. Raises RequestError where the files do not say what stands between."""
        ...

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str: ...

    def stream(self, *, skip_special: bool = True, prompt: Sequence[int] = ()) -> StreamDecoder:
        """A decoder for the tokens that follow `prompt` (some tokenizers strip a leading space at
        the start of a text only)."""
        ...

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        *,
        add_generation_prompt: bool = True,
        **extra: Any,
    ) -> str:
        """The conversation as the model's chat template writes it, to be looked at. Raises
        TemplateError."""
        ...

    def encode_chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        *,
        add_generation_prompt: bool = True,
        **extra: Any,
    ) -> list[int]:
        """The ids of what `render` writes. Texts of special tokens become those tokens where the
        template wrote them, and stay text where a message did. Raises TemplateError,
        RequestError."""
        ...

    def token(self, id: int) -> str:
        """The vocabulary's own text of an id; empty where it has none."""
        ...

    def token_id(self, token: str) -> int | None: ...


@runtime_checkable
class Multilingual(Protocol):
    """What the tokenizer of a translation model has besides: tokens that tell a text's language."""

    languages: Mapping[str, int]
    """Language, as the vocabulary calls it (`en`, `eng_Latn`) -> its token. Empty: it has none."""

    def encode_in(self, text: str, language: str) -> list[int]:
        """As `Tokenizer.encode`, with what goes around a text of this language. Raises
        TokenizerError for a language that it does not have."""
        ...


class TokenizerEntry(Protocol):
    """An entry of `inferflow.tokenizers`: a class whose `open` is a class method."""

    def open(self, checkpoint: Checkpoint, options: Mapping[str, Any]) -> Tokenizer | None:
        """The tokenizer of a model, or None where its files are of another kind. `options` is the
        spec's [tokenizer] table. Raises ModelFileError, TokenizerError, SpecError."""
        ...

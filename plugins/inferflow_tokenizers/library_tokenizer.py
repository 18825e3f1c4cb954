"""The tokenizer that every entry of this package opens: the library's, plus our own policy for
BOS/EOS, limits, streaming and chat templates.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from threading import Lock
from typing import Any

from tokenizers import Tokenizer as Native

from inferflow_core.errors import (
    InferflowError,
    ModelFileError,
    TemplateError,
    TokenizerError,
)
from inferflow_tokenizers.chat_template import TemplateRenderer
from inferflow_tokenizers.detokenizer import Pieces, PieceStream, UnsupportedDecoder
from inferflow_tokenizers.facts import Facts
from inferflow_tokenizers.native import build, check_text, guarded
from inferflow_tokenizers.policy import Policy


class LibraryTokenizer:
    """A Tokenizer from the text of a tokenizer.json. `options` is the spec's [tokenizer] table.

    Raises ModelFileError for a definition that the library refuses.
    """

    def __init__(self, definition: str, facts: Facts, options: Mapping[str, Any]) -> None:
        self._definition = definition
        self._facts = facts
        self._lock = Lock()
        self._renderer = TemplateRenderer()
        self._native = build(definition, self._bad_file)
        with guarded(self._bad_file):
            _add(self._native, facts)
            added = self._native.get_added_tokens_decoder()
            decoder = (
                json.loads(self._native.decoder.__getstate__()) if self._native.decoder else None
            )
            size = self._native.get_vocab_size()
        self.vocab_size: int = max(size, *(id + 1 for id in added), 0)
        self.kind: str = type(self._native.model).__name__
        """`BPE`, `Unigram`, `WordPiece` …"""
        self.bos = self._named("bos_token")
        self.eos = self._named("eos_token")
        self.stop_ids = facts.stop_ids | ({self.eos} if self.eos is not None else frozenset())
        with guarded(self._bad_file):
            self._policy = Policy.of(self, self._native, facts, options)
        special = frozenset(id for id, token in added.items() if token.special)
        try:
            self._pieces = Pieces(decoder, self._text, special)
        except UnsupportedDecoder as cause:
            raise self._bad_file(f"decoder {cause} is not supported") from None
        self.chat_templates = _templates(facts.templates, options.get("chat"))
        self.chat_template = self.chat_templates.get("default")

    def encode(self, text: str, *, special: bool = True, parse_special: bool = False) -> list[int]:
        """Raises RequestError for a text that is too long, TokenizerError where the library
        fails."""
        check_text(text)
        native = self._native if parse_special else self._plain
        with guarded(self._failed):
            ids = native.encode(text, add_special_tokens=False).ids
        return [*self._policy.prefix, *ids, *self._policy.suffix] if special else ids

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        stream = self.stream(skip_special=skip_special)
        return "".join([*map(stream.push, ids), stream.flush()])

    def stream(self, *, skip_special: bool = True, prompt: Sequence[int] = ()) -> PieceStream:
        return PieceStream(self._pieces, skip_special=skip_special, prompt=prompt)

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        *,
        add_generation_prompt: bool = True,
        **extra: Any,
    ) -> str:
        """The text of a conversation; `extra` are further variables of the template.

        Raises TemplateError, also where the model has no template; RequestError for messages that
        are not JSON.
        """
        template = self.chat_template
        if tools:
            template = self.chat_templates.get("tool_use", template)
        if template is None:
            others = ", ".join(sorted(self.chat_templates))
            raise TemplateError(
                f"{self._facts.path} has no {'default ' if others else ''}chat template, so "
                f"messages cannot become a prompt{f' (templates: {others})' if others else ''}",
                hint="send a plain prompt (completion), or give the spec a [tokenizer] chat = "
                '"..." with the Jinja template that this model was trained with',
            )
        named = {key: text for key, text in self._facts.named.items() if key not in extra}
        return self._renderer.render(
            template,
            messages,
            tools,
            add_generation_prompt=add_generation_prompt,
            **named,
            **extra,
        )

    def token(self, id: int) -> str:
        return self._text(id) or ""

    def token_id(self, token: str) -> int | None:
        return self._native.token_to_id(token)

    def close(self) -> None:
        """Ends the template worker; the tokenizer stays usable."""
        self._renderer.close()

    @property
    def _plain(self) -> Native:
        with self._lock:
            return self._without_special

    @cached_property
    def _without_special(self) -> Native:
        """A copy that reads special tokens as text: the switch is the object's, not the call's."""
        native = build(self._definition, self._bad_file)
        with guarded(self._bad_file):
            _add(native, self._facts)
            native.encode_special_tokens = True
        self._definition = ""  # megabytes, and not needed again
        return native

    def _named(self, key: str) -> int | None:
        text = self._facts.named.get(key)
        id = self._facts.ids.get(key) if text is None else self._native.token_to_id(text)
        return id if id is not None and self._text(id) is not None else None

    def _text(self, id: int) -> str | None:
        return self._native.id_to_token(id) if 0 <= id < 1 << 32 else None

    def _bad_file(self, cause: str) -> InferflowError:
        return ModelFileError(self._facts.path, f"tokenizer: {cause}")

    def _failed(self, cause: str) -> InferflowError:
        return TokenizerError(f"the tokenizer of {self._facts.path} failed on this text: {cause}")


def _add(native: Native, facts: Facts) -> None:
    """Adds what other files know of: tokens outside of the definition, and which are special."""
    known = {token.content for token in native.get_added_tokens_decoder().values()}
    for id, token in facts.added.items():
        if token.content in known:
            continue
        native.add_tokens([token])
        if native.token_to_id(token.content) != id:
            raise ModelFileError(
                facts.path,
                f"added token {token.content!r} should have id {id}, but the vocabulary gives it "
                f"{native.token_to_id(token.content)}",
            )
    known = {token.content for token in native.get_added_tokens_decoder().values()}
    for text in sorted(facts.special - known):
        if native.token_to_id(text) is not None:
            native.add_special_tokens([text])


def _templates(found: Mapping[str, str], chosen: str | None) -> Mapping[str, str]:
    """The files' templates, with the spec's choice (a name among them, or a text) as default."""
    if chosen is None:
        return found
    return {**found, "default": found.get(chosen, chosen)}

"""The tokenizer that every entry of this package opens: a vocabulary, plus our own policy for
BOS/EOS, limits, streaming and chat templates.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from inferflow_core.errors import (
    ModelFileError,
    RequestError,
    TemplateError,
    TokenizerError,
    nearest,
)
from inferflow_tokenizers.chat_template import TemplateRenderer
from inferflow_tokenizers.detokenizer import Pieces, PieceStream, UnsupportedDecoder
from inferflow_tokenizers.facts import Facts
from inferflow_tokenizers.languages import languages_of
from inferflow_tokenizers.marks import Marks, unescaped
from inferflow_tokenizers.native import check_text
from inferflow_tokenizers.policy import Policy
from inferflow_tokenizers.vocabulary import Vocabulary

MASKS = ("[MASK]", "<mask>")


class TextTokenizer:
    """A Tokenizer, Multilingual. `options` is the spec's [tokenizer] table."""

    def __init__(self, vocabulary: Vocabulary, facts: Facts, options: Mapping[str, Any]) -> None:
        self._vocabulary = vocabulary
        self._facts = facts
        self._renderer = TemplateRenderer()
        self.kind = vocabulary.kind
        self.vocab_size = vocabulary.size
        self.bos = self._named("bos_token")
        self.eos = self._named("eos_token")
        self.mask = self._mask()
        self.stop_ids = facts.stop_ids | ({self.eos} if self.eos is not None else frozenset())
        self._policy = Policy.of(vocabulary, self.bos, self.eos, facts, options)
        self.languages = languages_of(vocabulary.special)
        try:
            special = frozenset(vocabulary.special)
            self._pieces = Pieces(vocabulary.decoder, vocabulary.token, special)
        except UnsupportedDecoder as cause:
            raise ModelFileError(facts.path, f"decoder {cause} is not supported") from None
        self._marks = Marks(vocabulary.special.values()) if vocabulary.special else None
        self.chat_templates = _templates(facts.templates, options.get("chat"))
        self.chat_template = self.chat_templates.get("default")

    def encode(self, text: str, *, special: bool = True, parse_special: bool = False) -> list[int]:
        """Raises RequestError for a text that is too long, TokenizerError where the vocabulary
        fails."""
        check_text(text)
        ids = self._vocabulary.encode(text, parse_special=parse_special)
        return [*self._policy.prefix, *ids, *self._policy.suffix] if special else ids

    def encode_pair(self, first: str, second: str) -> tuple[list[int], list[int]]:
        """Raises RequestError for a text that is too long, and where the files have no template
        for pairs; TokenizerError where the vocabulary fails."""
        check_text(first)
        check_text(second)
        pair = self._vocabulary.pair(first, second)
        if pair is None:
            raise RequestError(
                f"{self._facts.path} does not say which tokens stand between two texts"
            )
        return pair

    def encode_in(self, text: str, language: str) -> list[int]:
        """Raises what `encode` raises."""
        if language not in self.languages:
            near = nearest(language, self.languages)
            raise TokenizerError(f"{self._facts.path} has no language {language!r}.{near}")
        among = self.languages.values()
        policy = self._policy.in_language(self.languages[language], among)
        return [*policy.prefix, *self.encode(text, special=False), *policy.suffix]

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

    def encode_chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        *,
        add_generation_prompt: bool = True,
        **extra: Any,
    ) -> list[int]:
        """As `encode` makes them of `render`'s text, but for the texts of messages, tools and
        `extra`: nothing in these becomes a special token. Raises what `render` raises, and
        RequestError where the template will not have its parts told apart."""
        given = {"messages": messages, "tools": tools, **extra}
        text = self.render(**given, add_generation_prompt=add_generation_prompt)
        check_text(text)
        if self._marks is None or not self._marks.needed(given):
            return self._vocabulary.encode(text, parse_special=True)
        mark = self._marks.unlike(given)
        for version in self._marks.versions(given, mark):
            try:
                marked = self.render(**version, add_generation_prompt=add_generation_prompt)
            except TemplateError:
                continue
            marked = unescaped(marked, mark)
            if marked.replace(mark, "") == text:
                check_text(marked)
                return self._vocabulary.encode(marked, parse_special=True, mark=mark)
        raise RequestError(
            "the messages spell a special token that this chat template looks for, so that what "
            "is theirs and what is the template's cannot be told apart",
            param="messages",
        )

    def token(self, id: int) -> str:
        return self._vocabulary.token(id) or ""

    def token_id(self, token: str) -> int | None:
        return self._vocabulary.token_id(token)

    def close(self) -> None:
        """Ends the template worker; the tokenizer stays usable."""
        self._renderer.close()

    def _mask(self) -> int | None:
        """As the files name it, else as both lines of encoders spell it."""
        named = self._named("mask_token")
        spelt = (id for id, text in self._vocabulary.special.items() if text in MASKS)
        return next(spelt, None) if named is None else named

    def _named(self, key: str) -> int | None:
        text = self._facts.named.get(key)
        id = self._facts.ids.get(key) if text is None else self._vocabulary.token_id(text)
        return id if id is not None and self._vocabulary.token(id) is not None else None


def _templates(found: Mapping[str, str], chosen: str | None) -> Mapping[str, str]:
    """The files' templates, with the spec's choice (a name among them, or a text) as default."""
    if chosen is None:
        return found
    return {**found, "default": found.get(chosen, chosen)}

"""The vocabulary of a tokenizer.json, run by the `tokenizers` library."""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from threading import Lock

from tokenizers import AddedToken
from tokenizers import Tokenizer as Native

from inferflow_core.errors import InferflowError, ModelFileError, TokenizerError
from inferflow_tokenizers.facts import Facts
from inferflow_tokenizers.native import build, guarded

PROBE = "a"


class LibraryVocabulary:
    """A Vocabulary from the text of a tokenizer.json. Raises ModelFileError for one that the
    library refuses."""

    def __init__(self, definition: str, facts: Facts) -> None:
        self._facts = facts
        self._lock = Lock()
        self._native = build(definition, self._bad_file)
        with guarded(self._bad_file):
            _add(self._native, facts)
            added = self._native.get_added_tokens_decoder()
            decoder = self._native.decoder
            self.decoder = json.loads(decoder.__getstate__()) if decoder else None
            size = self._native.get_vocab_size()
            self.around = _around(self._native)
        self.kind = type(self._native.model).__name__
        self.size = max(size, *(id + 1 for id in added), 0)
        self.special: Mapping[int, str] = {
            id: token.content for id, token in added.items() if token.special
        }

    def encode(self, text: str, *, parse_special: bool, mark: str = "") -> list[int]:
        with guarded(self._failed):
            if mark and mark in text:
                return self._encode_marked(text, mark)
            with self._reading(special=parse_special) as native:
                return native.encode(text, add_special_tokens=False).ids

    def pair(self, first: str, second: str) -> tuple[list[int], list[int]] | None:
        """By the definition's post-processor."""
        with guarded(self._failed), self._reading(special=False) as native:
            both = native.encode(first, second)
            bare = native.encode(first, second, add_special_tokens=False)
            return (both.ids, both.type_ids) if len(both.ids) > len(bare.ids) + 1 else None

    def token(self, id: int) -> str | None:
        token = self._native.id_to_token(id) if 0 <= id < 1 << 32 else None
        return None if token == self._placeholder else token

    def token_id(self, token: str) -> int | None:
        return self._native.token_to_id(token)

    def _encode_marked(self, text: str, mark: str) -> list[int]:
        """Finds the special tokens with the marks in place, then encodes the text without marks,
        a placeholder standing for each of them: cutting it there would change its neighbours."""
        with self._reading(special=True) as native:
            found = native.encode(text, add_special_tokens=False)
        parts: list[str] = []
        special: list[int] = []
        at = 0
        for id, (start, end) in zip(found.ids, found.offsets, strict=True):
            if id in self.special and mark not in text[start:end]:
                parts += text[at:start], self._placeholder
                special.append(id)
                at = end
        parts.append(text[at:])
        with self._reading(special=False) as native:
            placeholder = self._placeholder_id
            ids = native.encode("".join(parts).replace(mark, ""), add_special_tokens=False).ids
        each = iter(special)
        return [next(each) if id == placeholder else id for id in ids]

    @cached_property
    def _placeholder(self) -> str:
        """A text that nobody can know and so nobody can write."""
        return f"<{secrets.token_hex(16)}>"

    @cached_property
    def _placeholder_id(self) -> int | None:
        self._native.add_tokens([AddedToken(self._placeholder, normalized=False)])
        return self._native.token_to_id(self._placeholder)

    @contextmanager
    def _reading(self, *, special: bool) -> Iterator[Native]:
        """Reads special tokens as such or as text: the switch is the object's, not the call's. A
        second object would take megabytes, and as long again to build."""
        with self._lock:
            self._native.encode_special_tokens = not special
            yield self._native

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


def _around(native: Native) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What the library's post-processor puts around a text, whichever kind it is."""
    bare = native.encode(PROBE, add_special_tokens=False).ids
    full = native.encode(PROBE, add_special_tokens=True).ids
    if not bare:
        return tuple(full), ()
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return tuple(full[:start]), tuple(full[start + len(bare) :])
    return (), ()

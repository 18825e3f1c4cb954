"""Finds added tokens in a text, as the `tokenizers` library does (lstrip, rstrip, single_word)."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from tokenizers import AddedToken
from tokenizers import Tokenizer as Native

from inferflow_core.errors import InferflowError, ModelFileError, TokenizerError
from inferflow_tokenizers.native import build, guarded

REST = "rest"
"""What the library is told to take all other text for; its id, 0, is what counts."""

NO_WORDS = json.dumps({"model": {"type": "WordLevel", "vocab": {REST: 0}, "unk_token": REST}})


class AddedTokens:
    """Added tokens by id. The library holds these alone, with ids of its own."""

    def __init__(self, path: Path, tokens: Mapping[int, AddedToken]) -> None:
        self._path = path
        ordinary = {id: token for id, token in tokens.items() if not token.special}
        self._all, self._ordinary = self._finder(tokens), self._finder(ordinary)

    def split(self, text: str, *, special: bool) -> Iterator[int | str]:
        """Ids and the texts between them; special tokens only where that is asked for. Raises
        TokenizerError."""
        native, ids = self._all if special else self._ordinary
        if not ids:
            yield from [text] if text else []
            return
        with guarded(self._failed):
            found = native.encode(text, add_special_tokens=False)
        for id, (start, end) in zip(found.ids, found.offsets, strict=True):
            yield ids[id] if id else text[start:end]

    def _finder(self, tokens: Mapping[int, AddedToken]) -> tuple[Native, Mapping[int, int]]:
        native = build(NO_WORDS, self._bad_file)
        with guarded(self._bad_file):
            native.add_tokens(list(tokens.values()))
        found = {native.token_to_id(token.content): id for id, token in tokens.items()}
        return native, {mine: id for mine, id in found.items() if mine}

    def _bad_file(self, cause: str) -> InferflowError:
        return ModelFileError(self._path, f"added tokens: {cause}")

    def _failed(self, cause: str) -> InferflowError:
        return TokenizerError(f"the added tokens of {self._path} failed on this text: {cause}")

"""The vocabulary of a SentencePiece model."""

from collections.abc import Mapping, Sequence
from typing import Any

from tokenizers import AddedToken

from inferflow_core.errors import ModelFileError
from inferflow_tokenizers.added_tokens import AddedTokens
from inferflow_tokenizers.facts import Facts
from inferflow_tokenizers.piece_bpe import PieceBPE
from inferflow_tokenizers.piece_model import PieceModel, PieceType
from inferflow_tokenizers.piece_unigram import PieceUnigram

ALWAYS = 1 << 30
"""Spaces at a text's start that decoding takes away, where it takes all."""


class PieceVocabulary:
    """A Vocabulary. `ids` has the id of each piece where that is not its place in the model;
    `prefix` are tokens before every text; `dummy_after_special`: a text after an added token gets a
    dummy space too. Raises ModelFileError."""

    def __init__(
        self,
        model: PieceModel,
        facts: Facts,
        *,
        ids: Mapping[str, int] | None = None,
        prefix: Sequence[str] = (),
        dummy_after_special: bool = True,
    ) -> None:
        if ids is None:
            ids = {piece: id for id, piece in enumerate(model.pieces)}
        self._ids = dict(ids)
        self._tokens = {id: piece for piece, id in ids.items()}
        self._normalizer = model.normalizer
        bpe = model.algorithm == "bpe"
        self.kind = "BPE" if bpe else "Unigram"
        self._segmenter = PieceBPE(model) if bpe else PieceUnigram(model)
        self._dummy_after_special = dummy_after_special
        self._spelt = {
            model.pieces[id] for id in model.of_type(PieceType.NORMAL, PieceType.USER_DEFINED)
        }
        unknown = [model.pieces[id] for id in model.of_type(PieceType.UNKNOWN)]
        self._unknown = ids.get(unknown[0]) if unknown else None
        self._bytes = _bytes(model, ids) if model.byte_fallback else None
        if self._unknown is None and self._bytes is None:
            raise ModelFileError(model.path, "there is neither an unknown token nor one a byte")
        added = self._added(model, facts)
        self._splitter = AddedTokens(model.path, added)
        self.special: Mapping[int, str] = {
            id: token.content for id, token in added.items() if token.special
        }
        self.size = max(self._tokens, default=-1) + 1
        if missing := [token for token in prefix if token not in self._ids]:
            raise ModelFileError(facts.path, f"no token {missing[0]!r}, with which texts begin")
        self.around = tuple(self._ids[token] for token in prefix), ()
        normalizer = model.normalizer
        strip = ALWAYS if normalizer.remove_extra_whitespaces else int(normalizer.add_dummy_prefix)
        self.decoder: Mapping[str, Any] | None = {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": normalizer.space}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": strip, "stop": 0},
            ],
        }

    def encode(self, text: str, *, parse_special: bool, mark: str = "") -> list[int]:
        ids: list[int] = []
        dummy = True
        for part in self._splitter.split(text, special=parse_special):
            if isinstance(part, int):
                ids.append(part)
            else:
                part = part.replace(mark, "") if mark else part
                ids += self._encode(part, dummy)
            dummy = self._dummy_after_special
        return ids

    def pair(self, first: str, second: str) -> None:
        """A SentencePiece file does not say what stands between two texts."""

    def token(self, id: int) -> str | None:
        return self._tokens.get(id)

    def token_id(self, token: str) -> int | None:
        return self._ids.get(token)

    def _encode(self, text: str, dummy: bool) -> list[int]:
        ids: list[int] = []
        after_unknown = False
        for piece in self._segmenter.cut(self._normalizer(text, dummy=dummy)):
            known = piece in self._spelt
            if known and (id := self._ids.get(piece, self._unknown)) is not None:
                ids.append(id)
            elif self._bytes is not None:
                ids += (self._bytes[byte] for byte in piece.encode())
            elif not after_unknown and self._unknown is not None:
                ids.append(self._unknown)
            after_unknown = not known
        return ids

    def _added(self, model: PieceModel, facts: Facts) -> dict[int, AddedToken]:
        """Control tokens of the model, then what other files add to it."""
        added = {
            id: AddedToken(piece, special=True, normalized=False)
            for at in model.of_type(PieceType.CONTROL, PieceType.UNKNOWN)
            if (id := self._ids.get(piece := model.pieces[at])) is not None
        }
        for id, token in facts.added.items():
            if self._tokens.get(id, token.content) != token.content:
                raise ModelFileError(
                    facts.path,
                    f"added token {token.content!r} should have id {id}, which is "
                    f"{self._tokens[id]!r} in the vocabulary",
                )
            if self._ids.setdefault(token.content, id) == id:
                self._tokens[id] = token.content
                added[id] = token
        for text in sorted(facts.special):
            id = self._ids.get(text)
            if id is not None and (id not in added or not added[id].special):
                added[id] = AddedToken(text, special=True, normalized=False)
        return added


def _bytes(model: PieceModel, ids: Mapping[str, int]) -> list[int]:
    """The id of each byte's token."""
    found = [ids.get(f"<0x{byte:02X}>") for byte in range(256)]
    if None in found:
        raise ModelFileError(model.path, f"the token <0x{found.index(None):02X}> is missing")
    return [id for id in found if id is not None]

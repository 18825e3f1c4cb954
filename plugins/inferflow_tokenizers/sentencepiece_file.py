"""Reads SentencePiece's ModelProto (sentencepiece_model.proto): pieces, and how texts are cut."""

from dataclasses import dataclass
from pathlib import Path

from inferflow_core.errors import ModelFileError
from inferflow_tokenizers.charsmap import Charsmap
from inferflow_tokenizers.piece_model import PieceModel, PieceType
from inferflow_tokenizers.piece_normalizer import PieceNormalizer
from inferflow_tokenizers.protobuf import (
    MalformedMessage,
    Value,
    fields,
    float32,
    message,
    number,
    raw,
    text,
)

MAX_FILE = 64 << 20
MAX_PIECES = 4 << 20

PIECE, TRAINER, NORMALIZER, DENORMALIZER = 1, 2, 3, 5
"""Fields of ModelProto."""

ALGORITHMS = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}


@dataclass(frozen=True)
class SentencePieceFile:
    model: PieceModel
    named: dict[str, str]
    """`unk_token`, `bos_token`, `eos_token`, `pad_token`, as far as there are such pieces."""


def read_sentencepiece(path: Path) -> SentencePieceFile:
    """Raises ModelFileError for a file that is malformed, or asks for what is not done here."""
    size = path.stat().st_size
    if size > MAX_FILE:
        raise ModelFileError(path, f"{size} bytes; at most {MAX_FILE} are read")
    try:
        return _read(path, path.read_bytes())
    except MalformedMessage as cause:
        raise ModelFileError(path, f"not a SentencePiece model: {cause}") from None


def _read(path: Path, data: bytes) -> SentencePieceFile:
    pieces: list[str] = []
    scores: list[float] = []
    types: list[int] = []
    parts: dict[int, dict[int, Value]] = {TRAINER: {}, NORMALIZER: {}, DENORMALIZER: {}}
    for field, value in fields(data):
        if field == PIECE:
            if len(pieces) == MAX_PIECES:
                raise ModelFileError(path, f"more than {MAX_PIECES} pieces")
            piece = message(raw(value))
            pieces.append(text(piece.get(1)))
            scores.append(float32(piece.get(2)))
            types.append(number(piece.get(3), PieceType.NORMAL))
        elif field in parts:
            parts[field] |= message(raw(value))
    if not pieces:
        raise ModelFileError(path, "not a SentencePiece model: it has no pieces")
    trainer, rules = parts[TRAINER], parts[NORMALIZER]
    byte_fallback = bool(number(trainer.get(35), 0))
    if byte_fallback and "\0" in pieces:
        types[pieces.index("\0")] = PieceType.UNUSED  # SentencePiece writes it as a byte
    algorithm = ALGORITHMS.get(number(trainer.get(3), 1))
    if algorithm not in ("unigram", "bpe"):
        raise ModelFileError(
            path, f"a SentencePiece model of type {algorithm}; unigram and bpe are read"
        )
    if raw(parts[DENORMALIZER].get(2)):
        raise ModelFileError(path, "it maps texts on decoding (denormalizer_spec): not supported")
    user_defined = [
        piece for piece, kind in zip(pieces, types, strict=True) if kind == PieceType.USER_DEFINED
    ]
    model = PieceModel(
        path=path,
        algorithm=algorithm,
        pieces=pieces,
        scores=scores,
        types=types,
        normalizer=PieceNormalizer(
            charsmap=Charsmap(path, charsmap) if (charsmap := raw(rules.get(2))) else None,
            user_defined=user_defined,
            add_dummy_prefix=bool(number(rules.get(3), 1)),
            remove_extra_whitespaces=bool(number(rules.get(4), 1)),
            treat_whitespace_as_suffix=bool(number(trainer.get(24), 0)),
            space="▁" if number(rules.get(5), 1) else " ",
        ),
        byte_fallback=byte_fallback,
    )
    return SentencePieceFile(model, _named(pieces, types, trainer))


def _named(pieces: list[str], types: list[int], trainer: dict[int, Value]) -> dict[str, str]:
    wanted = {"unk": (45, "<unk>"), "bos": (46, "<s>"), "eos": (47, "</s>"), "pad": (48, "<pad>")}
    kinds = dict(zip(pieces, types, strict=True))
    names = {key: text(trainer.get(field), usual) for key, (field, usual) in wanted.items()}
    return {
        f"{key}_token": name
        for key, name in names.items()
        if kinds.get(name) in (PieceType.CONTROL, PieceType.UNKNOWN)
    }

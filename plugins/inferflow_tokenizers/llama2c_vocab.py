"""tokenizer.bin of llama2.c (Karpathy 2023): SentencePiece-BPE with texts instead of pieces.

The file: int32 length of the longest token, then for each token float32 score, int32 length and
that many bytes. Spaces stand as spaces; ids 0..2 are unknown, BOS and EOS, 3..258 the bytes.
"""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inferflow_core.errors import ModelFileError
from inferflow_core.interfaces import Checkpoint, Tokenizer
from inferflow_tokenizers.facts import Facts
from inferflow_tokenizers.hf_folder import folder_of
from inferflow_tokenizers.piece_model import PieceModel, PieceType
from inferflow_tokenizers.piece_normalizer import PieceNormalizer
from inferflow_tokenizers.piece_vocabulary import PieceVocabulary
from inferflow_tokenizers.text_tokenizer import TextTokenizer

MAX_FILE = 64 << 20

SPECIAL = ("<unk>", "<s>", "</s>")
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
HEADER = struct.Struct("<i")
TOKEN = struct.Struct("<fi")


class Llama2cVocab:
    """Greedy merges by score, a space before a text, BOS first; BOS also ends a story."""

    @classmethod
    def open(cls, checkpoint: Checkpoint, options: Mapping[str, Any]) -> Tokenizer | None:
        """The file that `options["path"]` names, else tokenizer.bin or the only tok*.bin beside
        the model; None where there is none. Raises ModelFileError."""
        if checkpoint.source != "llama2c":
            return None
        path = _find(folder_of(checkpoint) / checkpoint.path.name, options.get("path"))
        if path is None:
            return None
        tokens = _read(path, checkpoint.config["vocab_size"])
        least = len(SPECIAL) + len(BYTES)
        model = PieceModel(
            path=path,
            algorithm="bpe",
            pieces=[*SPECIAL, *BYTES, *(text for text, _ in tokens[least:])],
            scores=[score for _, score in tokens],
            types=[
                *(PieceType.UNKNOWN, PieceType.CONTROL, PieceType.CONTROL),
                *(PieceType.BYTE for _ in BYTES),
                *(PieceType.NORMAL for _ in tokens[least:]),
            ],
            normalizer=PieceNormalizer(space=" "),
            byte_fallback=True,
        )
        facts = Facts(
            path=path,
            named={"unk_token": SPECIAL[0], "bos_token": SPECIAL[1], "eos_token": SPECIAL[2]},
            special=frozenset(SPECIAL),
            stop_ids=frozenset({1, 2}),
            add_bos=True,
        )
        return TextTokenizer(PieceVocabulary(model, facts), facts, options)


def _find(model: Path, named: str | None) -> Path | None:
    if named is not None:
        path = model.parent / named
        if not path.is_file():
            raise ModelFileError(path, "no such file ([tokenizer] path)")
        return path
    if (usual := model.parent / "tokenizer.bin").is_file():
        return usual
    found = sorted(path for path in model.parent.glob("tok*.bin") if path != model)
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ModelFileError(
            model, f"several files may be its tokenizer: {names}", hint="name one: [tokenizer] path"
        )
    return found[0] if found else None


def _read(path: Path, vocab_size: int) -> list[tuple[str, float]]:
    """Text and score of each token."""
    if path.stat().st_size > MAX_FILE:
        raise ModelFileError(path, f"{path.stat().st_size} bytes; at most {MAX_FILE} are read")
    data = path.read_bytes()
    least = len(SPECIAL) + len(BYTES)
    if vocab_size < least:
        raise ModelFileError(path, f"the model has {vocab_size} tokens; {least} are fixed ones")
    tokens: list[tuple[str, float]] = []
    at = HEADER.size
    for id in range(vocab_size):
        if at + TOKEN.size > len(data):
            raise ModelFileError(
                path, f"ends after {id} tokens; the model has {vocab_size} (another model's file?)"
            )
        score, length = TOKEN.unpack_from(data, at)
        at += TOKEN.size
        if not 0 <= length <= len(data) - at:
            raise ModelFileError(path, f"token {id} claims {length} bytes at offset {at}")
        try:
            tokens.append((data[at : at + length].decode(), score))
        except UnicodeDecodeError:
            raise ModelFileError(path, f"token {id} at offset {at} is not UTF-8") from None
        at += length
    if at != len(data):
        raise ModelFileError(
            path,
            f"{len(data) - at} bytes follow token {vocab_size - 1}, the model's last (another "
            "model's file?)",
        )
    spelt = [text for text, _ in tokens[len(SPECIAL) : least]]
    if spelt != list(BYTES):
        raise ModelFileError(path, "tokens 3..258 must be the bytes <0x00>..<0xFF>")
    return tokens

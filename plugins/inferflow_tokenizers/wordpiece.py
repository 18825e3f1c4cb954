"""vocab.txt of a Hugging Face folder: BERT's WordPiece."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inferflow_core.errors import ModelFileError
from inferflow_core.interfaces import Checkpoint, Tokenizer
from inferflow_tokenizers.definitions import wordpiece
from inferflow_tokenizers.hf_folder import class_name, folder_of, read_facts, read_text
from inferflow_tokenizers.library_vocabulary import LibraryVocabulary
from inferflow_tokenizers.text_tokenizer import TextTokenizer

CLASSES = frozenset(
    f"{name}Tokenizer"
    for name in ("Bert", "ConvBert", "DistilBert", "Electra", "LayoutLM", "MobileBert")
)

SPECIAL = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")}
"""What these are called where no file says."""


class WordPiece:
    """`[CLS]` before a text and `[SEP]` after it. `do_lower_case`, `strip_accents` and
    `tokenize_chinese_chars` of tokenizer_config.json."""

    @classmethod
    def open(cls, checkpoint: Checkpoint, options: Mapping[str, Any]) -> Tokenizer | None:
        """None where the folder has no vocab.txt. Raises ModelFileError, SpecError."""
        path = folder_of(checkpoint) / "vocab.txt"
        if checkpoint.source != "hf" or not path.is_file():
            return None
        vocab = _read(path)
        named = {key: token for key, token in SPECIAL.items() if token in vocab}
        facts = read_facts(checkpoint, path, named)
        config = facts.config
        name = class_name(config)
        if name not in (*CLASSES, ""):
            raise ModelFileError(
                path,
                f"a vocabulary of class {name}; read are those of {', '.join(sorted(CLASSES))}",
            )
        strip = config.get("strip_accents")
        definition = wordpiece(
            path,
            vocab,
            unknown=facts.named.get("unk_token", SPECIAL["unk_token"]),
            first=_known(vocab, facts.named.get("cls_token")),
            last=_known(vocab, facts.named.get("sep_token")),
            lowercase=config.get("do_lower_case", True) is True,
            strip_accents=strip if isinstance(strip, bool) else None,
            chinese_characters=config.get("tokenize_chinese_chars", True) is True,
        )
        return TextTokenizer(LibraryVocabulary(definition, facts), facts, options)


def _read(path: Path) -> dict[str, int]:
    """A token a line; its id is the line's number, from 0."""
    vocab: dict[str, int] = {}
    for id, line in enumerate(read_text(path).removesuffix("\n").split("\n")):
        token = line.removesuffix("\r")
        if token in vocab:
            raise ModelFileError(path, f"line {id + 1}: {token[:40]!r} stands there twice")
        vocab[token] = id
    return vocab


def _known(vocab: Mapping[str, int], token: str | None) -> str | None:
    return token if token in vocab else None

"""A SentencePiece file of a Hugging Face folder, with the files that stand beside it."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from inferflow_core.errors import ModelFileError
from inferflow_core.interfaces import Checkpoint, Tokenizer
from inferflow_tokenizers.facts import Facts
from inferflow_tokenizers.hf_classes import UNREAD, TokenizerClass, class_of, fairseq_ids
from inferflow_tokenizers.hf_folder import (
    additional_tokens,
    class_name,
    folder_of,
    read_facts,
    read_vocabulary,
)
from inferflow_tokenizers.piece_vocabulary import PieceVocabulary
from inferflow_tokenizers.sentencepiece_file import read_sentencepiece
from inferflow_tokenizers.text_tokenizer import TextTokenizer

FILES = ("tokenizer.model", "sentencepiece.bpe.model", "spiece.model")


class SentencePiece:
    """BPE and unigram as the SentencePiece program cuts them. BOS and EOS as tokenizer_config.json
    says, else by the habit of its `tokenizer_class`: BOS for BPE, EOS for unigram."""

    @classmethod
    def open(cls, checkpoint: Checkpoint, options: Mapping[str, Any]) -> Tokenizer | None:
        """None where the folder has no such file. Raises ModelFileError, SpecError."""
        folder = folder_of(checkpoint)
        path = next((folder / name for name in FILES if (folder / name).is_file()), None)
        if checkpoint.source != "hf" or path is None:
            return None
        file = read_sentencepiece(path)
        facts = read_facts(checkpoint, path, file.named)
        name = class_name(facts.config)
        if name in UNREAD:
            raise ModelFileError(
                path,
                f"tokenizers of class {name} are read from a tokenizer.json only",
                hint="transformers writes one: AutoTokenizer.from_pretrained(…, use_fast=True)"
                ".save_pretrained(…)",
            )
        kind = class_of(name, file.model.algorithm)
        ids = _ids(path, file.model.pieces, kind)
        facts = _with_habits(facts, kind, ids)
        vocabulary = PieceVocabulary(
            file.model,
            facts,
            ids=ids,
            prefix=_prefix(facts, kind),
            dummy_after_special=facts.config.get("legacy") is not False,
        )
        return TextTokenizer(vocabulary, facts, options)


def _ids(path: Path, pieces: Iterable[str], kind: TokenizerClass) -> dict[str, int]:
    match kind.layout:
        case "fairseq":
            return fairseq_ids([*pieces])
        case "vocab_json":
            return read_vocabulary(path.parent / "vocab.json")
        case _:
            return {piece: id for id, piece in enumerate(pieces)}


def _with_habits(facts: Facts, kind: TokenizerClass, ids: Mapping[str, int]) -> Facts:
    """`facts` with the class's answers where the files have none."""
    last = kind.last or (additional_tokens(facts.config) if kind.layout == "vocab_json" else ())
    known = {token.content for token in facts.added.values()} | ids.keys()
    added = {
        len(ids) + place: AddedToken(text, special=True, normalized=False)
        for place, text in enumerate(text for text in last if text not in known)
    }
    return replace(
        facts,
        added={**added, **facts.added},
        add_bos=kind.bos if facts.add_bos is None else facts.add_bos,
        add_eos=kind.eos if facts.add_eos is None else facts.add_eos,
    )


def _prefix(facts: Facts, kind: TokenizerClass) -> tuple[str, ...]:
    if kind.layout == "vocab_json":
        return (f"__{facts.config.get('src_lang') or 'en'}__",)
    return kind.prefix

"""vocab.json and merges.txt of a Hugging Face folder: GPT-2's byte-level BPE."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from inferflow_core.errors import ModelFileError
from inferflow_core.interfaces import Checkpoint, Tokenizer
from inferflow_tokenizers.definitions import byte_bpe
from inferflow_tokenizers.hf_folder import (
    class_name,
    folder_of,
    read_facts,
    read_text,
    read_vocabulary,
)
from inferflow_tokenizers.library_vocabulary import LibraryVocabulary
from inferflow_tokenizers.pre_tokenizers import PRE_TOKENIZERS
from inferflow_tokenizers.text_tokenizer import TextTokenizer

PRE = {"Qwen2Tokenizer": "qwen2"}
"""Classes that do not cut text as GPT-2 does."""

AROUND = frozenset({"RobertaTokenizer", "BartTokenizer", "LongformerTokenizer", "LEDTokenizer"})
"""Classes that put BOS and EOS around a text."""

UNREAD = frozenset({"CLIPTokenizer", "CTRLTokenizer", "FSMTTokenizer", "XLMTokenizer"})
"""Classes of the same two files that are no byte-level BPE."""


class ByteBPE:
    """BOS as tokenizer_config.json says; without a word, none, as GPT-2."""

    @classmethod
    def open(cls, checkpoint: Checkpoint, options: Mapping[str, Any]) -> Tokenizer | None:
        """None where one of the two files is missing. Raises ModelFileError, SpecError."""
        folder = folder_of(checkpoint)
        path, merges = folder / "vocab.json", folder / "merges.txt"
        if checkpoint.source != "hf" or not (path.is_file() and merges.is_file()):
            return None
        facts = read_facts(checkpoint, path)
        name = class_name(facts.config)
        if name in UNREAD:
            raise ModelFileError(path, f"tokenizers of class {name} are not read")
        vocab, pairs = read_vocabulary(path), _read_merges(merges)
        around = True if name in AROUND else None
        facts = replace(
            facts,
            special=facts.special | _whole(vocab, pairs),
            add_bos=around if facts.add_bos is None else facts.add_bos,
            add_eos=around if facts.add_eos is None else facts.add_eos,
        )
        definition = byte_bpe(
            vocab,
            pairs,
            PRE_TOKENIZERS[PRE.get(name, "gpt-2")],
            add_prefix_space=facts.config.get("add_prefix_space") is True,
        )
        return TextTokenizer(LibraryVocabulary(definition, facts), facts, options)


def _read_merges(path: Path) -> list[tuple[str, str]]:
    """The pairs to join, best first. The first line may be a remark."""
    pairs: list[tuple[str, str]] = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        line = line.removesuffix("\r")
        if not line or (number == 1 and line.startswith("#version")):
            continue
        left, _, right = line.partition(" ")
        if not left or not right or " " in right:
            raise ModelFileError(path, f"line {number}: {line[:40]!r} is no pair of tokens")
        pairs.append((left, right))
    return pairs


def _whole(vocab: Iterable[str], pairs: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Tokens that no merge makes. No text can spell them, so they are special, though only some
    are named in other files."""
    made = {left + right for left, right in pairs}
    return frozenset(token for token in vocab if len(token) > 1 and token not in made)

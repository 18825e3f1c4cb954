"""What goes around a text of each language, against the tokenizers of `transformers`."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from checkpoints import transformers
from inferflow_tokenizers.auto import open_tokenizer

from inferflow_core.catalog import Catalog

PIECES = ("▁", "▁the", "▁sky", "s", "k", "y", "t", "h", "e", "th", "the")
UNIGRAM = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *((p, -len(p) / 9) for p in PIECES)]
BPE = {text: id for id, text in enumerate(("<s>", "<pad>", "</s>", "<unk>", *PIECES))}
MERGES = [("t", "h"), ("th", "e"), ("▁", "the")]
CLASSES: dict[str, dict[str, Any]] = {
    "MBartTokenizer": {"vocab": UNIGRAM},
    "MBart50Tokenizer": {"vocab": UNIGRAM},
    "NllbTokenizer": {"vocab": BPE, "merges": MERGES},
}


@pytest.mark.parametrize(
    ("name", "count", "first"),
    [("MBartTokenizer", 25, False), ("MBart50Tokenizer", 52, True), ("NllbTokenizer", 202, True)],
)
def test_each_language(tmp_path: Path, name: str, count: int, first: bool) -> None:
    """As the class saves it, a tokenizer.json. `first`: whether the language stands before a
    text."""
    reference = getattr(transformers, name)(**CLASSES[name])
    reference.save_pretrained(tmp_path)
    files: Any = SimpleNamespace(path=tmp_path, source="hf", config={}, metadata={}, tensors={})
    tokenizer: Any = open_tokenizer(files, {}, Catalog())
    assert len(tokenizer.languages) == count
    for language, id in tokenizer.languages.items():
        reference.src_lang = language
        expected = reference("the sky").input_ids
        assert tokenizer.encode_in("the sky", language) == expected
        assert expected[0 if first else -1] == id
        assert reference.convert_tokens_to_ids(language) == id

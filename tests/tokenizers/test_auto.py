"""Which tokenizer a checkpoint gets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inferflow_tokenizers.auto import open_tokenizer

from inferflow_core.catalog import Catalog, Entry
from inferflow_core.errors import TokenizerError, UnknownEntry


def test_none_is_a_clear_error(tmp_path: Path, bare: Any, installed: Catalog) -> None:
    with pytest.raises(TokenizerError, match=r"no tokenizer of the kinds .*tokenizer_json") as none:
        open_tokenizer(bare(tmp_path, "hf"), {}, installed)
    assert "tokenizer.json" in str(none.value.hint)
    (tmp_path / "tekken.json").write_bytes(b"")
    with pytest.raises(TokenizerError, match=r"tekken.json \(Mistral's tekken\), which is not"):
        open_tokenizer(bare(tmp_path, "hf"), {}, installed)


def test_each_source_has_its_own(byte_level: Any, llama2c: Any) -> None:
    assert byte_level.token_id("hello") is not None
    assert llama2c.token_id("<0x41>") == 3 + 0x41


def test_tokenizer_json_comes_first(
    folder: Callable[..., Any],
    word_definition: dict[str, Any],
    sentencepiece_file: Callable[..., bytes],
    installed: Catalog,
) -> None:
    """A folder may have its vocabulary in several files."""
    vocab = {"a": 0, "b": 1, "ab": 2}
    others = {
        "tokenizer_model": sentencepiece_file(),
        "vocab_json": vocab,
        "merges_txt": "a b\n",
        "vocab_txt": "[UNK]\na\nb\n##b\n",
    }
    checkpoint = folder(tokenizer_json=word_definition, **others)
    assert open_tokenizer(checkpoint, {}, installed).encode("a b", special=False) == [3, 4]
    for use, ids in (("byte_bpe", [2]), ("sentencepiece", [9]), ("wordpiece", [1, 3])):
        found = open_tokenizer(checkpoint, {"use": use}, installed)
        assert found.encode("ab", special=False) == ids, use


def test_named_entry(
    folder: Callable[..., Any], word_definition: dict[str, Any], installed: Catalog
) -> None:
    checkpoint = folder(tokenizer_json=word_definition)
    assert open_tokenizer(checkpoint, {"use": "tokenizer_json"}, installed).vocab_size == 6
    with pytest.raises(TokenizerError, match="no tokenizer of the kinds gguf_vocab"):
        open_tokenizer(checkpoint, {"use": "gguf_vocab"}, installed)
    with pytest.raises(UnknownEntry, match="Did you mean 'tokenizer_json'"):
        open_tokenizer(checkpoint, {"use": "tokenizers_json"}, installed)


def test_plugins_are_asked_only_by_name(tmp_path: Path, bare: Any) -> None:
    """Installing a plugin changes nothing, whole or broken, until a spec names it."""
    catalog = Catalog(
        [Entry("tokenizer", "xyz.broken", "no_such_module:Broken", "xyz", "1")], disabled=[]
    )
    marker = object()

    class Other:
        @classmethod
        def open(cls, checkpoint: Any, options: Any) -> Any:
            return marker

    catalog.add("tokenizer", "xyz.other", Other)
    with pytest.raises(TokenizerError):
        open_tokenizer(bare(tmp_path, "hf"), {"use": "auto"}, catalog)
    assert open_tokenizer(bare(tmp_path, "hf"), {"use": "xyz.other"}, catalog) is marker

"""Tokenizers keep the conformance suite: on real vocabularies, and small ones made here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inferflow_tokenizers.auto import open_tokenizer

from inferflow_core.catalog import Catalog
from inferflow_core.testing import TokenizerSuite


class TestGGUFVocab(TokenizerSuite):
    name = "gguf_vocab"

    @pytest.fixture(autouse=True)
    def _open(self, byte_level: Any) -> None:
        self.tokenizer = byte_level

    def make(self) -> Any:
        return self.tokenizer


class TestLlama2cVocab(TokenizerSuite):
    name = "llama2c_vocab"
    texts = ("hello world", "a", "dabble.", "naïve 🙂 日本")

    @pytest.fixture(autouse=True)
    def _open(self, llama2c: Any) -> None:
        self.tokenizer = llama2c

    def make(self) -> Any:
        return self.tokenizer


class TestTokenizerJSON(TokenizerSuite):
    name = "tokenizer_json"
    texts = ("Hello world", "a b", "naïve 🙂 日本")

    @pytest.fixture(autouse=True)
    def _open(self, open_real: Callable[[str], Any]) -> None:
        self.open = open_real

    def make(self) -> Any:
        return self.open("family:llama2_7b")


class TestSentencePiece(TokenizerSuite):
    name = "sentencepiece"

    @pytest.fixture(autouse=True)
    def _open(self, shared: Path, bare: Callable[..., Any], installed: Catalog) -> None:
        folder = shared / "data" / "llama2_tokenizer"
        self.tokenizer = open_tokenizer(bare(folder, "hf"), {"use": self.name}, installed)

    def make(self) -> Any:
        return self.tokenizer


class TestByteBPE(TokenizerSuite):
    name = "byte_bpe"

    @pytest.fixture(autouse=True)
    def _open(self, shared: Path, bare: Callable[..., Any], installed: Catalog) -> None:
        folder = shared / "oracles" / "families" / "opt_13b" / "model"
        self.tokenizer = open_tokenizer(bare(folder, "hf"), {"use": self.name}, installed)

    def make(self) -> Any:
        return self.tokenizer


class TestWordPiece(TokenizerSuite):
    name = "wordpiece"
    texts = ("Hello world", "a b", "the text.")

    @pytest.fixture(autouse=True)
    def _open(self, shared: Path, bare: Callable[..., Any], installed: Catalog) -> None:
        folder = shared / "oracles" / "families" / "bert_base_multilingual_cased" / "model"
        self.tokenizer = open_tokenizer(bare(folder, "hf"), {"use": self.name}, installed)

    def make(self) -> Any:
        return self.tokenizer

"""Tokenizers keep the conformance suite: on real vocabularies, and small ones made here."""

from collections.abc import Callable
from typing import Any

import pytest

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

"""Checkpoints that need no weights, small vocabularies, and the real ones."""

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from inferflow_tokenizers.auto import open_tokenizer

from inferflow_core.catalog import Catalog
from inferflow_core.interfaces import TensorInfo


@dataclass
class BareCheckpoint:
    """As much of a checkpoint as a tokenizer looks at."""

    path: Path
    source: str
    config: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, TensorInfo] = field(default_factory=dict)

    def read(self, name: str) -> Any:
        raise AssertionError(f"a tokenizer reads no tensors ({name})")

    def close(self) -> None: ...


@pytest.fixture(scope="session")
def bare() -> type[BareCheckpoint]:
    return BareCheckpoint


@pytest.fixture(scope="session")
def open_real(shared: Path, installed: Catalog) -> Callable[[str], Any]:
    """`family:NAME`, `vocab:NAME`, `llama2c:NAME`, `gguf:FILE` or `stories` -> its tokenizer."""
    opened: dict[str, Any] = {}

    def open_checkpoint(reference: str) -> Any:
        kind, _, name = reference.partition(":")
        oracles, data = shared / "oracles", shared / "data"
        if kind == "family":
            folder = oracles / "families" / name / "model"
            config = json.loads((folder / "config.json").read_text())
            generation = folder / "generation_config.json"
            if generation.exists():
                config |= json.loads(generation.read_text())
            return BareCheckpoint(folder, "hf", config)
        path, loader = {
            "vocab": (data / "vocabs" / f"ggml-vocab-{name}.gguf", "gguf"),
            "gguf": (oracles / "formats" / "gguf_llama" / name, "gguf"),
            "llama2c": (oracles / "formats" / name / "model.bin", "llama2c"),
            "stories": (data / "stories260K" / "stories260K.bin", "llama2c"),
        }[kind]
        return installed.get("loader", loader)().open(path)

    def open_(reference: str) -> Any:
        if reference not in opened:
            opened[reference] = open_tokenizer(open_checkpoint(reference), {}, installed)
        return opened[reference]

    return open_


BYTE_TOKENS = [f"<0x{byte:02X}>" for byte in range(256)]


@pytest.fixture(scope="session")
def family_is_exact(shared: Path, installed: Catalog) -> Callable[..., None]:
    """family_is_exact(family, use, parse): every case of its reference, ids and texts.

    `parse`: the reference was made by a program that reads special tokens inside of a text.
    """

    def check(family: str, use: str, parse: bool = False) -> None:
        folder = shared / "oracles" / "families" / family
        config = json.loads((folder / "model" / "config.json").read_text("utf-8"))
        checkpoint = BareCheckpoint(folder / "model", "hf", config)
        tokenizer = open_tokenizer(checkpoint, {"use": use}, installed)
        cases = json.loads((folder / "ref" / "tokenizer_cases.json").read_text("utf-8"))
        assert len(cases) == 30
        for case in cases:
            text = case["text"]
            assert tokenizer.encode(text, special=False, parse_special=parse) == case["ids"], text
            assert tokenizer.encode(text, parse_special=parse) == case["ids_default"], text
            assert tokenizer.decode(case["ids"], skip_special=not parse) == case["decoded"], text

    return check


@pytest.fixture
def write_llama2c(tmp_path: Path) -> Callable[..., Path]:
    """Writes tokenizer.bin with 259 fixed tokens and the given ones; the model's path."""

    def write(*tokens: tuple[str, float], name: str = "tokenizer.bin") -> Path:
        fixed = [(text, 0.0) for text in ("<unk>", "\n<s>\n", "\n</s>\n", *BYTE_TOKENS)]
        data = struct.pack("<i", 32)
        for text, score in [*fixed, *tokens]:
            data += struct.pack("<fi", score, len(text.encode())) + text.encode()
        (tmp_path / name).write_bytes(data)
        return tmp_path / "model.bin"

    return write


SPELT = [" ", *"abcdehlorw.", "he", "ll", "hell", "hello", " w", " wo", "or", " wor", "ld", "aa"]


@pytest.fixture
def llama2c(write_llama2c: Callable[..., Path], installed: Catalog) -> Any:
    """A small llama2.c tokenizer."""
    tokens = [(text, -float(rank)) for rank, text in enumerate(SPELT)]
    path = write_llama2c(*tokens)
    checkpoint = BareCheckpoint(path, "llama2c", {"vocab_size": 259 + len(tokens)})
    return open_tokenizer(checkpoint, {}, installed)


@pytest.fixture(scope="session")
def byte_level_metadata() -> dict[str, Any]:
    """GGUF keys of a small byte-level vocabulary with control and user-defined tokens."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(b) for b in printable] + [chr(256 + n) for n in range(len(others))]
    merges = ["h e", "l l", "he ll", "hell o", "Ġ w", "ð Ł", "ðŁ ĺ"]
    joined = [merge.replace(" ", "") for merge in merges]
    tokens = ["<|end|>", "<|im_start|>", *letters, *joined, "<tool>", "<|im_end|>"]
    types = [3, 3, *[1] * (len(letters) + len(joined)), 4, 3]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 0,
        "tokenizer.chat_template": "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}"
        "<|im_start|>assistant\n{% endif %}",
    }


@pytest.fixture(scope="session")
def byte_level(byte_level_metadata: dict[str, Any], installed: Catalog) -> Any:
    """A small byte-level tokenizer."""
    checkpoint = BareCheckpoint(Path("tiny.gguf"), "gguf", {}, byte_level_metadata)
    return open_tokenizer(checkpoint, {}, installed)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., BareCheckpoint]:
    """Writes an HF folder (name of a file -> its JSON, text or bytes) and gives its checkpoint."""

    def write(config: Mapping[str, Any] | None = None, **files: Any) -> BareCheckpoint:
        for name, content in files.items():
            stem, _, suffix = name.rpartition("_")
            text = content if isinstance(content, str | bytes) else json.dumps(content)
            data = text.encode() if isinstance(text, str) else text
            (tmp_path / f"{stem}.{suffix}").write_bytes(data)
        return BareCheckpoint(tmp_path, "hf", config or {})

    return write


@pytest.fixture
def word_definition() -> dict[str, Any]:
    """A tokenizer.json of a few words, with a template that puts BOS first."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    words = ["<unk>", "<s>", "</s>", "a", "b", "c"]
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": id, "content": words[id], "special": True, **flags} for id in range(3)
        ],
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "model": {
            "type": "WordLevel",
            "vocab": {word: id for id, word in enumerate(words)},
            "unk_token": "<unk>",
        },
    }


def varint(number: int) -> bytes:
    data = b""
    while number > 0x7F:
        data += bytes([number & 0x7F | 0x80])
        number >>= 7
    return data + bytes([number])


@pytest.fixture(scope="session")
def proto() -> Callable[..., bytes]:
    """proto((number, value), …): a message in Protocol Buffers' wire format."""

    def write(*fields: tuple[int, int | float | str | bytes]) -> bytes:
        data = b""
        for number, value in fields:
            match value:
                case int():
                    data += varint(number * 8) + varint(value % (1 << 64))
                case float():
                    data += varint(number * 8 + 5) + struct.pack("<f", value)
                case _:
                    content = value.encode() if isinstance(value, str) else value
                    data += varint(number * 8 + 2) + varint(len(content)) + content
        return data

    return write


@pytest.fixture
def sentencepiece_file(proto: Callable[..., bytes]) -> Callable[..., bytes]:
    """The bytes of a SentencePiece model: pieces (text, type) of falling score, then fields of the
    trainer's and the normaliser's part. Without `pieces`, a small BPE."""

    def write(
        pieces: list[tuple[str, int]] | None = None,
        trainer: list[tuple[int, Any]] | None = None,
        rules: list[tuple[int, Any]] | None = None,
        *more: tuple[int, Any],
    ) -> bytes:
        usual = [("<unk>", 2), ("<s>", 3), ("</s>", 3)]
        usual += [(text, 1) for text in ("▁", "a", "b", "c", "ab", "▁a", "▁ab", "bc")]
        fields = [
            (1, proto((1, text), (2, -float(place)), (3, kind)))
            for place, (text, kind) in enumerate(usual if pieces is None else pieces)
        ]
        fields.append((2, proto(*([(3, 2)] if trainer is None else trainer))))
        fields.append((3, proto(*([(4, 0)] if rules is None else rules))))
        return proto(*fields, *more)

    return write

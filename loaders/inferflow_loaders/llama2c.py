"""llama2.c files: the legacy layout (v0), float32 (v1) and grouped int8 (v2).

Format: https://github.com/karpathy/llama2.c, `export.py` and `run.c`/`runq.c`. The files name no
tensors; they are named here as Meta's checkpoints name them.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inferflow_core.errors import ModelFileError
from inferflow_core.interfaces import Checkpoint, TensorInfo
from inferflow_loaders.config import normalize, origins
from inferflow_loaders.mapped import Array, MappedFile, Span, begins_with, infos, tensor

MAGIC = b"24ka"
"""0x616b3432, `ak42`, little-endian."""
VERSIONED_HEADER_BYTES = 256

FIELDS = ("dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "seq_len")
LIMITS = (2**20, 2**22, 2**10, 2**14, 2**14, 2**24, 2**28)
"""Above any model's; they keep the arithmetic and the list of tensors small."""


@dataclass(frozen=True)
class Header:
    """The numbers of a file; `group` is the group size of int8 weights, 0 where they are float."""

    version: int
    numbers: Mapping[str, int]
    shared_classifier: bool
    group: int
    data: int
    """Where the weights begin."""


class Llama2cLoader:
    """`.bin` files of llama2.c. A v0 file has no magic: its size must follow from its header."""

    api = 1

    def recognises(self, path: Path) -> bool:
        if begins_with(path, [MAGIC]):
            return True
        if path.suffix != ".bin" or not path.is_file():
            return False
        try:
            Llama2cCheckpoint(path).close()
        except ModelFileError:
            return False
        return True

    def open(self, path: Path) -> Checkpoint:
        return Llama2cCheckpoint(path)


class Llama2cCheckpoint:
    """An opened file. int8 weights (v2) are expanded to float32 when they are read."""

    source = "llama2c"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = MappedFile(path)
        self._header = header = _header(self._file)
        self.config: Mapping[str, Any] = {
            **normalize(header.numbers, "llama2c"),
            "model_type": "llama",
            "rope_interleaved": True,
            "tie_word_embeddings": header.shared_classifier,
        }
        self._spans: dict[str, Span] = {}
        place = header.data
        for name, shape in _order(header):
            info = tensor(path, name, shape, "f32")
            grouped = header.group > 0 and len(shape) > 1
            if grouped and info.nbytes // 4 % header.group:
                raise ModelFileError(
                    path, f"{name} {list(shape)} is not whole groups of {header.group}"
                )
            if name:
                self._spans[name] = Span(info, place)
            count = info.nbytes // 4
            place += count + 4 * (count // header.group) if grouped else info.nbytes
        if place != self._file.size:
            raise ModelFileError(
                path,
                f"has {self._file.size} bytes, but {place} follow from the header of a llama2.c "
                f"v{header.version} file: {dict(header.numbers)}",
            )
        self.tensors: Mapping[str, TensorInfo] = infos(self._spans)

    @property
    def config_origins(self) -> Mapping[str, tuple[str, ...]]:
        """See `interfaces.Checkpoint`."""
        return origins(self.config, self.source)

    def read(self, name: str) -> Array:
        """uint8 [nbytes]: float32 numbers, memory-mapped unless the file holds int8."""
        span = self._spans[name]
        if not self._header.group or len(span.info.shape) == 1:
            return self._file.read(span.start, span.info.nbytes)
        count, group = span.info.nbytes // 4, self._header.group
        codes = self._file.read(span.start, count).view(np.int8)
        scales = self._file.read(span.start + count, 4 * (count // group)).view("<f4")
        with np.errstate(over="ignore", invalid="ignore"):
            values = codes.reshape(-1, group).astype(np.float32) * scales[:, None]
        return values.reshape(-1).view(np.uint8)

    def close(self) -> None:
        self._file.close()


def _header(file: MappedFile) -> Header:
    if file.bytes[:4] != MAGIC:
        if file.size < 28:
            raise ModelFileError(file.path, f"has {file.size} bytes: too short for llama2.c")
        numbers = _numbers(file, 0, signed_vocab=True)
        shared = numbers["vocab_size"] > 0
        numbers["vocab_size"] = abs(numbers["vocab_size"])
        return Header(0, numbers, shared, 0, 28)
    if file.size < VERSIONED_HEADER_BYTES:
        raise ModelFileError(file.path, f"has {file.size} bytes: its header has 256")
    version, *_ = struct.unpack_from("<i", file.bytes, 4)
    if version not in (1, 2):
        raise ModelFileError(file.path, f"is llama2.c version {version}; readable are 0, 1 and 2")
    numbers = _numbers(file, 8, signed_vocab=False)
    shared, group = struct.unpack_from("<Bi", file.bytes, 36)
    if version == 1:
        group = 0
    elif group <= 0:
        raise ModelFileError(file.path, f"has int8 groups of {group}")
    return Header(version, numbers, bool(shared), group, VERSIONED_HEADER_BYTES)


def _numbers(file: MappedFile, start: int, *, signed_vocab: bool) -> dict[str, int]:
    values = struct.unpack_from("<7i", file.bytes, start)
    numbers: dict[str, int] = dict(zip(FIELDS, values, strict=True))
    for (name, value), limit in zip(numbers.items(), LIMITS, strict=True):
        size = abs(value) if signed_vocab and name == "vocab_size" else value
        if not 0 < size <= limit:
            raise ModelFileError(file.path, f"is not llama2.c: {name} is {value}")
    heads, kv_heads = numbers["n_heads"], numbers["n_kv_heads"]
    if numbers["dim"] % heads or heads % kv_heads:
        raise ModelFileError(
            file.path, f"is not llama2.c: {heads} heads, {kv_heads} of keys, width {values[0]}"
        )
    return numbers


def _order(header: Header) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes in the order of the file; a nameless one is skipped."""
    dim, hidden, layers, heads, kv_heads, vocab, context = header.numbers.values()
    key_width = dim // heads * kv_heads

    def stack(part: str, *shape: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        return ((f"layers.{layer}.{part}.weight", shape) for layer in range(layers))

    embedding = ("tok_embeddings.weight", (vocab, dim))
    norm = ("norm.weight", (dim,))
    legacy = header.version == 0
    if legacy:
        yield embedding
        yield from stack("attention_norm", dim)
    else:
        yield from stack("attention_norm", dim)
        yield from stack("ffn_norm", dim)
        yield norm
        yield embedding
    yield from stack("attention.wq", dim, dim)
    yield from stack("attention.wk", key_width, dim)
    yield from stack("attention.wv", key_width, dim)
    yield from stack("attention.wo", dim, dim)
    if legacy:
        yield from stack("ffn_norm", dim)
    yield from stack("feed_forward.w1", hidden, dim)
    yield from stack("feed_forward.w2", dim, hidden)
    yield from stack("feed_forward.w3", hidden, dim)
    if legacy:
        yield norm
        # Tables of the rotation's cosines and sines, which programs now compute themselves.
        yield "", (2 * context * (dim // heads // 2),)
    if not header.shared_classifier:
        yield "output.weight", (vocab, dim)

"""GGUF v2 and v3, the format of llama.cpp; big-endian files as far as plain numbers go."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFValueType

from inferflow_core.errors import ModelFileError
from inferflow_core.interfaces import Checkpoint, TensorInfo
from inferflow_loaders.config import gguf_config, origins
from inferflow_loaders.gguf_metadata import Cursor, Metadata
from inferflow_loaders.mapped import (
    ITEM_BYTES,
    Array,
    MappedFile,
    Span,
    begins_with,
    check_apart,
    infos,
    short,
    tensor,
)

MAGIC = b"GGUF"
BLOCK_TYPES = ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k")
FORMATS = frozenset(
    ("f64", "f32", "f16", "bf16", "i64", "i32", "i16", "i8", "iq4_nl", *BLOCK_TYPES)
)
MAX_AXES = 4
MAX_ROPE_FACTORS = 2**16
ROPE_FACTORS = {
    "rope_freqs.weight": ("short_factor", "long_factor"),
    "rope_factors_short.weight": ("short_factor",),
    "rope_factors_long.weight": ("long_factor",),
}
"""Tensors of divisors of the rotary frequencies, and their keys in a `longrope` table."""


class GGUFLoader:
    """One `.gguf` file."""

    api = 1

    def recognises(self, path: Path) -> bool:
        return begins_with(path, [MAGIC])

    def open(self, path: Path) -> Checkpoint:
        return GGUFCheckpoint(path)


class GGUFCheckpoint:
    """An opened GGUF. `metadata` has its keys as they stand, the tokenizer's arrays included."""

    source = "gguf"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = MappedFile(path)
        self._order, cursor = _begin(self._file)
        count, keys = cursor.size(), cursor.size()
        metadata = Metadata(cursor, keys)
        self.metadata: Mapping[str, Any] = metadata
        self._spans = _tensors(cursor, count, metadata)
        self.tensors: Mapping[str, TensorInfo] = infos(self._spans)
        if metadata.get("split.count", 0) not in (0, 1):
            raise ModelFileError(
                path,
                f"is one of {short(metadata['split.count'])} parts of a model",
                hint="join them first: llama-gguf-split --merge",
            )
        # The vocabulary is the tokenizer's: as config it would only be bulk.
        plain = {
            key: metadata[key]
            for key in metadata
            if not (key.startswith("tokenizer.") and metadata.length(key))
        }
        tokens = metadata.length("tokenizer.ggml.tokens")
        factors = self._rope_factors()
        self.config: Mapping[str, Any] = gguf_config(plain, tokens, factors)
        kind = self.config.get("rope_scaling", {}).get("rope_type")
        if factors and kind != "longrope":
            tensors = ", ".join(sorted(self._spans.keys() & ROPE_FACTORS))
            raise ModelFileError(
                path,
                f"has rope.scaling.type {short(kind)} and divisors of the frequencies, {tensors}: "
                "which of them counts is not known",
            )

    @property
    def config_origins(self) -> Mapping[str, tuple[str, ...]]:
        """See `interfaces.Checkpoint`."""
        return origins(self.config, self.source)

    def read(self, name: str) -> Array:
        """uint8 [nbytes], memory-mapped; from a big-endian file a little-endian copy."""
        span = self._spans[name]
        data = self._file.read(span.start, span.info.nbytes)
        if self._order == "<":
            return data
        return data.view(f"u{ITEM_BYTES[span.info.format]}").byteswap().view(np.uint8)

    def close(self) -> None:
        self._file.close()

    def _rope_factors(self) -> dict[str, list[float]]:
        """Key of a `longrope` table -> a divisor for each rotated pair."""
        found: dict[str, list[float]] = {}
        for name, keys in ROPE_FACTORS.items():
            span = self._spans.get(name)
            if span is None:
                continue
            if span.info.format != "f32" or span.info.nbytes > 4 * MAX_ROPE_FACTORS:
                raise ModelFileError(
                    self.path, f"{name} is no vector of f32: {span.info.shape}, {span.info.format}"
                )
            factors = self.read(name).view("<f4")
            if not (np.isfinite(factors) & (factors > 0)).all():
                raise ModelFileError(self.path, f"{name} holds divisors that are not above 0")
            found |= dict.fromkeys(keys, factors.tolist())
        return found


def _begin(file: MappedFile) -> tuple[str, Cursor]:
    """Byte order, and a cursor at the counts."""
    if file.bytes[:4] != MAGIC:
        raise ModelFileError(file.path, f"begins with {short(bytes(file.bytes[:4]))}, not 'GGUF'")
    cursor = Cursor(file, 4, "<")
    version = cursor.number(GGUFValueType.UINT32)
    if version & 0xFFFF == 0:
        # Only a byte-swapped small number looks like this.
        cursor = Cursor(file, 4, ">")
        version = cursor.number(GGUFValueType.UINT32)
    if version not in (2, 3):
        raise cursor.fail(f"is GGUF version {version}; readable are 2 and 3")
    return cursor.order, cursor


def _tensors(cursor: Cursor, count: int, metadata: Metadata) -> dict[str, Span]:
    """The table of tensors, each inside the file and apart from the others."""
    path = cursor.file.path
    alignment = metadata.get("general.alignment", 32)
    if type(alignment) is not int or not 0 < alignment <= 2**20 or alignment & (alignment - 1):
        raise ModelFileError(path, f"has alignment {short(alignment)}: not a power of two")
    # An entry takes 24 bytes at least: length of the name, number of axes, type, offset.
    if count > (cursor.file.size - cursor.place) // 24:
        raise cursor.fail(f"says it has {count} tensors: more than fit in the file")
    table: dict[str, Span] = {}
    for _ in range(count):
        span = _entry(cursor, alignment)
        if span.info.name in table:
            raise cursor.fail(f"tensor {short(span.info.name)} stands twice")
        table[span.info.name] = span
    data = -(-cursor.place // alignment) * alignment
    placed = {name: Span(span.info, data + span.start) for name, span in table.items()}
    for name, span in placed.items():
        if span.end > cursor.file.size:
            raise ModelFileError(
                path,
                f"tensor {short(name)} ends at byte {span.end} of {cursor.file.size}. "
                "Is it cut short?",
            )
    check_apart(path, placed.values())
    return placed


def _entry(cursor: Cursor, alignment: int) -> Span:
    """One tensor; its start still counts from the data's."""
    path, name = cursor.file.path, cursor.text()
    axes = cursor.number(GGUFValueType.UINT32)
    if axes > MAX_AXES:
        raise cursor.fail(f"tensor {short(name)} has {axes} axes; {MAX_AXES} are allowed")
    # GGUF writes the innermost axis first.
    shape = tuple(reversed([cursor.size() for _ in range(axes)]))
    kind = cursor.number(GGUFValueType.UINT32)
    try:
        format = GGMLQuantizationType(kind).name.lower()
    except ValueError:
        format = f"type {kind}"
    allowed = FORMATS if cursor.order == "<" else FORMATS & ITEM_BYTES.keys()
    if format not in allowed:
        raise cursor.fail(
            f"tensor {short(name)} is stored as {format}; readable here are "
            f"{', '.join(sorted(allowed))}"
        )
    block, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType[format.upper()]]
    info = tensor(path, name, shape, format, block, block_bytes)
    offset = cursor.size()
    if offset % alignment:
        raise cursor.fail(f"tensor {short(name)} begins at {offset}, not at a multiple of "
                          f"{alignment}")  # fmt: skip
    return Span(info, offset)

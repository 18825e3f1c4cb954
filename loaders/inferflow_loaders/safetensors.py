"""safetensors: a JSON header of names, types, shapes and offsets, then the bytes.

Format: https://github.com/huggingface/safetensors (README, "Format").
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from inferflow_core.errors import ModelFileError
from inferflow_core.interfaces import Checkpoint, TensorInfo
from inferflow_loaders.huggingface import matching, open_folder
from inferflow_loaders.mapped import Array, MappedFile, Span, infos, short, tensor

DTYPES = {
    **{"F64": "f64", "F32": "f32", "F16": "f16", "BF16": "bf16"},
    **{"I64": "i64", "I32": "i32", "I16": "i16", "I8": "i8", "U8": "u8", "BOOL": "bool"},
}
MAX_HEADER_BYTES = 100_000_000
"""The limit of the format itself."""

CONVERTED = b'{"__metadata__":{"inferflow":'
"""How the header of such a file begins, behind its length: no other writer begins so."""

NAMES = ("model.safetensors", "model.safetensors.index.json")


class SafetensorsLoader:
    """Hugging Face folders with `model.safetensors`, its sharded index, or one other such file."""

    api = 1

    def recognises(self, path: Path) -> bool:
        if path.is_dir():
            named = any((path / name).is_file() for name in NAMES)
            return named or len(matching(path, "*.safetensors")) == 1
        return path.suffix == ".safetensors" and path.is_file() and not is_converted(path)

    def open(self, path: Path) -> Checkpoint:
        return open_folder(path, NAMES, "*.safetensors", SafetensorsFile)


class SafetensorsFile:
    """One file. As in the reference reader, the tensors must cover the data without a gap."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = MappedFile(path)
        start, header = _header(self._file)
        metadata = header.pop("__metadata__", None)
        self.metadata: Mapping[str, Any] = metadata if isinstance(metadata, dict) else {}
        self._spans = {name: _span(path, start, name, entry) for name, entry in header.items()}
        _check_cover(path, start, self._file.size, list(self._spans.values()))
        self.tensors: Mapping[str, TensorInfo] = infos(self._spans)

    def read(self, name: str) -> Array:
        """uint8 [nbytes], memory-mapped."""
        span = self._spans[name]
        return self._file.read(span.start, span.info.nbytes)

    def start(self, name: str) -> int:
        """The byte of the file at which a tensor begins."""
        return self._spans[name].start

    def close(self) -> None:
        self._file.close()


def is_converted(path: Path) -> bool:
    """Whether a file is one of `inferflow convert`, which the loader `converted` reads."""
    try:
        with path.open("rb") as file:
            return file.read(8 + len(CONVERTED))[8:] == CONVERTED
    except OSError:
        return False


def _header(file: MappedFile) -> tuple[int, dict[str, Any]]:
    """Where the data begins, and the header's table."""
    if file.size < 8:
        raise ModelFileError(file.path, f"has {file.size} bytes: too short for safetensors")
    size = int.from_bytes(file.bytes[:8], "little")
    if size > min(MAX_HEADER_BYTES, file.size - 8):
        raise ModelFileError(
            file.path, f"says its header has {size} bytes; {file.size - 8} follow. Is it cut short?"
        )
    try:
        header = json.loads(file.bytes[8 : 8 + size], object_pairs_hook=_unique)
    except (ValueError, RecursionError) as cause:
        raise ModelFileError(file.path, f"header is not valid JSON: {cause}") from cause
    if not isinstance(header, dict):
        raise ModelFileError(file.path, "header is not a JSON object")
    return 8 + size, header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name stands twice")
    return table


def _span(path: Path, data: int, name: str, entry: Any) -> Span:
    fields = entry if isinstance(entry, dict) else {}
    shape, offsets = fields.get("shape"), fields.get("data_offsets")
    if not _integers(shape) or not _integers(offsets) or len(offsets) != 2:
        raise ModelFileError(path, f"tensor {short(name)} has no proper shape and data_offsets")
    dtype = fields.get("dtype")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ModelFileError(
            path, f"tensor {short(name)} has type {short(dtype)}; readable are {', '.join(DTYPES)}"
        )
    info = tensor(path, name, tuple(shape), DTYPES[dtype])
    begin, end = offsets
    if end - begin != info.nbytes:
        raise ModelFileError(
            path,
            f"tensor {short(name)}: {dtype} {short(shape)} takes {info.nbytes} bytes, "
            f"not {end - begin}",
        )
    return Span(info, data + begin)


def _integers(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _check_cover(path: Path, start: int, size: int, spans: list[Span]) -> None:
    position = start
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        if span.start != position:
            what = "overlaps the one before" if span.start < position else "leaves a gap before it"
            raise ModelFileError(
                path, f"tensor {short(span.info.name)} {what} at byte {span.start}"
            )
        position = span.end
    if position != size:
        raise ModelFileError(
            path, f"has {size} bytes, its tensors end at {position}. Is it cut short?"
        )

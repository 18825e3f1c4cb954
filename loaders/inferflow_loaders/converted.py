"""Files of `inferflow convert`: safetensors whose tensors lie as a backend's kernels read them.

All of a model is in one file. `__metadata__` has texts: `inferflow` (the version of this form),
`source`, `config` (JSON), `spec` (TOML) and `tensors` (JSON: name -> format, shape, layout, bytes).
Each tensor is a safetensors tensor of U8, on a border of 64 bytes, followed by 64 that may be read
too. `files/…` are files that stood beside the weights; `tokenizer.json`-like texts and a GGUF's
metadata (`gguf.json`) among them.
"""

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from inferflow_core.errors import ModelFileError
from inferflow_core.interfaces import Checkpoint, TensorInfo
from inferflow_loaders.config import origins
from inferflow_loaders.mapped import Array, begins_with, short
from inferflow_loaders.safetensors import SafetensorsFile, is_converted

VERSION = "1"
ALIGNMENT = 64
SPARE = 64
"""Bytes behind a tensor that a vector may touch."""
FILES = "files/"
GGUF = "gguf.json"
MAX_FILE_BYTES = 2**28


@dataclass(frozen=True)
class Stored:
    """A tensor to write: `info` as a checkpoint will tell it, what makes its bytes, and the layout
    of a backend that they have, if any."""

    info: TensorInfo
    layout: str
    read: Callable[[], Any]


class ConvertedLoader:
    """One file that `inferflow convert` wrote."""

    api = 1

    def recognises(self, path: Path) -> bool:
        return begins_with(path, [b""]) and is_converted(path)

    def open(self, path: Path) -> Checkpoint:
        return ConvertedCheckpoint(path)

    def stored(self, info: TensorInfo, layout: str, read: Callable[[], Any]) -> Stored:
        """A tensor for `write`."""
        return Stored(info, layout, read)

    def write(
        self,
        file: IO[bytes],
        *,
        source: str,
        config: Mapping[str, Any],
        spec: str,
        tensors: Iterable[Stored],
        files: Mapping[str, bytes],
    ) -> None:
        """Writes all of a model; one tensor at a time is in memory."""
        tensors = [*tensors]
        table = {
            each.info.name: {
                "format": each.info.format,
                "shape": each.info.shape,
                "layout": each.layout,
                "bytes": each.info.nbytes,
            }
            for each in tensors
        }
        metadata = {"inferflow": VERSION, "source": source, "config": json.dumps(config)}
        metadata |= {"spec": spec, "tensors": json.dumps(table)}
        header: dict[str, Any] = {"__metadata__": metadata}
        place = 0
        sizes = {each.info.name: each.info.nbytes for each in tensors}
        sizes |= {FILES + name: len(data) for name, data in files.items()}
        for name, size in sizes.items():
            room = _room(size)
            offsets = [place, place + room]
            header[name] = {"dtype": "U8", "shape": [room], "data_offsets": offsets}
            place += room
        header["__metadata__"]["files"] = json.dumps({name: len(files[name]) for name in files})
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-(8 + len(text)) % ALIGNMENT)
        file.write(len(text).to_bytes(8, "little") + text)
        for each in tensors:
            data = each.read()
            if data.nbytes != each.info.nbytes:
                raise ValueError(f"{each.info.name}: {data.nbytes} bytes, not {each.info.nbytes}")
            file.write(data)
            file.write(bytes(_room(data.nbytes) - data.nbytes))
        for data in files.values():
            file.write(data + bytes(_room(len(data)) - len(data)))


class ConvertedCheckpoint:
    """An opened one. Its tensors are called as the params of its `spec` are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = SafetensorsFile(path)
        texts = self._file.metadata
        if texts.get("inferflow") != VERSION:
            raise ModelFileError(
                path,
                f"is of version {short(texts.get('inferflow'))} of these files; version {VERSION} "
                "is read",
                hint="convert the model again",
            )
        for key in ("source", "config", "spec", "tensors", "files"):
            if not isinstance(texts.get(key), str):
                raise ModelFileError(path, f"its metadata has no text {key!r}")
        self.source: str = texts["source"]
        self.spec: str = texts["spec"]
        self.config: Mapping[str, Any] = self._table("config")
        infos: dict[str, TensorInfo] = {}
        self.tensors: Mapping[str, TensorInfo] = infos
        layouts: dict[str, str] = {}
        self.layouts: Mapping[str, str] = layouts
        for name, entry in self._table("tensors").items():
            infos[name] = self._info(name, entry)
            if entry["layout"]:
                layouts[name] = entry["layout"]
        self._sizes = self._table("files")
        for name, size in self._sizes.items():
            self._check_file(name, size)
        named = infos.keys() | {FILES + name for name in self._sizes}
        stray = self._file.tensors.keys() ^ named
        if stray:
            raise ModelFileError(path, f"tensor {short(min(stray))} is in one of its tables alone")

    @property
    def config_origins(self) -> Mapping[str, tuple[str, ...]]:
        """See `interfaces.Checkpoint`."""
        return origins(self.config, self.source)

    @cached_property
    def metadata(self) -> Mapping[str, Any] | None:
        """A GGUF's keys about the tokenizer; None where it was no GGUF."""
        if GGUF not in self._sizes:
            return None
        try:
            found = json.loads(self._content(GGUF))
        except (ValueError, RecursionError) as cause:
            raise ModelFileError(self.path, f"{GGUF} is not JSON: {cause}") from cause
        if not isinstance(found, dict):
            raise ModelFileError(self.path, f"{GGUF} is not a JSON object")
        return found

    @cached_property
    def folder(self) -> Path:
        """A folder with the files that stood beside the weights, written when it is asked for and
        removed when the checkpoint is closed."""
        self._temporary = tempfile.TemporaryDirectory(prefix="inferflow-")
        folder = Path(self._temporary.name)
        for name in self._sizes:
            if name != GGUF:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(self._content(name))
        return folder

    def read(self, name: str) -> Array:
        """uint8 [nbytes], memory-mapped."""
        return self._file.read(name)[: self.tensors[name].nbytes]

    def close(self) -> None:
        self._file.close()
        if "folder" in self.__dict__:
            self._temporary.cleanup()

    def _content(self, name: str) -> bytes:
        return self._file.read(FILES + name)[: self._sizes[name]].tobytes()

    def _table(self, key: str) -> dict[str, Any]:
        try:
            found = json.loads(self._file.metadata[key])
        except (ValueError, RecursionError) as cause:
            raise ModelFileError(self.path, f"its {key} is not JSON: {cause}") from cause
        if not isinstance(found, dict):
            raise ModelFileError(self.path, f"its {key} is not a JSON object")
        return found

    def _info(self, name: str, entry: Any) -> TensorInfo:
        """A tensor that lies on a border and has room for what it says."""
        fields = entry if isinstance(entry, dict) else {}
        shape, size = fields.get("shape"), fields.get("bytes")
        texts = (fields.get("format"), fields.get("layout"))
        if (
            not isinstance(shape, list)
            or not all(type(each) is int and 0 <= each < 2**48 for each in shape)
            or len(shape) > 8
            or not all(isinstance(text, str) for text in texts)
        ):
            raise ModelFileError(self.path, f"tensor {short(name)} has no proper shape and format")
        self._check_room(name, size)
        return TensorInfo(name, tuple(shape), fields["format"], fields["bytes"])

    def _check_room(self, name: str, size: Any) -> None:
        stored = self._file.tensors.get(name)
        if (
            stored is None
            or stored.format != "u8"
            or type(size) is not int
            or not 0 <= size <= stored.nbytes - SPARE
            or self._file.start(name) % ALIGNMENT
        ):
            raise ModelFileError(
                self.path,
                f"tensor {short(name)} has no room for {short(size)} bytes on a border of "
                f"{ALIGNMENT}",
            )

    def _check_file(self, name: str, size: Any) -> None:
        """Its name leads nowhere else."""
        parts = name.split("/")
        odd = any(part in ("", ".", "..") or set(part) & {"\\", ":", "\0"} for part in parts)
        if odd or len(parts) > 2:
            raise ModelFileError(self.path, f"{short(name)} is not the name of a file")
        self._check_room(FILES + name, size)
        if size > MAX_FILE_BYTES:
            raise ModelFileError(self.path, f"{short(name)} has {size} bytes")


def _room(size: int) -> int:
    """Up to the border of what comes next, spare bytes included."""
    return -(-size // ALIGNMENT) * ALIGNMENT + SPARE

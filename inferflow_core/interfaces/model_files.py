"""Model files: loaders, formats, and params that are bound but not yet read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from inferflow_core.interfaces.arrays import Array


@dataclass(frozen=True)
class TensorInfo:
    """A tensor of a checkpoint: its shape (outermost first), format name and size in bytes."""

    name: str
    shape: tuple[int, ...]
    format: str
    nbytes: int


class Checkpoint(Protocol):
    """An opened model file or folder. Opening has checked every bound; reading cannot run wild.

    It may have `config_origins`, a mapping from each key of the file to the keys of `config` that
    hold its value (none where opening used it up): `inspect` lists what nobody read.

    A file of `inferflow convert` (ADR 22) has `layouts`: its tensors are called as the params are,
    and those that `layouts` names lie as a backend reads them. It has `spec`, the text of the spec
    that it was written for, and `folder`, where the files are that stood beside the weights.
    """

    path: Path
    source: str
    """`hf`, `gguf` or `llama2c`: picks the name map, and is the `source` key of `match`."""
    config: Mapping[str, Any]
    """The checkpoint's numbers: raw keys and the normalised ones of SPECS.md part F; no nulls."""
    tensors: Mapping[str, TensorInfo]

    def read(self, name: str) -> Array:
        """The tensor's bytes as stored: uint8 [nbytes], memory-mapped where the file allows it."""
        ...

    def close(self) -> None: ...


class Loader(Protocol):
    """An entry of `inferflow.loaders`: recognises and opens one kind of model file."""

    def recognises(self, path: Path) -> bool:
        """Whether this loader is the one for a file or folder. Looks at names and magic only."""
        ...

    def open(self, path: Path) -> Checkpoint:
        """Reads the header and checks every bound. Raises ModelFileError."""
        ...


class Format(Protocol):
    """An entry of `inferflow.formats`: how a row of numbers is packed."""

    name: str
    block: int
    """Numbers per block; a row must be a multiple of it."""
    block_bytes: int

    def unpack(self, data: Array, shape: tuple[int, ...]) -> Array:
        """uint8 bytes -> float32 of `shape` (last axis packed along rows)."""
        ...

    def pack(self, values: Array) -> Array:
        """float32 -> uint8 [nbytes]. Raises NotImplementedError where the format is read only."""
        ...


class Weight(Protocol):
    """One param's numbers, bound but not yet read: a backend chooses how to take them. It may be a
    `LaidOutWeight` too."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def format(self) -> str:
        """The format in which `packed` gives whole rows; `f32` where values had to be computed."""
        ...

    def packed(self) -> Array:
        """uint8 [rows, bytes of a row], as stored."""
        ...

    def values(self) -> Array:
        """float32 of `shape`."""
        ...


@dataclass(frozen=True)
class LaidOut:
    """A matrix in the order in which a backend's kernels read it."""

    layout: str
    """The backend and its version of the order: `cpu.1`."""
    format: str
    shape: tuple[int, ...]
    data: Array
    """uint8, on a border of 64 bytes; 64 more behind it may be read. Not to be written to."""


@runtime_checkable
class LaidOutWeight(Protocol):
    """A Weight that a file holds laid out. Whoever does not know the layout takes `packed` or
    `values`, which unpack it to float32."""

    laid_out: LaidOut

"""Weights: params bound to a checkpoint, read when a backend asks for them.

Numbers stay in the file's format where the name map only moves whole blocks of it (nothing done,
rows of a fused tensor, stacked experts); anything else is computed in float32.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any

import numpy as np

from inferflow_core.catalog import Catalog
from inferflow_core.errors import BindingError, ModelFileError
from inferflow_core.interfaces import Checkpoint, Format, LaidOut, LayoutBackend, Weight
from inferflow_core.spec.binding import Binding, Bindings, Part

Array = np.ndarray[Any, np.dtype[Any]]
Shape = tuple[int, ...]

COMPARED_AT_ONCE = 1 << 20
"""Numbers of two duplicates that are in memory together, at least one row of each."""


def bind_weights(bindings: Bindings, checkpoint: Checkpoint, catalog: Catalog) -> dict[str, Weight]:
    """The weight of every param, by path. Reads no data but that of duplicates, to compare them.

    Raises BindingError where two tensors for one param differ, UnknownEntry where no format of a
    tensor's is installed.
    """
    weights = unread_weights(bindings, checkpoint, catalog)
    for duplicate in bindings.duplicates:
        first = weights[duplicate.param]
        assert isinstance(first, BoundWeight), "a file that lays out has no second tensors"
        _compare(first, BoundWeight(duplicate, checkpoint, first.formats))
    return weights


def unread_weights(
    bindings: Bindings, checkpoint: Checkpoint, catalog: Catalog
) -> dict[str, Weight]:
    """The same without the comparison: no data is read at all."""
    bound = _bound_weights(bindings, checkpoint, catalog)
    layouts: Mapping[str, str] = getattr(checkpoint, "layouts", {})
    kept = {path: _kept(checkpoint, path, layouts[path], catalog) for path in layouts}
    return {**bound, **kept}


def _kept(checkpoint: Checkpoint, path: str, layout: str, catalog: Catalog) -> "KeptWeight":
    """A matrix as a backend lays it out. Raises ModelFileError where that backend lays it out
    otherwise."""
    info = checkpoint.tensors[path]
    name = layout.rpartition(".")[0]
    backend = catalog.get("backend", name)(catalog) if name in catalog.names("backend") else None
    if not isinstance(backend, LayoutBackend) or backend.layout != layout:
        here = backend.layout if isinstance(backend, LayoutBackend) else "nothing of it"
        raise ModelFileError(
            checkpoint.path,
            f"has {path} in the layout {layout[:40]!r}; here {here} is known",
            hint="convert the model again",
        )
    if backend.laid_out_bytes(info.shape, info.format) != info.nbytes:
        raise ModelFileError(
            checkpoint.path,
            f"has {path} of shape {list(info.shape)} as {info.format[:40]!r} in {info.nbytes} "
            f"bytes, which the layout {layout} does not have",
        )
    data = checkpoint.read(path)
    return KeptWeight(LaidOut(layout, info.format, info.shape, data), backend)


def _bound_weights(
    bindings: Bindings, checkpoint: Checkpoint, catalog: Catalog
) -> "dict[str, BoundWeight]":
    layouts: Mapping[str, str] = getattr(checkpoint, "layouts", {})
    plain = {path: each for path, each in bindings.params.items() if path not in layouts}
    used = chain(plain.values(), bindings.duplicates)
    names = {checkpoint.tensors[part.tensor].format for each in used for part in each.parts}
    formats: dict[str, Format] = {name: catalog.get("format", name)() for name in names | {"f32"}}
    return {path: BoundWeight(binding, checkpoint, formats) for path, binding in plain.items()}


@dataclass(frozen=True)
class KeptWeight:
    """A matrix that a file keeps as a backend reads it (`interfaces.LaidOutWeight`)."""

    laid_out: LaidOut
    backend: LayoutBackend

    @property
    def shape(self) -> Shape:
        return self.laid_out.shape

    format = "f32"

    def packed(self) -> Array:
        return self.values().reshape(prod(self.shape[:-1]), -1).view(np.uint8)

    def values(self) -> Array:
        return self.backend.laid_out_values(self.laid_out)


@dataclass(frozen=True)
class BoundWeight:
    """One param's numbers (`interfaces.Weight`)."""

    binding: Binding
    checkpoint: Checkpoint
    formats: Mapping[str, Format]

    @property
    def shape(self) -> Shape:
        return self.binding.shape

    @property
    def format(self) -> str:
        kept = {
            self.checkpoint.tensors[part.tensor].format if self._moves_blocks(part) else "f32"
            for part in self.binding.parts
        }
        return kept.pop() if len(kept) == 1 else "f32"

    def packed(self) -> Array:
        """uint8 [rows, bytes of a row]; a view of the file where nothing is done to the tensor."""
        rows = prod(self.shape[:-1])
        if self.format == "f32":
            return self.values().reshape(rows, -1).view(np.uint8)
        parts = [self._blocks(part).reshape(-1) for part in self.binding.parts]
        return (parts[0] if len(parts) == 1 else np.concatenate(parts)).reshape(rows, -1)

    def values(self) -> Array:
        """float32 of `shape`, contiguous."""
        if not self.binding.stacked:
            return np.ascontiguousarray(self._computed(self.binding.parts[0], self.shape))
        values = np.empty(self.shape, np.float32)
        for target, part in zip(values, self.binding.parts, strict=True):
            target[...] = self._computed(part, self.shape[1:])
        return values

    def tensors(self) -> str:
        names = [part.tensor for part in self.binding.parts]
        return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"

    def _moves_blocks(self, part: Part) -> bool:
        """Whether the part can be taken without looking into the format's blocks."""
        info = self.checkpoint.tensors[part.tensor]
        block = self.formats[info.format].block
        if part.add or part.unit_rows:
            return False
        if block == 1:
            return True
        cut, axes = part.cut, len(info.shape) - part.squeeze * info.shape.count(1)
        along_rows = cut is not None and cut.axis == axes - 1
        return not part.transpose and not along_rows

    def _blocks(self, part: Part) -> Array:
        """A part that only moves blocks, in its tensor's format: uint8, contiguous."""
        info = self.checkpoint.tensors[part.tensor]
        format = self.formats[info.format]
        units = (*info.shape[:-1], info.shape[-1] // format.block) if info.shape else ()
        stored = self.checkpoint.read(part.tensor).reshape(*units, format.block_bytes)
        return np.ascontiguousarray(_arrange(stored, part, info.shape))

    def _computed(self, part: Part, shape: Shape) -> Array:
        """A part in float32, of the shape it is bound to."""
        info = self.checkpoint.tensors[part.tensor]
        format = self.formats[info.format]
        if self._moves_blocks(part):
            return format.unpack(self._blocks(part).reshape(-1), shape)
        stored = format.unpack(self.checkpoint.read(part.tensor), info.shape)
        values = _arrange(stored[..., None], part, info.shape).reshape(shape)
        if part.add:
            values = values + np.float32(part.add)
        if part.unit_rows:
            lengths = np.linalg.norm(values, axis=-1, keepdims=True)
            values = values / np.maximum(lengths, np.float32(1e-12))
        return values


def _arrange(stored: Array, part: Part, shape: Shape) -> Array:
    """Applies squeeze, transpose and split to an array of blocks [*shape, one block].

    The last axis of `shape` may be in blocks, since what cuts it has blocks of one number.
    """
    if part.squeeze:
        kept = [size for size, numbers in zip(stored.shape, shape, strict=False) if numbers != 1]
        stored = stored.reshape(*kept, stored.shape[-1])
    if part.transpose:
        stored = stored.swapaxes(-3, -2)
    if part.cut is not None:
        axis, groups = part.cut.axis, part.cut.groups
        before, size, after = stored.shape[:axis], stored.shape[axis], stored.shape[axis + 1 :]
        runs = stored.reshape(*before, groups, size // groups, *after)
        pick = slice(part.cut.start, part.cut.start + part.cut.size)
        stored = runs[(slice(None),) * (axis + 1) + (pick,)]
        stored = stored.reshape(*before, groups * part.cut.size, *after)
    return stored


def _compare(first: BoundWeight, second: BoundWeight) -> None:
    """Raises BindingError unless both hold equal numbers (NaN equals NaN)."""
    one, other = first.packed(), second.packed()
    same_format = first.format == second.format
    if same_format and one.ctypes.data == other.ctypes.data:
        return
    width = first.shape[-1] if first.shape else 1
    step = max(1, COMPARED_AT_ONCE // max(1, width))
    for start in range(0, len(one), step):
        rows, rivals = one[start : start + step], other[start : start + step]
        if same_format and np.array_equal(rows, rivals):
            continue
        shape = (len(rows), width)
        values = first.formats[first.format].unpack(rows, shape)
        others = second.formats[second.format].unpack(rivals, shape)
        equal = (values == others) | (np.isnan(values) & np.isnan(others))
        if not equal.all():
            row, column = np.argwhere(~equal)[0]
            raise BindingError(
                f"{first.tensors()} and {second.tensors()} both hold {first.binding.param}, but "
                f"they differ: row {start + row}, column {column} is {values[row, column]:g} in "
                f"the one, {others[row, column]:g} in the other",
                hint="where the two are weights of their own, the spec must not tie them",
            )

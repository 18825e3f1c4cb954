"""What all formats share: the check of a buffer's size, and bytes as rows."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from inferflow_core.errors import ShapeError

if TYPE_CHECKING:
    from inferflow_core.interfaces import Format

Array = np.ndarray[Any, np.dtype[Any]]


def rows(form: "Format", data: Array, shape: tuple[int, ...]) -> Array:
    """uint8 bytes of any shape -> uint8 [rows, bytes of a row]. Raises ShapeError.

    A scalar is one row of one number.
    """
    width = shape[-1] if shape else 1
    count = math.prod(shape[:-1])
    if width % form.block:
        raise ShapeError(f"{form.name}: rows of {width} are not a multiple of {form.block}")
    row_bytes = width // form.block * form.block_bytes
    if data.dtype != np.uint8 or data.size != count * row_bytes:
        raise ShapeError(
            f"{form.name}: {list(shape)} takes {count * row_bytes} bytes of uint8, "
            f"not {data.size} of {data.dtype}"
        )
    return np.ascontiguousarray(data).reshape(count, row_bytes)


def packed(blocks: Array) -> Array:
    """Any array -> its bytes, uint8 [nbytes]."""
    return np.ascontiguousarray(blocks).reshape(-1).view(np.uint8)

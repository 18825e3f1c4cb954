"""example.scale: an op. Its numpy reference runs on every backend."""

from typing import Any

import numpy as np

from inferflow_core.optable import Op
from inferflow_core.shapes import same

Array = np.ndarray[Any, np.dtype[Any]]


def reference(x: Array, *, factor: float) -> Array:
    """x * factor, float32."""
    return x * np.float32(factor)


scale = Op(same, reference=reference)

"""example.softsign: an op with a numpy reference and nothing else."""

from typing import Any

import numpy as np

from inferflow_core.optable import Op
from inferflow_core.shapes import same

Array = np.ndarray[Any, np.dtype[Any]]


def reference(x: Array) -> Array:
    """x / (1 + |x|), float32."""
    return x / (np.float32(1) + np.abs(x))


softsign = Op(same, reference=reference)

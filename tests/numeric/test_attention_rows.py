"""numpy's attention where all queries see the same keys: many at once, each as if alone."""

from typing import Any

import numpy as np
import pytest
from inferflow_backends.numpy import kernels

PAGE = 16
Array = np.ndarray[Any, np.dtype[Any]]
NUMBERS = np.random.default_rng(3)


def numbers(*shape: int) -> Array:
    return NUMBERS.standard_normal(shape).astype(np.float32)


def attend(q: Array, k: Array, v: Array, positions: Array, **options: Any) -> Array:
    """q [rows, heads, width] of one sequence over all of k, v [keys, kv_heads, width]."""
    pages = -(-len(k) // PAGE)
    padded = [np.zeros((pages * PAGE, *x.shape[1:]), np.float32) for x in (k, v)]
    for pad, x in zip(padded, (k, v), strict=True):
        pad[: len(x)] = x
    return kernels.attention(
        q,
        *(pad.reshape(pages, PAGE, *pad.shape[1:]) for pad in padded),
        positions,
        np.array([0, len(q)], np.int32),
        np.array([len(k)], np.int32),
        np.arange(pages, dtype=np.int32)[None],
        options.pop("sinks", None),
        **{"scale": 0.3, "causal": False, "window": None, "softcap": None, "bias": None} | options,
    )


@pytest.mark.parametrize("options", [{}, {"softcap": 2.0}, {"sinks": numbers(6)}])
@pytest.mark.parametrize(("rows", "keys", "kv_heads"), [(1, 1, 6), (37, 37, 6), (150, 90, 2)])
def test_rows(rows: int, keys: int, kv_heads: int, options: dict[str, Any]) -> None:
    q, k, v = numbers(rows, 6, 8), numbers(keys, kv_heads, 8), numbers(keys, kv_heads, 10)
    positions = np.arange(rows, dtype=np.int32)
    together = attend(q, k, v, positions, **options)
    for some in (slice(0, 1), slice(rows // 2, None), slice(rows // 3, rows // 3 + 20)):
        alone = attend(q[some], k, v, positions[some], **options)
        assert alone.tobytes() == together[some].tobytes()
    scores = 0.3 * np.einsum("rhd,khd->hrk", *(wide(x, 6).astype(float) for x in (q, k)))
    if "softcap" in options:
        scores = 2.0 * np.tanh(scores / 2.0)
    weights = np.exp(scores)
    sinks = np.exp(options["sinks"].astype(float))[:, None, None] if "sinks" in options else 0.0
    weights /= weights.sum(axis=-1, keepdims=True) + sinks
    expected = np.einsum("hrk,khd->rhd", weights, wide(v, 6).astype(float))
    np.testing.assert_allclose(together, expected, atol=2e-6)


def wide(x: Array, heads: int) -> Array:
    """Each kv head beside all of the heads that read it."""
    return np.repeat(x, heads // x.shape[1], axis=1)

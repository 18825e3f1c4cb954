"""Products of float weights with float32 tokens."""

from inferflow_backends.cpu.linear_tile import dense_product

of_f32, of_f16, of_bf16 = dense_product("f32"), dense_product("f16"), dense_product("bf16")


def f32(weights, k, rows, x, y):
    """float32 weights."""
    return of_f32(weights, k, rows, x, y)


def f16(weights, k, rows, x, y):
    """float16 weights."""
    return of_f16(weights, k, rows, x, y)


def bf16(weights, k, rows, x, y):
    """bfloat16 weights."""
    return of_bf16(weights, k, rows, x, y)

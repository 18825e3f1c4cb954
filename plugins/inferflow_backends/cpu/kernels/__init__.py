"""Kernels: raw addresses and sizes in, nothing else. Each module's `cfunc`s are tape ops."""

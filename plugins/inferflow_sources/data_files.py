"""What may come from elsewhere into the cache: data, under names that stay in their folder."""

SUFFIXES = frozenset({".gguf", ".safetensors", ".json", ".model", ".txt", ".jinja"})
"""Data that no part of Inferflow executes. Pickles (`.bin`) are read as data too, but only where
somebody names or needs them."""

MAX_NAME = 512


def problem_of_name(name: str) -> str:
    """Empty if it is a plain relative path, on every system, else what is wrong with it."""
    parts = name.removesuffix("/").split("/")
    if len(name) > MAX_NAME or any(ord(c) < 32 or c in '\\:*?"<>|\x7f' for c in name):
        return "a name that is not a plain relative path"
    if any(part in ("", ".", "..") or part.endswith((".", " ")) for part in parts):
        return "a path that could lead outside"
    return ""

"""Which files of a model repository are fetched: the data that one model needs, no more."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from inferflow_core.errors import SourceError
from inferflow_sources.data_files import SUFFIXES, problem_of_name

WEIGHTS = (
    ("model.safetensors", r"model-\d{5}-of-\d{5}\.safetensors", ".safetensors"),
    ("pytorch_model.bin", r"pytorch_model-\d{5}-of-\d{5}\.bin", ".bin"),
)
"""Kinds of weights, the better first: one file, the shards of an index, the suffix."""

TOKENIZER_BIN = "tokenizer.bin"
"""llama2.c's tokenizer, beside its `.bin`."""


def choose(names: Iterable[str], path: str) -> list[str]:
    """The names to fetch for `path`: a file, a folder, or empty for the root.

    Of a folder, its own files and no deeper ones: the weights, safetensors before PyTorch's before
    a GGUF, and all other data. Of a file, that, and unless it is a GGUF, which is whole in itself,
    the other data beside it; of an index, its shards too. Raises SourceError where there is
    nothing, or a choice to make.
    """
    good = [name for name in names if not problem_of_name(name)]
    if path in good:
        return _with_company(good, path)
    inside = [name for name in good if str(PurePosixPath(name).parent) == (path or ".")]
    if not inside:
        raise SourceError(f"there is no file or folder {path!r} in it{_list(good)}")
    for single, shards, suffix in WEIGHTS:
        weights = _weights(inside, single, shards, suffix)
        if weights:
            return sorted({*weights, *_company(inside, suffix)})
    found = [name for name in inside if name.endswith(".gguf")]
    if len(found) == 1:
        return found
    if found:
        raise SourceError(
            f"it holds {len(found)} .gguf files; one of them is a model{_list(found)}"
        )
    raise SourceError(
        "it holds no weights that can be read (.safetensors, pytorch_model*.bin, .gguf)"
    )


def _with_company(names: list[str], path: str) -> list[str]:
    if not path.endswith((*SUFFIXES, ".bin")):
        raise SourceError(
            f"{path!r} is not fetched: of data, there are {' '.join(sorted(SUFFIXES))} .bin"
        )
    if path.endswith(".gguf"):
        return [path]
    folder = PurePosixPath(path).parent
    inside = [name for name in names if PurePosixPath(name).parent == folder]
    for single, shards, suffix in WEIGHTS:
        if PurePosixPath(path).name == f"{single}.index.json":
            weights = [each for each in inside if re.fullmatch(shards, PurePosixPath(each).name)]
            return sorted({*weights, *_company(inside, suffix)})
    extra = [name for name in inside if PurePosixPath(name).name == TOKENIZER_BIN]
    return sorted({path, *extra, *_company(inside, "")})


def _weights(names: list[str], single: str, shards: str, suffix: str) -> list[str]:
    """Those of one kind, as the loaders look for them. Raises SourceError where they could not."""
    by_name = {PurePosixPath(name).name: name for name in names}
    if single in by_name:
        return [by_name[single]]
    if f"{single}.index.json" in by_name:
        return [each for name, each in by_name.items() if re.fullmatch(shards, name)]
    stem = single.partition(".")[0] if suffix == ".bin" else ""
    found = [
        each for name, each in by_name.items() if re.match(stem, name) and name.endswith(suffix)
    ]
    if len(found) > 1:
        raise SourceError(
            f"it holds {len(found)} {suffix} files and no {single}; choose one{_list(found)}"
        )
    return found


def _company(names: list[str], suffix: str) -> list[str]:
    """Configuration and tokenizer; an index only with the weights that it is of."""
    others = SUFFIXES - {".gguf", ".safetensors"}
    return [
        name
        for name in names
        if PurePosixPath(name).suffix in others
        and (not name.endswith(".index.json") or f"{suffix}.index.json" in name)
    ]


def _list(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:20])
    return f": {shown}{', …' if len(names) > 20 else ''}" if names else ""

"""Checkpoint folders in the layout of Hugging Face: config.json beside one or more weight files."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from inferflow_core.errors import ModelFileError
from inferflow_core.interfaces import TensorInfo
from inferflow_loaders.config import normalize, origins
from inferflow_loaders.mapped import Array, file_size, short
from inferflow_loaders.sentence_folder import sentence_keys

MAX_JSON_BYTES = 64 * 2**20


class WeightFile(Protocol):
    """One opened file of tensors."""

    path: Path
    tensors: Mapping[str, TensorInfo]

    def read(self, name: str) -> Array: ...

    def close(self) -> None: ...


class HuggingFaceCheckpoint:
    """The union of a checkpoint's weight files. Raises ModelFileError where two disagree."""

    source = "hf"

    def __init__(self, path: Path, paths: Iterable[Path], open: Callable[[Path], WeightFile]):
        self.path = path
        folder = path if path.is_dir() else path.parent
        self.config: Mapping[str, Any] = _config(folder)
        self._files: dict[str, WeightFile] = {}
        tensors: dict[str, TensorInfo] = {}
        self.tensors: Mapping[str, TensorInfo] = tensors
        self._opened: list[WeightFile] = []
        for file in map(open, paths):
            self._opened.append(file)
            for name, info in file.tensors.items():
                if name in self._files:
                    other = self._files[name].path.name
                    raise ModelFileError(file.path, f"tensor {short(name)} is in {other} too")
                self._files[name] = file
                tensors[name] = info

    @property
    def config_origins(self) -> Mapping[str, tuple[str, ...]]:
        """See `interfaces.Checkpoint`."""
        return origins(self.config, self.source)

    def read(self, name: str) -> Array:
        """uint8 [nbytes]."""
        return self._files[name].read(name)

    def close(self) -> None:
        for file in self._opened:
            file.close()

    def check_index(self, index: Path) -> None:
        """Every tensor that the index promises is in the file it names. Raises ModelFileError."""
        for name, file in weight_map(index).items():
            found = self._files.get(name)
            if found is None:
                raise ModelFileError(index, f"tensor {short(name)} is in none of its files")
            if found.path.name != file:
                raise ModelFileError(
                    index, f"tensor {short(name)} is in {found.path.name}, not {file}"
                )


def open_folder(
    path: Path, names: tuple[str, ...], pattern: str, open: Callable[[Path], WeightFile]
) -> HuggingFaceCheckpoint:
    """Opens a folder's weights: the first of `names` there (an index names its shards), else the
    one file that fits `pattern`; or a single weight file. Raises ModelFileError."""
    if not path.is_dir():
        return HuggingFaceCheckpoint(path, [path], open)
    for name in names:
        if not (path / name).exists():
            continue
        if not name.endswith(".index.json"):
            return HuggingFaceCheckpoint(path, [path / name], open)
        shards = sorted(set(weight_map(path / name).values()))
        checkpoint = HuggingFaceCheckpoint(path, [path / shard for shard in shards], open)
        checkpoint.check_index(path / name)
        return checkpoint
    found = matching(path, pattern)
    if len(found) != 1:
        listed = short([file.name for file in found])
        raise ModelFileError(
            path,
            f"holds {len(found)} files {pattern} and none of {', '.join(names)}: {listed}",
            hint="name one of the files" if found else None,
        )
    return HuggingFaceCheckpoint(path, found, open)


def matching(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder that fit a pattern, sorted; none if it cannot be read."""
    try:
        return sorted(file for file in folder.glob(pattern) if file.is_file())
    except OSError:
        return []


def weight_map(index: Path) -> dict[str, str]:
    """Tensor -> file name beside the index. Raises ModelFileError."""
    table = read_json(index).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise ModelFileError(index, "has no table 'weight_map'")
    for name, file in table.items():
        # A shard lies beside its index: nothing else may be reached through it.
        if not isinstance(file, str) or file in ("", ".", "..") or {"/", "\\", "\0"} & set(file):
            raise ModelFileError(index, f"tensor {short(name)}: {short(file)} is not a file name")
    return table


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of bounded size. Raises ModelFileError."""
    return _read_json(path, dict, "object")


def _read_json(path: Path, kind: type[Any], word: str) -> Any:
    if (size := file_size(path)) > MAX_JSON_BYTES:
        raise ModelFileError(path, f"has {size} bytes; at most {MAX_JSON_BYTES} are read")
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as cause:
        raise ModelFileError(path, f"is not JSON: {cause}") from cause
    if not isinstance(value, kind):
        raise ModelFileError(path, f"holds a JSON {type(value).__name__}, not an {word}")
    return value


def _config(folder: Path) -> dict[str, Any]:
    """config.json, with the special ids of generation_config.json laid over it, and what a folder
    of sentence-transformers says of its embeddings."""
    raw = read_json(folder / "config.json") if (folder / "config.json").exists() else {}
    config = normalize(raw, "hf")
    if (folder / "generation_config.json").exists():
        generation = read_json(folder / "generation_config.json")
        config |= {k: v for k, v in generation.items() if k.endswith("_token_id") and v is not None}
    return config | sentence_keys(folder, read_json, lambda path: _read_json(path, list, "array"))

"""PyTorch checkpoints (`pytorch_model.bin`), read as data: no pickle is ever executed."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import as_strided

from inferflow_core.errors import ModelFileError
from inferflow_core.interfaces import Checkpoint, TensorInfo
from inferflow_loaders.huggingface import matching, open_folder
from inferflow_loaders.mapped import ITEM_BYTES, Array, MappedFile, begins_with, short, tensor
from inferflow_loaders.pickle_values import View
from inferflow_loaders.safetensors import SafetensorsLoader
from inferflow_loaders.torch_file import LEGACY_MAGICS, ZIP_MAGIC, read_contents

NAMES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
MAX_REPEATED = 2**20
"""Numbers of a view that shows some of its storage more than once (`expand`)."""


class PickleLoader:
    """Hugging Face folders with `pytorch_model*.bin` and no safetensors; or one such file."""

    api = 1

    def recognises(self, path: Path) -> bool:
        if path.is_dir():
            named = any((path / name).is_file() for name in NAMES)
            found = named or len(matching(path, "pytorch_model*.bin")) == 1
            return found and not SafetensorsLoader().recognises(path)
        named = path.suffix in (".bin", ".pt", ".pth")
        return named and begins_with(path, [ZIP_MAGIC, *LEGACY_MAGICS])

    def open(self, path: Path) -> Checkpoint:
        return open_folder(path, NAMES, "pytorch_model*.bin", TorchFile)


class TorchFile:
    """One file of `torch.save`, in either of its containers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = MappedFile(path)
        contents = read_contents(self._file)
        self._views, self._starts = contents.views, contents.starts
        self.tensors: Mapping[str, TensorInfo] = {
            name: _checked(path, name, view) for name, view in self._views.items()
        }

    def read(self, name: str) -> Array:
        """uint8 [nbytes]: memory-mapped if the view is contiguous, else a copy."""
        view, size = self._views[name], self.tensors[name].nbytes
        item = ITEM_BYTES[view.storage.format]
        start = self._starts[view.storage.key]
        if _contiguous(view):
            return self._file.read(start + view.offset * item, size)
        storage = self._file.read(start, view.storage.count * item).view(f"u{item}")
        strides = [stride * item for stride in view.strides]
        strided = as_strided(storage[view.offset :], view.shape, strides, writeable=False)
        return np.ascontiguousarray(strided).reshape(-1).view(np.uint8)

    def close(self) -> None:
        self._file.close()


def _checked(path: Path, name: str, view: View) -> TensorInfo:
    """The tensor, all of it inside its storage. Raises ModelFileError."""
    info = tensor(path, name, view.shape, view.storage.format)
    numbers = info.nbytes // ITEM_BYTES[info.format]
    if len(view.strides) != len(view.shape) or min((view.offset, *view.strides)) < 0:
        raise ModelFileError(path, f"tensor {short(name)} has impossible strides")
    steps = zip(view.shape, view.strides, strict=True)
    last = view.offset + sum((size - 1) * stride for size, stride in steps)
    inside = last < view.storage.count if numbers else view.offset <= view.storage.count
    if not inside:
        raise ModelFileError(path, f"tensor {short(name)} reaches beyond its storage")
    if numbers > max(view.storage.count, MAX_REPEATED):
        raise ModelFileError(
            path,
            f"tensor {short(name)} shows {numbers} numbers of a storage of {view.storage.count}",
        )
    return info


def _contiguous(view: View) -> bool:
    expected = 1
    for size, stride in zip(reversed(view.shape), reversed(view.strides), strict=True):
        if size > 1 and stride != expected:
            return False
        expected *= size
    return True

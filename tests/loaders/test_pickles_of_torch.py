"""Files written by this machine's own torch, in every way it can, are read without it."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inferflow_core.catalog import Catalog

torch = pytest.importorskip(
    "torch", reason="writes files with torch: pip install 'inferflow-core[parity]'"
)

KINDS = {
    "float32": "f32",
    "float64": "f64",
    "float16": "f16",
    "bfloat16": "bf16",
    "int64": "i64",
    "int32": "i32",
    "int8": "i8",
    "uint8": "u8",
    "bool": "bool",
}
WAYS = [(legacy, protocol) for legacy in (False, True) for protocol in (2, 3, 4, 5)]


def state() -> dict[str, Any]:
    torch.manual_seed(0)
    base = torch.randn(6, 8)
    tensors: dict[str, Any] = {
        kind: (torch.randn(3, 5) * 20).to(getattr(torch, kind)) for kind in KINDS
    }
    tensors |= {
        "tied.a": base,
        "tied.b": base,
        "view": base[1:5, 2:7],
        "transposed": base.t(),
        "every second": base[::2, ::3],
        "one number": base[3, 4],
        "spread": base[:1].expand(4, 8),
        "empty": torch.zeros(0, 4),
        "parameter": torch.nn.Parameter(torch.randn(4)),
    }
    return tensors


@pytest.mark.parametrize(("legacy", "protocol"), WAYS)
@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
def test_what_torch_writes_is_read(
    installed: Catalog, tmp_path: Path, values: Any, legacy: bool, protocol: int, nested: bool
) -> None:
    tensors = state()
    saved: Any = OrderedDict(tensors)
    saved._metadata = {"": {"version": 1}}
    if nested:
        saved = {"model": {"part": saved}, "epoch": 3, "optimizer": {"lr": 1e-3, "betas": (1, 2)}}
    file = tmp_path / "pytorch_model.bin"
    torch.save(saved, file, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    checkpoint = installed.get("loader", "pickle")().open(file)
    prefix = "model.part." if nested else ""
    assert set(checkpoint.tensors) == {prefix + name for name in tensors}
    for name, tensor in tensors.items():
        info = checkpoint.tensors[prefix + name]
        assert info.shape == tuple(tensor.shape)
        if name in KINDS:
            assert info.format == KINDS[name]
        want = tensor.detach().to(torch.float64).numpy().astype(np.float32)
        np.testing.assert_array_equal(values(checkpoint, prefix + name), want, err_msg=name)


def test_a_module_saved_whole_is_refused(installed: Catalog, tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "pytorch_model.bin")
    with pytest.raises(Exception, match=r"torch\.nn\.modules\.linear") as caught:
        installed.get("loader", "pickle")().open(tmp_path / "pytorch_model.bin")
    assert type(caught.value).__name__ == "ModelFileError"

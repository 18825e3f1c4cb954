"""Small valid files of every format, written by writers that share no code with the loaders."""

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from inferflow_core.catalog import Catalog
from inferflow_core.errors import ModelFileError
from inferflow_core.interfaces import Checkpoint

Array = np.ndarray[Any, np.dtype[Any]]
Tensors = dict[str, Array]


def some_tensors() -> Tensors:
    numbers = np.random.default_rng(0)
    return {
        "a.weight": numbers.standard_normal((2, 32), np.float32),
        "b.bias": numbers.standard_normal(3, np.float32),
    }


def write_safetensors(tensors: Tensors) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name, values in tensors.items():
        offsets = [place, place := place + values.nbytes]
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": offsets}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(v.tobytes() for v in tensors.values())


def write_gguf(path: Path, tensors: Tensors, *, big: bool = False) -> bytes:
    """By the `gguf` package."""
    endian = gguf.GGUFEndian.BIG if big else gguf.GGUFEndian.LITTLE
    writer = gguf.GGUFWriter(path, "llama", endianess=endian)
    writer.add_embedding_length(32)
    writer.add_rope_freq_base(500.0)
    writer.add_token_list(["<s>", "a", "\u00e9\u00e9"])
    writer.add_array("llama.attention.head_count_kv", [4, 4])
    writer.add_bos_token_id(0)
    for name, values in tensors.items():
        writer.add_tensor(name, values.copy())
        if not big and values.shape[-1] % 32 == 0:
            packed = gguf.quantize(values, gguf.GGMLQuantizationType.Q4_0)
            writer.add_tensor(f"{name}.q", packed, raw_dtype=gguf.GGMLQuantizationType.Q4_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


LLAMA2C = {"dim": 8, "hidden_dim": 16, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2}
LLAMA2C |= {"vocab_size": 12, "seq_len": 6}


def llama2c_tensors() -> Tensors:
    """Weights under the names of Meta's checkpoints."""
    numbers = np.random.default_rng(1)
    shapes: dict[str, tuple[int, ...]] = {"tok_embeddings": (12, 8), "norm": (8,)}
    for layer in range(2):
        shapes |= {f"layers.{layer}.{norm}": (8,) for norm in ("attention_norm", "ffn_norm")}
        attention = {"wq": (8, 8), "wk": (4, 8), "wv": (4, 8), "wo": (8, 8)}
        mlp = {"w1": (16, 8), "w2": (8, 16), "w3": (16, 8)}
        shapes |= {f"layers.{layer}.attention.{k}": v for k, v in attention.items()}
        shapes |= {f"layers.{layer}.feed_forward.{k}": v for k, v in mlp.items()}
    shapes["output"] = (12, 8)
    return {f"{k}.weight": numbers.standard_normal(v, np.float32) for k, v in shapes.items()}


def write_llama2c(tensors: Tensors, version: int, *, shared: bool, group: int = 8) -> bytes:
    """Layouts of llama2.c's export.py."""

    def both(part: str) -> list[Array]:
        return [tensors[f"layers.{layer}.{part}.weight"] for layer in range(2)]

    matrices = [w for part in ("wq", "wk", "wv", "wo") for w in both(f"attention.{part}")]
    mlp = [w for part in ("w1", "w2", "w3") for w in both(f"feed_forward.{part}")]
    output = [] if shared else [tensors["output.weight"]]
    embedding, norm = [tensors["tok_embeddings.weight"]], [tensors["norm.weight"]]
    attention_norms, ffn_norms = both("attention_norm"), both("ffn_norm")
    numbers = list(LLAMA2C.values())
    if version == 0:
        numbers[5] *= 1 if shared else -1
        tables = [np.full(2 * 6 * 1, 7.0, np.float32)]
        order = [embedding, attention_norms, matrices, ffn_norms, mlp, norm, tables, output]
        body = b"".join(w.tobytes() for group in order for w in group)
        return struct.pack("<7i", *numbers) + body
    header = struct.pack("<Ii7iB", 0x616B3432, version, *numbers, shared)
    norms = b"".join(w.tobytes() for w in [*attention_norms, *ffn_norms, *norm])
    weights = [*embedding, *matrices, *mlp, *output]
    if version == 1:
        return header.ljust(256, b"\0") + norms + b"".join(w.tobytes() for w in weights)
    header += struct.pack("<i", group)
    return header.ljust(256, b"\0") + norms + b"".join(b"".join(int8(w, group)) for w in weights)


def int8(weight: Array, group: int) -> tuple[bytes, bytes]:
    runs = weight.reshape(-1, group)
    scales = (np.abs(runs).max(axis=1, keepdims=True) / 127).astype(np.float32)
    return np.round(runs / scales).astype(np.int8).tobytes(), scales.tobytes()


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def view_pickle(
    key: str, count: int, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> bytes:
    """The pickle opcodes of one tensor."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu")
    sizes = [b"(" + b"".join(map(number, values)) + b"t" for values in (shape, strides)]
    hooks = b"\x89ccollections\nOrderedDict\n)R"
    reference = storage + number(count) + b"tQ"
    arguments = reference + number(offset) + sizes[0] + sizes[1] + hooks
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def table_pickle(items: dict[str, bytes]) -> bytes:
    body = b"".join(text(name) + value for name, value in items.items())
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + body + b"u."


def tensors_pickle(tensors: Tensors) -> bytes:
    return table_pickle(
        {
            name: view_pickle(str(i), v.size, 0, v.shape, tuple(s // 4 for s in v.strides))
            for i, (name, v) in enumerate(tensors.items())
        }
    )


def write_zip(pickled: bytes, storages: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model/data.pkl", pickled)
        archive.writestr("model/byteorder", "little")
        for key, data in storages.items():
            archive.writestr(f"model/data/{key}", data)
        archive.writestr("model/version", "3\n")
    return buffer.getvalue()


def write_legacy(pickled: bytes, storages: dict[str, bytes]) -> bytes:
    magic = b"\x80\x02\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little") + b"."
    protocol = b"\x80\x02M\xe9\x03."
    system = b"\x80\x02}(" + text("little_endian") + b"\x88u."
    order = b"\x80\x02](" + b"".join(map(text, storages)) + b"e."
    data = b"".join(struct.pack("<q", len(d) // 4) + d for d in storages.values())
    return magic + protocol + system + pickled + order + data


SAMPLES = (
    *("safetensors", "gguf_v3", "gguf_v2", "gguf_big"),
    *("llama2c_v0", "llama2c_v1", "llama2c_v2", "torch_zip", "torch_legacy"),
)


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, bytes]]:
    """Name of a sample -> its loader, and the bytes of a small valid file."""
    folder, tensors = tmp_path_factory.mktemp("samples"), some_tensors()
    storages = {str(i): v.tobytes() for i, v in enumerate(tensors.values())}
    version3 = write_gguf(folder / "little.gguf", tensors)
    weights = llama2c_tensors()
    found = {
        "safetensors": ("safetensors", write_safetensors(tensors)),
        "gguf_v3": ("gguf", version3),
        "gguf_v2": ("gguf", version3[:4] + struct.pack("<I", 2) + version3[8:]),
        "gguf_big": ("gguf", write_gguf(folder / "big.gguf", tensors, big=True)),
        "torch_zip": ("pickle", write_zip(tensors_pickle(tensors), storages)),
        "torch_legacy": ("pickle", write_legacy(tensors_pickle(tensors), storages)),
    }
    for version in range(3):
        data = write_llama2c(weights, version, shared=version == 1)
        found[f"llama2c_v{version}"] = ("llama2c", data)
    assert set(found) == set(SAMPLES)
    return found


@pytest.fixture(scope="session")
def open_bytes(
    installed: Catalog, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, bytes], Checkpoint | ModelFileError]:
    """Opens bytes as a file of a loader and reads all of it: the checkpoint or its one error."""
    folder = tmp_path_factory.mktemp("opened")
    suffixes = {"safetensors": ".safetensors", "gguf": ".gguf"}

    def run(loader: str, data: bytes) -> Checkpoint | ModelFileError:
        path = folder / f"model{suffixes.get(loader, '.bin')}"
        # A file that is still mapped by an earlier checkpoint must not change under it.
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        entry = installed.get("loader", loader)()
        entry.recognises(path)
        try:
            checkpoint = entry.open(path)
        except ModelFileError as error:
            return error
        for name, info in checkpoint.tensors.items():
            assert info.name == name
            assert checkpoint.read(name).nbytes == info.nbytes
        return checkpoint

    return run


@pytest.fixture(scope="session")
def values(installed: Catalog) -> Callable[[Checkpoint, str], Array]:
    """A tensor's numbers, float32, through its format."""

    def read(checkpoint: Checkpoint, name: str) -> Array:
        info = checkpoint.tensors[name]
        return installed.get("format", info.format)().unpack(checkpoint.read(name), info.shape)

    return read

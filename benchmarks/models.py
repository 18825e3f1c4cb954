"""Writes the GGUF files of the comparisons: one set of weights in several block formats.

    python benchmarks/models.py SMOLLM2.gguf FOLDER [NAME ...]

SMOLLM2.gguf is the file that `inferflow pull smollm2-135m-instruct` fetches. FOLDER gets
`smol-q4_1.gguf` (a link to it), `smol-q4_0.gguf` and `smol-q8_0.gguf` (every matrix in that
format), and `llama1b-q4_0.gguf`, `llama1b-q8_0.gguf` and `llama1b-bf16.gguf`: the shape of a
Llama of 1.1B parameters with random weights, and the first 32,000 tokens of SmolLM2. A file that
is there already is kept. With a NAME (`smol-q4_0`) only those are written.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, quants

HIDDEN, LAYERS, HEADS, KV_HEADS, INNER, VOCABULARY = 2048, 22, 32, 4, 5632, 32000
CONTEXT = 16384
FILE_TYPES = {"q4_0": 2, "q8_0": 7, "bf16": 32}  # as `general.file_type` has them
MATRICES = {  # of a layer: name, rows, columns
    "attn_q": (HIDDEN, HIDDEN),
    "attn_k": (HIDDEN // HEADS * KV_HEADS, HIDDEN),
    "attn_v": (HIDDEN // HEADS * KV_HEADS, HIDDEN),
    "attn_output": (HIDDEN, HIDDEN),
    "ffn_gate": (INNER, HIDDEN),
    "ffn_up": (INNER, HIDDEN),
    "ffn_down": (HIDDEN, INNER),
}


def main(source: str, folder: str, *names: str) -> None:
    reader = GGUFReader(source)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    link = target / "smol-q4_1.gguf"
    if not link.exists():
        link.symlink_to(Path(source).resolve())
    for stem in names or ("smol-q4_0", "smol-q8_0", "llama1b-q4_0", "llama1b-q8_0", "llama1b-bf16"):
        path = target / f"{stem}.gguf"
        if path.exists():
            continue
        shape, kind = stem.split("-")
        part = path.with_suffix(".part")
        if shape == "smol":
            write(part, kind, metadata(reader), shapes(reader), weights(reader))
        else:
            write(part, kind, llama_metadata(reader), llama_shapes(), random_weights())
        part.rename(path)
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB", flush=True)


Field = tuple[str, object, GGUFValueType, GGUFValueType | None]
Shape = tuple[str, tuple[int, ...]]


def metadata(reader: GGUFReader) -> Iterator[Field]:
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key in ("general.architecture", "general.file_type"):
            continue
        inner = field.types[1] if field.types[0] == GGUFValueType.ARRAY else None
        yield key, field.contents(), field.types[0], inner


def llama_metadata(reader: GGUFReader) -> Iterator[Field]:
    numbers = {
        "block_count": LAYERS,
        "context_length": CONTEXT,
        "embedding_length": HIDDEN,
        "feed_forward_length": INNER,
        "attention.head_count": HEADS,
        "attention.head_count_kv": KV_HEADS,
        "vocab_size": VOCABULARY,
        "rope.dimension_count": HIDDEN // HEADS,
    }
    yield "general.name", "random llama 1.1B", GGUFValueType.STRING, None
    for name, number in numbers.items():
        yield f"llama.{name}", number, GGUFValueType.UINT32, None
    yield "llama.rope.freq_base", 10000.0, GGUFValueType.FLOAT32, None
    yield "llama.attention.layer_norm_rms_epsilon", 1e-5, GGUFValueType.FLOAT32, None
    tokens: list[str] = reader.fields["tokenizer.ggml.tokens"].contents()[:VOCABULARY]
    known = set(tokens)
    for key, value, kind, inner in metadata(reader):
        if key.endswith((".tokens", ".token_type")):
            yield key, value[:VOCABULARY], kind, inner  # type: ignore
        elif key.endswith(".merges"):
            merges: list[str] = value  # type: ignore
            yield key, [pair for pair in merges if pair.replace(" ", "") in known], kind, inner
        elif key.startswith("tokenizer."):
            yield key, value, kind, inner


def shapes(reader: GGUFReader) -> list[Shape]:
    return [(tensor.name, tuple(map(int, tensor.shape[::-1]))) for tensor in reader.tensors]


def weights(reader: GGUFReader) -> Iterator[np.ndarray]:
    for (_, shape), tensor in zip(shapes(reader), reader.tensors, strict=True):
        values = quants.dequantize(tensor.data, tensor.tensor_type)
        yield values.astype(np.float32).reshape(shape)


def llama_shapes() -> list[Shape]:
    result: list[Shape] = [("token_embd.weight", (VOCABULARY, HIDDEN))]
    for layer in range(LAYERS):
        result += [(f"blk.{layer}.{name}.weight", shape) for name, shape in MATRICES.items()]
        result += [(f"blk.{layer}.{name}.weight", (HIDDEN,)) for name in ("attn_norm", "ffn_norm")]
    return [*result, ("output_norm.weight", (HIDDEN,)), ("output.weight", (VOCABULARY, HIDDEN))]


def random_weights() -> Iterator[np.ndarray]:
    generator = np.random.default_rng(0)
    for _, shape in llama_shapes():
        if len(shape) == 1:
            yield np.ones(shape, np.float32)
        else:
            values = generator.standard_normal(shape, np.float32)
            values *= shape[1] ** -0.5
            yield values


def write(
    path: Path,
    kind: str,
    fields: Iterable[Field],
    shapes: list[Shape],
    values: Iterable[np.ndarray],
) -> None:
    """One tensor in memory at a time; matrices in `kind`, vectors in f32."""
    block = GGMLQuantizationType[kind.upper()]
    writer = GGUFWriter(path, "llama")
    for field in fields:
        writer.add_key_value(*field)
    writer.add_file_type(FILE_TYPES[kind])
    for name, shape in shapes:
        matrix = len(shape) == 2
        stored = quants.quant_shape_to_byte_shape(shape, block) if matrix else shape
        item = np.dtype(np.uint8 if matrix else np.float32)
        size = int(np.prod(stored)) * item.itemsize
        writer.add_tensor_info(name, stored, item, size, block if matrix else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for array in values:
        matrix = array.ndim == 2
        writer.write_tensor_data(quants.quantize(array, block).view(np.uint8) if matrix else array)
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

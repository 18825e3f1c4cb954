"""`plan` and `check` of predefined models as a person meets them: real tensor names, types and
shapes in files whose data is a hole, beside the model's own config.json."""

import json
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

CONFIGS = Path(__file__).resolve().parents[1] / "specs" / "configs"
Shapes = Iterator[tuple[str, list[int]]]


def llama_7b() -> Shapes:
    yield "model.embed_tokens.weight", [32000, 4096]
    for i in range(32):
        at = f"model.layers.{i}"
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            yield f"{at}.self_attn.{name}.weight", [4096, 4096]
        yield f"{at}.self_attn.rotary_emb.inv_freq", [64]
        for name in ("gate_proj", "up_proj"):
            yield f"{at}.mlp.{name}.weight", [11008, 4096]
        yield f"{at}.mlp.down_proj.weight", [4096, 11008]
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"{at}.{name}.weight", [4096]
    yield "model.norm.weight", [4096]
    yield "lm_head.weight", [32000, 4096]


def falcon_7b() -> Shapes:
    yield "transformer.word_embeddings.weight", [65024, 4544]
    for i in range(32):
        at = f"transformer.h.{i}"
        yield f"{at}.self_attention.query_key_value.weight", [73 * 64, 4544]
        yield f"{at}.self_attention.dense.weight", [4544, 4544]
        yield f"{at}.mlp.dense_h_to_4h.weight", [18176, 4544]
        yield f"{at}.mlp.dense_4h_to_h.weight", [4544, 18176]
        for p in ("weight", "bias"):
            yield f"{at}.input_layernorm.{p}", [4544]
    for p in ("weight", "bias"):
        yield f"transformer.ln_f.{p}", [4544]
    yield "lm_head.weight", [65024, 4544]


def mixtral() -> Shapes:
    yield "model.embed_tokens.weight", [32000, 4096]
    for i in range(32):
        at = f"model.layers.{i}"
        for name, rows in (("q_proj", 4096), ("k_proj", 1024), ("v_proj", 1024), ("o_proj", 4096)):
            yield f"{at}.self_attn.{name}.weight", [rows, 4096]
        yield f"{at}.block_sparse_moe.gate.weight", [8, 4096]
        for j in range(8):
            for name, shape in (
                ("w1", [14336, 4096]),
                ("w2", [4096, 14336]),
                ("w3", [14336, 4096]),
            ):
                yield f"{at}.block_sparse_moe.experts.{j}.{name}.weight", shape
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"{at}.{name}.weight", [4096]
    yield "model.norm.weight", [4096]
    yield "lm_head.weight", [32000, 4096]


def bert() -> Shapes:
    yield "bert.embeddings.word_embeddings.weight", [119547, 768]
    yield "bert.embeddings.position_embeddings.weight", [512, 768]
    yield "bert.embeddings.token_type_embeddings.weight", [2, 768]
    yield from both("bert.embeddings.LayerNorm", [768], ("gamma", "beta"))
    for i in range(12):
        at = f"bert.encoder.layer.{i}"
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            yield from both(f"{at}.attention.{name}", [768, 768])
        yield from both(f"{at}.intermediate.dense", [3072, 768])
        yield from both(f"{at}.output.dense", [768, 3072])
        for name in ("attention.output", "output"):
            yield from both(f"{at}.{name}.LayerNorm", [768], ("gamma", "beta"))
    yield from both("bert.pooler.dense", [768, 768])
    yield from both("cls.predictions.transform.dense", [768, 768])
    yield from both("cls.predictions.transform.LayerNorm", [768], ("gamma", "beta"))
    yield "cls.predictions.bias", [119547]
    yield from both("cls.seq_relationship", [2, 768])


def both(name: str, shape: list[int], words: tuple[str, str] = ("weight", "bias")) -> Shapes:
    yield f"{name}.{words[0]}", shape
    yield f"{name}.{words[1]}", shape[:1]


def write(folder: Path, shapes: Shapes, config: Path) -> Path:
    """A folder of the model whose file is a header and a hole."""
    folder.mkdir()
    header: dict[str, Any] = {}
    end = 0
    for name, shape in shapes:
        begin, end = end, end + 2 * prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    (folder / "config.json").write_bytes(config.read_bytes())
    return folder


CASES: dict[str, tuple[Callable[[], Shapes], int, int]] = {
    "llama-2-7b-chat-hf": (llama_7b, 6_738_415_616, 32 * 9 + 3),
    "falcon-7b-instruct": (falcon_7b, 7_217_189_760, 32 * 8 + 4),
    "mixtral-8x7b-instruct-v0-1": (mixtral, 46_702_792_704, 32 * 10 + 3),
    "bert-base-multilingual-cased": (bert, 178_566_653, 5 + 12 * 16 + 9),
}
"""Name -> tensors of the files, published parameters, places of the network."""


@pytest.mark.parametrize("name", CASES)
def test_a_model_is_planned_before_a_byte_of_its_weights_is_there(
    inferflow: Any, tmp_path: Path, name: str
) -> None:
    shapes, count, places = CASES[name]
    folder = write(tmp_path / "files", shapes(), CONFIGS / f"{name}.json")
    path = f"weights.path={folder}"
    begun = perf_counter()
    done = inferflow("plan", name, "--set", path, "--json", "--memory", "1TB", "--backend", "numpy")
    assert done.code == 0, done.err
    assert perf_counter() - begun < 5, "most of a second is usual; shared machines are slow"
    report = json.loads(done.out)
    assert (report["parameters"], report["name"]) == (count, name)
    assert [(one["format"], one["params"]) for one in report["weights"]] == [("bf16", places)]
    found = json.loads(inferflow("check", str(folder), "--json").out)
    assert (found["complete"], found["parameters"], found["params"]) == (True, count, places)

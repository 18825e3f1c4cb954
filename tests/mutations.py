"""Copies of checkpoints with one thing changed, and how far that moves what they say."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from inferflow_runtime.reference import open_checkpoint
from safetensors.numpy import save_file

import inferflow_core
from inferflow_core.catalog import Catalog
from inferflow_core.interfaces import LoadedModel

Array = np.ndarray[Any, np.dtype[Any]]

NORM = re.compile(r"(norm|ln_\w+)\.(weight|gamma)$", re.IGNORECASE)

SPELT: Mapping[str, tuple[tuple[str, str], ...]] = {
    "baichuan": ((r"self_attn\.([qkv])_proj\.weight", r"self_attn.W_pack.weight:\1"),),
    "bert": ((r"LayerNorm\.weight", "LayerNorm.gamma"), (r"LayerNorm\.bias", "LayerNorm.beta")),
    "bloom": ((r"^transformer\.", ""),),
    "chatglm2": (
        (r"^model\.embed_tokens", "transformer.embedding.word_embeddings"),
        (r"^model\.norm", "transformer.encoder.final_layernorm"),
        (r"^model\.", "transformer.encoder."),
        (r"^lm_head", "transformer.output_layer"),
        (r"self_attn\.([qkv])_proj\.(\w+)", r"self_attention.query_key_value.\2:\1"),
        (r"self_attn\.o_proj", "self_attention.dense"),
        (r"gate_up_proj", "dense_h_to_4h"),
        (r"down_proj", "dense_4h_to_h"),
    ),
    "deepseek_moe": (
        (r"experts\.gate_up_proj", "experts.*.(gate|up)_proj.weight"),
        (r"experts\.down_proj", "experts.*.down_proj.weight"),
        (r"shared_expert\.", "shared_experts."),
    ),
    "m2m100": ((r"^lm_head", "model.shared"),),
    "mixtral": (
        (r"mlp\.gate\.", "block_sparse_moe.gate."),
        (r"mlp\.experts\.gate_up_proj", "block_sparse_moe.experts.*.(w1|w3).weight"),
        (r"mlp\.experts\.down_proj", "block_sparse_moe.experts.*.w2.weight"),
    ),
    "opt": ((r"^model\.", ""),),
}
"""Family -> from the names of the class that told the differences to those of the checkpoint.

`:q` are the rows of q in a fused tensor, `*` a number, `(a|b)` either."""


class Copy:
    """A checkpoint in float32, written to a folder anew with each change."""

    def __init__(self, source: Path, folder: Path, catalog: Catalog) -> None:
        self._folder, self._catalog = folder, catalog
        self.config: dict[str, Any] = json.loads((source / "config.json").read_text("utf-8"))
        checkpoint = open_checkpoint(source, {}, catalog)
        self.tensors: dict[str, Array] = {
            name: catalog.get("format", info.format)().unpack(checkpoint.read(name), info.shape)
            for name, info in checkpoint.tensors.items()
        }
        checkpoint.close()

    def load(self, tensors: Mapping[str, Array] | None = None, **config: Any) -> LoadedModel:
        """The model with other tensors or config keys. Raises what `inferflow_core.load` does."""
        text = json.dumps(self.config | config)
        (self._folder / "config.json").write_text(text, "utf-8")
        save_file({**self.tensors, **(tensors or {})}, self._folder / "model.safetensors")
        return inferflow_core.load(self._folder, backend="numpy", catalog=self._catalog)

    def spelt(self, name: str, family: str) -> list[str]:
        """What the checkpoint calls a tensor of the class that told the differences, by SPELT."""
        for pattern, replacement in SPELT.get(family, ()):
            name = re.sub(pattern, replacement, name)
        name, _, part = name.partition(":")
        pattern = re.compile(name.replace(".", r"\.").replace("*", r"\d+"))
        return [":".join([found, *part]) for found in self.tensors if pattern.fullmatch(found)]

    def neutralised(self, names: Iterable[str]) -> dict[str, Array]:
        """The named tensors, and all of the same numbers, as if they were not there: a norm's
        weight is 1 (0 where 1 is added to it), anything else 0. `name:q` are rows of a fused one.
        """
        neutral = 0 if self.config["model_type"] == "gemma" else 1
        changed: dict[str, Array] = {}
        for named in names:
            name, _, part = named.partition(":")
            first = self.tensors[name]
            values = first.copy()
            values[self._rows(len(first), part)] = neutral if NORM.search(name) else 0
            twins = [twin for twin, other in self.tensors.items() if np.array_equal(other, first)]
            changed |= dict.fromkeys(twins, values)
        return changed

    def _rows(self, count: int, part: str) -> slice:
        """Rows of q, k or v in [q; k; v], whose k and v are as long."""
        if not part:
            return slice(None)
        heads = self.config["num_attention_heads"]
        q = self.config.get("kv_channels", self.config["hidden_size"] // heads) * heads
        kv = (count - q) // 2
        starts = {"q": 0, "k": q, "v": q + kv}
        return slice(starts[part], starts[part] + (q if part == "q" else kv))


def changed(value: Any) -> Any:
    """What the differences of config keys were told for: booleans flipped, numbers doubled,
    activations swapped."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return "gelu" if value == "relu" else "relu"
    return 2 * value

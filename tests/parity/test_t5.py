"""t5 (T5, v1.1, Flan-T5, mT5) and umt5, by the name maps hf_t5 and hf_umt5"""

import json
from pathlib import Path
from typing import Any

import pytest
from checkpoints import VOCAB, each_size, prompts, save, torch
from pairs import compare_pairs
from safetensors.torch import load_file, save_file
from transformers import (
    MT5Config,
    MT5ForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
    UMT5Config,
    UMT5ForConditionalGeneration,
)

SMALLER: dict[str, Any] = {
    "vocab_size": VOCAB,
    "d_model": 48,
    "d_kv": 10,
    "d_ff": 80,
    "num_heads": 4,
    "num_decoder_layers": 3,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 20,
    "layer_norm_epsilon": 0.02,
    "decoder_start_token_id": 0,
}
GATED = {"feed_forward_proj": "gated-gelu"}
T5 = (T5Config, T5ForConditionalGeneration)
VARIANTS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "t5": (*T5, {}),
    "v1.1": (*T5, {**GATED, "tie_word_embeddings": False}),
    "mt5": (MT5Config, MT5ForConditionalGeneration, GATED),
    "umt5": (UMT5Config, UMT5ForConditionalGeneration, GATED),
}


def saved(model: Any, folder: Path, seed: int) -> Path:
    """As trained ones: queries small, since scores are not scaled; logits of a few units."""
    scaled = getattr(model.config, "scale_decoder_outputs", False)
    torch.nn.init.constant_(model.decoder.final_layer_norm.weight, 6.0 if scaled else 1.0)
    save(model, folder, seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("Attention.q.weight"):
                weight.mul_(SMALLER["d_kv"] ** -0.5)
    model.save_pretrained(folder)
    return folder


@each_size
@pytest.mark.parametrize("variant", VARIANTS)
def test_t5_agrees(tmp_path: Path, variant: str, seed: int, depth: int, backend: str) -> None:
    make, build, more = VARIANTS[variant]
    model = build(make(**SMALLER | more, num_layers=depth))
    folder = saved(model, tmp_path, seed)
    sources, ids = prompts(seed=seed), prompts(lengths=(22, 1, 9, 40), seed=seed + 1)
    compare_pairs(folder, model, sources, ids, start=0, backend=backend)


def test_the_head_of_later_ones_has_a_weight_of_its_own(tmp_path: Path, backend: str) -> None:
    """Published files of v1.1 hold `lm_head.weight`, which this class ties; older ones also hold a
    table that nothing reads."""
    model = T5ForConditionalGeneration(
        T5Config(**SMALLER | GATED, num_layers=2, tie_word_embeddings=False)
    )
    folder = saved(model, tmp_path, 0)
    head = torch.randn(VOCAB, 48, generator=torch.Generator().manual_seed(3)) * 0.2
    file = folder / "model.safetensors"
    tensors = load_file(file) | {"lm_head.weight": head}
    for stack in ("encoder", "decoder"):
        tensors[f"{stack}.embed_tokens.weight"] = tensors["shared.weight"].clone()
    old = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    save_file(tensors | {old: torch.ones(8, 4)}, file, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text("utf-8"))
    del config["scale_decoder_outputs"], config["relative_attention_max_distance"]
    config["tie_word_embeddings"] = False
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    model.lm_head.weight = torch.nn.Parameter(head)
    for stack in (model.encoder, model.decoder):
        for block in stack.block:
            block.layer[0].SelfAttention.relative_attention_max_distance = 128
    compare_pairs(folder, model, prompts(), prompts(seed=1), start=0, backend=backend, greedy=4)

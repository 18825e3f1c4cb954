"""bart, mbart, pegasus and marian, by the name maps hf_bart and hf_marian; NLLB is m2m100."""

from pathlib import Path
from typing import Any

import pytest
from checkpoints import VOCAB, each_size, prompts, save, torch, transformers
from pairs import compare_pairs

PAD = 1
SMALLER: dict[str, Any] = {
    "vocab_size": VOCAB,
    "d_model": 48,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 3,
    "encoder_ffn_dim": 80,
    "decoder_ffn_dim": 70,
    "decoder_layers": 2,
    "max_position_embeddings": 64,
    "scale_embedding": True,
    "pad_token_id": PAD,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": None,
}
VARIANTS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "bart": ("Bart", "ForConditionalGeneration", {"scale_embedding": False}),
    "mbart": ("MBart", "ForConditionalGeneration", {}),
    "pegasus": ("Pegasus", "ForConditionalGeneration", {"activation_function": "relu"}),
    "marian": ("Marian", "MTModel", {"activation_function": "swish"}),
    "nllb": ("M2M100", "ForConditionalGeneration", {"activation_function": "relu"}),
}


def saved(model: Any, folder: Path, seed: int) -> Path:
    """With sinusoids as the class has made them (some files hold the table), and a row of zeros
    for padding, so that it is never said: M2M100 gives such a token no position."""
    tables = [
        (tensor, tensor.clone())
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
        if "embed_positions" in name and not tensor.requires_grad
    ]
    save(model, folder, seed)
    with torch.no_grad():
        for tensor, made in tables:
            tensor.copy_(made)
        model.get_input_embeddings().weight[PAD] = 0
    model.save_pretrained(folder)
    return folder


@each_size
@pytest.mark.parametrize("variant", VARIANTS)
def test_it_agrees(tmp_path: Path, variant: str, seed: int, depth: int, backend: str) -> None:
    name, kind, more = VARIANTS[variant]
    config = getattr(transformers, f"{name}Config")(**SMALLER | more, encoder_layers=depth)
    model = getattr(transformers, name + kind)(config)
    folder = saved(model, tmp_path, seed)
    sources, ids = (
        [[PAD + 1 if token == PAD else token for token in row] for row in rows]
        for rows in (prompts(seed=seed), prompts(lengths=(22, 1, 9, 40), seed=seed + 1))
    )
    compare_pairs(folder, model, sources, ids, start=2, backend=backend)

"""More decoders whose parts were known: each is a spec and, where its tensors have names of their
own, a map (hf_gpt2, hf_gpt_bigcode, hf_gptj, hf_gpt_neo, hf_mpt, hf_olmo2, hf_starcoder2,
hf_granitemoe, hf_glm4, hf_stablelm)."""

from pathlib import Path

import pytest
from checkpoints import compare, each_size, prompts, save
from decoders import VARIANTS, build


@each_size
@pytest.mark.parametrize("variant", VARIANTS)
def test_it_agrees(tmp_path: Path, variant: str, seed: int, depth: int, backend: str) -> None:
    model = build(variant, depth)
    compare(save(model, tmp_path, seed), model, prompts(seed=seed), backend=backend)

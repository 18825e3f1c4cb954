"""phi3: fused projections, longrope on both sides of the original context, partial rotation."""

from pathlib import Path
from typing import Any

import pytest
from checkpoints import SMALL, compare, each_size, prompts, save
from transformers import Phi3Config, Phi3ForCausalLM

KEYS = SMALL | {"pad_token_id": 0, "eos_token_id": 1}


def longrope(pairs: int, **keys: Any) -> dict[str, Any]:
    """A config of 64 positions that was trained for 20, with a factor for each pair."""
    factors = {
        "short_factor": [1 + 0.1 * i for i in range(pairs)],
        "long_factor": [1.5 + 0.5 * i for i in range(pairs)],
    }
    table = {"rope_type": "longrope", "rope_theta": 1e4, **factors}
    return {"rope_parameters": table | keys, "original_max_position_embeddings": 20}


PARTIAL = longrope(6, partial_rotary_factor=0.75)
VARIANTS: dict[str, dict[str, Any]] = {
    "phi3_mini_4k": {"num_key_value_heads": 4, "sliding_window": 7},
    "phi3_5_mini": {"num_key_value_heads": 4, **longrope(8), "sliding_window": 60},
    "phi4": {"rope_theta": 250000.0},
    "phi4_mini": {"tie_word_embeddings": True, **PARTIAL},
    "phi4_mini-untied": longrope(8, attention_factor=1.3),
}


@each_size
@pytest.mark.parametrize("variant", VARIANTS)
def test_phi3_agrees(tmp_path: Path, variant: str, seed: int, depth: int, backend: str) -> None:
    model = Phi3ForCausalLM(Phi3Config(**KEYS | VARIANTS[variant], num_hidden_layers=depth))
    # Where there are long factors, each sequence must need them: the class asks its length.
    long = "original_max_position_embeddings" in VARIANTS[variant]
    ids = prompts(lengths=(34, 21, 29) if long else (1, 5, 34, 19), seed=seed)
    compare(save(model, tmp_path, seed), model, ids, backend=backend)


@pytest.mark.parametrize("variant", ["phi3_5_mini", "phi4_mini"])
def test_a_run_within_the_original_context_has_the_short_factors(
    tmp_path: Path, variant: str, backend: str
) -> None:
    model = Phi3ForCausalLM(Phi3Config(**KEYS | VARIANTS[variant], num_hidden_layers=2))
    compare(
        save(model, tmp_path, 3),
        model,
        prompts(lengths=(1, 12, 5)),
        backend=backend,
        set=["run.context=20"],
        greedy=8,
    )

"""roberta, distilbert, mpnet and modernbert, by the name maps hf_roberta, hf_distilbert, hf_mpnet
and hf_modernbert, and bert itself: states of tokens, and what the heads make of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import (
    TOLERANCE,
    VOCAB,
    Array,
    each_size,
    listed,
    prompts,
    save,
    torch,
    transformers,
)

import inferflow_core

SMALLER: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "num_attention_heads": 4,
    "intermediate_size": 80,
    "max_position_embeddings": 64,
    "layer_norm_eps": 0.02,
    "pad_token_id": 1,
}
DISTIL: dict[str, Any] = {
    "vocab_size": VOCAB,
    "dim": 48,
    "n_heads": 4,
    "hidden_dim": 80,
    "pad_token_id": 1,
}
MODERN: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 64,
    "norm_eps": 0.02,
    "local_attention": 10,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "cls_token_id": 1,
    "sep_token_id": 2,
}
ROPES = {
    "full_attention": {"rope_type": "default", "rope_theta": 5000.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", {**SMALLER, "hidden_act": "gelu_new"}),
    "roberta": ("Roberta", {**SMALLER, "type_vocab_size": 1}),
    "xlm-roberta": ("XLMRoberta", {**SMALLER, "type_vocab_size": 1}),
    "distilbert": ("DistilBert", DISTIL),
    "mpnet": ("MPNet", SMALLER),
    "modernbert": ("ModernBert", {**MODERN, "rope_parameters": ROPES}),
    "modernbert-biases": (
        "ModernBert",
        {**MODERN, "attention_bias": True, "mlp_bias": True, "norm_bias": True},
    ),
}


def built(variant: str, depth: int, kind: str) -> Any:
    name, keys = VARIANTS[variant]
    depths = {"n_layers" if name == "DistilBert" else "num_hidden_layers": depth + 1}
    config = getattr(transformers, f"{name}Config")(**keys | depths)
    return getattr(transformers, name + kind)(config)


def rows(seed: int, pad: int) -> list[list[int]]:
    """Prompts without the id of padding, to which some classes give no position."""
    return [[pad + 1 if token == pad else token for token in row] for row in prompts(seed=seed)]


def off(found: list[Array], expected: list[Array]) -> float:
    pairs = list(zip(found, expected, strict=True))
    assert all(got.shape == wanted.shape for got, wanted in pairs)
    assert max(wanted.std() for _, wanted in pairs) > 0.1
    return max(float(np.abs(got - wanted).max()) for got, wanted in pairs)


@each_size
@pytest.mark.parametrize("variant", VARIANTS)
def test_masked_tokens_and_states(
    tmp_path: Path, variant: str, seed: int, depth: int, backend: str
) -> None:
    model = built(variant, depth, "ForMaskedLM")
    folder = save(model, tmp_path, seed)
    ids = rows(seed, model.config.pad_token_id)
    with torch.no_grad():
        results = [model(torch.tensor([row]), output_hidden_states=True) for row in ids]
    with inferflow_core.load(folder, backend=backend) as ours:
        listed(ours.plan, model)
        found = {"hidden": ours.hidden(ids), "mlm": ours.head("mlm", ids)}
    expected = {
        "hidden": [out.hidden_states[-1][0].numpy() for out in results],
        "mlm": [out.logits[0].numpy() for out in results],
    }
    for name, wanted in expected.items():
        assert off(found[name], wanted) <= TOLERANCE, name


@pytest.mark.parametrize("variant", ["bert", "roberta", "xlm-roberta", "mpnet"])
def test_the_pooled_state_of_a_base_model(tmp_path: Path, variant: str, backend: str) -> None:
    model = built(variant, 2, "Model")
    folder = save(model, tmp_path, 0)
    ids = rows(0, model.config.pad_token_id)
    with torch.no_grad():
        results = [model(torch.tensor([row])) for row in ids]
    with inferflow_core.load(folder, backend=backend) as ours:
        listed(ours.plan, model)
        assert "pooled" in ours.plan.model.heads
        assert not {"mlm", "labels", "span"} & {*ours.plan.model.heads}
        pooled = ours.head("pooled", ids)
        states = ours.hidden(ids)
    assert off(pooled, [out.pooler_output[0].numpy() for out in results]) <= TOLERANCE
    assert off(states, [out.last_hidden_state[0].numpy() for out in results]) <= TOLERANCE


@pytest.mark.parametrize("kind", ["Sequence", "Token"])
@pytest.mark.parametrize("variant", ["bert", "roberta", "xlm-roberta", "distilbert", "mpnet"])
def test_labels(tmp_path: Path, variant: str, kind: str, backend: str) -> None:
    """Of texts or of tokens; the names of the labels are what says how many there are."""
    name, keys = VARIANTS[variant]
    config = getattr(transformers, f"{name}Config")(**keys, num_labels=5)
    model = getattr(transformers, f"{name}For{kind}Classification")(config)
    folder = save(model, tmp_path, 0)
    ids = rows(0, model.config.pad_token_id)
    with torch.no_grad():
        expected = [model(torch.tensor([row])).logits[0].numpy() for row in ids]
    with inferflow_core.load(folder, backend=backend) as ours:
        listed(ours.plan, model)
        assert off(ours.head("labels", ids), expected) <= TOLERANCE


def test_the_span_of_an_answer(tmp_path: Path, backend: str) -> None:
    model = transformers.DistilBertForQuestionAnswering(transformers.DistilBertConfig(**DISTIL))
    folder = save(model, tmp_path, 0)
    ids = rows(0, 1)
    with torch.no_grad():
        results = [model(torch.tensor([row])) for row in ids]
    expected = [torch.stack([out.start_logits, out.end_logits], -1)[0].numpy() for out in results]
    with inferflow_core.load(folder, backend=backend) as ours:
        listed(ours.plan, model)
        assert off(ours.head("span", ids), expected) <= TOLERANCE

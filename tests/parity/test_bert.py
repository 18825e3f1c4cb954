"""bert: the classes that save it with one head or another."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import TOLERANCE, VOCAB, each_size, listed, prompts, save, torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
)

import inferflow_core

SMALL: dict[str, Any] = {
    **{"vocab_size": VOCAB, "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4},
    **{"max_position_embeddings": 64, "layer_norm_eps": 0.02},
}
CLASSES: dict[str, tuple[type[Any], str]] = {
    "masked": (BertForMaskedLM, "mlm"),
    "next": (BertForNextSentencePrediction, "nsp"),
    "sequence": (BertForSequenceClassification, "labels"),
    "tokens": (BertForTokenClassification, "labels"),
    "question": (BertForQuestionAnswering, "span"),
    "plain": (BertModel, "pooled"),
}


@each_size
@pytest.mark.parametrize("name", CLASSES)
def test_bert_agrees(tmp_path: Path, name: str, seed: int, depth: int, backend: str) -> None:
    kind, head = CLASSES[name]
    labels = 5 if head == "labels" and not seed else 2
    model = kind(BertConfig(**SMALL, num_hidden_layers=depth, num_labels=labels))
    ids = prompts(seed=seed)
    types = [[int(at >= len(each) // 2) for at in range(len(each))] for each in ids]
    with inferflow_core.load(save(model, tmp_path, seed), backend=backend) as ours:
        listed(ours.plan, model)
        results = ours.head(head, ids, token_types=types)
    for each, kinds, result in zip(ids, types, results, strict=True):
        with torch.no_grad():
            out = model(torch.tensor([each]), token_type_ids=torch.tensor([kinds]))
        match head:
            case "pooled":
                expected = out.pooler_output[0]
            case "span":
                expected = torch.stack([out.start_logits[0], out.end_logits[0]], dim=-1)
            case _:
                expected = out.logits[0]
        assert result.shape == tuple(expected.shape)
        assert np.abs(result - expected.numpy()).max() <= TOLERANCE

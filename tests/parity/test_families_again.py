"""The checkpoints of ../shared/oracles/families again, with other numbers and one more layer: what
ours makes of them is not fitted to one file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from again import make
from checkpoints import LENGTHS, TOLERANCE, compare, prompts, torch
from oracles import ORACLES, Oracle

import inferflow_core
from inferflow_core.interfaces import Request

SEED = 7


def of(network: str) -> Any:
    """Every checkpoint of a kind of network."""
    those = [pytest.param(o, id=o.name) for o in ORACLES.values() if o.network == network]
    return pytest.mark.parametrize("oracle", those)


def vocab_of(model: Any) -> int:
    return model.config.vocab_size


@of("decoder_only")
def test_a_decoder_again(oracle: Oracle, shared: Path, tmp_path: Path, backend: str) -> None:
    source = shared / "oracles" / "families" / oracle.name / "model"
    model = make(oracle, source, tmp_path, SEED)
    ids = prompts(vocab_of(model), seed=SEED)
    project = model.model.decoder.project_out if oracle.family == "opt" else None
    matrix = None if project is None else project.weight.detach().numpy()
    compare(tmp_path, model, ids, backend=backend, greedy=12, project=matrix)


@of("encoder_only")
def test_an_encoder_again(oracle: Oracle, shared: Path, tmp_path: Path, backend: str) -> None:
    source = shared / "oracles" / "families" / oracle.name / "model"
    model = make(oracle, source, tmp_path, SEED)
    ids = prompts(vocab_of(model), seed=SEED)
    types = [[int(2 * i >= len(one)) for i in range(len(one))] for one in ids]
    with inferflow_core.load(tmp_path, backend=backend) as ours:
        states = ours.hidden(ids, token_types=types)
        heads = [ours.head(name, ids, token_types=types) for name in ("mlm", "pooled", "nsp")]
        for k, (one, kinds) in enumerate(zip(ids, types, strict=True)):
            given = {"input_ids": torch.tensor([one]), "token_type_ids": torch.tensor([kinds])}
            with torch.no_grad():
                out = model(**given, output_hidden_states=True)
                pooled = model.bert(**given).pooler_output
            expected = (out.prediction_logits, pooled, out.seq_relationship_logits)
            pairs = [(head[k], tensor[0]) for head, tensor in zip(heads, expected, strict=True)]
            pairs.append((states[k], out.hidden_states[-1][0]))
            for layer, tensor in enumerate(out.hidden_states):
                (found,) = ours.hidden([one], token_types=[kinds], layer=layer)
                pairs.append((found, tensor[0]))
            agree(pairs)


@of("encoder_decoder")
def test_an_encoder_decoder_again(
    oracle: Oracle, shared: Path, tmp_path: Path, backend: str
) -> None:
    source = shared / "oracles" / "families" / oracle.name / "model"
    model = make(oracle, source, tmp_path, SEED)
    sources = prompts(vocab_of(model), seed=SEED)
    targets = [[2, *one] for one in prompts(vocab_of(model), reversed(LENGTHS), seed=SEED + 1)]
    with inferflow_core.load(tmp_path, backend=backend) as ours:
        logits, states = ours.logits(targets, encoder=sources), ours.encode(sources)
        for k, (read, written) in enumerate(zip(sources, targets, strict=True)):
            out = answered(model, read, written)
            pairs = [(logits[k], out.logits[0]), (states[k], out.encoder_last_hidden_state[0])]
            for layer, tensor in enumerate(out.encoder_hidden_states[:-1]):
                pairs.append((ours.encode([read], layer=layer)[0], tensor[0]))
            for layer, tensor in enumerate(out.decoder_hidden_states[:-1]):
                (found,) = ours.hidden([written], encoder=[read], layer=layer)
                pairs.append((found, tensor[0]))
            agree(pairs)
        for read in sources:
            request = Request(
                ids=(2,),
                source=tuple(read),
                max_tokens=12,
                sampling={"temperature": 0.0},
                ignore_stop_ids=True,
            )
            tokens = [event.token for event in ours.engine.submit(request)]
            best = answered(model, read, [2, *tokens]).logits[0].numpy()[:-1]
            chosen = np.take_along_axis(best, np.array(tokens)[:, None], axis=-1)[:, 0]
            assert (chosen >= best.max(axis=-1) - 2 * TOLERANCE).all()


def answered(model: Any, read: list[int], written: list[int]) -> Any:
    given = {"input_ids": torch.tensor([read]), "decoder_input_ids": torch.tensor([written])}
    with torch.no_grad():
        return model(**given, output_hidden_states=True, use_cache=False)


def agree(pairs: list[tuple[Any, Any]]) -> None:
    """Ours and the class's."""
    for ours, other in pairs:
        assert ours.shape == tuple(other.shape)
        assert np.abs(ours - other.numpy()).max() <= TOLERANCE

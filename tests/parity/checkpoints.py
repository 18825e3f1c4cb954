"""Tiny checkpoints made by classes of `transformers`, and ours compared with the class.

`save` gives every tensor random numbers and writes the folder, `compare` opens it with our engine
and holds logits, hidden states and greedy tokens against the class in float32. A family's test
makes a config of small numbers that still exercises every fact: layer types for more than one
period, windows shorter than the prompts, fewer kv heads than heads, active rope scaling.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracles import ORACLES, TABLE

import inferflow_core

WHY = "compares with transformers: pip install 'inferflow-core[parity]'"
torch = pytest.importorskip("torch", reason=WHY)
transformers = pytest.importorskip("transformers", reason=WHY)
torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()

Array = np.ndarray[Any, np.dtype[Any]]

VOCAB = 97
LENGTHS = (1, 5, 34, 19)
GREEDY = 24
TOLERANCE: float = TABLE["parity"]["tolerance"]

SMALL: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 0.02,
}
"""Keys of most decoders. The eps is large: a wrong one would hide in the tolerance."""

each_size = pytest.mark.parametrize(("seed", "depth"), [(0, 2), (1, 3)])


def save(model: Any, folder: Path, seed: int) -> Path:
    """Randomises `model` in place and writes config.json and model.safetensors to `folder`.
    Returns the folder."""
    randomise(model, seed)
    model.save_pretrained(folder, safe_serialization=True)
    return folder


def randomise(model: Any, seed: int) -> None:
    """Makes every number of `model` another, buffers that are saved included.

    Norms and biases vary about their first values, matrices are about as large as trained ones:
    logits of a few units.
    """
    numbers = torch.Generator().manual_seed(seed)
    done: set[int] = set()
    model.float().eval().set_attn_implementation("eager")
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if not tensor.is_floating_point() or tensor.data_ptr() in done:
                continue
            done.add(tensor.data_ptr())
            noise = torch.randn(tensor.shape, generator=numbers)
            if tensor.ndim < 2:
                tensor.add_(0.3 * noise)
            else:
                spread = 0.4 if "embed" in name else 1.5 * tensor.shape[-1] ** -0.5
                tensor.copy_(spread * noise)


def prompts(vocab: int = VOCAB, lengths: Iterable[int] = LENGTHS, seed: int = 0) -> list[list[int]]:
    """Random ids, one list for each of the unequal lengths."""
    numbers = np.random.default_rng(seed)
    return [numbers.integers(0, vocab, length).tolist() for length in lengths]


def reference(model: Any, ids: Sequence[int]) -> tuple[Array, list[Array]]:
    """Logits [len, vocab] of the class and the states [len, hidden] before each layer and at the
    end, float32."""
    with torch.no_grad():
        out = model(torch.tensor([list(ids)]), output_hidden_states=True, use_cache=False)
    return out.logits[0].numpy(), [states[0].numpy() for states in out.hidden_states]


def listed(plan: Any, model: Any) -> None:
    """docs/models.md tells what is compared: it is made from tests/families.toml."""
    table = TABLE["parity"]
    # What computes another model by a class of transformers holds the class's.
    held = (each for each in (model, *vars(model).values()) if hasattr(each, "config_class"))
    name = type(next(held)).__name__
    classes = {one.reference for one in ORACLES.values() if one.family == plan.name}
    classes |= {*table["classes"].get(plan.name, ())}
    what = f"add {name} to {plan.name} in tests/families.toml, then `make docs`"
    assert name in classes, what
    assert plan.source != "gguf" or plan.name in table["gguf"], what


def compare(
    folder: Path,
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    backend: str = "numpy",
    set: Iterable[str] = (),
    tolerance: float = TOLERANCE,
    greedy: int = GREEDY,
    project: Array | None = None,
) -> float:
    """Ours (opened from `folder`, a path that `inferflow_core.load` takes) against `model`, a
    decoder of `transformers`: all prompts in one call, the last one before each layer too, then
    `greedy` tokens of each. `project` [width, hidden] is what the class does to its last states.

    Raises AssertionError where a logit or hidden state is off by more than `tolerance`, or where a
    greedy token is not the class's best of what stands before it, ties within the tolerance
    aside. Returns the largest difference.
    """
    expected = [reference(model, ids) for ids in prompts]
    assert max(logits.std() for logits, _ in expected) > 0.5, "too small to tell anything"
    worst = 0.0
    with inferflow_core.load(folder, backend=backend, set=set) as ours:
        if folder.suffix != ".toml":
            listed(ours.plan, model)
        last = ours.hidden(prompts)
        if project is not None:
            last = [states @ project.T for states in last]
        pairs = list(zip(ours.logits(prompts), [logits for logits, _ in expected], strict=True))
        pairs += zip(last, [states[-1] for _, states in expected], strict=True)
        for layer, states in enumerate(expected[-1][1][:-1]):
            pairs += zip(ours.hidden(prompts[-1:], layer=layer), [states], strict=True)
        for one, other in pairs:
            assert one.shape == other.shape
            worst = max(worst, float(np.abs(one - other).max()))
        assert worst <= tolerance, f"off by {worst:.2g}"
        asked = prompts if greedy else []
        runs = [
            ours.generate(ids=ids, max_tokens=greedy, temperature=0.0, ignore_stop_ids=True)
            for ids in asked
        ]
        for ids, run in zip(asked, runs, strict=True):
            tokens = [event.token for event in run]
            assert len(tokens) == greedy
            # One pass over the whole: a token is greedy if it is the best after those before it.
            logits = reference(model, [*ids, *tokens])[0][len(ids) - 1 : -1]
            chosen = np.take_along_axis(logits, np.array(tokens)[:, None], axis=-1)[:, 0]
            assert (chosen >= logits.max(axis=-1) - 2 * tolerance).all()
    return worst

"""Nothing of a checkpoint is silently ignored: each tensor neutralised and each config key changed
moves the output by about what sensitivity.json says of the reference, or is refused by name.

Its differences are the largest over inputs that it does not tell; ours over other inputs are within
a factor of 3 of them (measured: 0.4 to 2.5). A tensor that cannot matter (a bias of the keys where
nothing depends on positions) must not matter.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mutations import Copy, changed
from oracles import FIRST, ORACLES, Array, results

from inferflow_core.catalog import Catalog
from inferflow_core.errors import BindingError, SpecError
from inferflow_core.interfaces import LoadedModel

FACTOR = 3
NOISE = 1e-3
"""Of float32; the smallest difference that counts is 2e-4, of the eps of one checkpoint."""

UNREAD = {
    "slow_but_exact": "in transformers it also drops a bias where pretraining_tp > 1: a mistake",
}
REFUSED = {
    "tie_word_embeddings": "the file's own head would be ignored",
    "apply_residual_connection_post_layernorm": "no released model has it, and no spec says it",
}
"""Keys that the reference obeys, and ours refuses by name where they are set."""
ANOTHER = {("gemma_2b_it", "hidden_act"): "hidden_activation"}
"""Old files of the family say `gelu` in the one and mean what stands in the other."""


def outputs(model: LoadedModel, stored: dict[str, Array], network: str) -> list[Array]:
    """What the differences are of, for about 30 tokens."""
    if network == "encoder_decoder":
        return model.logits([stored["dec_ids_1"].tolist()], encoder=[stored["enc_ids_1"].tolist()])
    if network == "encoder_only":
        ids, types = [stored["ids_1"].tolist()], [stored["token_type_1"].tolist()]
        return [model.head(name, ids, token_types=types)[0] for name in ("mlm", "nsp")]
    return model.logits([stored["ids_2"].tolist()])


@pytest.fixture(
    params=[pytest.param(name, marks=[] if name in FIRST else pytest.mark.slow) for name in ORACLES]
)
def case(
    request: pytest.FixtureRequest, shared: Path, tmp_path: Path, installed: Catalog
) -> SimpleNamespace:
    """`copy` of a checkpoint, what is `told` of it, and `moved(change)`."""
    oracle = ORACLES[request.param]
    folder = shared / "oracles" / "families" / oracle.name
    stored = results(shared, oracle.name)
    copy = Copy(folder / "model", tmp_path, installed)

    def said(*change: Any, **config: Any) -> list[Array]:
        with copy.load(*change, **config) as model:
            return outputs(model, stored, oracle.network)

    base = said()

    def moved(*change: Any, **config: Any) -> float:
        found = zip(said(*change, **config), base, strict=True)
        return max(float(np.abs(one - other).max()) for one, other in found)

    told = json.loads((folder / "ref" / "sensitivity.json").read_text("utf-8"))
    return SimpleNamespace(oracle=oracle, copy=copy, moved=moved, **told)


@pytest.mark.slow
def test_every_tensor_matters_as_much_as_it_should(case: SimpleNamespace) -> None:
    copy: Copy = case.copy
    wrong: list[str] = []
    reached: set[str] = set()
    for name, told in case.params.items():
        names = copy.spelt(name, case.oracle.family)
        assert bool(names) == bool(told), f"{name}: zeros that only the reference has"
        if not names:
            continue
        mutated = copy.neutralised(names)
        reached |= mutated.keys()
        moved = case.moved(mutated)
        if not (moved <= NOISE if told <= NOISE else told / FACTOR <= moved <= told * FACTOR):
            wrong.append(f"{name}: {moved:.2g}, should be about {told:.2g}")
    assert not wrong
    assert {
        name for name in copy.tensors.keys() - reached if not name.endswith("inv_freq")
    } == set()


def test_every_config_key_is_read_or_refused(case: SimpleNamespace) -> None:
    for name, told in case.config_knobs.items():
        key = ANOTHER.get((case.oracle.name, name)) or name
        if told == 0.0 or key in UNREAD or "AttributeError" in str(told):
            continue
        change: dict[str, Any] = {key: changed(case.copy.config.get(key, False))}
        if isinstance(told, str) or key in REFUSED:
            refused(case.moved, change, case.copy)
            continue
        moved = case.moved(**change)
        assert told / FACTOR <= moved <= told * FACTOR, f"{key}: {moved:.2g}, not about {told:.2g}"


def refused(moved: Callable[..., float], change: dict[str, Any], copy: Copy) -> None:
    """The error names the key, or one that the spec read with it, or a tensor: one of the
    checkpoint, or one that it lacks."""
    with pytest.raises((BindingError, SpecError)) as caught:
        moved(**change)
    text = str(caught.value)
    named = any(name in text for name in (*change, *copy.tensors))
    assert named or re.search(r"\$\{config\.\w+\}|expected '", text), text

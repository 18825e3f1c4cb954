"""The plan: a spec whose every value is known, for one checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from inferflow_core.block import Model
from inferflow_core.spec.nodes import Section
from inferflow_core.spec.run import Run


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will run.

    `names` is the name of the name map for this source. `weights`, `tokenizer` and `generation`
    hold the keys that have a value; `generation["stop"]` is a tuple of ids. `config` is the
    checkpoint's, and for keys that it lacks the spec's `[config]`. `filled` has all tables with
    defaults filled in, each value with its origin (`show` prints it).
    """

    name: str
    model: Model
    names: str
    weights: Mapping[str, Any]
    tokenizer: Mapping[str, Any]
    generation: Mapping[str, Any]
    run: Run
    source: str
    config: Mapping[str, Any] = field(repr=False, compare=False)
    filled: Section = field(repr=False, compare=False)
    chain: tuple[str, ...] = ()

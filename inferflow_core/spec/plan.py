"""The plan: a spec whose every value is known, for one checkpoint."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from inferflow_core.block import Model
from inferflow_core.spec.nodes import Datum, Section
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

    def noting(self, keys: Iterable[str]) -> Self:
        """With the config keys that its name map reads in `filled`, so that what `show` prints
        says them too: a spec that is written out has lost what its `[config]` supplied."""
        known = {key: self.config[key] for key in keys if key in self.config}
        if not known:
            return self
        origin = f"for the name map {self.names}"
        items = {key: Datum(value, f"config.{key}", origin) for key, value in known.items()}
        tables = {"config": Section(items, "config", origin), **self.filled.items}
        return replace(self, filled=Section(tables, self.filled.at, self.filled.origin))

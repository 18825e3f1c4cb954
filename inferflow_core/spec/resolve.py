"""spec + checkpoint config + overrides -> Plan."""

from collections.abc import Mapping
from typing import Any, cast

from inferflow_core.catalog import Catalog
from inferflow_core.errors import nearest
from inferflow_core.spec.build import Builder, Built, Nothing
from inferflow_core.spec.check import check_tables
from inferflow_core.spec.config import FilledConfig
from inferflow_core.spec.merge import Spec
from inferflow_core.spec.nodes import Node, Section
from inferflow_core.spec.overrides import ORIGIN, Overrides, apply_overrides
from inferflow_core.spec.plan import Plan
from inferflow_core.spec.problems import Problems
from inferflow_core.spec.run import Run, with_default_samplers
from inferflow_core.spec.tables import TABLE_TYPES, Weights
from inferflow_core.spec.values import Values
from inferflow_core.table import Table


def resolve(
    spec: Spec,
    *,
    config: Mapping[str, Any],
    source: str,
    catalog: Catalog,
    overrides: Overrides = (),
) -> Plan:
    """The plan of a spec for one checkpoint.

    `config` is the checkpoint's, normalised; `source` is `hf`, `gguf` or `llama2c`; `overrides`
    are `key=value` texts or a mapping from dotted keys to values. Imports only the plugins that
    the spec names. Raises SpecError with every problem found.
    """
    problems = Problems()
    root = apply_overrides(spec.root, overrides, problems)
    tables: dict[str, Node] = {name: Section({}, name, "default") for name in TABLE_TYPES}
    tables |= root.items
    tables["run"] = with_default_samplers(tables["run"])
    for name in ("model", "weights"):
        if name not in root.items:
            del tables[name]
    root = Section(tables, "", root.origin)
    check_tables(root, catalog, problems)
    values = Values(root, config, source)
    builder = Builder(values, catalog, problems)
    built = {name: builder.build(kind, root.get(name)) for name, kind in TABLE_TYPES.items()}
    for name, one in built.items():
        if one is Nothing.ABSENT and name in tables:
            problems.add(name, "its value is absent here")
    done = {name: one for name, one in built.items() if isinstance(one, Built)}
    names = _names(done.get("weights"), source, problems)
    _unused_config(root, config, values, problems)
    problems.raise_if_any(spec.label)
    return Plan(
        name=spec.name,
        model=done["model"].value,
        names=names,
        weights=_present(done["weights"].value),
        tokenizer=_present(done["tokenizer"].value),
        generation=_present(done["generation"].value),
        run=cast("Run", done["run"].value),
        source=source,
        config=FilledConfig(config, values),
        filled=Section({name: one.filled for name, one in done.items()}, "", spec.label),
        chain=spec.chain,
    )


def _names(built: Built | None, source: str, problems: Problems) -> str:
    """The name map of this source."""
    if built is None:
        return ""
    names = cast("Weights", built.value).names
    if isinstance(names, str):
        return names
    if source not in names:
        message = f"no name map for source {source!r} (have: {', '.join(names)})"
        problems.add("weights.names", message)
    return names.get(source, "")


def _unused_config(
    root: Section, config: Mapping[str, Any], values: Values, problems: Problems
) -> None:
    """An override in `[config]` that cannot have an effect is a mistake."""
    written = root.get("config")
    for key, node in written.items.items() if isinstance(written, Section) else ():
        if node.origin != ORIGIN:
            continue
        if config.get(key) is not None:
            message = f"the checkpoint says {config[key]!r}; [config] adds, it never overrides"
            problems.add(node.at, message)
        elif key not in values.asked:
            problems.add(node.at, f"nothing asks for it.{nearest(key, values.asked)}")


def _present(record: Any) -> Table:
    values = cast("dict[str, Any]", vars(record))
    return Table({key: value for key, value in values.items() if value not in (None, ())})

"""Whether a checkpoint has its place in a family, and what has none."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferflow_core.catalog import Catalog
from inferflow_core.errors import BindingError, InferflowError, UnknownEntry
from inferflow_core.spec import Plan
from inferflow_core.spec.binding_report import section
from inferflow_server.cli.nearest_families import Near, nearest_families
from inferflow_server.cli.output import printable

TRIED, NAMED = 24, 3
"""How many of the families that are equally near are tried, and how many are named."""

NEXT = (
    "what differs goes into a spec of your own, and names of tensors into a name map beside it: "
    "the page A new model in a TOML file. `inferflow plugins list` has the blocks that there are"
)

WORST = 1_000_000
"""The misfits of a spec that cannot even be built: it says less than tensors that do not fit."""

BOOKKEEPING = frozenset(
    {
        *("_name_or_path", "architectures", "attn_implementation", "auto_map", "dtype"),
        *("attention_dropout", "attn_pdrop", "embd_pdrop", "hidden_dropout", "resid_pdrop"),
        *("attention_probs_dropout_prob", "hidden_dropout_prob", "embedding_dropout", "dropout"),
        *("activation_dropout", "classifier_dropout", "layerdrop", "gradient_checkpointing"),
        *("initializer_range", "init_std", "output_attentions", "output_hidden_states"),
        *("pretraining_tp", "torch_dtype", "transformers_version", "use_cache", "use_return_dict"),
        *("is_decoder", "is_encoder_decoder", "pad_token_id", "bos_token_id"),
    }
)
"""Keys of a config.json that say how it was made or trained, not what it computes."""


@dataclass(frozen=True)
class Fitted:
    """A checkpoint in its family. `unread`: keys of the config that nobody asked for."""

    family: str
    plan: Plan
    unread: Mapping[str, Any]
    no_tokenizer: str | None


class Misfit(InferflowError):
    """A family that does not fit, with what has no place in it."""

    def __init__(self, message: str, hint: str | None, exit_code: int, misfits: int) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code
        self.misfits = misfits


def fitted(path: Path, family: str | None, catalog: Catalog) -> Fitted:
    """Raises UnknownEntry where no family is given and none matches, else Misfit."""
    engine = catalog.get("engine", "continuous")
    options = {} if family is None else {"set": [f"weights.path={json.dumps(str(path))}"]}
    found = engine.describe(family or str(path), catalog=catalog, **options)
    if found.unknown:
        raise found.trouble
    report = found.report
    unread = {key: report["config"].get(key) for key in report["unread_config"] if _matters(key)}
    if found.trouble is not None:
        raise _misfit(found.trouble, report["chain"][0], unread, path, catalog)
    plan = engine.inspect(family or str(path), catalog=catalog, **options).plan
    trouble = report["tokenizer_problem"]
    return Fitted(plan.chain[0], plan, unread, trouble and " ".join(trouble.split()))


def nearest_that_fits(path: Path, unknown: UnknownEntry, catalog: Catalog) -> Fitted:
    """Of the nearest families the first in which all has its place. Raises Misfit with what has
    none in the one where least is left over."""
    families = nearest_families(path, catalog)
    equal = [each for each in families if each.nearness == families[0].nearness]
    misfits: list[tuple[str, Misfit]] = []
    for near in equal[:TRIED]:
        try:
            return fitted(path, near.family, catalog)
        except Misfit as misfit:
            misfits.append((near.family, misfit))
    if not misfits:
        raise unknown
    family, misfit = min(misfits, key=lambda each: each[1].misfits)
    message = [
        f"{unknown.message} The nearest is {family!r}, where not all has a place:",
        misfit.message,
        f"  {_others(families[:NAMED])}",
    ]
    raise Misfit("\n".join(message), NEXT, unknown.exit_code, misfit.misfits)


def _misfit(
    trouble: InferflowError, family: str, unread: Mapping[str, Any], path: Path, catalog: Catalog
) -> Misfit:
    lines = [trouble.message]
    misfits = trouble.misfits if isinstance(trouble, BindingError) else WORST
    if misfits == WORST:
        near = next((n for n in nearest_families(path, catalog) if n.family == family), None)
        strays = [] if near is None else near.strays
        title = f"tensors that the name map of {family!r} has no entry for"
        lines += section(title, strays, _nothing)
    lines += [f"  config keys that {family!r} does not read:"] if unread else []
    lines += [f"    {line}" for line in key_lines(unread)]
    return Misfit("\n".join(lines), trouble.hint or NEXT, trouble.exit_code, misfits)


def _others(families: Sequence[Near]) -> str:
    if families[0].known:
        known = (f"{each.family} {each.known} of {each.tensors}" for each in families)
        return f"families by the tensors whose names they know: {', '.join(known)}"
    names = ", ".join(each.family for each in families)
    return f"no family knows any of these names; most alike are those of {names}"


def _matters(key: str) -> bool:
    """Whether a key that nobody reads may change what is computed."""
    return key not in BOOKKEEPING and not key.startswith(("general.", "tokenizer."))


def _nothing(_: str) -> str:
    return ""


def key_lines(keys: Mapping[str, Any]) -> Iterator[str]:
    """`key = value`, values that are long cut."""
    for key, value in keys.items():
        text = printable(json.dumps(value, ensure_ascii=False, default=str))
        yield f"{printable(key)} = {text if len(text) <= 60 else text[:57] + '…'}"

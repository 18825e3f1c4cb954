"""What did not fit when a checkpoint was bound to a model, written for a person."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from inferflow_core.errors import BindingError
from inferflow_core.interfaces import TensorInfo
from inferflow_core.spec.names import NameMap
from inferflow_core.spec.problems import one_line
from inferflow_core.spec.references import look_up

Shape = tuple[int, ...]

SHOWN = 12
"""Lines of each sort; the counts tell of the rest. What differs only in a number is one line."""


@dataclass
class Report:
    ignored: list[str] = field(default_factory=list[str])
    strays: dict[str, tuple[str, int | None] | None] = field(
        default_factory=dict[str, "tuple[str, int | None] | None"]
    )
    """Tensors without a place: None (no rule), or the path they lead to and, where it is of a
    layer too many, the number of layers."""
    wrong: dict[str, str] = field(default_factory=dict[str, str])
    """Tensors whose shape does not fit, and how."""
    incomplete: dict[str, str] = field(default_factory=dict[str, str])
    unbound: list[str] = field(default_factory=list[str])
    touched: set[str] = field(default_factory=set[str])
    """Paths that some tensor leads to, whether it fits or not."""

    def check(
        self,
        where: str,
        names: NameMap,
        shapes: Mapping[str, Shape],
        tensors: Mapping[str, TensorInfo],
        config: Mapping[str, Any],
    ) -> None:
        """Raises BindingError if anything was reported."""
        if not (self.strays or self.wrong or self.incomplete or self.unbound):
            return
        bad = len(self.strays) + len(self.wrong)
        message = [
            f"{where} does not fit the model by name map {names.name!r}: "
            f"{len(self.strays)} of {len(tensors)} tensors lead to no param, "
            f"{len(self.unbound)} of {len(shapes)} params have no tensor, "
            f"{len(self.wrong) + len(self.incomplete)} do not fit "
            f"({len(tensors) - bad - len(self.ignored)} bound, {len(self.ignored)} ignored)"
        ]
        title, stray = "tensors that lead to no param", self._stray(names, shapes)
        message += section(title, self.strays, stray, alike=_without_numbers_and_end)
        message += section("params without a tensor", self.unbound, self._unbound(names, shapes))
        message += section("of the wrong shape", self.wrong, self.wrong.__getitem__)
        message += section("incomplete", self.incomplete, self.incomplete.__getitem__)
        misfits = bad + len(self.unbound) + len(self.incomplete)
        raise BindingError("\n".join(message), hint=_quantized(config), misfits=misfits)

    def _stray(self, names: NameMap, shapes: Mapping[str, Shape]) -> Callable[[str], str]:
        keys = [rule.key.text for rule in names.rules]

        def describe(tensor: str) -> str:
            place = self.strays[tensor]
            if place is None:
                return f"no entry of the map is for it{_nearest(_generic(names, tensor), keys)}"
            path, depth = place
            if depth is not None:
                return f"leads to {path}, but the model has {depth} layers there, 0..{depth - 1}"
            return f"leads to {path}, which the model does not have{_nearest(path, shapes)}"

        return describe

    def _unbound(self, names: NameMap, shapes: Mapping[str, Shape]) -> Callable[[str], str]:
        def describe(path: str) -> str:
            expected = names.tensors_for(path)
            if not expected:
                return f"{written(shapes[path])} no entry of the map leads to it"
            wanted = " or ".join(map(repr, expected[:3]))
            return f"{written(shapes[path])} expected {wanted}{_nearest(expected[0], self.strays)}"

        return describe


def _quantized(config: Mapping[str, Any]) -> str | None:
    """What to do where a checkpoint says that its numbers are packed in a way of their own."""
    method = look_up(config, "quantization_config.quant_method")
    if not isinstance(method, str):
        return None
    return (
        f"Its config says that the weights are quantized by {one_line(method, 40)!r}; tensors "
        "packed like that are not read. Take the model in bf16 or another plain type."
    )


def written(shape: Shape) -> str:
    return f"[{', '.join(map(str, shape))}]"


def section(
    title: str,
    items: Mapping[str, object] | Sequence[str],
    describe: Callable[[str], str],
    *,
    alike: Callable[[str], str] | None = None,
) -> list[str]:
    """A title and a line for each item. Of those that are alike (default: but for numbers) the
    first stands for all."""
    if not items:
        return []
    groups: dict[str, list[str]] = {}
    for item in items:
        groups.setdefault((alike or _without_numbers)(item), []).append(item)
    shown = list(groups.values())[:SHOWN]
    width = max(len(_printable(first)) for first, *_ in shown)
    lines = [f"  {title}:"]
    for first, *others in shown:
        more = f" (and {len(others)} like it)" if others else ""
        lines.append(f"    {_printable(first):<{width}}  {describe(first)}{more}".rstrip())
    rest = len(items) - sum(map(len, shown))
    return lines + ([f"    … and {rest} more"] if rest else [])


def _without_numbers(name: str) -> str:
    return ".".join("{i}" if part.isdecimal() else part for part in name.split("."))


def _without_numbers_and_end(name: str) -> str:
    """A weight and its bias are alike."""
    generic = _without_numbers(name)
    stem, _, end = generic.rpartition(".")
    return f"{stem}.{{p}}" if end in ("weight", "bias") else generic


def _printable(name: str) -> str:
    """A name from a file, which may hold anything, for a terminal."""
    return name if name.isprintable() and len(name) <= 160 else ascii(name[:160])


def _nearest(name: str, others: Iterable[str]) -> str:
    close = get_close_matches(name, list(others)[:2000], n=1, cutoff=0.7)
    return f"; nearest: {close[0]}" if close else ""


def _generic(names: NameMap, tensor: str) -> str:
    """A tensor's name in the form of a map's keys."""
    return _without_numbers_and_end(names.spellings(tensor)[-1])

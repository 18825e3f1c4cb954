"""Name maps: from the names of a checkpoint's tensors to the paths of params.

`names_reader.py` reads them from TOML; a `NameMap` answers which rule a tensor falls under;
`binding.py` applies the rules to a whole checkpoint.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from inferflow_core.errors import BindingError

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
NUMBERS = frozenset({"i", "j"})
OLD_SPELLINGS = {"gamma": "weight", "beta": "bias"}


@dataclass(frozen=True)
class Template:
    """A dotted name with placeholders, such as `layers.{i}.mixer.q.{p}`."""

    text: str

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset(PLACEHOLDER.findall(self.text))

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        seen: set[str] = set()
        parts: list[str] = []
        for k, part in enumerate(PLACEHOLDER.split(self.text)):
            if k % 2 == 0:
                parts.append(re.escape(part))
            elif part in seen:
                parts.append(f"(?P={part})")
            else:
                seen.add(part)
                parts.append(f"(?P<{part}>{_accepts(part)})")
        return re.compile("".join(parts))

    def read(self, name: str) -> dict[str, str] | None:
        """The placeholders' values if `name` has this form; `gamma` is read as `weight`."""
        match = self.pattern.fullmatch(name)
        if match is None:
            return None
        values = match.groupdict()
        if "p" in values:
            values["p"] = OLD_SPELLINGS.get(values["p"], values["p"])
        return values

    def fill(self, values: Mapping[str, str]) -> str:
        """The name with the given values; placeholders without one stay as they are."""
        return PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), self.text)


def _accepts(word: str) -> str:
    if word in NUMBERS:
        return "0|[1-9][0-9]{0,8}"
    if word == "p":
        return "weight|bias|gamma|beta"
    return "[^.0-9][^.]*"


@dataclass(frozen=True)
class Rule:
    """An entry of `[map]`: tensors named like `key` become the params in `targets`.

    The operations happen in the order of the fields; more than one target means `split`.
    """

    key: Template
    targets: tuple[Template, ...]
    squeeze: bool = False
    transpose: bool = False
    axis: int = 0
    groups: int | str = 1
    """A number, or a reference `${config.x}` to one."""
    add: float = 0.0
    unit_rows: bool = False
    stack: str | None = None


@dataclass(frozen=True)
class NameMap:
    """A name map, read and merged with its parents."""

    name: str
    rules: tuple[Rule, ...]
    strip: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    ignore_extra_layers: bool = False

    @cached_property
    def _rules_by_length(self) -> dict[int, list[Rule]]:
        """By the number of dots, which placeholders cannot change."""
        index: dict[int, list[Rule]] = {}
        for rule in self.rules:
            index.setdefault(rule.key.text.count("."), []).append(rule)
        return index

    @cached_property
    def _ignored(self) -> re.Pattern[str]:
        stars = (".*".join(map(re.escape, pattern.split("*"))) for pattern in self.ignore)
        return re.compile("|".join(stars), re.DOTALL)

    def spellings(self, tensor: str) -> list[str]:
        """The name as it is, then without each prefix of `strip` that it has."""
        return [tensor, *(tensor.removeprefix(s) for s in self.strip if tensor.startswith(s))]

    def ignores(self, tensor: str) -> bool:
        return bool(self.ignore) and any(map(self._ignored.fullmatch, self.spellings(tensor)))

    def match(self, tensor: str) -> tuple[Rule, dict[str, str]] | None:
        """The rule for a tensor and its placeholders' values.

        The rule with the fewest placeholders counts; a tie is a BindingError.
        """
        for name in self.spellings(tensor):
            found = [
                (len(rule.key.words), rule, values)
                for rule in self._rules_by_length.get(name.count("."), ())
                if (values := rule.key.read(name)) is not None
            ]
            if not found:
                continue
            fewest = min(count for count, _, _ in found)
            best = [(rule, values) for count, rule, values in found if count == fewest]
            if len(best) > 1:
                rivals = " and ".join(repr(rule.key.text) for rule, _ in best)
                raise BindingError(
                    f"name map {self.name!r}: {tensor!r} matches {rivals}, which have as many "
                    "placeholders; write one with fewer"
                )
            return best[0]
        return None

    def tensors_for(self, param: str) -> list[str]:
        """The tensor names (without `strip`) that this map would read a param from."""
        return [
            rule.key.fill(values)
            for rule in self.rules
            for target in rule.targets
            if (values := target.read(param)) is not None
        ]


class OwnNames(NameMap):
    """Of a file whose tensors are called as the params are."""

    def match(self, tensor: str) -> tuple[Rule, dict[str, str]] | None:
        name = Template(tensor)
        return Rule(name, (name,)), {}

    def tensors_for(self, param: str) -> list[str]:
        return [param]

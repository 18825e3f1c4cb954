"""`${…}`: what may be referred to, and where a config key is looked up."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from inferflow_core.errors import nearest
from inferflow_core.spec.nodes import Leaf, Node, Section
from inferflow_core.spec.problems import Wrong

REFERENCE = re.compile(r"\$\{([^{}]*)\}")
PASTED = re.compile(r"\$\{(config|model|weights|none)\b")


@dataclass(frozen=True)
class Reference:
    """`${root.rest}`; `optional` with a question mark."""

    path: str
    optional: bool

    @property
    def parts(self) -> list[str]:
        return self.path.split(".")


def reference_in(leaf: Leaf) -> Reference | None:
    """The reference that a leaf is, if it is one. Raises Wrong for one inside of other text."""
    if not isinstance(leaf.value, str):
        return None
    found = REFERENCE.fullmatch(leaf.value)
    if found is None:
        if PASTED.search(leaf.value):
            raise Wrong(leaf.at, f"a reference must be the whole value, found {leaf.value!r}")
        return None
    path, optional = found[1].removesuffix("?"), found[1].endswith("?")
    root, _, rest = path.partition(".")
    if path == "none" or path == "weights.source" or (root in ("config", "model") and rest):
        return Reference(path, optional)
    known = ("config", "model", "weights.source", "none")
    allowed = "${config.…}, ${model.…}, ${weights.source} and ${none}"
    raise Wrong(leaf.at, f"no reference ${{{path}}}.{nearest(root, known)} (there are {allowed})")


def look_up(config: Mapping[str, Any], key: str) -> Any:
    """A config value by its whole name (GGUF names have dots), else from nested tables."""
    if (value := config.get(key)) is not None:
        return value
    place: Any = config
    for part in key.split("."):
        if not isinstance(place, Mapping):
            return None
        place = cast("Mapping[str, Any]", place).get(part)
    return place


def written(defaults: Node | None, key: str) -> Node | None:
    if isinstance(defaults, Section) and (whole := defaults.get(key)) is not None:
        return whole
    place = defaults
    for part in key.split("."):
        if not isinstance(place, Section):
            return None
        place = place.get(part)
    return place

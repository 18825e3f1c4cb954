"""What a spec says where there is no checkpoint: its blocks, and the config keys that it reads."""

from collections.abc import Iterator
from typing import Any

from inferflow_core.spec import Spec
from inferflow_core.spec.nodes import Array, Leaf, Node, Patched, Section, join
from inferflow_core.spec.references import reference_in


def outline(spec: Spec) -> dict[str, Any]:
    """`blocks` (path -> entry, in order; every branch of a case), `config_keys` (sorted; True for
    those that the checkpoint must have, `[config]` aside), `weights` (its plain texts)."""
    blocks: dict[str, str] = {}
    keys: dict[str, bool] = {}
    defaults = spec.root.get("config")
    supplied = set(defaults.items) if isinstance(defaults, Section) else set[str]()
    for path, node in _walk(spec.root, ""):
        if isinstance(node, Section) and isinstance(use := node.get("use"), Leaf):
            blocks[path] = str(use.value)
        reference = reference_in(node) if isinstance(node, Leaf) else None
        root, _, key = (reference.path if reference else "").partition(".")
        if reference is not None and root == "config":
            needed = not reference.optional and key not in supplied
            keys[key] = keys.get(key, False) or needed
    weights = spec.root.get("weights")
    texts = weights.items.items() if isinstance(weights, Section) else ()
    return {
        "spec": spec.name,
        "chain": list(spec.chain),
        "weights": {key: node.value for key, node in texts if isinstance(node, Leaf)},
        "blocks": blocks,
        "config_keys": dict(sorted(keys.items())),
    }


def _walk(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    yield path, node
    match node:
        case Section():
            for key, item in node.items.items():
                yield from _walk(item, join(path, key))
        case Array():
            for index, item in enumerate(node.items):
                yield from _walk(item, join(path, str(index)))
        case Patched():
            yield from _walk(node.base, path)
        case _:
            pass

"""What the files of a model say about its tokenizer beside the vocabulary."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import AddedToken


@dataclass(frozen=True)
class Facts:
    """`path` is the file that errors name. Token names are texts of the vocabulary."""

    path: Path
    named: Mapping[str, str] = field(default_factory=dict[str, str])
    """`bos_token`, `eos_token`, `pad_token` … -> text, as chat templates want them."""
    ids: Mapping[str, int] = field(default_factory=dict[str, int])
    """`bos_token`, `eos_token` -> id, where a file gives an id and no text."""
    added: Mapping[int, AddedToken] = field(default_factory=dict[int, AddedToken])
    """Tokens that stand outside of the definition and belong to it, by id, lowest first."""
    special: frozenset[str] = frozenset()
    """Tokens that are special even where the definition does not say so."""
    stop_ids: frozenset[int] = frozenset()
    add_bos: bool | None = None
    """Absent: as the definition's own post-processor does."""
    add_eos: bool | None = None
    templates: Mapping[str, str] = field(default_factory=dict[str, str])
    """Chat templates by name; the usual one is `default`."""
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """tokenizer_config.json, for what only one kind of vocabulary asks."""

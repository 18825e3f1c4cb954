"""Context: what a block may know of the step it runs in, as handles of the `ops` it runs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferflow_core.axes import Dims
    from inferflow_core.block import Position, Scope
    from inferflow_core.ops import Tensor


@dataclass(frozen=True)
class Context:
    """The step's int32 columns (see `interfaces.Step`), and what a stack shares with its layers.

    Fields may be added, never removed.
    """

    dims: Dims
    ids: Tensor
    """[T]"""
    positions: Tensor
    """[T], from 0 in each sequence."""
    seq_of: Tensor
    """[T], the sequence (0..S-1) of each token."""
    offsets: Tensor
    """[S+1], where each sequence's tokens begin."""
    lengths: Tensor
    """[S], each sequence's length after this step."""
    block_tables: Tensor
    """[S, pages]"""
    out_rows: Tensor
    """[R], the rows whose outputs are wanted."""
    token_types: Tensor
    """[T], zeros where the request gave none."""
    source_lengths: Tensor
    """[S], how many tokens of the encoder each sequence has."""
    source_tables: Tensor
    """[S, pages], the pages of these."""
    token_table: Any = None
    """The token embedding's weight, for tied heads."""
    position: tuple[Position, Scope] | None = None
    """A position shared by all mixers of a stack, with its weights."""

"""What the heads of an encoder say of a text, for people."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fill:
    """A token that may stand where a mask does."""

    token: int
    text: str
    probability: float


@dataclass(frozen=True)
class TokenLabel:
    """The likeliest label of one token of a text."""

    token: int
    text: str
    label: str
    probability: float

"""Collects what is wrong with a spec, so that all of it is said at once."""

from collections.abc import Iterable

from inferflow_core.errors import Problem, SpecError

MOST_SHOWN = 40


class Wrong(Exception):
    """One problem on its way to the collector of the slot that it spoils. Never leaves `spec`."""

    def __init__(self, at: str, message: str) -> None:
        super().__init__(f"{at}: {message}")
        self.at = at
        self.message = message


class Problems:
    """Problems, each once."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}

    def add(self, at: str, message: str) -> None:
        self._found[_problem(at, message)] = None

    def has(self, at: str, message: str) -> bool:
        return _problem(at, message) in self._found

    def __bool__(self) -> bool:
        return bool(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def raise_if_any(self, label: str) -> None:
        """Raises SpecError with every problem in the order of their paths, if there is one."""
        if self._found:
            found = sorted(self._found, key=lambda problem: problem.path)
            hint = None
            if len(found) > MOST_SHOWN:
                hint = f"… and {len(found) - MOST_SHOWN} more"
            raise SpecError(label, found[:MOST_SHOWN], hint=hint)


def _problem(at: str, message: str) -> Problem:
    return Problem(one_line(at, 120), one_line(message))


def one_line(text: str, limit: int = 500) -> str:
    """Text without line breaks or control characters, cut at `limit`."""
    clean = "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def keys_of(names: Iterable[str]) -> str:
    """A list of allowed keys for a message."""
    listed = list(names)
    if not listed:
        return "none"
    return ", ".join(listed[:24]) + (", …" if len(listed) > 24 else "")

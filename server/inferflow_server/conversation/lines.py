"""From the lines that are typed to messages: blocks in triple quotes, lines that go on."""

from collections.abc import Callable
from dataclasses import dataclass

PROMPT = ">>> "
MORE = "... "
QUOTES = '"""'


@dataclass(frozen=True)
class Entry:
    text: str
    is_command: bool = False


class Entries:
    """`read_line` gets a prompt; it raises EOFError where the input ends."""

    def __init__(self, read_line: Callable[[str], str]) -> None:
        self._read_line = read_line

    def read(self) -> Entry | None:
        """The next message or command; None at the end of the input.

        A line that begins with triple quotes begins a block, which ends with a line that ends with
        them; a line that ends with a backslash goes on. A line that begins with a slash is a
        command, unless it is part of a longer message.
        """
        try:
            line = self._read_line(PROMPT)
        except EOFError:
            return None
        if line.lstrip().startswith(QUOTES):
            return Entry(self._block(line.lstrip().removeprefix(QUOTES)))
        lines = [line]
        while lines[-1].endswith("\\"):
            lines[-1] = lines[-1][:-1]
            try:
                lines.append(self._read_line(MORE))
            except EOFError:
                break
        text = "\n".join(lines).strip()
        return Entry(text, len(lines) == 1 and line.startswith("/") and "\n" not in text)

    def _block(self, line: str) -> str:
        lines: list[str] = []
        while not line.rstrip().endswith(QUOTES):
            lines.append(line)
            try:
                line = self._read_line(MORE)
            except EOFError:
                line = QUOTES
        return "\n".join([*lines, line.rstrip().removesuffix(QUOTES)]).strip("\n")

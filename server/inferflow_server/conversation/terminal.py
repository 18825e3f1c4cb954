"""The person's side of a conversation: lines with editing and recall, where readline exists."""

import sys
from typing import Any

from inferflow_server.conversation.input_history import InputHistory


class Terminal:
    """Reads a line at a time. `history` None: nothing is remembered beyond this conversation."""

    def __init__(self, history: InputHistory | None) -> None:
        self._history = history
        if hasattr(sys.stdin, "reconfigure"):
            # Bytes that are no text must not end the conversation.
            sys.stdin.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue]
        # readline prints the prompt on stdout, so it serves only where that is the terminal too.
        self._edits = sys.stdout.isatty()
        readline = _readline() if self._edits else None
        if readline is not None and history is not None:
            for line in history.lines():
                readline.add_history(line)

    def __call__(self, prompt: str) -> str:
        """A line without its end. Raises EOFError, KeyboardInterrupt."""
        if self._edits:
            line = input(prompt)
        else:
            sys.stderr.write(prompt)
            sys.stderr.flush()
            line = sys.stdin.readline()
            if not line:
                raise EOFError
            line = line.removesuffix("\n")
        if self._history is not None:
            self._history.add(line)
        return line


def _readline() -> Any:
    """Importing it gives `input` its editing; None on systems without it."""
    try:
        import readline
    except ImportError:
        return None
    return readline

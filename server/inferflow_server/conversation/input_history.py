"""The lines that were typed before, kept in the user's state folder."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from inferflow_core.errors import UsageError
from inferflow_server.atomic import replacing

MAX_LINES = 1000


def history_path() -> Path:
    """`history` in the platform's folder for what programs remember."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "inferflow" / "history"


class InputHistory:
    """A file of lines, oldest first, that only its owner reads. It is a convenience: where it
    cannot be read or written, it is empty or stays as it was."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def lines(self) -> list[str]:
        """The last MAX_LINES; a file that has grown to twice as many is cut."""
        try:
            lines = self._path.read_text("utf-8", errors="replace").splitlines()
        except OSError:
            return []
        if len(lines) > 2 * MAX_LINES:
            with suppress(OSError, UsageError):
                with replacing(self._path) as file:
                    file.write("".join(f"{line}\n" for line in lines[-MAX_LINES:]).encode())
                self._path.chmod(0o600)
        return lines[-MAX_LINES:]

    def add(self, text: str) -> None:
        """Appends at once, in one write: two conversations do not cut each other's lines."""
        data = "".join(f"{line}\n" for line in text.splitlines() if line.strip())
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            number = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(number, "wb") as file:
                file.write(data.encode("utf-8", "replace"))

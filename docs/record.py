"""Records the first five minutes as a picture of a terminal: `python docs/record.py OUT.svg`.

Runs COMMANDS one after another in a pseudo-terminal, with an empty home, and draws what they print.
Ends with an error if one of them fails.
"""

import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

MODEL = "smollm2-135m-instruct"
COMMANDS = (
    f'inferflow run {MODEL} "What is the capital of France?" --temperature 0',
    f'inferflow run {MODEL} "Name three colours." --temperature 0 --stats',
    f"inferflow check {MODEL}",
)
SERVE = f"inferflow serve {MODEL}"
ASK = (
    "curl -s URL/v1/completions -H 'Content-Type: application/json'"
    f' -d \'{{"model": "{MODEL}", "prompt": "The sea is", "max_tokens": 12, "temperature": 0}}\''
)
"""What is typed in a second terminal while SERVE runs; URL is what it prints."""

KEPT = ("PIP_", "INFERFLOW_SERVE_")
"""Variables of this process that the commands see: where pip finds packages, a free port."""

COLUMNS = 110
LIMIT_S = 300


def main() -> None:
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    with tempfile.TemporaryDirectory() as home:
        for command in COMMANDS:
            done = Terminal(command, home)
            seconds = done.finish()
            show(console, command, done.printed, f"{seconds:.1f} s")
        server = Terminal(SERVE, home)
        try:
            server.read(until=rb"\ncurl .*\n")
            show(console, SERVE, server.printed, "it goes on; in a second terminal:")
            found = re.search(rb"curl (http://[^/]*)", server.printed)
            assert found, server.printed
            asked = Terminal(ASK.replace("URL", found[1].decode()), home)
            seconds = asked.finish()
            show(console, asked.command, asked.printed, f"{seconds:.1f} s")
        finally:
            os.kill(server.process, signal.SIGTERM)
        server.finish()
    picture = console.export_svg(title="The first five minutes with Inferflow")
    # The reader's own fonts will do: a picture fetches nothing.
    Path(sys.argv[1]).write_text(re.sub(r"(?s)\s*@font-face \{.*?\}", "", picture), "utf-8")


class Terminal:
    """A command in a pseudo-terminal, and all that it has printed."""

    def __init__(self, command: str, home: str) -> None:
        self.command, self.printed, self.began = command, b"", time.monotonic()
        self.process, self._file = pty.fork()
        if self.process == 0:
            programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
            kept = {key: os.environ[key] for key in os.environ if key.startswith(KEPT)}
            env = {"PATH": programs, "HOME": home, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
            os.execvpe("bash", ["bash", "-c", command], kept | env)
        size = struct.pack("4H", 40, COLUMNS, 0, 0)
        fcntl.ioctl(self._file, termios.TIOCSWINSZ, size)

    def read(self, until: bytes | None = None) -> None:
        """Reads on, until the pattern comes or the command ends."""
        while until is None or not re.search(until, self.printed):
            left = self.began + LIMIT_S - time.monotonic()
            if left < 0 or not select.select([self._file], [], [], left)[0]:
                os.kill(self.process, signal.SIGKILL)
                raise SystemExit(f"{self.command}: not done within {LIMIT_S} s")
            try:
                part = os.read(self._file, 65536)
            except OSError:  # how Linux says that the other end is closed
                part = b""
            if not part:
                return
            self.printed += part

    def finish(self) -> float:
        """Reads all; the seconds that the command took. SystemExit if it fails."""
        self.read()
        _, status = os.waitpid(self.process, 0)
        if code := os.waitstatus_to_exitcode(status):
            raise SystemExit(f"{self.command}: exit code {code}\n{self.printed.decode()}")
        return time.monotonic() - self.began


def settled(printed: bytes) -> str:
    """What is left on the screen: lines that a bar has drawn over and taken back are gone.

    Colours stay; of other codes, those that rich's bars use are obeyed.
    """
    lines = [""]
    row = 0
    text = printed.decode("utf-8", errors="replace").replace("\r\n", "\n")
    for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\n)", text):
        if part == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif part.endswith("A") and part.startswith("\x1b["):
            row = max(0, row - int(part[2:-1] or 1))
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part.startswith("\x1b[") and not part.endswith("m"):
            continue
        elif "\r" in part:
            lines[row] = part.rpartition("\r")[2]
        else:
            lines[row] += part
    return "\n".join(lines).rstrip("\n")


def show(console: Console, command: str, printed: bytes, note: str) -> None:
    console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
    console.print(Text.from_ansi(settled(printed)))
    console.print(Text(note, "dim"), justify="right")
    console.print()


if __name__ == "__main__":
    main()

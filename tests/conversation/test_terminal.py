"""The real command at a pseudo-terminal, on a real small model; what a terminal must not get."""

import json
import os
import select
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from inferflow_server.answer_text import visible
from inferflow_server.conversation.input_history import MAX_LINES, InputHistory

CALL = "from inferflow_server.cli import main; main()"


def test_control_characters_are_shown_not_sent() -> None:
    assert visible("a\tb\nc\x1b[31mé😀\r\x07\x9b\x7f\x00") == "a\tb\nc␛[31mé😀␍␇\\x9b␡␀"


def test_input_history_is_private_bounded_and_survives_bad_files(tmp_path: Path) -> None:
    history = InputHistory(tmp_path / "new" / "history")
    assert history.lines() == []
    history.add("one\n\ntwo")
    InputHistory(tmp_path / "new" / "history").add("three")
    assert history.lines() == ["one", "two", "three"]
    file = tmp_path / "new" / "history"
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_bytes(b"\xff\n" + b"".join(b"%d\n" % i for i in range(2 * MAX_LINES)))
    assert history.lines()[-1] == f"{2 * MAX_LINES - 1}"
    assert len(file.read_text().splitlines()) == MAX_LINES
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    InputHistory(tmp_path).add("a folder cannot be written")


class Terminal:
    """A command at a terminal of its own."""

    def __init__(self, *arguments: str, state: Path) -> None:
        import pty

        self.seen = ""
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.environ.update({"XDG_STATE_HOME": str(state), "TERM": "dumb"})
            os.execv(sys.executable, [sys.executable, "-c", CALL, *arguments])

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Until `text` comes after all that was waited for."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end, f"no {text!r} in {self.seen!r}"
            if not self._read():
                raise AssertionError(f"it ended without {text!r}: {self.seen!r}")
        self.seen = self.seen.partition(text)[2]

    def enter(self, line: str) -> None:
        """At the next prompt, up to its echo."""
        self.wait_for(">>> ")
        self.type(line + "\n")
        self.wait_for("\r\n")

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def end(self) -> int:
        """The exit code; `seen` has the rest of the output."""
        while self._read():
            pass
        os.close(self._fd)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def kill(self) -> None:
        try:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        except (ProcessLookupError, ChildProcessError):
            return

    def _read(self) -> bool:
        if not select.select([self._fd], [], [], 0.2)[0]:
            return True
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # Linux says so when the other side is closed
            return False
        self.seen += data.decode("utf-8", "replace")
        return bool(data)


@pytest.fixture
def terminal(shared: Path, tmp_path: Path) -> Iterator[Terminal]:
    """A conversation with a model of stories, long-winded, under a plain chat template."""
    if sys.platform == "win32":
        pytest.skip("pseudo-terminals of POSIX")
    spec = tmp_path / "stories.toml"
    weights = shared / "data" / "stories260K" / "stories260K.bin"
    template = "{{ bos_token }}{% for m in messages %}{{ m.content }} {% endfor %}"
    spec.write_text(
        f'spec = 1\nextends = "llama"\n[weights]\npath = "{weights}"\n'
        f'[tokenizer]\nchat = "{template}"\n'
    )
    command = Terminal("run", str(spec), "--backend", "numpy", "--temperature", "0", state=tmp_path)
    yield command
    command.kill()


def test_two_turns_a_stopped_answer_a_saved_file(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "saved.json"
    terminal.enter("/set max_tokens 5")
    terminal.enter("Once upon a time")
    terminal.wait_for("max_tokens is reached")
    terminal.enter("/set max_tokens default")
    terminal.enter("The dog")
    terminal.wait_for(" ")
    terminal.type("\x03")
    terminal.wait_for("(stopped)")
    terminal.enter(f"/save {file}")
    terminal.wait_for("saved to")
    terminal.wait_for(">>> ")
    terminal.type("\x04")
    assert terminal.end() == 0
    messages = json.loads(file.read_text())["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"] * 2
    assert "stopped" not in messages[1]
    assert messages[3]["stopped"]
    assert messages[3]["content"]
    history = (tmp_path / "inferflow" / "history").read_text()
    assert history.startswith("/set max_tokens 5\nOnce upon a time\n")

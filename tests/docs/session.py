"""A page of the documentation, run as a reader would type it."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from fences import Fence

SERVE = re.compile(r"^(?:\w+=\S+ +)*(?:\S*/)?inferflow +serve\b(?!.* (?:--help|-h)\b)")
PORT = re.compile(r"--port[ =](\d+)")
READY = re.compile(r'^Ready: |^\{"url"', re.MULTILINE)
LIMIT_S = 300


class PageError(AssertionError):
    """What went wrong, at which line, and what was printed."""


class Session:
    """Runs blocks in order, each in a process; folder and exported variables live on.

    `work` is the reader's folder, `room` one beside it for what the reader does not see: home,
    logs. Servers live until the session is left, or until another takes their port.
    """

    def __init__(
        self, page: str, work: Path, room: Path, programs: Path, env: Mapping[str, str]
    ) -> None:
        self.page, self.work, self.room = page, work, room
        self.servers: dict[str, subprocess.Popen[bytes]] = {}
        self.ports = {"8000": free_port()}
        (room / "home").mkdir(parents=True)
        self.env = {**env, "HOME": str(room / "home"), "STATE": str(room / "state")}
        self.env["PATH"] = f"{programs}:{env['PATH']}"
        (room / "state").write_text(f"cd {shlex.quote(str(work))}\n")

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for port in list(self.servers):
            self._stop(port)

    def run(self, fence: Fence) -> None:
        """Raises PageError."""
        if "title" in fence.options:
            path = self.work / fence.options["title"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._moved(fence.text), "utf-8")
        elif "printed" in fence.options:
            self._compare(fence)
        elif fence.language == "python":
            self._shell(f"python -c {shlex.quote(fence.text)}", fence, 0)
        elif fence.language == "sh":
            self._run_commands(fence)

    def _run_commands(self, fence: Fence) -> None:
        expected = int(fence.options.get("fails", "0"))
        waiting = ""
        for command in fence.text.replace("\\\n", " ").splitlines(keepends=True):
            if SERVE.match(command) and not expected:
                self._shell(waiting, fence, 0)
                waiting = ""
                self._serve(command.strip().removesuffix("&"), fence)
            else:
                waiting += command
        self._shell(waiting, fence, expected)

    def _shell(self, commands: str, fence: Fence, expected: int) -> None:
        if not commands.strip():
            return
        process = self._start(self._script(self._moved(commands)), "output")
        try:
            code = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = f"none within {LIMIT_S} s"
        if code != expected:
            self._fail(fence, commands, f"exit code {code}, not {expected}", "output")

    def _compare(self, fence: Fence) -> None:
        """The text is in the output of the block before it; `…` stands for anything."""
        parts = [re.escape(part) for part in fence.text.strip().split("…")]
        printed = (self.room / "output").read_text("utf-8", errors="replace")
        if not re.search("(?s:.*?)".join(parts), printed):
            self._fail(fence, fence.text, "the output has no such text", "output")

    def _moved(self, text: str) -> str:
        """With the ports that servers really have."""
        for port, real in self.ports.items():
            text = re.sub(rf"\b(127\.0\.0\.1|localhost):{port}\b", rf"\1:{real}", text)
        return text

    def _script(self, commands: str) -> str:
        """Commands that begin where the last ones ended, and say where they end."""
        keep = '{ export -p; printf "cd %q\\n" "$PWD"; } > "$STATE"'
        return f". \"$STATE\"\ntrap '{keep}' EXIT\nset -eu\n{commands}"

    def _start(self, script: str, log: str) -> "subprocess.Popen[bytes]":
        with (self.room / log).open("wb") as output:
            return subprocess.Popen(
                ["bash", "-c", script],
                cwd=self.work,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _serve(self, command: str, fence: Fence) -> None:
        named = PORT.search(command)
        port = named[1] if named else "8000"
        self._stop(port)
        real = self.ports.setdefault(port, free_port())
        command = f"{PORT.sub('', command)} --port {real}"
        variables = re.match(r"(?:\w+=\S+ +)*", command)
        assert variables
        # `exec`, so that the process is the server itself and can be ended by its number.
        script = f'. "$STATE"\n{variables[0]}exec {command[variables.end() :]}'
        self.servers[port] = process = self._start(script, f"server-{port}")
        deadline = time.monotonic() + LIMIT_S
        while not READY.search((self.room / f"server-{port}").read_text("utf-8")):
            if process.poll() is not None or time.monotonic() > deadline:
                self._fail(fence, command, "the server does not get ready", f"server-{port}")
            time.sleep(0.05)

    def _stop(self, port: str) -> None:
        process = self.servers.pop(port, None)
        if process is not None:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _fail(self, fence: Fence, commands: str, what: str, log: str) -> None:
        output = (self.room / log).read_text("utf-8", errors="replace")[-4000:]
        raise PageError(
            f"{self.page}:{fence.line}: {what}\n--- commands\n{commands}\n--- output\n{output}"
        )


def free_port() -> str:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return str(bound.getsockname()[1])


def make_environment(folder: Path) -> Path:
    """A virtual environment for what a page installs; it sees what is installed here. Its
    programs' folder, where ours run too, by its Python."""
    venv.create(folder, with_pip=True)
    (site,) = folder.glob("lib/python*/site-packages")
    below = sysconfig.get_path("purelib")
    (site / "below.pth").write_text(f"import site; site.addsitedir({below!r})\n")
    programs = folder / "bin"
    for name in ("inferflow", "pytest"):
        text = (Path(sys.executable).parent / name).read_text("utf-8")
        (programs / name).write_text(text.replace(sys.executable, str(programs / "python")))
        shutil.copymode(Path(sys.executable).parent / name, programs / name)
    return programs


def environment(cache: Path) -> dict[str, str]:
    """The variables of this process, without what would make a page's result somebody's own.

    Models are kept in `cache`, so that one run fetches each once; compiled kernels and what pip
    has downloaded are named after their content, and are shared with the person's own.
    """
    ours = ("INFERFLOW_", "XDG_", "PYTEST", "PYTHON", "VIRTUAL_ENV")
    env = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return env | {
        "INFERFLOW_CACHE": str(cache),
        "INFERFLOW_KERNEL_CACHE": os.environ.get("INFERFLOW_KERNEL_CACHE", str(caches)),
        "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(caches / "pip")),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "NO_COLOR": "1",
        "COLUMNS": "100",
    }

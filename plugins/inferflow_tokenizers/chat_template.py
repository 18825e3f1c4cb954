"""Chat templates, rendered in a worker process with bounds on time, memory and size."""

import json
import signal
import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from threading import Event, Lock, Timer
from typing import Any

from inferflow_core.errors import RequestError, TemplateError
from inferflow_tokenizers.limits import (
    CPU_SECONDS,
    MAX_REQUEST,
    MAX_TEMPLATE,
    MAX_TEXT,
    START_SECONDS,
    WALL_SECONDS,
)

Worker = subprocess.Popen[bytes]


class TemplateRenderer:
    """Renders templates. The worker starts with the first call, serves one call at a time, and is
    replaced when a template breaks it. Safe under threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._worker: Worker | None = None
        self._finalizer: weakref.finalize[[Worker], TemplateRenderer] | None = None

    def render(
        self,
        template: str,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        /,
        add_generation_prompt: bool = True,
        bos_token: str | None = None,
        eos_token: str | None = None,
        **extra: Any,
    ) -> str:
        """The text of `messages`. `extra` are further variables of the template.

        Raises TemplateError for a template that is wrong, refuses, or costs too much, RequestError
        for messages that are not JSON or are too long.
        """
        variables = {
            "documents": None,
            **extra,
            "messages": messages,
            "tools": tools,
            "add_generation_prompt": add_generation_prompt,
            # An absent token must be undefined, not the text "None".
            **{k: v for k, v in (("bos_token", bos_token), ("eos_token", eos_token)) if v},
        }
        request = _request(template, variables)
        with self._lock:
            try:
                reply = json.loads(self._ask(request))
            except KeyboardInterrupt:
                self._stop()  # its reply is still to come, and would be taken for the next one's
                raise
        if "text" in reply:
            return reply["text"]
        raise _error(reply)

    def close(self) -> None:
        """Ends the worker; a later call starts another."""
        with self._lock:
            self._stop()

    def _ask(self, request: bytes) -> bytes:
        worker = self._running()
        reply, late = _exchange(worker, request, WALL_SECONDS)
        if reply.endswith(b"\n"):
            return reply
        self._stop()
        raise _death(worker.returncode, late)

    def _running(self) -> Worker:
        if self._worker is not None and self._worker.poll() is None:
            return self._worker
        self._stop()
        try:
            # -P: a file of the working directory must not pass for a module.
            worker = subprocess.Popen(
                [sys.executable, "-P", "-m", "inferflow_tokenizers.template_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as cause:
            raise TemplateError(f"the process for chat templates cannot start: {cause}") from cause
        self._worker = worker
        self._finalizer = weakref.finalize(self, _end, worker)
        ready, _ = _exchange(worker, b"", START_SECONDS)
        if not ready.endswith(b"\n"):
            self._stop()
            raise TemplateError(
                "the process for chat templates did not start",
                hint=f"try: {sys.executable} -P -m inferflow_tokenizers.template_worker",
            )
        return worker

    def _stop(self) -> None:
        if self._finalizer is not None:
            self._finalizer()
        self._worker = self._finalizer = None


def _exchange(worker: Worker, request: bytes, seconds: float) -> tuple[bytes, bool]:
    """Writes, reads one line; both end when the clock has killed the worker (then True)."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    late = Event()
    timer = Timer(seconds, _kill, (worker, late))
    timer.daemon = True
    timer.start()
    try:
        worker.stdin.write(request)
        worker.stdin.flush()
        return worker.stdout.readline(), late.is_set()
    except OSError:
        return b"", late.is_set()
    finally:
        timer.cancel()


def _kill(worker: Worker, late: Event) -> None:
    late.set()
    worker.kill()


def _end(worker: Worker) -> None:
    worker.kill()
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:
                continue  # what was still to be written has no reader any more
    worker.wait()


def _request(template: str, variables: Mapping[str, Any]) -> bytes:
    if len(template) > MAX_TEMPLATE:
        raise TemplateError(
            f"a chat template of {len(template)} characters is too long; at most {MAX_TEMPLATE}"
        )
    try:
        text = json.dumps({"template": template, "variables": variables, "max_chars": MAX_TEXT})
    except (TypeError, ValueError, RecursionError) as cause:
        raise RequestError(f"messages must be JSON: {cause}", param="messages") from cause
    if len(text) > MAX_REQUEST:
        raise RequestError(
            f"messages of {len(text)} characters are too long; at most {MAX_REQUEST}",
            param="messages",
        )
    return text.encode() + b"\n"


def _error(reply: Mapping[str, Any]) -> TemplateError:
    kind, message, line = reply["error"], reply["message"], reply["line"]
    if kind == "Refused":
        return TemplateError(f"the chat template refuses: {message}", refused=True)
    where = f" (line {line})" if line else ""
    hint = None
    if kind == "MemoryError":
        message = "it needs more memory than a chat template may take"
    if kind in ("TemplateSyntaxError", "TemplateAssertionError"):
        hint = "the template comes with the model; [tokenizer] chat in a spec replaces it"
    return TemplateError(f"the chat template failed{where}: {kind}: {message}", hint=hint)


def _death(code: int | None, late: bool) -> TemplateError:
    profile = getattr(signal, "SIGPROF", None)
    if late or (profile is not None and code == -profile):
        return TemplateError(f"the chat template took more than {CPU_SECONDS:g} s")
    return TemplateError(f"the chat template broke the process that ran it (exit code {code})")

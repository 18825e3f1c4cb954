"""The process in which chat templates run: one JSON line in, one out.

A template is a program from a model file. The sandbox keeps it from reaching Python; this process
keeps it from taking the server's time and memory: processor time for each rendering and the address
space are limited here, where the system can, and the parent kills it by the clock in any case.
Imports nothing heavy: a server waits for it once.

Request: {"template", "variables", "max_chars"}; answer: {"text"} or {"error", "message", "line"}.
"""

import json
import signal
import sys
import traceback
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from inferflow_tokenizers.limits import CPU_SECONDS, MEMORY_BYTES

TEMPLATE_FILES = ("<template>", "<unknown>")
"""What Jinja calls a template without a file in tracebacks."""


class Refused(Exception):
    """The template called `raise_exception`."""


class TooLong(Exception):
    """The rendering has passed the limit."""


class Generation(Extension):
    """`{% generation %}…{% endgeneration %}` marks the model's part for training; here its text
    only."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


class PublicNamespace(Namespace):
    """Without names that Python itself may look for (`__html__`), as in transformers."""

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        for name in dict(*args, **kwargs):
            PublicNamespace._check(name)
        super().__init__(*args, **kwargs)

    def __setitem__(self, name: str, value: Any) -> None:
        PublicNamespace._check(name)
        super().__setitem__(name, value)

    @staticmethod
    def _check(name: str) -> None:
        if name.startswith("_"):
            raise SecurityError(f"a namespace cannot have {name!r}: it begins with an underscore")


def environment() -> ImmutableSandboxedEnvironment:
    """Jinja as transformers sets it up for chat templates."""
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    env.filters["tojson"] = _to_json
    env.globals["namespace"] = PublicNamespace
    env.globals["raise_exception"] = _refuse
    env.globals["strftime_now"] = lambda format: datetime.now().strftime(format)
    return env


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Without the HTML escapes of Jinja's own."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _refuse(message: str) -> None:
    raise Refused(message)


def answer(compiled: Callable[[str], Template], request: dict[str, Any]) -> dict[str, Any]:
    """Renders one request; whatever goes wrong in it is part of the answer."""
    try:
        text: list[str] = []
        left = request["max_chars"]
        for part in compiled(request["template"]).generate(request["variables"]):
            left -= len(part)
            if left < 0:
                raise TooLong(f"the text is longer than {request['max_chars']} characters")
            text.append(part)
        return {"text": "".join(text)}
    except Exception as cause:
        line = cause.lineno if isinstance(cause, TemplateSyntaxError) else _line(cause)
        return {"error": type(cause).__name__, "message": str(cause)[:1000], "line": line}


def _line(cause: Exception) -> int | None:
    """The line of the template at which it failed, where one is known."""
    frames = traceback.extract_tb(cause.__traceback__)
    lines = [at.lineno for at in frames if at.filename in TEMPLATE_FILES]
    return lines[-1] if lines else None


def _limit_memory() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    except (ImportError, OSError, ValueError):
        return  # Windows has none, macOS does not keep it; time is limited everywhere


def _limit_time(seconds: float) -> None:
    """The system ends this process after `seconds` of processor time; 0 takes the limit back."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; it closes our input
    _limit_memory()
    compiled = lru_cache(maxsize=8)(environment().from_string)
    output = sys.stdout.buffer
    output.write(b"{}\n")
    output.flush()
    for line in sys.stdin.buffer:
        _limit_time(CPU_SECONDS)
        reply = json.dumps(answer(compiled, json.loads(line)))
        _limit_time(0)
        output.write(reply.encode() + b"\n")
        output.flush()


if __name__ == "__main__":
    main()

"""For tests of what must not touch the network."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn
from unittest import mock


@contextmanager
def no_network() -> Generator[None]:
    """Within it, a connection, a look-up of a host name or a new process is an AssertionError."""

    def forbidden(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("this must not touch the network")

    with ExitStack() as patches:
        for owner, name in (
            *((socket.socket, name) for name in ("connect", "connect_ex", "sendto")),
            (socket, "getaddrinfo"),
            (subprocess.Popen, "__init__"),
        ):
            patches.enter_context(mock.patch.object(owner, name, forbidden))
        yield

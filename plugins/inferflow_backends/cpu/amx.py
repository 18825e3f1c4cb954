"""Whether AMX may be used: the processor has it, the system lets us, nobody said no."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache

from inferflow_backends.cpu.isa import features

ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XTILEDATA = 158, 0x1023, 18
"""Linux on x86-64: a process asks once for the state of tiles, which is 8 KB a thread."""


@cache
def usable() -> bool:
    """INFERFLOW_AMX=0 says no."""
    if os.environ.get("INFERFLOW_AMX") == "0" or sys.platform != "linux":
        return False
    if not {"amx-int8", "amx-tile"} <= features():
        return False
    libc = ctypes.CDLL(None)
    return libc.syscall(ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0

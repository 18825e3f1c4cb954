"""Where compiled kernels are kept: a folder that can be written, never that of the sources."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba", reason="the cpu backend needs numba")

from inferflow_backends import cpu
from inferflow_backends.cpu import isa, kernel_cache

HASWELL = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+f16c"}
COUNT = """
from inferflow_backends.cpu.kernel_cache import kernels_cached_here
with kernels_cached_here():
    from inferflow_backends.cpu.kernels import copies
ops = [item for name, item in vars(copies).items() if name.startswith("op_")]
assert ops
print(sum(not op.cache_hits for op in ops))
"""


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """The three folders, in the order in which they are taken: named, the user's, temporary."""
    if sys.platform in ("win32", "darwin"):
        pytest.skip("the user's cache is elsewhere on this system")
    found = [tmp_path / name for name in ("named", "user", "temporary")]
    monkeypatch.setenv("INFERFLOW_KERNEL_CACHE", str(found[0]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(found[1]))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(found[2]))
    return found


@pytest.mark.parametrize("away", [0, 1, 2, 3])
def test_the_first_folder_that_can_be_written_is_taken(places: list[Path], away: int) -> None:
    """A file stands where the others should be made, which no permission allows."""
    for place in places[:away]:
        place.touch()
    if away < len(places):
        assert kernel_cache.folder().parent == places[away] / "inferflow"
        return
    with pytest.raises(OSError, match="set INFERFLOW_KERNEL_CACHE"):
        kernel_cache.folder()


def misses(**environment: str) -> int:
    """How many kernels of a file a new process had to compile."""
    done = subprocess.run(
        [sys.executable, "-c", COUNT],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def test_each_processor_has_kernels_of_its_own_in_one_folder(tmp_path: Path) -> None:
    """And nothing is written beside the sources, which may be read-only."""
    if "avx2" not in isa.features():
        pytest.skip("this processor has no AVX2")
    beside = set(Path(cpu.__file__).parent.rglob("*.nb[ic]"))
    there = {"INFERFLOW_KERNEL_CACHE": str(tmp_path)}
    assert misses(**there) > 0
    assert misses(**there, **HASWELL) > 0
    assert misses(**there) == misses(**there, **HASWELL) == 0
    assert set(Path(cpu.__file__).parent.rglob("*.nb[ic]")) == beside
    assert list(tmp_path.rglob("*.nbi"))

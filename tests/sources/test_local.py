from pathlib import Path

import pytest
from inferflow_sources.local import LocalSource

from inferflow_core.errors import SourceError


def test_a_path_with_or_without_the_scheme(tmp_path: Path) -> None:
    source = LocalSource()
    assert source.locate(str(tmp_path)) == tmp_path
    assert source.locate(f"local:{tmp_path}") == tmp_path
    assert source.pull(f"local:{tmp_path}", sha256=None, progress=lambda *_: None) == tmp_path


def test_what_is_not_there(tmp_path: Path) -> None:
    assert LocalSource().locate(str(tmp_path / "nothing")) is None
    with pytest.raises(SourceError, match="no file or folder"):
        LocalSource().pull(str(tmp_path / "nothing"), sha256=None, progress=lambda *_: None)

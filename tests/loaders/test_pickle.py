"""Pickles are data: what is read, what is refused, and that nothing of them ever runs."""

import io
import pickle
import struct
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferflow_core.errors import ModelFileError

MAGIC = b"\x80\x02\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little") + b"."


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def numbers(*values: int) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(key="0", kind="torch\nFloatStorage", count=4, *, extra=b"") -> bytes:
    return b"(" + text("storage") + b"c" + kind.encode() + b"\n" + text(key) + text("cpu") + (
        number(count) + extra + b"tQ"
    )  # fmt: skip


def view(stored=None, offset=0, shape=(4,), strides=(1,)) -> bytes:
    place = (stored or storage()) + number(offset) + numbers(*shape) + numbers(*strides)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + place + b"\x89NtR"


def table(*pairs: tuple[str, bytes]) -> bytes:
    return b"}(" + b"".join(text(name) + value for name, value in pairs) + b"u"


def archive(pickled: bytes, data=bytes(range(1, 17)), **changes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        members = {"data.pkl": b"\x80\x02" + pickled + b".", "data/0": data, **changes}
        for name, content in members.items():
            if content is not None:
                file.writestr(f"m/{name}", content)
    return buffer.getvalue()


@pytest.fixture
def opened(open_bytes):
    return lambda pickled, **changes: open_bytes("pickle", archive(pickled, **changes))


def stored(data=bytes(range(1, 17))):
    return np.frombuffer(data, "<f4")


@pytest.mark.parametrize(
    ("offset", "shape", "strides", "want"),
    [
        (0, (4,), (1,), lambda s: s),
        (1, (2,), (1,), lambda s: s[1:3]),
        (0, (2, 2), (1, 2), lambda s: s.reshape(2, 2).T),
        (0, (2,), (2,), lambda s: s[::2]),
        (3, (), (), lambda s: s[3]),
        (4, (0, 3), (3, 1), lambda s: s[:0].reshape(0, 3)),
        (2, (3, 1), (0, 7), lambda s: s[[2, 2, 2]].reshape(3, 1)),
    ],
)
def test_views(opened, values, offset, shape, strides, want):
    checkpoint = opened(table(("x", view(None, offset, shape, strides))))
    np.testing.assert_array_equal(values(checkpoint, "x"), want(stored()))


@pytest.mark.parametrize(
    ("shape", "strides", "offset", "message"),
    [
        ((5,), (1,), 0, "beyond its storage"),
        ((4,), (1,), 1, "beyond its storage"),
        ((2, 2), (3, 1), 0, "beyond its storage"),
        ((0,), (1,), 5, "beyond its storage"),
        ((4,), (-1,), 3, "impossible strides"),
        ((4,), (1,), -1, "impossible strides"),
        ((4,), (1, 1), 0, "impossible strides"),
        ((-4,), (1,), 0, "impossible shape"),
        ((2**30, 2**30, 2**30), (0, 0, 0), 0, "too large"),
        ((2**21,), (0,), 0, "shows 2097152 numbers of a storage of 4"),
        ((1,) * 9, (1,) * 9, 0, "impossible shape"),
    ],
)
def test_views_that_reach_too_far(opened, shape, strides, offset, message):
    found = opened(table(("x", view(None, offset, shape, strides))))
    assert isinstance(found, ModelFileError)
    assert message in str(found)


def nested(depth: int) -> bytes:
    inner = view()
    for _ in range(depth):
        inner = table(("a", inner))
    return inner


def test_nested_tables_give_dotted_names_and_other_values_are_left_out(opened):
    pairs = (("a", nested(2)), ("epoch", number(3)), ("name", text("x")), ("list", b"]"))
    assert set(opened(table(*pairs)).tensors) == {"a.a.a"}


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (b"N", "holds a NoneType, not a table"),
        (view(), "holds a View, not a table"),
        (b"", "more or less than one value"),
        (b"}}", "more or less than one value"),
        (b"(}", "more or less than one value"),
        (b"u", "without a mark"),
        (b"\x85", "empty stack"),
        (b"h\x05", "memo number 5 is not set"),
        (b"}r\xff\xff\xff\x7f", "memo number 2147483647"),
        (b"]" + b"}u", "without a mark"),
        (b"}(N" + b"u", "sets 1 keys"),
        (b"N(Ne", "appends to a NoneType"),
        (b"NNR", "calls a NoneType"),
        (b"ccollections\nOrderedDict\nNR", "calls a Global"),
        (b"ccollections\nOrderedDict\n(NtR", "arguments that it does not take"),
        (b"ccollections\nOrderedDict\n(](NetR", "something else than pairs"),
        (b"ctorch\nFloatStorage\n)R", "arguments that it does not take"),
        (b"NNb", "sets attributes of a NoneType"),
        (b"NQ", "a reference (NoneType) that is no storage"),
        (storage(kind="collections\nOrderedDict"), "that is no storage"),
        (storage(count=-1), "negative size"),
        (storage(extra=b"(t"), "is a view"),
        (table(("a", view()), ("a", view())), "'a' stands twice"),
        (table(("a", view()), ("b", view(storage(count=3)))), "two sizes or types"),
        (table(("a", view(storage("1")))), "no member 'data/1'"),
        (table(("a", view(storage("../data.pkl")))), "no member"),
        (table(("a", view(storage(count=5)))), "storage '0' is cut short"),
        (nested(10), "nested more than 8 deep"),
        (b"}q\x00(" + text("a") + b"h\x00u", "nested more than 8 deep"),
        (table(("a" * 1025, view())), "more than 1024 characters"),
        (b"(" * 5000 + b"t" * 5000, "holds a tuple"),
        (b"L" + b"9" * 5000 + b"L\n", "not a proper pickle"),
        (b"\x8e" + struct.pack("<Q", 2**40), "not a proper pickle"),
    ],
)
def test_malformed_pickles(opened, pickled, message):
    found = opened(pickled)
    assert isinstance(found, ModelFileError)
    assert message in str(found)


@pytest.mark.parametrize(
    "name",
    ["os system", "builtins eval", "torch load", "torch._utils os", "collections defaultdict"],
)
def test_any_other_name_is_refused_by_every_way_to_say_it(opened, name):
    module, attribute = name.split()
    line = f"{module}\n{attribute}\n".encode()
    for pickled in (b"c" + line, b"(i" + line, text(module) + text(attribute) + b"\x93"):
        found = opened(pickled + b")R")
        assert isinstance(found, ModelFileError)
        assert f"names '{name}'" in str(found)
        assert "Nothing of it was run" in str(found)


@pytest.mark.parametrize("code", [b"\x82\x01", b"N)\x81", b"(No", b"Px\n", b"\x8f", b"\x97"])
def test_other_operations_are_refused(opened, code):
    assert "is not data" in str(opened(code))


def test_a_table_of_tables_that_doubles_is_refused_in_time(opened):
    # Each of 8 tables holds the one before it 32 times: 32**8 names if they were all walked.
    body = view() + b"q\x01"
    for level in range(8):
        here, last = bytes([level + 2]), bytes([level + 1])
        pairs = b"".join(text(str(i)) + b"h" + last for i in range(32))
        body += b"}(" + pairs + b"uq" + here
    found = opened(b"(" + body + b"1h" + bytes([9]))
    assert "more than 262144 entries" in str(found)


def test_keys_that_would_collide_in_a_dict_are_never_hashed(opened):
    modulus = 2**61 - 1
    keys = b"".join(
        b"\x8a\x0c" + (i * modulus).to_bytes(12, "little", signed=True) + b"N"
        for i in range(100_000)
    )
    began = time.perf_counter()
    assert set(opened(b"}(" + keys + text("x") + view() + b"u").tensors) == {"x"}
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data/0": None}, "no member 'data/0'"),
        ({"data.pkl": None}, "0 members data.pkl"),
        ({"x/data.pkl": b""}, "2 members data.pkl"),
        ({"byteorder": "big"}, "byte order b'big'"),
    ],
)
def test_wrong_archives(opened, changes, message):
    assert message in str(opened(table(("x", view())), **changes))


def test_an_archive_of_a_future_version_is_refused(open_bytes):
    data = bytearray(archive(table(("x", view()))))
    data[data.index(b"PK\x01\x02") + 6] = 255
    assert "broken zip archive: zip file version 25.5" in str(open_bytes("pickle", bytes(data)))


def test_a_compressed_archive_is_refused(open_bytes):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("m/data.pkl", b"\x80\x02}." + bytes(100_000))
    assert "is compressed" in str(open_bytes("pickle", buffer.getvalue()))


def test_a_real_pickle_with_a_call_is_refused_and_leaves_no_trace(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trace = tmp_path / "trace"

    def imported():
        return {name for name in sys.modules if not name.startswith("encodings.")}

    class Caller:
        def __reduce__(self):
            return (open, (str(trace), "w"))

    data = b""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps({"x": Caller()}, protocol)
        for content in (data, MAGIC + data, archive(b"", **{"data.pkl": data})):
            path = tmp_path / "model.bin"
            path.write_bytes(content)
            modules = imported()
            with pytest.raises(ModelFileError):
                installed.get("loader", "pickle")().open(path)
            assert imported() == modules
            assert {file.name for file in tmp_path.iterdir()} == {"model.bin"}
            path.unlink()
    pickle.loads(data)["x"].close()
    assert trace.exists(), "the same bytes do run in Python's own reader"


OPCODES = [bytes([code]) for code in range(128)] + [b"\x80\x02", b"\x85", b"\x86", b"\x87", b"\x93"]
PARTS = st.sampled_from(
    [
        *(view(), storage(), table(), table(("a", view())), text("a"), number(1), numbers(1, 2)),
        *(b"ccollections\nOrderedDict\n", b"q\x00", b"h\x00", b"q\x01", b"h\x01", *OPCODES),
    ]
)


@settings(max_examples=400, deadline=1000, derandomize=True)
@given(parts=st.lists(PARTS, max_size=12), start=st.sampled_from([b"", b"}(", b"}q\x00("]))
def test_invented_pickles(open_bytes, parts, start):
    found = open_bytes("pickle", archive(start + b"".join(parts)))
    assert isinstance(found, ModelFileError) or found.source == "hf"


def test_the_legacy_stream_says_what_is_wrong(samples, open_bytes):
    loader, data = samples["torch_legacy"]
    for old, new, message in [
        (MAGIC, MAGIC.replace(b"\x6c\xfc", b"\x6d\xfc"), "neither a zip archive nor"),
        (b"M\xe9\x03", b"M\xea\x03", "unknown protocol"),
        (b"\x88u.", b"\x89u.", "byte order"),
        (struct.pack("<q", 64), struct.pack("<q", 63), "another size"),
        (struct.pack("<q", 64), struct.pack("<q", -1), "another size"),
    ]:
        assert data.count(old) == 1
        assert message in str(open_bytes(loader, data.replace(old, new)))


@pytest.fixture
def zoo(shared) -> Path:
    return shared / "oracles/formats/pickle_zoo"


def check_expected(entry, folder: Path, values) -> int:
    expected = np.load(folder / "expected.npz")
    wanted: dict[str, dict[str, np.ndarray]] = {}
    for key in expected.files:
        file, _, name = key.partition("::")
        wanted.setdefault(file, {})[name] = expected[key]
    for file, tensors in wanted.items():
        assert entry.recognises(folder / file)
        checkpoint = entry.open(folder / file)
        assert set(checkpoint.tensors) == set(tensors), file
        for name, want in tensors.items():
            found = values(checkpoint, name)
            np.testing.assert_array_equal(found, want.astype(np.float32), strict=True)
    return len(wanted)


def test_the_readable_files_of_the_zoo(installed, zoo, values):
    assert check_expected(installed.get("loader", "pickle")(), zoo, values) == 14


def test_files_of_strangers_whose_storages_were_on_a_gpu(installed, shared, values):
    entry = installed.get("loader", "pickle")()
    assert check_expected(entry, shared / "data/pickles_real", values) == 6


def test_the_formats_of_the_zoo(installed, zoo):
    checkpoint = installed.get("loader", "pickle")().open(zoo / "zip_dtypes.bin")
    found = {name: info.format for name, info in checkpoint.tensors.items()}
    special = {"b": "bool", "scalar": "f32", "empty": "f32"}
    assert found == {name: special.get(name, name) for name in found}
    assert set(found.values()) <= set(installed.names("format"))


def test_the_malicious_and_corrupt_files_of_the_zoo(installed, zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entry = installed.get("loader", "pickle")()
    malicious = sorted((zoo / "malicious").iterdir())
    assert len(malicious) >= 13
    for path in malicious:
        entry.recognises(path)
        with pytest.raises(ModelFileError, match=r"the pickle names '.* .*', which no tensor"):
            entry.open(path)
    for path in sorted((zoo / "corrupt").iterdir()):
        entry.recognises(path)
        with pytest.raises(ModelFileError):
            entry.open(path)
    assert list(tmp_path.iterdir()) == []

"""The containers of `torch.save`: the zip archive (since 1.6) and the older stream of pickles.

Source: torch/serialization.py.
"""

import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from inferflow_core.errors import ModelFileError
from inferflow_loaders.mapped import ITEM_BYTES, MappedFile, short
from inferflow_loaders.pickle_values import (
    ForbiddenName,
    PickleError,
    Storage,
    Table,
    View,
    read_pickle,
)

ZIP_MAGIC = b"PK\x03\x04"
LEGACY_NUMBER = 0x1950A86A20F9469CFC6C
LEGACY_MAGICS = tuple(
    bytes((0x80, protocol, 0x8A, 10)) + LEGACY_NUMBER.to_bytes(10, "little") for protocol in (2, 3)
)
"""How an older file begins: a pickle of one number."""
LEGACY_PROTOCOL = 1001

ZIP_ERRORS = (
    *(zipfile.BadZipFile, OSError, ValueError, EOFError, struct.error),
    *(NotImplementedError, OverflowError),
)
"""What `zipfile` raises on archives that are broken or too new."""

MAX_PICKLE_BYTES = 2**26
MAX_DEPTH = 8
"""Tables within tables."""
MAX_ENTRIES = 2**18
MAX_NAME = 1024


@dataclass(frozen=True)
class Contents:
    """What a file holds: views by dotted name, and where each storage begins."""

    views: dict[str, View]
    starts: dict[str, int]


def read_contents(file: MappedFile) -> Contents:
    """The tensors of a file, each within its storage, each storage within the file.

    Raises ModelFileError.
    """
    try:
        return _zip(file) if file.bytes[:4] == ZIP_MAGIC else _legacy(file)
    except PickleError as cause:
        refused = isinstance(cause, ForbiddenName)
        hint = "Nothing of it was run. Only tensors are read from a pickle." if refused else None
        raise ModelFileError(file.path, f"refused: {cause}", hint=hint) from cause


def _zip(file: MappedFile) -> Contents:
    """Members are stored, not compressed, so that they can be mapped."""
    try:
        with zipfile.ZipFile(file.path) as archive:
            members = {member.filename: member for member in archive.infolist()}
    except ZIP_ERRORS as cause:
        raise PickleError(f"a broken zip archive: {cause}") from cause
    pickles = [name for name in members if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise PickleError(f"a zip archive with {len(pickles)} members data.pkl")
    folder = pickles[0].removesuffix("data.pkl")

    def extent(name: str) -> tuple[int, int]:
        member = members.get(folder + name)
        if member is None:
            raise PickleError(f"has no member {short(name)}")
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise PickleError(f"member {short(name)} is compressed")
        header = member.header_offset
        if file.bytes[header : header + 4] != ZIP_MAGIC or header + 30 > file.size:
            raise PickleError(f"member {short(name)} has no header")
        lengths = file.bytes[header + 26 : header + 30]
        start = header + 30 + sum(int.from_bytes(lengths[i : i + 2], "little") for i in (0, 2))
        if start + member.file_size > file.size:
            raise PickleError(f"member {short(name)} is cut short")
        return start, member.file_size

    if folder + "byteorder" in members:
        start, size = extent("byteorder")
        if (order := bytes(file.bytes[start : start + min(size, 16)])) != b"little":
            raise PickleError(f"byte order {order!r}")
    start, size = extent("data.pkl")
    if size > MAX_PICKLE_BYTES:
        raise PickleError(f"a pickle of {size} bytes; {MAX_PICKLE_BYTES} are allowed")

    pickled = read_pickle(BytesIO(file.bytes[start : start + size]))
    starts: dict[str, int] = {}
    for key, storage in pickled.storages.items():
        starts[key], size = extent(f"data/{key}")
        if size < _bytes(storage):
            raise PickleError(f"storage {short(key)} is cut short")
    return Contents(_flatten(pickled.value), starts)


def _legacy(file: MappedFile) -> Contents:
    """Five pickles (number, protocol, system, tensors, order of storages), then the storages."""
    stream = BytesIO(file.bytes[:MAX_PICKLE_BYTES])
    if read_pickle(stream).value != LEGACY_NUMBER:
        raise PickleError("neither a zip archive nor a stream of torch.save")
    if read_pickle(stream).value != LEGACY_PROTOCOL:
        raise PickleError("an unknown protocol of torch.save")
    system = read_pickle(stream).value
    if not isinstance(system, Table) or ("little_endian", True) not in system:
        raise PickleError("byte order other than little-endian")
    pickled, order = read_pickle(stream), read_pickle(stream).value
    if not isinstance(order, list) or not all(isinstance(key, str) for key in order):
        raise PickleError("no list of storages")
    starts: dict[str, int] = {}
    place = stream.tell()
    for key in order:
        storage = pickled.storages.get(key)
        if storage is None or key in starts:
            raise PickleError(f"storage {short(key)} is stored twice or unknown")
        if int.from_bytes(file.bytes[place : place + 8], "little") != storage.count:
            raise PickleError(f"storage {short(key)} has another size than its tensors say")
        starts[key] = place + 8
        place += 8 + _bytes(storage)
        if place > file.size:
            raise PickleError(f"storage {short(key)} is cut short")
    if missing := pickled.storages.keys() - starts.keys():
        raise PickleError(f"storage {short(min(missing))} is missing")
    return Contents(_flatten(pickled.value), starts)


def _bytes(storage: Storage) -> int:
    return storage.count * ITEM_BYTES[storage.format]


def _flatten(value: Any) -> dict[str, View]:
    """Tensors of nested tables under dotted names; all else is left out."""
    if not isinstance(value, Table):
        raise PickleError(f"holds a {type(value).__name__}, not a table of tensors")
    views: dict[str, View] = {}
    for count, (name, view) in enumerate(_walk(value, "", 0)):
        if count == MAX_ENTRIES:
            raise PickleError(f"more than {MAX_ENTRIES} entries")
        if not isinstance(view, View):
            continue
        if name in views:
            raise PickleError(f"tensor {short(name)} stands twice")
        views[name] = view
    return views


def _walk(table: Table, prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > MAX_DEPTH:
        raise PickleError(f"tables are nested more than {MAX_DEPTH} deep")
    for key, value in table:
        if type(key) is int and abs(key) < 2**63:
            key = str(key)
        if not isinstance(key, str):
            yield "", None
            continue
        if len(prefix) + len(key) > MAX_NAME:
            raise PickleError(f"a name of more than {MAX_NAME} characters")
        yield prefix + key, value
        if isinstance(value, Table):
            yield from _walk(value, f"{prefix}{key}.", depth + 1)

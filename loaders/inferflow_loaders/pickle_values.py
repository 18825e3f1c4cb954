"""A pickle read as inert data: nothing is imported, nothing is called, names are only compared.

The opcodes are those of Python's `pickletools`. Only what `torch.save` writes for a dictionary of
tensors is understood; everything else is refused, by name.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from inferflow_loaders.mapped import short

MAX_OPCODES = 2**21

STORAGES = {
    f"{module} {name}Storage": format
    for module in ("torch", "torch.cuda")
    for name, format in {
        **{"Double": "f64", "Float": "f32", "Half": "f16", "BFloat16": "bf16", "Long": "i64"},
        **{"Int": "i32", "Short": "i16", "Char": "i8", "Byte": "u8", "Bool": "bool"},
    }.items()
}
"""Global names of typed storages, and the format of their numbers."""

ORDERED_DICT = "collections OrderedDict"
TENSORS = ("torch._utils _rebuild_tensor", "torch._utils _rebuild_tensor_v2")
PARAMETERS = ("torch._utils _rebuild_parameter", "torch._utils _rebuild_parameter_with_state")
GLOBALS = frozenset((ORDERED_DICT, *TENSORS, *PARAMETERS, *STORAGES))


class PickleError(Exception):
    """A pickle that is malformed or not a table of tensors."""


class ForbiddenName(PickleError):
    """A pickle that names something that no tensor needs: a function to call, most likely."""


@dataclass(frozen=True)
class Global:
    """A name of the allow-list. It stands for nothing but itself."""

    name: str


class Table(list[tuple[Any, Any]]):
    """A dict or OrderedDict as pairs: hostile keys are never hashed."""


@dataclass(frozen=True)
class Storage:
    """A run of `count` numbers that lies elsewhere in the file under `key`."""

    key: str
    format: str
    count: int


@dataclass(frozen=True)
class View:
    """A tensor: a strided view of a storage, in numbers, not bytes. Not yet checked."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Pickled:
    """A pickle's value, with dicts as `Table` and tensors as `View`; and every storage named."""

    value: Any
    storages: dict[str, Storage]


def read_pickle(stream: BytesIO) -> Pickled:
    """Reads the pickle at the stream's place, which then stands behind it. Raises PickleError."""
    machine = _Machine()
    try:
        for count, (opcode, argument, place) in enumerate(pickletools.genops(stream)):
            if count == MAX_OPCODES:
                raise PickleError(f"more than {MAX_OPCODES} operations")
            machine.step(opcode.name, argument, place or 0)
        return Pickled(machine.result(), machine.storages)
    except PickleError:
        raise
    except (ValueError, OverflowError, IndexError, RecursionError) as cause:
        raise PickleError(f"not a proper pickle: {short(str(cause))}") from cause


class _Machine:
    """The stack machine. `stack` is the part above the last mark; `below` the parts under it."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}

    def step(self, name: str, argument: Any, place: int) -> None:
        if name in PUSHED:
            self.push(argument)
        elif name in CONSTANTS:
            self.push(CONSTANTS[name])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            # A real pickle numbers its memo from 0: it cannot be ahead of its own length.
            if not 0 <= argument <= place:
                raise PickleError(f"memo number {short(argument)}")
            self.memo[argument] = self.top()
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.top()
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            if argument not in self.memo:
                raise PickleError(f"memo number {short(argument)} is not set")
            self.push(self.memo[argument])
        elif name in ("GLOBAL", "INST"):
            self.push(_global(argument))
            if name == "INST":
                raise PickleError(f"the pickle makes an object of {short(argument)}")
        elif name in ACTIONS:
            ACTIONS[name](self)
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise PickleError(f"operation {name} is not data")

    def result(self) -> Any:
        if self.below or len(self.stack) != 1:
            raise PickleError("ends with more or less than one value")
        return self.stack[0]

    def top(self) -> Any:
        if not self.stack:
            raise PickleError("takes a value from an empty stack")
        return self.stack[-1]

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        value = self.top()
        self.stack.pop()
        return value

    def pop_many(self, count: int) -> tuple[Any, ...]:
        if len(self.stack) < count:
            raise PickleError("takes a value from an empty stack")
        values = tuple(self.stack[-count:])
        del self.stack[-count:]
        return values

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[Any]:
        if not self.below:
            raise PickleError("takes values without a mark")
        values, self.stack = self.stack, self.below.pop()
        return values

    def discard(self) -> None:
        # POP right behind a mark takes the mark itself.
        if self.stack:
            self.stack.pop()
        else:
            self.pop_mark()

    def make_global(self) -> None:
        module, name = self.pop_many(2)
        self.push(_global(f"{module} {name}" if {type(module), type(name)} == {str} else 0))

    def extend(self, values: list[Any]) -> None:
        target = self.top()
        if type(target) is not list:
            raise PickleError(f"appends to a {type(target).__name__}")
        target.extend(values)

    def set_items(self, values: list[Any]) -> None:
        target = self.top()
        if type(target) is not Table or len(values) % 2:
            raise PickleError(f"sets {len(values)} keys and values of a {type(target).__name__}")
        target.extend(zip(values[::2], values[1::2], strict=True))

    def persistent(self) -> None:
        """The reference to a storage: ("storage", type, key, device, count[, view])."""
        match self.pop():
            case ("storage", Global(name), str(key), _, int(count), *view) if name in STORAGES:
                if count < 0 or view not in ([], [None]):
                    raise PickleError(f"storage {short(key)} is a view or of negative size")
                storage = Storage(key, STORAGES[name], count)
                if self.storages.setdefault(key, storage) != storage:
                    raise PickleError(f"storage {short(key)} has two sizes or types")
                self.push(storage)
            case value:
                raise PickleError(f"a reference ({type(value).__name__}) that is no storage")

    def reduce(self) -> None:
        """A call, of which five are known: what they would make is made here as data."""
        function, arguments = self.pop_many(2)
        if not isinstance(function, Global) or type(arguments) is not tuple:
            raise PickleError(f"calls a {type(function).__name__}")
        match (function.name, *arguments):
            case (name, Storage() as storage, int(offset), tuple(shape), tuple(strides), *_) if (
                name in TENSORS and all(type(item) is int for item in (*shape, *strides))
            ):
                self.push(View(storage, offset, shape, strides))
            case (name, View() as view, *_) if name in PARAMETERS:
                self.push(view)
            case (name,) if name == ORDERED_DICT:
                self.push(Table())
            case (name, list(pairs)) if name == ORDERED_DICT:
                if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
                    raise PickleError("an OrderedDict of something else than pairs")
                self.push(Table((key, value) for key, value in pairs))
            case (name, *_):
                raise PickleError(f"calls {name} with arguments that it does not take")

    def build(self) -> None:
        """Attributes of an object (`_metadata` of a state dict): nothing that is needed."""
        _, target = self.pop(), self.top()
        if not isinstance(target, Table | View):
            raise PickleError(f"sets attributes of a {type(target).__name__}")


def _global(name: Any) -> Global:
    if name not in GLOBALS:
        raise ForbiddenName(f"the pickle names {short(name)}, which no tensor needs")
    return Global(name)


PUSHED = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    )
)
"""Opcodes whose argument is the value."""

CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}

ACTIONS: dict[str, Callable[[_Machine], None]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.discard,
    "POP_MARK": lambda m: m.pop_mark().clear(),
    "DUP": lambda m: m.push(m.top()),
    "TUPLE": lambda m: m.push(tuple(m.pop_mark())),
    "TUPLE1": lambda m: m.push(m.pop_many(1)),
    "TUPLE2": lambda m: m.push(m.pop_many(2)),
    "TUPLE3": lambda m: m.push(m.pop_many(3)),
    "EMPTY_LIST": lambda m: m.push([]),
    "LIST": lambda m: m.push(m.pop_mark()),
    "APPEND": lambda m: m.extend([m.pop()]),
    "APPENDS": lambda m: m.extend(m.pop_mark()),
    "EMPTY_DICT": lambda m: m.push(Table()),
    "DICT": lambda m: _new_table(m, m.pop_mark()),
    "SETITEM": lambda m: m.set_items([*m.pop_many(2)]),
    "SETITEMS": lambda m: m.set_items(m.pop_mark()),
    "STACK_GLOBAL": _Machine.make_global,
    "BINPERSID": _Machine.persistent,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
}
"""What the other opcodes do; one that is in none of the three tables is refused."""


def _new_table(machine: _Machine, values: list[Any]) -> None:
    machine.push(Table())
    machine.set_items(values)

"""What a TorchScript archive must not hold, for PyTorch's loader is written in C++ and recursive: code and pickles that
nest so deeply that it would run out of stack, and code that runs on loading."""

from __future__ import annotations

import pickletools
import re
from typing import Any

from edgert.errors import FileFormatError
from edgert.importers.torch.archive import Archive

DEEPEST = 200  # brackets, blocks and objects inside one another
MOST_OPERATORS = 3000  # in one statement, which is a tree as deep as it has operators
MOST_OBJECTS = 1 << 17  # in a pickle: ten times what networks of 100 layers have
LARGEST_PICKLE, LARGEST_CODE = 1 << 24, 1 << 26  # bytes

_TOKENS = re.compile(
    r"[(\[{]|[)\]}]|\n *"
    r"|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\""  # texts
    r"|(?<!\d)\.|[-+*/%<>=~@]|\b(?:and|or|not|if)\b"
)


def check_script(archive: Archive) -> None:
    """FileFormatError for an archive that could bring PyTorch's loader down, or make it run code."""
    for name in archive.names:
        if name.endswith(".py"):
            _check_code(archive, name)
        elif name.endswith(".pkl"):  # .debug_pkl is read after an error only, and guarded there
            _check_pickle(archive, name)


def _check_code(archive: Archive, name: str) -> None:
    data = archive.read(name)
    if len(data) > LARGEST_CODE:
        raise FileFormatError(f"{archive.label}: {name!r} has {len(data)} bytes of code")
    text = data.decode("utf-8", "replace")
    if re.search(r"\bdef\s+__setstate__\b", text):
        raise FileFormatError(
            f"{archive.label}: {name!r} has code that runs on loading (__setstate__, as quantised modules have it); "
            "give edgert the float model, or one quantised by PT2E"
        )
    depth = operators = 0
    for match in _TOKENS.finditer(text):
        token = match.group()
        if token[0] == "\n":
            if depth == 0:
                operators = 0
            if len(token) > 2 * DEEPEST and depth == 0:
                raise FileFormatError(f"{archive.label}: {name!r} has blocks inside blocks without end")
        elif token in "([{":
            depth += 1
        elif token in ")]}":
            depth = max(depth - 1, 0)
        elif token[0] not in "'\"":
            operators += 1
        if depth > DEEPEST or operators > MOST_OPERATORS:
            raise FileFormatError(f"{archive.label}: {name!r} has an expression nested without end")


class _Item:
    """An object of a pickle, and those that it holds."""

    __slots__ = ("held",)

    def __init__(self, held: list[_Item]) -> None:
        self.held = held


_MARK = _Item([])
# Objects that an opcode takes from the stack, to make one that holds them, or to put them into the one below.
_TAKING = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "REDUCE": 2, "NEWOBJ": 2, "BINPERSID": 1, "STACK_GLOBAL": 1}
_ADDING = {"APPEND": 1, "BUILD": 1, "SETITEM": 2}
_TO_MARK = {"TUPLE", "LIST", "DICT", "FROZENSET"}


def _check_pickle(archive: Archive, name: str) -> None:
    data = archive.read(name)
    if len(data) > LARGEST_PICKLE:
        raise FileFormatError(f"{archive.label}: {name!r} has {len(data)} bytes of objects")
    try:
        items = _objects(data)
    except (ValueError, IndexError, KeyError, StopIteration, UnicodeDecodeError) as error:
        raise FileFormatError(f"{archive.label}: {name!r} is damaged ({error})") from error
    if _nesting(items) > DEEPEST:
        raise FileFormatError(f"{archive.label}: {name!r} has objects inside objects without end")


class _Machine:
    """The stack and the memo of the machine that reads a pickle. It makes nothing but items."""

    def __init__(self) -> None:
        self.stack: list[_Item] = []
        self.memo: dict[int, _Item] = {}
        self.made: list[_Item] = []

    def push(self, held: list[_Item]) -> None:
        if len(self.made) >= MOST_OBJECTS:
            raise ValueError(f"more than {MOST_OBJECTS} objects")
        self.made.append(_Item(held))
        self.stack.append(self.made[-1])

    def popped(self, count: int) -> list[_Item]:
        return [self.stack.pop() for _ in range(count)]

    def above_mark(self) -> list[_Item]:
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise ValueError("a mark is missing")
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items

    def hold(self, items: list[_Item]) -> None:
        """Puts items into the object on top."""
        self.stack[-1].held.extend(items)

    def run(self, name: str, argument: Any) -> None:
        """One opcode of pickletools."""
        if name in ("BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"):
            self.memo[len(self.memo) if argument is None else int(argument)] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            self.stack.append(self.memo[int(argument)])
        elif name == "MARK":
            self.stack.append(_MARK)
        elif name in _TO_MARK:
            self.push(self.above_mark())
        elif name in _TAKING:
            self.push(self.popped(_TAKING[name]))
        elif name in ("APPENDS", "SETITEMS", "ADDITEMS"):
            self.hold(self.above_mark())
        elif name in _ADDING:
            self.hold(self.popped(_ADDING[name]))
        elif name in ("POP", "POP_MARK", "DUP", "INST", "OBJ", "NEWOBJ_EX"):
            raise ValueError(f"{name} is not what PyTorch writes")
        elif name not in ("PROTO", "FRAME"):
            self.push([])  # a constant


def _objects(data: bytes) -> list[_Item]:
    """All objects that a pickle makes, without making them."""
    machine = _Machine()
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == "STOP":
            break
        machine.run(opcode.name, argument)
    return machine.made


def _nesting(items: list[_Item]) -> int:
    """How deep the deepest object reaches; cycles count as endless."""
    depth: dict[int, int] = {}  # of finished objects; 0 while one is being looked at
    for root in items:
        if id(root) in depth:
            continue
        path = [(root, iter(root.held))]
        depth[id(root)] = 0
        while path:
            if len(path) > DEEPEST + 1:
                return len(path)
            item, rest = path[-1]
            below = next(rest, None)
            if below is None:
                depth[id(item)] = 1 + max((depth[id(held)] for held in item.held), default=0)
                if depth[id(item)] > DEEPEST:
                    return depth[id(item)]
                path.pop()
            elif id(below) not in depth:
                depth[id(below)] = 0
                path.append((below, iter(below.held)))
            elif depth[id(below)] == 0:
                return DEEPEST + 1
    return max(depth.values(), default=0)

"""What can a job's own code be like? Errors, values and awaitables that misuse every hook that Python gives them."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, model_serializer

from oxcart import Snooze


class Spite(BaseException):
    """What hooks raise: no handler of ours may count on Exception."""


def spite(*_: Any, **__: Any) -> Any:
    raise Spite("from a hook")


# ------------------------------------------------------------------------------------------------ errors
class BadMessage(Exception):
    __str__ = spite
    __repr__ = spite


class BadClass(Exception):
    __class__ = property(spite)


class BadReduce(Exception):
    __reduce__ = spite
    __reduce_ex__ = spite


class BadMeta(type):
    __name__ = property(spite)


class OfBadMeta(Exception, metaclass=BadMeta):
    pass


class BadLinks(Exception):
    __cause__ = property(spite)
    __context__ = property(spite)
    __traceback__ = property(spite)
    __notes__ = property(spite)
    __suppress_context__ = property(spite)


class BadAttributes(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise Spite(name)


class BadText(str):
    """A text that is one only by its type."""

    __slots__ = ()
    __str__ = __repr__ = __len__ = __add__ = __radd__ = __format__ = __eq__ = __hash__ = spite
    encode = isascii = strip = split = startswith = spite


class TextOfBadText(Exception):
    def __str__(self) -> str:
        return BadText("a text of a strange kind")


class BadSnooze(Snooze):
    def __init__(self, delay_seconds: Any) -> None:
        super().__init__(1)
        self.delay_seconds = delay_seconds


def deep(levels: int = 100_000) -> int:
    return deep(levels - 1) + 1 if levels else 0


def chained(links: int) -> BaseException:
    error: BaseException = ValueError("the first")
    for number in range(links):
        error, cause = ValueError(f"number {number}"), error
        error.__cause__ = cause
    return error


def grouped(levels: int, members: int) -> BaseException:
    """A group of the same groups: what prints it as a tree never ends."""
    error: BaseException = ValueError("the innermost")
    for _ in range(levels):
        error = BaseExceptionGroup("several", [error] * members)
    return error


def run_deep() -> BaseException:
    try:
        deep()
    except RecursionError as error:
        return error
    raise AssertionError


ERRORS: dict[str, Callable[[], BaseException]] = {
    "a plain one": lambda: ValueError("plain"),
    "KeyError": lambda: KeyError("sum"),
    "one without a message": RuntimeError,
    "SystemExit": lambda: SystemExit(3),
    "SystemExit of a strange code": lambda: SystemExit(BadText("x")),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "CancelledError": lambda: asyncio.CancelledError("mine"),
    "StopIteration": lambda: StopIteration(5),
    "StopAsyncIteration": lambda: StopAsyncIteration(5),
    "MemoryError": MemoryError,
    "RecursionError": run_deep,
    "a BaseException": lambda: Spite("mine"),
    "a group": lambda: BaseExceptionGroup("several", [SystemExit(1), ValueError("x")]),
    "a wide group": lambda: ExceptionGroup("several", [ValueError(str(n)) for n in range(5000)]),
    "groups in groups": lambda: grouped(40, 5),
    "a deep group": lambda: grouped(5000, 1),
    "a long chain": lambda: chained(20_000),
    "one whose message raises": BadMessage,
    "one whose class raises": lambda: BadClass("x"),
    "one that cannot be pickled": lambda: BadReduce("x"),
    "one whose metaclass raises": lambda: OfBadMeta("x"),
    "one whose links raise": lambda: BadLinks("x"),
    "one whose attributes raise": lambda: BadAttributes("x"),
    "one with a strange text": TextOfBadText,
    "one of ten million characters": lambda: ValueError("x" * 10_000_000),
    "one with half a surrogate": lambda: ValueError("half \ud800 and \x00 and \x9b"),
    "a snooze of NaN": lambda: BadSnooze(float("nan")),
    "a snooze of a text": lambda: BadSnooze("soon"),
    "a snooze of a huge int": lambda: BadSnooze(10**400),
}


# ------------------------------------------------------------------------------------------------ values
class BadModel(BaseModel):
    number: int = 5

    @model_serializer
    def refuse(self) -> Any:
        raise KeyError("number")


class SpitefulModel(BaseModel):
    model_dump = spite


@dataclasses.dataclass
class BadFields:
    number: int = 5

    def __getattribute__(self, name: str) -> Any:
        if name == "number":
            raise SystemExit(name)
        return super().__getattribute__(name)


class BadMapping(Mapping[str, Any]):
    __getitem__ = __iter__ = __len__ = items = spite


class BadList(list[Any]):
    __iter__ = __len__ = spite


class BadInt(int):
    __int__ = __index__ = __abs__ = __le__ = bit_length = spite


class Itself(str):
    __slots__ = ()

    def __str__(self) -> str:
        return self


class BadObject:
    __getattribute__ = spite
    __class__ = property(spite)


class BadEnd:
    """Raises when it is thrown away."""

    __del__ = spite


class Choice(enum.Enum):
    ONE = BadMapping()


async def coroutine() -> int:
    return 5


async def async_generator() -> AsyncIterator[int]:
    yield 5


def generator() -> Iterator[int]:
    yield 5


def inside_itself() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def nested(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


VALUES: dict[str, Callable[[], Any]] = {
    "an object": object,
    "a coroutine": coroutine,
    "an async generator": async_generator,
    "a generator": generator,
    "a model whose serializer raises": BadModel,
    "a model that cannot be dumped": SpitefulModel,
    "a dataclass whose fields exit": BadFields,
    "a mapping that raises": BadMapping,
    "a list that raises": lambda: BadList([1]),
    "an int that raises": lambda: BadInt(5),
    "a text that raises": lambda: BadText("x"),
    "a key that raises": lambda: {BadObject: 1},
    "a text that is itself": lambda: Itself("x"),
    "an object whose every attribute raises": BadObject,
    "something that raises when thrown away": BadEnd,
    "an enum of a mapping that raises": lambda: Choice.ONE,
    "a class": lambda: BadModel,
    "a huge int": lambda: 10**5000,
    "NaN": lambda: float("nan"),
    "bytes": lambda: b"x",
    "a list inside itself": inside_itself,
    "a list nested deeply": lambda: nested(50_000),
    "half a surrogate": lambda: "half \ud800",
    "ten megabytes": lambda: "x" * 10_000_000,
}


# ------------------------------------------------------------------------------------------------ awaitables
class YieldsAnything:
    def __await__(self) -> Generator[Any, Any, None]:
        yield 5


class YieldsSomethingBad:
    def __await__(self) -> Generator[Any, Any, None]:
        yield BadObject()


class RaisesInAwait:
    __await__ = spite


class OfNoLoop(asyncio.Future[None]):
    """Done soon, and its task would ask for its loop first."""

    get_loop = spite


class Stubborn(asyncio.Future[None]):
    """Cannot be cancelled, and says so loudly."""

    cancel = spite


AWAITABLES: dict[str, Callable[[], Any]] = {
    "one that yields a number": YieldsAnything,
    "one that yields an object that raises": YieldsSomethingBad,
    "one that raises": RaisesInAwait,
    "one whose loop raises": OfNoLoop,
    "none": lambda: 5,
}

"""Which function handles which job name, and under which conditions? A registry that an app owns; nothing global."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from oxcart.errors import InvalidInput
from oxcart.job import Job

Handler = Callable[[Job[Any]], Any]
KeepSetting = bool | int | Mapping[str, int]
CustomBackoff = Callable[[int, str, BaseException, Job[Any]], float]
RepeatStrategy = Callable[[int, Mapping[str, Any], str], float | None]
"""When a schedule's next job is due (epoch milliseconds; None: never again), of now in ms, `repeat` with Node's names,
and the job's name. Asked wherever there is a `pattern`, which it reads as it likes.
"""

Listener = Callable[..., Any]
EVENTS = ("active", "completed", "failed", "stalled", "drained", "paused", "resumed", "closing", "closed")
"""What a listener can hear of: app.Oxcart.on."""

_DURATION = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d)$")
_LARGEST = 2**53 - 1  # what a script's number can hold
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next attempt. `kind` is fixed, exponential, or a name the app registered.

    `jitter` is 0 to 1: that share of the delay is random, as Node's BullMQ has it.
    """

    kind: str
    delay_ms: float
    jitter: float = 0.0

    def to_wire(self) -> dict[str, Any]:
        """As a job's `opts` have it."""
        wire: dict[str, Any] = {"type": self.kind, "delay": round(self.delay_ms)}
        if self.jitter:
            wire["jitter"] = self.jitter
        return wire


def parse_duration_ms(text: str) -> float:
    """`5s`, `200ms`, `1.5m`, with its unit. Raises InvalidInput."""
    match = _DURATION.match(text.strip())
    if match is None:
        raise InvalidInput(f'"{text}" is no duration; write 200ms, 5s, 2m, 1h or 1d.')
    return float(match[1]) * _UNIT_MS[match[2]]


def parse_backoff(value: str | Backoff | None) -> Backoff | None:
    """`exponential:5s`, `fixed:30s`, `exponential:5s:0.5` with jitter, `my-strategy`. Raises InvalidInput."""
    if value is None:
        return None
    if isinstance(value, Backoff):
        return _checked(value)
    kind, _, rest = value.partition(":")
    delay, _, jitter = rest.partition(":")
    try:
        share = float(jitter) if jitter else 0.0
    except ValueError:
        share = -1.0
    is_built_in = kind in {"fixed", "exponential"}
    if not kind or not 0 <= share <= 1 or (rest and not is_built_in):
        raise InvalidInput(
            f'the backoff "{value}" is not known: write it like "exponential:5s", "fixed:30s", with jitter '
            '"fixed:30s:0.5" (a share from 0 to 1), or the name of a strategy alone.'
        )
    if is_built_in and not delay:
        raise InvalidInput(f'the backoff "{value}" needs a delay, as in "{kind}:5s".')
    return _checked(Backoff(kind, parse_duration_ms(delay) if delay else 0.0, share))


def _checked(backoff: Backoff) -> Backoff:
    """With numbers that attempts can reckon with later, when there is nobody left to tell."""
    try:
        kind, delay_ms, jitter = str(backoff.kind), float(backoff.delay_ms), float(backoff.jitter)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"the backoff {backoff!r} has something that is no number: {error}.") from error
    if not 0 <= delay_ms <= _LARGEST or not 0 <= jitter <= 1:
        raise InvalidInput(f"the backoff {backoff!r} needs a delay from 0 on and a jitter from 0 to 1.")
    return Backoff(kind, delay_ms, jitter)


def parse_keep_setting(what: str, value: KeepSetting | None) -> KeepSetting | None:
    """True keeps all finished jobs, False none, a number that many, or {"age": seconds, "count": n}.

    What it returns is made of Python's own types. Raises InvalidInput.
    """
    if value is None or isinstance(value, bool):
        return value
    parts: Mapping[str, int] = value if isinstance(value, Mapping) else {"count": value}
    known = parts and not set(parts) - {"age", "count", "limit"}
    if not known or not all(isinstance(number, int) and 0 <= number <= _LARGEST for number in parts.values()):
        raise InvalidInput(
            f'{what}={value!r}: give True (all), False (none), a number of jobs, or {{"age": seconds, "count": n}}.'
        )
    plain = {str(name): int(number) for name, number in parts.items()}
    return plain if isinstance(value, Mapping) else plain["count"]


@dataclass(frozen=True, slots=True)
class HandlerSpec:
    """One handler as it was declared. A job's own options win over these (attempts >= 1, backoff, keep, timeout).

    `why_not` says what lacks here for such jobs, now; None: nothing.
    """

    name: str
    function: Handler
    is_async: bool
    parse: Callable[[Any], Any] | None
    attempts: int | None = None
    backoff: Backoff | None = None
    timeout_seconds: float | None = None
    keep_completed: KeepSetting | None = None
    keep_failed: KeepSetting | None = None
    why_not: Callable[[], str | None] | None = None


class Handlers:
    """The handlers of one app by job name, its backoff strategies by name, who reads the patterns of schedules, and who
    listens to which of EVENTS.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, HandlerSpec] = {}
        self.backoffs: dict[str, CustomBackoff] = {}
        self.repeat_strategy: RepeatStrategy | None = None
        self.listeners: dict[str, list[Listener]] = {}

    def __iter__(self) -> Iterator[HandlerSpec]:
        return iter(self._by_name.values())

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._by_name))

    @property
    def unavailable(self) -> dict[str, str]:
        """The names whose jobs cannot be done here now, and what lacks; it may change while the worker runs."""
        asked = ((spec.name, spec.why_not()) for spec in self if spec.why_not is not None)
        return {name: why for name, why in asked if why is not None}

    @property
    def available(self) -> frozenset[str]:
        """The names whose jobs can be done here now."""
        return frozenset(self._by_name) - self.unavailable.keys()

    def get(self, name: str) -> HandlerSpec | None:
        return self._by_name.get(name)

    def add(self, spec: HandlerSpec, *, replace: bool = False) -> None:
        """Raises InvalidInput for a second handler of the same name: one would silently never run."""
        if spec.name in self._by_name and not replace:
            raise InvalidInput(
                f'Two handlers for the job name "{spec.name}": keep one, or give the other another name.'
            )
        self._by_name[spec.name] = spec


def describe(  # the arguments are those of @app.job
    name: str,
    function: Handler,
    *,
    attempts: int | None = None,
    backoff: str | Backoff | None = None,
    timeout_seconds: float | None = None,
    keep_completed: KeepSetting | None = None,
    keep_failed: KeepSetting | None = None,
) -> HandlerSpec:
    """Check a handler's declaration where it is written. Raises InvalidInput, naming the handler."""
    where = f'@app.job("{name}")'
    if not isinstance(name, str) or not name:
        raise InvalidInput("@app.job needs the job's name: a string that is not empty.")
    if attempts is not None and (
        not isinstance(attempts, int) or isinstance(attempts, bool) or not 1 <= attempts <= _LARGEST
    ):
        raise InvalidInput(f"{where}: attempts={attempts!r} must be a whole number from 1 on.")
    if timeout_seconds is not None and (
        not isinstance(timeout_seconds, int | float) or not 0 < timeout_seconds <= _LARGEST
    ):
        raise InvalidInput(f"{where}: timeout_seconds={timeout_seconds!r} must be above 0.")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidInput(f"{where}: the handler has a yield in it, so nobody would run it. Return its value instead.")
    try:
        parsed_backoff = parse_backoff(backoff)
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from error
    return HandlerSpec(
        name=name,
        function=function,
        is_async=is_async_callable(function),
        parse=_parser_of(function, where),
        attempts=int(attempts) if attempts is not None else None,
        backoff=parsed_backoff,
        timeout_seconds=float(timeout_seconds) if timeout_seconds is not None else None,
        keep_completed=parse_keep_setting(f"{where}: keep_completed", keep_completed),
        keep_failed=parse_keep_setting(f"{where}: keep_failed", keep_failed),
    )


def is_async_callable(function: Callable[..., Any]) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004 - an object whose __call__ is a coroutine function
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _parser_of(function: Handler, where: str) -> Callable[[Any], Any] | None:
    """How the annotation `Job[Model]` turns a JSON value into `job.data`; None: as it is."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    required = [
        p for p in parameters if p.default is p.empty and p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}
    ]
    if not parameters or len(required) > 1:
        raise InvalidInput(f"{where}: the handler takes one argument, the job; {function!r} does not.")
    try:
        annotation = typing.get_type_hints(function).get(parameters[0].name)
    except (NameError, TypeError) as error:
        raise InvalidInput(f"{where}: its annotation cannot be read ({error}). Define the model above it.") from error
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is not Job or not arguments or arguments[0] in {Any, object, dict, list, str}:
        return None
    if arguments[0] in {int, float, bool, type(None)} or isinstance(arguments[0], typing.TypeVar):
        return None
    return _model_parser(arguments[0])


def _model_parser(model: Any) -> Callable[[Any], Any]:
    """Raises InvalidInput that names each field and what is wrong with it; never the value, which may be private."""
    from pydantic import TypeAdapter, ValidationError

    adapter = TypeAdapter(model)

    def parse(value: Any) -> Any:
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            places = (".".join(str(part) for part in problem["loc"]) or "data" for problem in found)
            text = "; ".join(f"{place}: {problem['msg']}" for place, problem in zip(places, found, strict=True))
            raise InvalidInput(text) from error

    return parse

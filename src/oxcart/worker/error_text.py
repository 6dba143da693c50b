"""What does an error of user code say, and where was it raised? Always an answer: its own methods may do anything.

An exception brings code of its own (`__str__`, `__class__`, a metaclass, notes, causes), and what a `__str__` returns
may be a subclass of str with more of it. What leaves this file is plain text, bounded, without halves of surrogates.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

LONGEST_REASON = 10_000
"""Characters: people read it in lists, and each dead letter keeps it."""

LONGEST_TRACE = 30_000
"""Characters, for each of the stack traces that a job keeps."""

_FRAMES = 30
_OWN_FRAMES = str(Path(__file__).parent)
"""Ours around a handler: they say nothing of what went wrong in it."""

_MOST_MEMBERS = 5
_DEEPEST_TOLD = 2
"""Groups may hold groups, and the same one many times: forty levels of five are more than anybody can count."""
_MOST_LINKED = 50
"""Errors that hang together as causes and groups: a thousand of them would take the loop's time to print."""

_name_of = type.__dict__["__name__"].__get__
_traceback_of = BaseException.__dict__["__traceback__"].__get__
_cause_of = BaseException.__dict__["__cause__"].__get__
_context_of = BaseException.__dict__["__context__"].__get__
_members_of = BaseExceptionGroup.__dict__["exceptions"].__get__


def plain_text(text: str, longest: int) -> str:
    """The same as an exact str that UTF-8 can hold; of a longer one the middle is left out."""
    exact = str.__str__(text)
    if len(exact) > longest:
        half = longest // 2
        exact = f"{exact[:half]}… ({len(exact) - 2 * half} more characters) …{exact[-half:]}"
    return exact if exact.isascii() else exact.encode("utf-8", "replace").decode("utf-8")


def type_name(value: object) -> str:
    """Past what a metaclass makes of it."""
    return plain_text(_name_of(type(value)), 200)


def message_of(error: BaseException, *, depth: int = 0) -> str:
    """What BullMQ has as failedReason: the error's message, or its type for one without. `depth` counts the groups
    around it.
    """
    try:
        message = plain_text(str(error), LONGEST_REASON)
    except BaseException as raised:  # noqa: BLE001 - the border around user code
        return f"{type_name(error)} (its message cannot be had: __str__ raised {type_name(raised)}{place_of(raised)})"
    if issubclass(type(error), SystemExit | KeyboardInterrupt):
        return f"The handler called for the process to end ({type_name(error)}: {message})."
    if issubclass(type(error), KeyError):  # its message is the key alone
        return f"{type_name(error)}: {message}"
    return (message or type_name(error)) + _members_told(error, depth)


def _members_told(error: BaseException, depth: int) -> str:
    """What is in a group, whose own message only counts: a few, and each once."""
    if not issubclass(type(error), BaseExceptionGroup) or depth >= _DEEPEST_TOLD:
        return ""
    members = list(_members_of(error))
    told = [f"{type_name(one)}: {message_of(one, depth=depth + 1)}" for one in members[:_MOST_MEMBERS]]
    more = [f"and {len(members) - _MOST_MEMBERS} more"] if len(members) > _MOST_MEMBERS else []
    return plain_text(": " + "; ".join([*dict.fromkeys(told), *more]), LONGEST_REASON)


def account_of(error: BaseException) -> str:
    """For code beside the handler, where a message alone would puzzle: KeyError: 'sum' (in check_sum, models.py:12)."""
    message, name = message_of(error), type_name(error)
    return f"{message if message.startswith(name) else f'{name}: {message}'}{place_of(error)}"


def place_of(error: BaseException) -> str:
    """Where it was raised, in brackets; nothing for one that never was."""
    frames = _frames_of(error)
    if not frames:
        return ""
    path, line, function = frames[-1]
    return f" (in {function}, {PurePath(path).name}:{line})"


def trace_of(error: BaseException) -> str:
    """As Python prints it, without our own frames, with causes and groups where they are not too many."""
    try:
        if _is_bounded(error):
            told = traceback.TracebackException.from_exception(error, limit=-_FRAMES)
            _leave_out_ours(told)
            return plain_text("".join(told.format()), LONGEST_TRACE)
    except BaseException:  # noqa: BLE001, S110 - the border around user code: print it without its help
        pass
    frames = "".join(f'  File "{path}", line {line}, in {function}\n' for path, line, function in _frames_of(error))
    return plain_text(f"Traceback (most recent call last):\n{frames}{account_of(error)}\n", LONGEST_TRACE)


def _leave_out_ours(told: traceback.TracebackException) -> None:
    theirs = [frame for frame in told.stack if not frame.filename.startswith(_OWN_FRAMES)]
    if theirs:
        told.stack = traceback.StackSummary.from_list(theirs)
    for linked in (told.__cause__, told.__context__, *(told.exceptions or ())):
        if linked is not None:
            _leave_out_ours(linked)


def _frames_of(error: BaseException) -> Sequence[tuple[str, int, str]]:
    """The last frames: path, line and function."""
    frames: deque[tuple[str, int, str]] = deque(maxlen=_FRAMES)
    step = _traceback_of(error)
    while step is not None:
        code = step.tb_frame.f_code
        frames.append((plain_text(code.co_filename, 300), step.tb_lineno, plain_text(code.co_name, 100)))
        step = step.tb_next
    return frames


def _is_bounded(error: BaseException) -> bool:
    """As Python prints: a cause that was printed is not printed again, the member of a group is, with its members."""
    seen: set[int] = set()
    printed = 0
    ahead: list[Any] = [error]
    while ahead:
        one = ahead.pop()
        printed += 1
        if printed > _MOST_LINKED:
            return False
        seen.add(id(one))
        links = (_cause_of(one), _context_of(one))
        ahead += [link for link in links if link is not None and id(link) not in seen]
        if issubclass(type(one), BaseExceptionGroup):
            ahead += _members_of(one)
    return True

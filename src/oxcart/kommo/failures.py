"""What went wrong at Kommo, and what is the way on? One class for each way, and the table that chooses among them.

* KommoError
  x Unauthorized      401: get another token, or have the account connected again
  x NoRights          403 in JSON: the token's user may not do this; nothing to repeat
  x Unpaid            402: nothing works until the account is paid
  x Blocked           403 in HTML: this address is locked out; stop everything, for hours
  x TooManyRequests   429, or our own limit: come back after `retry_after_seconds`
  x Gone              404, or a redirect: the record or the account is not at this address
  x Refused           400, 405, 409, 413, 414, 422…: mend the request; `rows` says what is wrong with which row
  x ServerTrouble     500 to 599, a cut or unreadable answer, none at all: try again; a write may have been done
"""

from __future__ import annotations

import email.utils
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oxcart import clock
from oxcart.errors import OxcartError
from oxcart.kommo.parsing import parse_json
from oxcart.language import tr

_LONGEST_RETRY_AFTER_SECONDS = 86_400.0
_SHOWN_CHARACTERS = 200
_SHOWN_ROWS = 3


class KommoError(OxcartError):
    """Kommo did not do as asked. `status` is the HTTP status, 0 without an answer; `hint` is in Kommo's own words."""

    hint = ""

    def __init__(self, doing: str, happened: str, advice: str, *, status: int = 0) -> None:
        self.doing = doing
        self.status = status
        super().__init__(f"{doing}: {happened} {advice}")


class Unauthorized(KommoError):  # noqa: N818
    """The access token is not valid, or no longer."""


class NoRights(KommoError):  # noqa: N818
    """The user who granted the token may not do this."""


class Unpaid(KommoError):  # noqa: N818
    """The account is not paid."""


class Blocked(KommoError):  # noqa: N818
    """Kommo has locked this address out. Nothing is sent before `retry_after_seconds` are over."""

    def __init__(self, doing: str, happened: str, advice: str, *, status: int = 0, retry_after_seconds: float) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(doing, happened, advice, status=status)


class TooManyRequests(KommoError):  # noqa: N818
    """`retry_after_seconds` is None when Kommo did not say."""

    def __init__(
        self, doing: str, happened: str, advice: str, *, status: int = 0, retry_after_seconds: float | None
    ) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(doing, happened, advice, status=status)


class Gone(KommoError):  # noqa: N818
    """What was asked for is not at this address, nor will be."""


class ServerTrouble(KommoError):  # noqa: N818
    """No usable answer. `outcome_unknown` is true for a write that may have been done nevertheless."""

    def __init__(self, doing: str, happened: str, advice: str, *, status: int = 0, outcome_unknown: bool) -> None:
        self.outcome_unknown = outcome_unknown
        super().__init__(doing, happened, advice, status=status)


@dataclass(frozen=True, slots=True)
class RowProblem:
    """One thing that is wrong with one row of a write. `path` is the field, as in custom_fields_values.0.field_id."""

    request_id: str
    code: str
    path: str
    detail: str


class Refused(KommoError):  # noqa: N818
    """The request is wrong. `rows` are its validation errors, empty where Kommo gave none; `hint` its own words."""

    def __init__(
        self,
        doing: str,
        happened: str,
        advice: str,
        *,
        status: int = 0,
        rows: tuple[RowProblem, ...] = (),
        hint: str = "",
    ) -> None:
        self.rows = rows
        self.hint = hint
        super().__init__(doing, happened, advice, status=status)


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An HTTP answer as it came. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def error_of(answer: RawAnswer, doing: str, *, writes: bool) -> KommoError | None:
    """The error that an answer stands for, None for a success. Blocked has no time yet: the limiter decides that."""
    status = answer.status
    if 200 <= status < 300:
        return None
    problem = parse_json(answer.body)
    said = problem if isinstance(problem, dict) else {}
    match status:
        case 401:
            refused = Unauthorized(
                doing,
                tr("Kommo does not accept the token ({said}).", said=_words(said, status)),
                tr("Connect the account again if this stays so: oxcart kommo connect."),
                status=status,
            )
            refused.hint = _text(said.get("hint"))
            return refused
        case 402:
            return Unpaid(
                doing,
                tr("the Kommo account is not paid."),
                tr("Its owner must renew the subscription; nothing is lost meanwhile."),
                status=status,
            )
        case 403 if said:
            return NoRights(
                doing,
                tr("the user who granted the token may not do this ({said}).", said=_words(said, status)),
                tr("Have an administrator of the account connect it."),
                status=status,
            )
        case 403:
            return Blocked(
                doing,
                tr("Kommo has blocked this address (403 without JSON)."),
                tr(
                    "All requests stop for a long while. Kommo's support lifts a block; say how many requests you send."
                ),
                status=status,
                retry_after_seconds=0,
            )
        case 429:
            return TooManyRequests(
                doing,
                tr("Kommo has had too many requests from this address or account."),
                tr("All requests pause; nothing to do unless it goes on: then find what else uses the account's API."),
                status=status,
                retry_after_seconds=retry_after(answer, said),
            )
    return _other_error(status, said, doing, writes=writes)


def _other_error(status: int, said: Mapping[str, Any], doing: str, *, writes: bool) -> KommoError:
    if status == 404 or 300 <= status < 400:
        what = (
            tr("it is not there") if status == 404 else tr("Kommo redirects to another address, where no token is sent")
        )
        return Gone(
            doing,
            f"{what} ({_words(said, status)}).",
            tr("If the account has a new address, connect it under that one."),
            status=status,
        )
    if 400 <= status < 500:
        rows = tuple(_row_problems(said))
        return Refused(
            doing,
            tr("Kommo refuses the request ({said}{rows}).", said=_words(said, status), rows=_first_rows(rows)),
            tr("Repeating it as it is will not help; correct what it names."),
            status=status,
            rows=rows,
            hint=_text(said.get("hint") or said.get("detail") or said.get("title")),
        )
    trace = _text(said.get("trace_id"))
    return ServerTrouble(
        doing,
        tr(
            "Kommo has trouble of its own ({said}{trace}).",
            said=_words(said, status),
            trace=f", trace {trace}" if trace else "",
        ),
        tr("It is tried again.") if not writes else tr("It may have been done; look before it is sent again."),
        status=status,
        outcome_unknown=writes,
    )


def retry_after(answer: RawAnswer, said: Mapping[str, Any]) -> float | None:
    """How long to wait by a 429: the body is the documented place, the header a usual one. None if neither says."""
    for value in (said.get("retry_after"), answer.headers.get("retry-after")):
        seconds = _seconds(value)
        if seconds is not None:
            return min(seconds, _LONGEST_RETRY_AFTER_SECONDS)
    return None


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except ValueError:
        moment = email.utils.parsedate_tz(str(value))
        seconds = email.utils.mktime_tz(moment) - clock.wall_seconds() if moment else math.nan
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _row_problems(said: Mapping[str, Any]) -> list[RowProblem]:
    found = []
    rows = said.get("validation-errors")
    for row in rows if isinstance(rows, list) else []:
        errors = row.get("errors") if isinstance(row, dict) else None
        for error in errors if isinstance(errors, list) else []:
            if isinstance(error, dict):
                request_id = _text(row.get("request_id"))
                found.append(RowProblem(request_id, *(_text(error.get(name)) for name in ("code", "path", "detail"))))
    return found


def _first_rows(rows: tuple[RowProblem, ...]) -> str:
    shown = [f"; row {row.request_id}: {row.path} {row.code} {row.detail}".rstrip() for row in rows[:_SHOWN_ROWS]]
    more = f"; and {len(rows) - _SHOWN_ROWS} more" if len(rows) > _SHOWN_ROWS else ""
    return "".join(shown) + more


def _words(said: Mapping[str, Any], status: int) -> str:
    """Kommo's own words. It repeats no token, and our own messages are never sent to it."""
    words = list(dict.fromkeys(filter(None, (_text(said.get(name)) for name in ("title", "detail", "hint")))))
    return " ".join([str(status), *words])


def _text(value: Any) -> str:
    if not isinstance(value, str | int | float):
        return ""
    text = " ".join(str(value).split())
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"

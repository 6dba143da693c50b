"""How does an alert leave the process? As one JSON POST from a thread of its own: no job ever waits for it."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from oxcart import clock
from oxcart.conditions import Problem
from oxcart.secret import Secret
from oxcart.telemetry.alerts import Alert, AlertLimits, AlertRules
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import Event, WarningRaised
from oxcart.telemetry.log_format import iso_utc

NOT_SENT: Final = "ALERT_NOT_SENT"

# More changes than this wait only when nobody takes them; the oldest go first.
_MAX_WAITING: Final = 50
_TRIES: Final = 3
_ANSWER_SECONDS: Final = 10.0
# Part of the two seconds that a process may take to exit after its grace.
_CLOSE_SECONDS: Final = 0.5


class AlertSender:
    """The subscriber that sends alerts to OXCART_ALERT_URL. Starts its thread with `start`; `close` ends it.

    `about` is put into each POST: which service, queue and release speaks. `emit` hears of a POST that failed, once
    until one succeeds again. `retry_seconds` is the pause before the second try, doubled for the third.
    """

    def __init__(
        self,
        url: Secret,
        emit: Emit,
        *,
        about: dict[str, Any],
        limits: AlertLimits | None = None,
        clock: Callable[[], float] = clock.wall_seconds,
        look_seconds: float = 5.0,
        retry_seconds: float = 2.0,
    ) -> None:
        self._url = url
        self._emit = emit
        self._about = about
        self._clock = clock
        self._look_seconds = look_seconds
        self._retry_seconds = retry_seconds
        self._rules = AlertRules(limits or AlertLimits(), clock())
        self._waiting: deque[Alert] = deque(maxlen=_MAX_WAITING)
        self._changed = threading.Condition()
        self._closing = False
        self._is_failing = False
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def watch(self, problems: Callable[[], Iterable[Problem]]) -> None:
        """What is asked, in our thread, for what keeps jobs from ending (conditions.py)."""
        self._rules.problems.watch(problems)

    def __call__(self, event: Event) -> None:
        if not self._rules.concerns(type(event)):
            return
        with self._changed:
            alerts = self._rules.see(event, self._clock())
            if alerts:
                self._waiting.extend(alerts)
                self._changed.notify()

    def close(self) -> None:
        """Send what waits, for half a second at most. May be called twice."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not (self._waiting or self._closing):
                    self._changed.wait(self._look_seconds)
                self._waiting.extend(self._rules.look(self._clock()))
                alert = self._waiting.popleft() if self._waiting else None
                if alert is None and self._closing:
                    return
            if alert is not None:
                self._send(alert)

    def _send(self, alert: Alert) -> None:
        failure = None
        for attempt in range(_TRIES):
            if attempt and self._pause(self._retry_seconds * 2 ** (attempt - 1)):
                break
            failure = self._post(alert)
            if failure is None:
                self._is_failing = False
                return
        if not self._is_failing:
            self._is_failing = True
            host = urlsplit(self._url.reveal()).hostname
            self._emit(
                WarningRaised(
                    NOT_SENT,
                    f"The alert {alert.name} could not be sent to {host}: {failure}. Check OXCART_ALERT_URL; jobs go "
                    "on, and this is not repeated until an alert gets through.",
                )
            )

    def _pause(self, seconds: float) -> bool:
        """True if the process ends meanwhile."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closing, seconds)

    def _post(self, alert: Alert) -> str | None:
        """None if it was taken; else what happened, in words without the URL, whose path is often a secret."""
        import http.client
        import ssl

        parts = urlsplit(self._url.reveal())
        secure = parts.scheme == "https"
        make = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = make(parts.hostname or "", parts.port, timeout=_ANSWER_SECONDS)
        try:
            body = json.dumps(self._content(alert, parts.hostname or "", parts.query)).encode()
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            headers = {"Content-Type": "application/json", "User-Agent": "oxcart"}
            connection.request("POST", path, body, headers)
            status = connection.getresponse().status
        except ssl.SSLError as error:
            return f"TLS failed ({error.reason})"
        except (OSError, http.client.HTTPException, ValueError) as error:
            return getattr(error, "strerror", None) or type(error).__name__
        finally:
            connection.close()
        return None if 200 <= status < 300 else f"it answered {status}"

    def _content(self, alert: Alert, host: str, query: str) -> dict[str, Any]:
        """Slack and Telegram get what their documentation names; everyone else gets all of it."""
        said = f"{alert.text} {alert.advice}"
        where = ", ".join(str(value) for value in self._about.values() if value)
        if host == "hooks.slack.com":
            return {"text": f"{said} ({where})"}
        if host == "api.telegram.org":
            chat = parse_qs(query).get("chat_id", [""])[0]
            return {"chat_id": chat, "text": f"{said} ({where})"}
        return {
            "schema": 1,
            "alert": alert.name,
            "state": alert.state,
            "severity": alert.severity,
            "text": alert.text,
            "advice": alert.advice,
            "code": alert.code,
            **({"account": alert.account} if alert.account else {}),
            **({"queue": alert.queue} if alert.queue else {}),
            "since": iso_utc(alert.since),
            "timestamp": iso_utc(self._clock()),
            **self._about,
        }

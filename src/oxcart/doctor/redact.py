"""What may stand in a report that is pasted into an issue? No host, address, user or name of the visit's database."""

from __future__ import annotations

import re
from collections.abc import Callable

from oxcart.doctor.run import Diagnosis
from oxcart.doctor.visit import Visit

_ADDRESSES = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\[?[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}\]?")
_HOSTS = re.compile(r"\b(?:[a-z0-9-]+\.)+(?:io|com|co|ru|net|org|app|internal|dev|cloud)\b", re.IGNORECASE)
_DATABASES = re.compile(r"\b(?:postgresql|sqlite)://[^\s;,]+")
_ENDING = re.compile(r"(?<= …)[\w/+=-]{4}(?!\w)")  # of a token; the words before it are of any language
_KEPT = ("status.upstash.com",)


def redactor(visit: Visit, diagnosis: Diagnosis) -> Callable[[str], str]:
    """A function that takes out of a text what would name the database, and the last characters of a token."""
    target = visit.target
    names = {name for name in (target.host, target.username) if name} if target is not None else set()
    names -= {"default", "localhost"}
    names |= {name for result in diagnosis.results for name in _HOSTS.findall(result.finding.raw)}

    def hide(text: str) -> str:
        text = _DATABASES.sub("DATABASE", text)
        for name in sorted(names - set(_KEPT), key=len, reverse=True):
            text = text.replace(name, "HOST")
        text = _HOSTS.sub(lambda found: found[0] if found[0] in _KEPT else "HOST", text)
        return _ENDING.sub("", _ADDRESSES.sub("ADDRESS", text))

    return hide

"""Which host may a token of an account be sent to? Only the account's own: {subdomain}.kommo.com and its two elders."""

from __future__ import annotations

import re

from oxcart.errors import InvalidInput
from oxcart.language import tr

# amoCRM is Kommo's name in Russia, and was its name elsewhere.
TOP_DOMAINS = ("kommo.com", "amocrm.ru", "amocrm.com")

_ACCOUNT_HOST = re.compile(rf"[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?\.(?:{'|'.join(map(re.escape, TOP_DOMAINS))})")
_AS_COPIED = re.compile(r"(?:https://)?([^/?#\\@:\s]+)(?:/[^\s\\]*)?")
_SHOWN_CHARACTERS = 60


def check_account_host(host: str) -> str:
    """The host as it is, if it is an account's. Raises InvalidInput; nothing was sent.

    Stands before every request: a domain comes from a table, from the `referer` of an OAuth redirect or from a lookup,
    all of which someone else may have written.
    """
    if not isinstance(host, str) or _ACCOUNT_HOST.fullmatch(host) is None:
        raise InvalidInput(
            tr(
                "{host} is not the address of a Kommo account, and no token is sent anywhere else. Use the account's "
                "own, as in demo.kommo.com; demo.amocrm.ru and demo.amocrm.com work too.",
                host=_shown(host),
            )
        )
    return host


def read_account_host(text: str) -> str:
    """The host in what a person typed, or copied from the browser. Raises InvalidInput."""
    found = _AS_COPIED.fullmatch(text.strip())
    return check_account_host(found[1].lower() if found else text)


def _shown(host: object) -> str:
    text = host if isinstance(host, str) else type(host).__name__
    return ascii(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "...")

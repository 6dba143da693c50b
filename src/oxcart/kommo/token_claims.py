"""What does an access token tell about itself? Its end and its account: for showing and a lookup, never trusted."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from oxcart.errors import InvalidInput
from oxcart.kommo.address import check_account_host
from oxcart.secret import Secret


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What is not in the token is None; `api_domain` is one of Kommo's hosts."""

    expires_at: datetime | None = None
    api_domain: str | None = None
    account_id: str | None = None
    scopes: tuple[str, ...] = ()


def read_claims(token: Secret) -> TokenClaims:
    """Of a JWT, without looking at its signature; empty for any other text."""
    parts = token.reveal().split(".")
    if len(parts) != 3:
        return TokenClaims()
    try:
        body = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        found = msgspec.json.decode(body)
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return TokenClaims()
    if not isinstance(found, dict):
        return TokenClaims()
    account, scopes = found.get("account_id"), found.get("scopes")
    return TokenClaims(
        expires_at=_moment(found.get("exp")),
        api_domain=_host(found.get("api_domain")),
        account_id=str(account) if isinstance(account, int | str) else None,
        scopes=tuple(scope for scope in scopes if isinstance(scope, str)) if isinstance(scopes, list) else (),
    )


def _moment(value: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(value, UTC) if isinstance(value, int | float) else None
    except (ValueError, OverflowError, OSError):
        return None


def _host(value: object) -> str | None:
    try:
        return check_account_host(value) if isinstance(value, str) else None
    except InvalidInput:
        return None

"""How does the token keeper reach Kommo? Through the process's door, at the limiter's pace, before any other call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oxcart.kommo.client import Kommo
from oxcart.kommo.limiter import Caller
from oxcart.secret import Secret

# With the call itself (30 s) still within the lease on a refresh.
_PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class KommoTokenEndpoint:
    """A tokens.TokenEndpoint."""

    kommo: Kommo

    async def request_token(self, host: str, form: Mapping[str, str]) -> Mapping[str, Any]:
        return await self.kommo.request_token(host, form, _caller(host))

    async def find_domain(self, api_host: str, refresh_token: Secret) -> str:
        return await self.kommo.find_domain(api_host, refresh_token, _caller(api_host))


def _caller(host: str) -> Caller:
    return Caller(host, interactive=True, patience_seconds=_PATIENCE_SECONDS)

"""Which tokens does the receiver of webhooks ask Kommo for? None: it only parks a connection that was revoked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oxcart.errors import InvalidInput
from oxcart.secret import Secret


class NoTokenEndpoint:
    """Stands where the token keeper wants an endpoint."""

    async def request_token(self, host: str, form: Mapping[str, str]) -> Mapping[str, Any]:
        del form
        raise InvalidInput(f"Refreshing the token of {host}: the HTTP thread calls nobody; the worker's jobs do.")

    async def find_domain(self, api_host: str, refresh_token: Secret) -> str:
        del refresh_token
        raise InvalidInput(f"Asking {api_host} for an address: the HTTP thread calls nobody; the worker's jobs do.")

"""How does an answer look? JSON that no cache keeps; a refusal is one sentence under `error`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from oxcart.telemetry.log_format import encode_json


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        encode_json(content),
        status,
        {"Cache-Control": "no-store", **(headers or {})},
        media_type="application/json",
    )


def refusal(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    return json_answer({"error": sentence}, status, headers)

"""How does an answer look? JSON that no cache keeps; a refusal is one sentence under `error`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from starlette.responses import Response

from oxcart.telemetry.log_format import encode_json

_MOST_CHARACTERS, _MOST_ITEMS, _MOST_NAMES = 1000, 21, 150  # 20 items, and one that says how many more there are


def bounded(content: Any) -> Any:
    """The same with long texts cut and long lists ended: names and reasons are others', and this is told to anyone."""
    if isinstance(content, str):
        return content if len(content) <= _MOST_CHARACTERS else f"{content[: _MOST_CHARACTERS - 1]}…"
    if isinstance(content, dict):
        return {bounded(key): bounded(value) for key, value in islice(content.items(), _MOST_NAMES)}
    if isinstance(content, list | tuple):
        return [bounded(item) for item in content[:_MOST_ITEMS]]
    return content


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        encode_json(content),
        status,
        {"Cache-Control": "no-store", **(headers or {})},
        media_type="application/json",
    )


def refusal(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    return json_answer({"error": sentence}, status, headers)

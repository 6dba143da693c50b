"""Does a job get through? POST /canary sends a `test-job` through the queue and waits for its result."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from oxcart.errors import OxcartError
from oxcart.http.answers import json_answer, refusal
from oxcart.http.site import Site

# Longer than a queue that works takes, shorter than the proxies in front of us wait (60 s and more).
_CANARY_SECONDS = 30.0


async def canary(site: Site, _: Request) -> Response:
    running = asyncio.wrap_future(site.run_canary())
    await asyncio.wait({running}, timeout=_CANARY_SECONDS)
    if not running.done():
        running.cancel()
        return refusal(503, f"The test job has no result after {_CANARY_SECONDS:.0f} s. GET /health says more.")
    if running.cancelled():
        return refusal(503, "The test job was given up because the worker stops.")
    error = running.exception()
    if isinstance(error, OxcartError | TimeoutError):
        return refusal(503, f"The test job did not get through. {error}")
    result = running.result()
    return json_answer({"ok": True, "jobId": result.job_id, "durationMs": round(result.duration_ms, 3)})

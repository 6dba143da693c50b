"""What do the data of a job look like? Workers publish the JSON schema of each name that has a model, for the board.

A small hash per queue, written when a worker begins to serve it and every ten minutes from then on. A field counts for
KEPT_SECONDS after it was written, and the whole hash ends by itself where no worker writes any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from oxcart.clock import now_ms
from oxcart.connection.link import Link
from oxcart.handlers import Handlers, HandlerSpec
from oxcart.language import tr
from oxcart.names import MAX_NAME_CHARACTERS
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Command
from oxcart.queue.channel import Channel
from oxcart.queue.inspect import pairs

KEPT_SECONDS = 3600  # several times the interval in which workers publish
MAX_FORMS = 100
MAX_BYTES = 8 * 1024  # of one schema; a larger one is no form that a person fills in
MAX_BYTES_TOGETHER = 256 * 1024


class _Published(msgspec.Struct, frozen=True):
    """A field's value; `at`: when it was written, in epoch milliseconds."""

    at: int
    form: msgspec.Raw


class Forms:
    """The schemas of a worker's handlers, made once and aside: models are users' code, and may take their time."""

    def __init__(self, handlers: Handlers) -> None:
        self._models = [spec for spec in handlers if spec.model is not None]
        self._schemas: Mapping[str, bytes] | None = None

    async def publish(self, link: Link, keys: QueueKeys) -> None:
        """Costs nothing where no handler has a model. A refusal (no memory, no right) is met elsewhere, too.

        Raises Unavailable.
        """
        if not self._models:
            return
        if self._schemas is None:
            self._schemas = await asyncio.to_thread(lambda: dict(schemas_of(self._models)))
        if not self._schemas:
            return
        (reply,) = await link.requests([("HGETALL", keys.forms)])
        stored, now = {} if isinstance(reply, Exception) else pairs(reply), now_ms()
        over = [name for name, text in stored.items() if name not in self._schemas and _form_in(text, now) is None]
        fields: list[Any] = []
        for name, schema in self._schemas.items():
            fields += [name, msgspec.json.encode(_Published(now, msgspec.Raw(schema)))]
        commands: list[Command] = [("HDEL", keys.forms, *over)] if over else []
        commands += [("HSET", keys.forms, *fields), ("EXPIRE", keys.forms, KEPT_SECONDS)]
        await link.requests(commands)


def schemas_of(specs: Iterable[HandlerSpec]) -> Iterator[tuple[str, bytes]]:
    """The schemas that can be shown, by job name; at most MAX_FORMS, of MAX_BYTES_TOGETHER."""
    from pydantic import TypeAdapter

    found, size = 0, 0
    for spec in specs:
        if spec.model is None or found == MAX_FORMS or len(spec.name) > MAX_NAME_CHARACTERS:
            continue
        try:
            schema = msgspec.json.encode(TypeAdapter(spec.model).json_schema())
        except Exception:  # noqa: BLE001, S112 - a model is its user's code; one without a schema has no form
            continue
        if len(schema) <= MAX_BYTES and size + len(schema) <= MAX_BYTES_TOGETHER:
            found, size = found + 1, size + len(schema)
            yield spec.name, schema


async def read_forms(channel: Channel) -> dict[str, Any]:
    """What workers of this queue have published lately: JSON schemas by job name, in order.

    Raises Unavailable, ServerRefused.
    """
    doing = tr("Reading the forms of queue {name}", name=channel.keys.name)
    published, now = pairs(await channel.command(doing, "HGETALL", channel.keys.forms)), now_ms()
    read = ((name, _form_in(text, now)) for name, text in sorted(published.items())[:MAX_FORMS])
    return {name: form for name, form in read if form is not None}


def _form_in(text: str, now: int) -> Any:
    """None for what is too old, too large, or was not written by a worker."""
    if len(text) > 2 * MAX_BYTES:
        return None
    try:
        published = msgspec.json.decode(text, type=_Published)
        return msgspec.json.decode(published.form) if abs(now - published.at) <= KEPT_SECONDS * 1000 else None
    except msgspec.DecodeError:
        return None

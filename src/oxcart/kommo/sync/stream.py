"""What does a walk need of the stream it reads? Its pages kept, its cursor moved, its rows counted: `Stream` does that.

One transaction for each page: the lease shown, the rows, their links, the marks of events, the cursor.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart import clock
from oxcart.kommo.account import Account
from oxcart.kommo.client import Answer, Client, Query
from oxcart.kommo.entities import ACCOUNT, EVENTS
from oxcart.kommo.entity import Entity
from oxcart.kommo.pages import Page, Row
from oxcart.kommo.store.holding import Hold
from oxcart.kommo.sync.apply import apply_rows
from oxcart.kommo.sync.cursors import Checkpoint, Cursor, Ended, save_cursor
from oxcart.kommo.sync.learning import learn_account
from oxcart.kommo.sync.progress import Meter
from oxcart.kommo.sync.told import mark_told

LOOKBACK_SECONDS = 600
"""A change may appear in the lists only now, and be dated minutes ago."""

Then = Checkpoint | Ended | None


class Reader:
    """The account's GETs: counts them (one that is repeated counts once), and knows the server's time."""

    def __init__(self, client: Client) -> None:
        self.requests = 0
        self.server_time: int | None = None
        self._client = client

    async def get(self, path: str, query: Query = ()) -> Answer:
        self.requests += 1
        answer = await self._client.get(path, query)
        if answer.server_time is not None:
            self.server_time = answer.server_time
        return answer

    async def now(self) -> int:
        """Epoch seconds by an answer of this run, and by our clock if they have no date; asks if there was none."""
        if self.server_time is None:
            await self.get(ACCOUNT.path)
        return self.server_time or int(clock.now_utc().timestamp())


@dataclass(slots=True)
class Tally:
    pages: int = 0
    rows: int = 0
    changed: int = 0
    deleted: int = 0
    notice: str | None = None


@dataclass(slots=True)
class Stream:
    """One entity of one account under its lease. `full`: all there is, from the beginning."""

    account: Account
    entity: Entity
    cursor: Cursor
    lease: Hold
    reader: Reader
    meter: Meter
    full: bool
    tally: Tally = field(default_factory=Tally)
    counted: int = 0  # requests that are in the stored counts, or another stream's

    @property
    def goes_on_by_page(self) -> bool:
        """Whether a walk of everything was cut off at a page."""
        stands = self.cursor.checkpoint
        return stands is not None and stands.walk == "pages" and stands.full

    @property
    def query(self) -> Query:
        return self.entity.query

    def since(self) -> int:
        """The first second that an incremental walk asks for."""
        reached = self.cursor.cursor_at
        return max(int(reached.timestamp()) - LOOKBACK_SECONDS, 0) if reached is not None else 0

    async def keep(
        self,
        page: Page,
        then: Then | Callable[[AsyncConnection], Awaitable[Then]],
        *,
        run: str | None = None,
    ) -> None:
        """Write what a request brought. `then` is what the cursor says afterwards, or decides it in the transaction.

        Raises LeaseLost, and what the database does.
        """
        rows, fetched_at = page.rows, moment(page.server_time)
        requests = self.reader.requests - self.counted

        async def work(connection: AsyncConnection) -> frozenset[str]:
            await self.lease.show(connection)
            what: dict[str, Any] = {"fetched_at": fetched_at, "run": run, "broken": page.broken}
            changed = await apply_rows(connection, self.account, self.entity, rows, **what)
            await self._learn(connection, rows, changed)
            stands = await then(connection) if callable(then) else then
            counts: dict[str, Any] = {"rows": len(changed), "requests": requests}
            await save_cursor(connection, *self._key, stands, **counts, at=clock.now_utc())
            return changed

        changed = await self.account.database.write(f"Keeping {self.entity.name}", work)
        self.counted = self.reader.requests
        self._count(rows, changed)
        await self.meter.page(self.entity.name, len(rows))

    async def note_error(self, error: str) -> None:
        """For `status`; where the walk stands does not change."""
        requests = self.reader.requests - self.counted

        async def work(connection: AsyncConnection) -> None:
            await self.lease.show(connection)
            counts: dict[str, Any] = {"rows": 0, "requests": requests}
            await save_cursor(connection, *self._key, None, **counts, at=clock.now_utc(), error=error)

        await self.account.database.write(f"Noting an error of {self.entity.name}", work)
        self.counted = self.reader.requests

    @property
    def _key(self) -> tuple[str, str]:
        return self.account.connection_id, self.entity.name

    async def _learn(self, connection: AsyncConnection, rows: list[Row], changed: frozenset[str]) -> None:
        if self.entity is ACCOUNT and rows:
            await learn_account(connection, self.account.connection_id, rows[0])
        elif self.entity is EVENTS:
            new = [row for row in rows if str(row.get("id")) in changed]
            await mark_told(connection, self.account.connection_id, new)

    def _count(self, rows: list[Row], changed: frozenset[str]) -> None:
        self.tally.pages += 1
        self.tally.rows += len(rows)
        if self.entity.marks_deleted:
            self.tally.deleted += len(changed)
        else:
            self.tally.changed += len(changed)


def moment(server_time: int | None) -> datetime:
    """By our clock where an answer has no date."""
    return clock.now_utc() if server_time is None else datetime.fromtimestamp(server_time, UTC)

"""A payload model, retries, a timeout, progress, and an error that no retry can mend.

oxcart run orders:app
oxcart enqueue order:ship --data '{"number": 7, "lines": [{"article": "chair", "pieces": 2}]}' --wait 10
"""

from __future__ import annotations

from pydantic import BaseModel, Field

from oxcart import Discard, Job, Oxcart

app = Oxcart()
ARTICLES = {"chair", "table"}


class Line(BaseModel):
    article: str
    pieces: int = Field(gt=0)


class Order(BaseModel):
    number: int
    lines: list[Line]


class Shipment(BaseModel):
    order: int
    parcels: int


@app.job("order:ship", attempts=5, backoff="exponential:2s:0.5", timeout_seconds=60)
async def ship(job: Job[Order]) -> Shipment:
    order = job.data
    for packed, line in enumerate(order.lines, 1):
        if line.article not in ARTICLES:
            raise Discard(f"order {order.number}: there is no article {line.article}")
        await job.log(f"packed {line.pieces} x {line.article}")
        await job.progress(round(100 * packed / len(order.lines)))
    return Shipment(order=order.number, parcels=len(order.lines))

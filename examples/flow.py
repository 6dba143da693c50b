"""A job that waits for others: the report runs when its pages are there. Worker and producer in one program.

python flow.py
"""

from __future__ import annotations

import asyncio

from oxcart import Job, Oxcart, Queue
from oxcart.testing import running_worker

app = Oxcart()


@app.job("page")
async def page(job: Job) -> int:
    return int(job.data["page"]) * 100


@app.job("report")
async def report(job: Job) -> dict[str, int]:
    values = await job.children_values()
    return {"pages": len(values), "words": sum(values.values())}


async def main() -> None:
    async with running_worker(app, queue="reports"), Queue("reports") as queue:
        pages = [{"name": "page", "data": {"page": number}} for number in (1, 2, 3)]
        flow = await queue.add_flow({"name": "report", "children": pages})
        print(await queue.result(flow.id, timeout_seconds=30))


if __name__ == "__main__":
    asyncio.run(main())

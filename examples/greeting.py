"""The smallest app: one handler.

oxcart run greeting:app
oxcart enqueue greet --data '{"name": "Ann"}' --wait 10
"""

from __future__ import annotations

from oxcart import Job, Oxcart

app = Oxcart()


@app.job("greet")
async def greet(job: Job) -> str:
    return f"Hello {job.data['name']}"

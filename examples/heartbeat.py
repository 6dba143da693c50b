"""Jobs that come again. They need no producer: the worker creates their schedules when it starts.

oxcart run heartbeat:app
oxcart schedules list
"""

from __future__ import annotations

import logging

from oxcart import Job, Oxcart

app = Oxcart()
log = logging.getLogger("heartbeat")


@app.schedule(every_seconds=2)
async def beat(job: Job) -> str:
    log.warning("still here, job %s", job.id)
    return "still here"


@app.schedule("0 6 * * 1-5", tz="Europe/Madrid", name="morning-report")
def morning_report(job: Job) -> None:
    """On weekdays at six in Madrid. A plain function runs in a thread, so it may block."""
    job.log("the report was sent")

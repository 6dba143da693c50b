"""How does a program test its handlers? Without a server for what a handler does, with one for what a job does."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from oxcart import InvalidInput, Job, Oxcart, Snooze
from oxcart.testing import run_handler

app = Oxcart()


class Greeting(BaseModel):
    name: str


@app.job("greet", attempts=5, backoff="exponential:5s")
async def greet(job: Job[Greeting]) -> str:
    await job.progress(50)
    await job.log(f"greeting {job.data.name}")
    if job.attempts_made == 0 and job.data.name == "Late":
        raise Snooze(60)
    return f"Hello {job.data.name}"


async def test_what_a_handler_returns_and_reports() -> None:
    run = await run_handler(app, "greet", {"name": "Ann"})

    assert run.value == "Hello Ann"
    assert run.progress == [50]
    assert run.log == ["greeting Ann"]


async def test_what_a_handler_raises_is_raised_here() -> None:
    with pytest.raises(Snooze):
        await run_handler(app, "greet", {"name": "Late"})


async def test_a_later_attempt() -> None:
    run = await run_handler(app, "greet", {"name": "Late"}, attempts_made=1)

    assert run.value == "Hello Late"


async def test_a_name_that_the_app_does_not_handle() -> None:
    with pytest.raises(InvalidInput, match="Known here: greet"):
        await run_handler(app, "greeet", {"name": "Ann"})

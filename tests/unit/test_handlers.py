"""Is a handler's declaration checked where it is written, and its payload before it runs?"""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from oxcart import Backoff, InvalidInput, Job, Oxcart
from oxcart.handlers import describe


class Greeting(BaseModel):
    name: str
    times: int = 1


async def greet(job: Job[Greeting]) -> str:
    return job.data.name


def test_the_model_of_the_annotation_reads_the_data() -> None:
    spec = describe("greet", greet)

    assert spec.parse is not None
    assert spec.parse({"name": "Ann"}) == Greeting(name="Ann")


def test_data_that_does_not_fit_is_named_by_field_and_never_shown() -> None:
    spec = describe("greet", greet)
    assert spec.parse is not None

    with pytest.raises(InvalidInput) as caught:
        spec.parse({"nom": "secret-value", "times": "many"})

    assert str(caught.value).startswith("name: Field required; times: Input should be a valid integer")
    assert "secret-value" not in str(caught.value)
    assert "many" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exponential:5s", Backoff("exponential", 5000)),
        ("fixed:200ms", Backoff("fixed", 200)),
        ("fixed:1.5m:0.5", Backoff("fixed", 90_000, 0.5)),
        ("my-strategy", Backoff("my-strategy", 0)),
    ],
)
def test_a_backoff_can_be_written_as_text(text: str, expected: Backoff) -> None:
    assert describe("greet", greet, backoff=text).backoff == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attempts": 0}, r'@app.job\("greet"\): attempts=0 must be a whole number from 1 on'),
        ({"attempts": True}, "attempts=True"),
        ({"timeout_seconds": 0}, "timeout_seconds=0 must be above 0"),
        ({"backoff": "exponential"}, 'needs a delay, as in "exponential:5s"'),
        ({"backoff": "fixed:soon"}, '"soon" is no duration'),
        ({"backoff": "linear:5s"}, "the name of a strategy alone"),
        ({"keep_completed": {"days": 3}}, "give True \\(all\\), False"),
        ({"keep_failed": -1}, "keep_failed=-1: give True"),
        ({"backoff": "fixed:5s:2"}, "with jitter"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        describe("greet", greet, **arguments)


def test_a_handler_must_take_the_job() -> None:
    async def no_argument() -> None: ...

    with pytest.raises(InvalidInput, match="takes one argument, the job"):
        describe("greet", no_argument)  # type: ignore[arg-type]


def test_two_handlers_of_one_name_are_refused() -> None:
    app = Oxcart()
    app.job("greet")(greet)

    with pytest.raises(InvalidInput, match='Two handlers for the job name "greet"'):
        app.job("greet")(greet)


def test_a_schedule_with_a_bad_pattern_is_refused_where_it_is_written() -> None:
    app = Oxcart()

    with pytest.raises(InvalidInput, match="61"):
        app.schedule("61 * * * *")(greet)

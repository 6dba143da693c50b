"""Is "Add a job" a form where a worker has told what the data look like, and is what is wrong told at its field?"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, Literal, cast

import pytest
from pydantic import BaseModel, Field, GetJsonSchemaHandler, TypeAdapter
from redis.asyncio import Redis
from support.board import Visitor, open_visitor
from support.waiting import wait_until

from oxcart import Job, Oxcart, Queue
from oxcart.board.form import FieldProblems, Input, data_of, inputs_of
from oxcart.connection.server import Server
from oxcart.connection.target import parse_redis_url
from oxcart.handlers import Handlers, describe
from oxcart.protocol.keys import QueueKeys
from oxcart.queue import forms
from oxcart.queue.forms import KEPT_SECONDS, MAX_BYTES, Forms, schemas_of
from oxcart.testing import running_worker


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


class Address(BaseModel):
    city: str


class Invoice(BaseModel):
    number: int = Field(ge=1, le=999, description="As it stands on the paper")
    to: str = Field(title="Recipient", min_length=2)
    total: float | None = None
    paid: bool = False
    size: Size = Size.SMALL
    kind: Literal["new", "old"] = "new"
    lines: list[str] = []
    address: Address | None = None


INPUTS = inputs_of(TypeAdapter(Invoice).json_schema())


def filled(**fields: str) -> dict[str, str]:
    return {f"data.{name}": text for name, text in fields.items()}


def problem(one: str, text: str) -> str:
    with pytest.raises(FieldProblems) as caught:
        data_of(INPUTS, filled(**{"number": "1", "to": "Ann", one: text}))
    return caught.value.problems[f"data.{one}"]


# ------------------------------------------------------------------------------------------------ schema and form
def test_each_kind_of_field_is_what_a_person_fills_in() -> None:
    kinds = {one.name: (one.kind, one.is_required) for one in INPUTS}

    assert kinds == {
        "number": ("whole", True),
        "to": ("text", True),
        "total": ("number", False),
        "paid": ("choice", False),
        "size": ("choice", False),
        "kind": ("choice", False),
        "lines": ("json", False),
        "address": ("json", False),
    }
    assert [one.label for one in INPUTS[:2]] == ["Number", "Recipient"]
    assert INPUTS[0].hint == "As it stands on the paper"
    assert [*INPUTS[4].choices] == ["small", "large"]


def test_what_was_filled_in_is_what_the_model_takes() -> None:
    given = filled(
        number="7", to="Ann", total="9.5", paid="true", size="large", lines='["a"]', address='{"city": "Riga"}'
    )

    data = data_of(INPUTS, given)

    assert data == {
        "number": 7,
        "to": "Ann",
        "total": 9.5,
        "paid": True,
        "size": "large",
        "lines": ["a"],
        "address": {"city": "Riga"},
    }
    assert Invoice.model_validate(data).size is Size.LARGE


def test_what_is_left_empty_is_left_to_the_model() -> None:
    assert data_of(INPUTS, filled(number="7", to="Ann", total=" ")) == {"number": 7, "to": "Ann"}


@pytest.mark.parametrize(
    ("one", "text", "told"),
    [
        ("number", "seven", "A whole number is needed."),
        ("number", "1000", "It is 999 at most."),
        ("number", "0", "It is 1 at least."),
        ("number", "9" * 40, "A whole number is needed."),
        ("to", "", "This is needed."),
        ("to", "A", "It has 2 characters at least."),
        ("total", "nan", "A number is needed."),
        ("size", "huge", "Choose one of: small, large"),
        ("lines", "{}", "A list is needed: [1, 2]"),
        ("address", "[]", 'An object is needed: {"name": "Ann"}'),
    ],
)
def test_what_cannot_be_is_told_at_its_field(one: str, text: str, told: str) -> None:
    assert problem(one, text) == told


@pytest.mark.parametrize("schema", [None, [], {}, {"type": "array"}, {"properties": "x"}, {"$ref": "#/$defs/A"}])
def test_what_is_no_object_has_no_form(schema: Any) -> None:
    assert inputs_of(schema) == ()


def test_a_schema_that_refers_to_itself_ends() -> None:
    (one,) = inputs_of({"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"$ref": "#/$defs/A"}}})

    assert isinstance(one, Input)
    assert one.kind == "json"


# ------------------------------------------------------------------------------------------------ published
def handlers_of(**models: Any) -> Handlers:
    handlers = Handlers()
    for name, model in models.items():

        async def handler(job: Job[Any]) -> None: ...

        handler.__annotations__["job"] = cast("Any", Job)[model]
        handlers.add(describe(name, handler))
    return handlers


def test_what_is_published_is_bounded() -> None:
    class Broken(BaseModel):
        @classmethod
        def __get_pydantic_json_schema__(cls, _: Any, __: GetJsonSchemaHandler) -> Any:
            raise RuntimeError("a model is its user's code")

    large = type("Large", (BaseModel,), {"__annotations__": {f"field_{n}": int for n in range(500)}})
    handlers = handlers_of(broken=Broken, large=large, invoice=Invoice, plain=dict, **{"n" * 101: Invoice})

    published = dict(schemas_of(handlers))

    assert [*published] == ["invoice"]
    assert len(published["invoice"]) <= MAX_BYTES
    many = handlers_of(**{f"job-{n}": Address for n in range(120)})
    assert len(dict(schemas_of(many))) == forms.MAX_FORMS


async def test_a_worker_publishes_them_and_they_end_by_themselves(
    redis_url: str, queue_name: str, redis: Redis
) -> None:
    app = Oxcart()

    @app.job("invoice")
    async def invoice(job: Job[Invoice]) -> None: ...

    key = QueueKeys(queue_name).forms
    async with Queue(queue_name, redis_url) as queue:
        await redis.hset(key, mapping={"gone": '{"at":1,"form":{}}', "foreign": "x"})
        async with running_worker(app, url=redis_url, queue=queue_name):
            await wait_until(lambda: redis.hexists(key, "invoice"), describe="the worker has told of its form")
        assert [*await redis.hgetall(key)] == ["invoice"], "and what nobody publishes any more is gone"
        assert 0 < await redis.ttl(key) <= KEPT_SECONDS
        assert {*await forms.read_forms(queue.channel)} == {"invoice"}

        stored = json.loads(str(await redis.hget(key, "invoice")))
        await redis.hset(key, "invoice", json.dumps({**stored, "at": stored["at"] - (KEPT_SECONDS + 1) * 1000}))
        assert await forms.read_forms(queue.channel) == {}, "a worker that has ended says nothing any more"


# ------------------------------------------------------------------------------------------------ on the board
async def publish(url: str, queue: str) -> None:
    server = Server(parse_redis_url(url))
    try:
        await Forms(handlers_of(**{"invoice": Invoice, "<b>odd</b>": Address})).publish(
            server.link("commands"), QueueKeys(queue)
        )
    finally:
        await server.close()


async def sent(visitor: Visitor, queue: str, **fields: str) -> Any:
    form = {"csrf": await visitor.csrf(), "verb": "add", "queue": queue, "name": "invoice", "form": "invoice"}
    return await visitor.post("/board/do", {**form, **filled(**fields)})


async def test_the_form_is_offered_filled_in_and_checked(redis_url: str, queue_name: str) -> None:
    await publish(redis_url, queue_name)
    async with Queue(queue_name, redis_url) as queue, open_visitor(redis_url, queue_name) as visitor:
        offered = (await visitor.ask(f"/board/ask?verb=add&queue={queue_name}")).text
        shown = (await visitor.ask(f"/board/ask?verb=add&queue={queue_name}&form=invoice")).text
        wrong = await sent(visitor, queue_name, number="many", to="<i>Ann</i>", size="large")
        counts_before = await queue.counts()
        right = await sent(visitor, queue_name, number="7", to="Ann", paid="false")
        (job,) = await queue.jobs("waiting")

    assert "form=invoice" in offered
    assert 'name="data"' in offered, "and JSON can be written, too"
    assert "&lt;b&gt;odd&lt;/b&gt;" in offered
    assert "<b>odd</b>" not in offered
    assert 'name="data.number"' in shown
    assert 'name="data"' not in shown
    assert '<option value="large">large</option>' in shown

    assert wrong.status == 400
    assert 'aria-invalid="true" aria-describedby="f-data-1-wrong"' in wrong.text
    assert '<p class="bad" id="f-data-1-wrong">A whole number is needed.</p>' in wrong.text
    assert 'value="&lt;i&gt;Ann&lt;/i&gt;"' in wrong.text, "what was typed is not lost"
    assert '<option value="large" selected>' in wrong.text
    assert counts_before["waiting"] == 0

    assert right.status == 303
    assert (job.name, job.data) == ("invoice", {"number": 7, "to": "Ann", "paid": False})


async def test_json_that_breaks_is_told_at_its_field_and_kept(redis_url: str, queue_name: str) -> None:
    async with open_visitor(redis_url, queue_name) as visitor:
        form = {"csrf": await visitor.csrf(), "verb": "add", "queue": queue_name, "name": "x"}
        wrong = await visitor.post("/board/do", {**form, "data": '{"a": 1', "delay": "soon"})
        late = await visitor.post("/board/do", {**form, "data": "{}", "delay": "soon"})
        nameless = await visitor.post("/board/do", {**form, "name": "", "data": '{"kept": 1}'})

    assert [answer.status for answer in (wrong, late, nameless)] == [400, 400, 400]
    assert 'id="f-delay-wrong"' in wrong.text or 'id="f-data-wrong"' in wrong.text
    assert 'id="f-delay-wrong"' in late.text
    assert 'value="soon"' in late.text
    assert 'role="alert"' in nameless.text
    assert "kept" in nameless.text


async def test_what_others_write_there_harms_no_page(redis_url: str, queue_name: str, redis: Redis) -> None:
    """Whoever may write to Redis may write a form, too."""
    now = (await redis.time())[0] * 1000
    hostile: Any = {"properties": {'"><script>x</script>': {"title": "<script>y</script>", "enum": [{}, None, 10**30]}}}
    rows: Any = {f"name-{n}": json.dumps({"at": now, "form": hostile}) for n in range(300)}
    rows |= {"long": "x" * 100_000, "list": json.dumps({"at": now, "form": [1]})}
    await redis.hset(QueueKeys(queue_name).forms, mapping=rows)
    async with open_visitor(redis_url, queue_name) as visitor:
        for name in ("name-1", "long", "list", "none"):
            answer = await visitor.ask(f"/board/ask?verb=add&queue={queue_name}&form={name}")
            assert answer.status == 200
            assert "<script>x" not in answer.text
            assert "<script>y" not in answer.text
            assert len(answer.text) < 100_000

"""Does each request get its own replies, however the bytes are cut?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import AuthenticationError, BusyLoadingError, InvalidResponse, NoScriptError, ReadOnlyError

from oxcart.connection.resp import Conversation, Request, pack, useless_socket
from oxcart.connection.target import RedisTarget

replies = st.recursive(
    st.integers(-5, 5) | st.binary(max_size=20) | st.none(), lambda inner: st.lists(inner, max_size=4), max_leaves=8
)


def on_the_wire(reply: object) -> bytes:
    match reply:
        case int():
            return b":%d\r\n" % reply
        case bytes():
            return b"$%d\r\n%s\r\n" % (len(reply), reply)
        case list():
            return b"*%d\r\n" % len(reply) + b"".join(map(on_the_wire, reply))
        case _:
            return b"$-1\r\n"


@given(st.lists(st.lists(replies, min_size=1, max_size=3), max_size=6), st.data())
def test_replies_go_to_the_requests_in_order(answers: list[list[object]], data: st.DataObject) -> None:
    talk: Conversation[Request] = Conversation()
    requests = [Request([("PING",)] * len(answer)) for answer in answers]
    talk.in_flight.extend(requests)
    wire = b"".join(on_the_wire(reply) for answer in answers for reply in answer)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))

    answered = [
        request
        for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)
        for request in talk.received(wire[start:end])
    ]

    assert answered == requests
    assert [request.replies for request in answered] == answers
    assert not talk.was_told_unasked
    assert not any(request.has_error for request in requests)


def test_an_error_reply_stands_in_its_place() -> None:
    talk: Conversation[Request] = Conversation()
    request = Request([("A",), ("B",), ("C",)])
    talk.in_flight.append(request)

    assert talk.received(b"+OK\r\n-NOSCRIPT none\r\n:1\r\n") == [request]

    assert (request.replies[0], request.replies[2]) == (b"OK", 1)
    assert isinstance(request.replies[1], NoScriptError)
    assert request.has_error


def test_what_nobody_asked_for_is_noticed() -> None:
    talk: Conversation[Request] = Conversation()
    request = Request([("A",)])
    talk.in_flight.append(request)

    assert talk.received(b"+OK\r\n+O") == [request]

    assert talk.was_told_unasked


def test_what_is_no_reply_ends_the_reading() -> None:
    talk: Conversation[Request] = Conversation()
    first, second = Request([("A",)]), Request([("B",)])
    talk.in_flight.extend([first, second])

    assert talk.received(b"+OK\r\nHTTP/1.1 400 Bad Request\r\n") == [first]

    assert isinstance(talk.broken_by, InvalidResponse)
    assert list(talk.in_flight) == [second]


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (ReadOnlyError("You can't write", status_code="READONLY"), "READONLY"),
        (BusyLoadingError("the data", status_code="LOADING"), "LOADING"),
        (AuthenticationError("Authentication required.", status_code="NOAUTH"), "AUTH_LATE"),
        (NoScriptError("none", status_code="NOSCRIPT"), None),
    ],
)
def test_some_replies_say_that_the_socket_is_of_no_use(reply: Exception, code: str | None) -> None:
    found = useless_socket([b"OK", reply], RedisTarget("127.0.0.1", 6379))

    assert (found[0].code if found else None) == code


def test_numbers_and_text_are_packed_as_the_server_reads_them() -> None:
    assert pack([("SET", b"\xff", 1.5), ("PING",)]) == (
        b"*3\r\n$3\r\nSET\r\n$1\r\n\xff\r\n$3\r\n1.5\r\n*1\r\n$4\r\nPING\r\n"
    )
    with pytest.raises(TypeError):
        pack([("SET", object())])  # type: ignore[list-item]

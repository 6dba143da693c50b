"""What may strangers hold of the HTTP port? A few connections, for a short time; the longest wait goes first."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain

import pytest
from starlette.requests import Request
from starlette.responses import Response
from support.http_site import Running, ask, serving
from support.waiting import wait_until

from oxcart.http.caller import Patience, peer_of
from oxcart.http.door import Room, room_for
from oxcart.http.pace import Pace, Paces, Rates
from oxcart.http.routes import Auth, Route
from oxcart.http.site import CanaryResult, Site
from oxcart.telemetry.events import HttpCrowded

SMALL = Room(most=8, most_of_peer=6, most_when_short=2, short_from=1 << 30)
SHORT = Patience(head=0.2, body=0.2, reading=0.2)
LONG = Patience(head=600, body=600, reading=600)
HEAD = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
WHOLE = HEAD + b"\r\n"
BIG = 32 * 1024 * 1024


async def big(_: Site, __: Request) -> Response:
    return Response(b"x" * BIG)


async def body(_: Site, request: Request) -> Response:
    return Response(str(len(await request.body())))


MORE = (Route("/big", ("GET",), Auth.OPEN, big), Route("/body", ("POST",), Auth.OPEN, body))


@contextmanager
def connected(worker: Running, *, number: int = 1, host: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection((host, worker.port), timeout=10)) for _ in range(number)]


def is_gone(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        while connection.recv(1000):
            continue
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def is_answered(connection: socket.socket) -> bool:
    received = b""
    while not received.endswith(b"}"):
        received += connection.recv(1000)
    return received.startswith(b"HTTP/1.1 200")


def read_to_end(connection: socket.socket) -> bytes:
    """What came until the other side hung up, however it did."""
    received = bytearray()
    try:
        while data := connection.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return bytes(received)


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"GET",
        HEAD,
        WHOLE,  # answered, and then silent
        WHOLE + HEAD,
        b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
        b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
        b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",  # answered before its body is here
        b"\x16\x03\x01",
    ],
    ids=repr,
)
def test_whoever_does_not_go_on_is_sent_away(words: bytes) -> None:
    with serving(patience=SHORT, more_routes=MORE) as worker, connected(worker) as (stranger,):
        stranger.sendall(words)

        answer = read_to_end(stranger)

        assert answer.count(b"HTTP/1.1 200") == (words.startswith(b"GET /health") and b"\r\n\r\n" in words)
        assert worker.events[1:] == [], "that happens all the time, and is nothing to tell"


async def test_words_that_come_one_by_one_win_no_time() -> None:
    with serving(patience=SHORT, more_routes=MORE) as worker, connected(worker) as (stranger,):
        for byte in chain.from_iterable([HEAD] * 1000):
            try:
                stranger.send(bytes([byte]))
            except OSError:
                break
            try:
                await wait_until(lambda: is_gone(stranger), describe="it is sent away", timeout=0.02)
            except AssertionError:
                continue
            break
        else:
            pytest.fail("it could go on for as long as it liked")

        assert worker.get("/health/live").status == 200


async def test_whoever_does_not_read_is_sent_away() -> None:
    with serving(patience=SHORT, more_routes=MORE) as worker, connected(worker) as (stranger,):
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stranger.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await wait_until(lambda: stranger.recv(1, socket.MSG_PEEK), describe="the answer begins")

        def is_reset() -> bool:
            return stranger.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0

        await wait_until(is_reset, describe="it is sent away", timeout=5)


def test_whoever_reads_slowly_but_reads_gets_all() -> None:
    with serving(patience=SHORT, more_routes=MORE) as worker, connected(worker) as (slow,):
        slow.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

        received = len(read_to_end(slow))

        assert received > BIG


def test_an_answer_that_takes_us_long_is_not_cut_off() -> None:
    """The patience is with the peer, who has done its part."""
    with serving(patience=SHORT) as worker:
        worker.run_canary = lambda: canary_result(1.0)

        assert worker.post("/canary").status == 200


def canary_result(after_seconds: float) -> Future[CanaryResult]:
    future: Future[CanaryResult] = Future()
    threading.Timer(after_seconds, future.set_result, [CanaryResult("1", 1.0)]).start()
    return future


def test_the_longest_wait_goes_first_and_whoever_comes_is_answered() -> None:
    with serving(room=SMALL, patience=LONG) as worker, connected(worker, number=5) as silent:
        with connected(worker) as (known,):
            known.sendall(WHOLE)
            assert is_answered(known)
            for _ in range(3):
                assert ask(worker.port, "/health/live").status == 200
            known.sendall(WHOLE)
            assert is_answered(known), "it had waited less than the silent ones"

        assert is_gone(silent[0])
        assert not is_gone(silent[-1])
        assert sum(isinstance(event, HttpCrowded) for event in worker.events) == 1


def test_one_peer_does_not_take_all_of_it() -> None:
    with (
        serving(room=SMALL, patience=LONG) as worker,
        connected(worker, host="::1") as (other,),
        connected(worker, number=50),
    ):
        other.sendall(WHOLE)

        assert is_answered(other)


async def test_a_flood_of_whole_requests_is_slowed_down_and_nobody_else() -> None:
    rates = Rates(of_peer=10, of_all=1000, of_probes=5, burst_seconds=1)
    with (
        serving(rates=rates, patience=LONG) as worker,
        connected(worker, number=3) as flood,
        connected(worker, host="::1") as (other,),
    ):
        began, received = time.monotonic(), bytearray()

        def answers() -> int:
            for stranger in flood:
                with suppress(BlockingIOError):
                    received.extend(stranger.recv(1 << 20, socket.MSG_DONTWAIT))
            return received.count(b"HTTP/1.1 200")

        for stranger in flood:
            stranger.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 300)
        await wait_until(lambda: answers() >= 10, describe="the first ones are answered")
        assert ask(worker.port, "/health/live").status == 200, "a probe of the same peer"
        other.sendall(WHOLE)
        assert is_answered(other)
        await wait_until(lambda: answers() >= 14, describe="it goes on, slowly")
        assert answers() <= 10 + len(flood) + 10 * (time.monotonic() - began)


CHUNKS = b"POST /health/live HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 60_000
HEADERS = b"GET /nothing HTTP/1.1\r\n" + b"".join(b"X%d:\r\n" % n for n in range(2000)) + b"Host: x\r\n\r\n"


@pytest.mark.parametrize("words", [CHUNKS, HEADERS * 25], ids=["chunks of a byte", "thousands of headers"])
def test_what_is_costly_to_read_is_read_slowly(words: bytes) -> None:
    """One connection that sent chunks of a byte kept /health/live waiting for 6 s, sixty for as long as they liked."""
    rates = Rates(of_peer=10, burst_seconds=1)
    with serving(rates=rates, patience=LONG) as worker, connected(worker) as (stranger,):
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
        sender = threading.Thread(target=send_while_taken, args=(stranger, words))
        sender.start()
        assert worker.get("/health/live").status == 200
        sender.join(0.7)
        assert sender.is_alive()
        stranger.shutdown(socket.SHUT_RDWR)
        sender.join()


def send_while_taken(stranger: socket.socket, words: bytes) -> None:
    with suppress(OSError):
        stranger.sendall(words)


def test_reading_counts_as_so_many_requests() -> None:
    pace = Pace(rate=100, burst_seconds=1, most=2)
    pace.read(0.0, 0.025)
    assert not pace.wait_to_read(0.0)
    pace.read(0.0, 0.025)
    assert pace.wait_to_read(0.0) == pytest.approx(1.0)


def test_so_many_requests_of_a_peer_are_under_way_at_once() -> None:
    pace = Pace(rate=1000, burst_seconds=1, most=2)
    assert not pace.wait_to_begin(0.0)
    pace.begin(0.0)
    pace.begin(0.0)
    assert pace.wait_to_begin(0.0) > 0
    pace.end()
    assert not pace.wait_to_begin(0.0)


def test_peers_are_forgotten_once_they_are_slow_again() -> None:
    paces = Paces(Rates(of_peer=10, burst_seconds=1))
    for peer in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        own, _ = paces.of(peer)
        own.begin(1.0)
        own.end()
    other, _ = paces.of("192.0.2.2")

    paces.forget(1.05, set())
    assert paces.of("192.0.2.2")[0] is other
    paces.forget(1.2, {"192.0.2.2"})
    assert paces.of("192.0.2.2")[0] is other
    assert paces.of("192.0.2.1")[0].is_forgotten(0.0)


async def test_where_all_are_being_answered_a_newcomer_hears_so() -> None:
    with serving(room=SMALL, patience=LONG) as worker, ExitStack() as stack:
        under_way: list[Future[CanaryResult]] = []

        def run_canary() -> Future[CanaryResult]:
            under_way.append(Future())
            return under_way[-1]

        worker.run_canary = run_canary
        for _ in range(SMALL.most_of_peer):
            (busy,) = stack.enter_context(connected(worker))
            busy.sendall(b"POST /canary HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        await wait_until(lambda: len(under_way) == SMALL.most_of_peer, describe="all are being answered")
        (refused,) = stack.enter_context(connected(worker))

        answer = read_to_end(refused)

        assert answer.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: 1" in answer
        assert b"Too many connections" in answer


def test_when_descriptors_are_short_only_a_few_stay() -> None:
    short = Room(most=8, most_of_peer=6, most_when_short=2, short_from=0)
    with serving(room=short, patience=LONG) as worker, connected(worker, number=6) as silent:
        assert worker.get("/health/live").status == 200

        assert sum(map(is_gone, silent)) >= 4


@pytest.mark.parametrize("descriptors", [16, 64, 256, 1024, 4096, 1 << 30])
def test_there_is_always_room_for_probes_and_never_for_more_than_half(descriptors: int) -> None:
    room = room_for(descriptors)

    assert 4 <= room.most_when_short <= room.most_of_peer < room.most <= descriptors / 2
    assert room.most < room.short_from < descriptors


@pytest.mark.parametrize(
    ("address", "peer"),
    [("192.0.2.7", "192.0.2.7"), ("2001:db8::1:2", "2001:db8::/64"), ("fe80::1%eth0", "fe80::/64"), ("::1", "::/64")],
)
def test_a_network_of_one_owner_is_one_peer(address: str, peer: str) -> None:
    assert peer_of(address) == peer


@pytest.mark.parametrize(
    "words",
    [
        WHOLE + b"\x00\x00\r\n\r\n",
        b"POST /health/live HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nabcdef\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET " + b"/" * 100_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=lambda words: repr(words[:40]),
)
async def test_what_breaks_the_rules_writes_no_line(words: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with serving(patience=SHORT) as worker, connected(worker) as (stranger,):
        stranger.sendall(words)
        stranger.sendall(b"ZZZ\r\nZZZ\r\n")
        read_to_end(stranger)

        assert worker.get("/health/live").status == 200
        assert [record.getMessage() for record in caplog.records if record.name != "support"] == []

"""Who may look at the board, and who may change something? An attacker's list, and those who may."""

from __future__ import annotations

from typing import Any

import pytest
from support.board import Visitor, open_visitor

from oxcart import Queue
from oxcart.board.access import SESSION_SECONDS, Access
from oxcart.board.application import ROWS, Need
from oxcart.secret import Secret

OPERATOR, OLD, READER = Secret("operator-token-1"), Secret("operator-token-0"), Secret("reader-token-1")
LOCAL = {"host": "127.0.0.1:3001"}
CHANGES = [row for row in ROWS if row.need is Need.CHANGE]
LOOKS = [row.path.replace("{view}", "queue") for row in ROWS if row.need is Need.LOOK]


def board(url: str, queue: str, **more: Any) -> Any:
    return open_visitor(url, queue, operators=(OPERATOR, OLD), readers=(READER,), **more)


async def logged_in(visitor: Visitor, token: Secret = OPERATOR) -> Visitor:
    answer = await visitor.post("/board/login", {"token": token.reveal(), "to": "/board"})
    assert answer.status == 303
    return visitor


async def test_nobody_gets_in_without_a_session(redis_url: str, queue_name: str) -> None:
    async with board(redis_url, queue_name) as visitor:
        for path in LOOKS:
            for cookies in ({}, {"oxcart_board": "forged.0000"}, {"oxcart_board": "e30=.00"}, {"oxcart_board": "ü"}):
                visitor.cookies = dict(cookies)
                answer = await visitor.ask(path, headers={"cookie": ""} if not cookies else None)
                assert answer.status == 401, path
        for row in CHANGES:
            visitor.cookies = {}
            assert (await visitor.post(row.path, {"verb": "pause", "queue": queue_name})).status == 401, row.path


async def test_every_change_wants_the_token_of_its_session_and_our_own_page(redis_url: str, queue_name: str) -> None:
    async with board(redis_url, queue_name) as visitor, Queue(queue_name, redis_url) as queue:
        await logged_in(visitor)
        csrf = await visitor.csrf()
        form = {"verb": "pause", "queue": queue_name, "csrf": csrf}
        refused = [
            ({**form, "csrf": ""}, {}),
            ({**form, "csrf": csrf[:-1] + ("0" if csrf[-1] != "0" else "1")}, {}),
            (form, {"origin": "https://evil.example"}),
            (form, {"origin": "null"}),
            (form, {"origin": "http://127.0.0.1:3002"}),
            (form, {"sec-fetch-site": "cross-site"}),
            (form, {"sec-fetch-site": "same-site"}),
        ]
        for row in CHANGES:
            for fields, headers in refused:
                assert (await visitor.post(row.path, fields, headers)).status == 403, (row.path, headers)
        assert not await queue.is_paused()

        answer = await visitor.post("/board/do", form, {"origin": "http://127.0.0.1:3001"})

        assert answer.status == 303
        assert await queue.is_paused()


async def test_another_sessions_token_is_none(redis_url: str, queue_name: str) -> None:
    async with board(redis_url, queue_name) as visitor:
        stolen = await (await logged_in(Visitor(visitor.app))).csrf()
        await logged_in(visitor)

        answer = await visitor.post("/board/do", {"verb": "pause", "queue": queue_name, "csrf": stolen})

        assert answer.status == 403


async def test_looking_changes_nothing_whatever_the_method(redis_url: str, queue_name: str) -> None:
    async with board(redis_url, queue_name) as visitor, Queue(queue_name, redis_url) as queue:
        await logged_in(visitor)
        csrf = await visitor.csrf()
        for row in ROWS:
            wrong = "GET" if row.method == "POST" else "POST"
            path = row.path.replace("{view}", "overview").replace("{verb}", "pause")
            both = {other.method for other in ROWS if other.path == row.path}
            query = f"?verb=pause&queue={queue_name}&csrf={csrf}"
            if wrong not in both and path not in {"/board/logout", "/board/prefs", "/board/do"}:
                assert (await visitor.ask(path + query, wrong)).status in {401, 404, 405}, path
        for path in ("/board/do", "/board/logout", "/board/prefs", "/board/batch/stop"):
            answer = await visitor.ask(f"{path}?verb=pause&queue={queue_name}&csrf={csrf}")
            assert answer.status in {404, 405}, path
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
            assert (await visitor.ask("/board/do", method)).status == 405

        assert not await queue.is_paused()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (LOCAL, 200),
        ({"host": "localhost"}, 200),
        ({**LOCAL, "x-forwarded-for": "127.0.0.1"}, 401),
        ({**LOCAL, "forwarded": "for=127.0.0.1"}, 401),
        ({**LOCAL, "cf-ray": "1"}, 401),
        ({"host": "rebound.example"}, 401),
        ({**LOCAL, "origin": "https://evil.example"}, 401),
        ({"host": "[::1"}, 400),
    ],
)
async def test_without_a_token_only_this_machine_itself_may(
    redis_url: str, queue_name: str, headers: dict[str, str], status: int
) -> None:
    async with open_visitor(redis_url, queue_name) as visitor:
        visitor.headers = headers
        assert (await visitor.ask("/board")).status == status
        assert (await visitor.ask("/api/overview")).status == status

        visitor.host = "192.0.2.1"
        visitor.cookies = {}
        assert (await visitor.ask("/board")).status in {400, 401}


@pytest.mark.parametrize(
    "path",
    ["/board/../board", "/board//", "/board/%2e%2e/queue", "/boardx", "/board/static/../access.py",
     "/board/static/x.css", "/board/login/../queue", "/board/queue/", "/api/../board", "/apix"],
)  # fmt: skip
async def test_tricks_with_the_path_lead_nowhere(redis_url: str, queue_name: str, path: str) -> None:
    async with board(redis_url, queue_name) as visitor:
        assert (await visitor.ask(path)).status in {401, 404}


async def test_a_reader_looks_and_changes_nothing(redis_url: str, queue_name: str) -> None:
    async with board(redis_url, queue_name) as visitor, Queue(queue_name, redis_url) as queue:
        await logged_in(visitor, READER)
        page = await visitor.ask(f"/board/queue?queue={queue_name}")
        form = {"verb": "pause", "queue": queue_name, "csrf": await visitor.csrf()}

        assert page.status == 200
        assert "/board/ask" not in page.text
        assert (await visitor.post("/board/do", form)).status == 403
        assert (await visitor.post("/board/prefs", {**form, "veil": "off", "to": "/board"})).status == 303
        assert (await visitor.ask("/board")).text.count("Lift the veil") == 0
        assert not await queue.is_paused()

        program = {"authorization": f"Bearer {READER.reveal()}", "content-type": "application/json"}
        visitor.cookies = {}
        assert (await visitor.ask("/api/overview", headers=program)).status == 200
        assert (await visitor.ask("/api/actions/pause", "POST", program, b"{}")).status == 403


async def test_a_board_for_looking_only_lets_nobody_change(redis_url: str, queue_name: str) -> None:
    async with board(redis_url, queue_name, read_only=True) as visitor, Queue(queue_name, redis_url) as queue:
        await logged_in(visitor)

        answer = await visitor.post("/board/do", {"verb": "pause", "queue": queue_name, "csrf": await visitor.csrf()})

        assert answer.status == 403
        assert not await queue.is_paused()


async def test_the_cookie_is_for_us_alone_and_ends(redis_url: str, queue_name: str) -> None:
    async with board(redis_url, queue_name) as visitor:
        plain = await visitor.post("/board/login", {"token": OLD.reveal()})
        tls = await visitor.post("/board/login", {"token": OLD.reveal()}, {"x-forwarded-proto": "https"})

        (cookie,) = plain.cookies
        assert {"HttpOnly", "SameSite=strict", "Path=/board", f"Max-Age={SESSION_SECONDS}"} <= set(cookie.split("; "))
        assert "Secure" not in cookie
        assert "Secure" in tls.cookies[0]
        assert OLD.reveal() not in cookie


async def test_a_session_ends_with_its_time_and_with_its_token(redis_url: str, queue_name: str) -> None:
    now = [1_000_000.0]
    access = Access((OPERATOR,), (), now=lambda: now[0])
    session = access.log_in(OPERATOR.reveal())
    assert session is not None
    async with board(redis_url, queue_name) as visitor:
        await logged_in(visitor, OLD)
        cookie = visitor.cookies
        assert (await visitor.ask("/board")).status == 200
    async with open_visitor(redis_url, queue_name, operators=(OPERATOR,)) as later:
        later.cookies = cookie

        assert (await later.ask("/board")).status == 401


async def test_attempts_are_limited(redis_url: str, queue_name: str) -> None:
    async with board(redis_url, queue_name) as visitor:
        statuses = [(await visitor.post("/board/login", {"token": f"guess-{n}"})).status for n in range(15)]

        assert statuses[:10] == [401] * 10
        assert statuses[10:] == [429] * 5
        assert (await visitor.post("/board/login", {"token": OPERATOR.reveal()})).headers["retry-after"]


@pytest.mark.parametrize(
    "to", ["https://evil.example", "//evil.example", "/board//evil.example", "/board\\@evil", "/boardx", "javascript:1"]
)
async def test_the_login_leads_nowhere_else(redis_url: str, queue_name: str, to: str) -> None:
    async with board(redis_url, queue_name) as visitor:
        answer = await visitor.post("/board/login", {"token": OPERATOR.reveal(), "to": to})

        assert (answer.status, answer.headers["location"]) == (303, "/board")


async def test_every_answer_forbids_what_a_page_could_be_used_for(redis_url: str, queue_name: str) -> None:
    async with board(redis_url, queue_name) as visitor:
        paths = ["/board", "/board/login", "/board/nothing", "/api/overview", "/boardx"]
        answers = [await visitor.ask(path) for path in paths]
        await logged_in(visitor)
        answers += [await visitor.ask("/board"), await visitor.ask("/board/nothing")]

        for answer in answers:
            policy = answer.headers["content-security-policy"]
            assert "default-src 'self'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"


async def test_files_may_be_kept_for_ever_and_are_small(redis_url: str, queue_name: str) -> None:
    import re

    async with board(redis_url, queue_name) as visitor:
        login = await visitor.ask("/board/login")
        await logged_in(visitor)
        page = (await visitor.ask("/board")).text + login.text
        names = set(re.findall(r'(?:src|href)="(/board/static/[^"]+)"', page))
        files = [await visitor.ask(name) for name in names]

        assert len(names) == 7
        assert all("immutable" in file.headers["cache-control"] for file in files)
        assert "<script>" not in page
        assert "<style" not in page
        assert " style=" not in page
        assert " onclick" not in page

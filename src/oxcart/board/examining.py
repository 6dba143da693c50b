"""When does the doctor look? When somebody asks, once at a time; what it found last stays for the page."""

from __future__ import annotations

import asyncio
from typing import Any

from oxcart.board.core import Board
from oxcart.doctor.examine import CHECKS, examine, visitor
from oxcart.language import speaking, spoken
from oxcart.own_tasks import start_own_task


def start_examination(board: Board) -> asyncio.Task[Any]:
    """It ends by itself; who waits for it learns nothing but that."""
    if board.examining is None or board.examining.done():
        board.examining = start_own_task(_examine(board, spoken()), "board:doctor")
    return board.examining


async def _examine(board: Board, language: str) -> None:
    with speaking(language):
        plan = board.plan
        make_visit = visitor(plan.environ, known_names=frozenset(plan.job_names), app_is_given=bool(plan.job_names))
        board.diagnosis = (board.now_ms, await examine(make_visit, checks=CHECKS))

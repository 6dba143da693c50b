"""What is a board told? The settings that concern it, which Redis it looks at, and the pages of what else runs here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any

from oxcart.board.door import BoardPlan, Extra
from oxcart.connection.target import RedisTarget
from oxcart.hook_door import may_hold_accounts
from oxcart.queue.schedules import OWN_QUEUE
from oxcart.settings import Settings
from oxcart.telemetry.bus import Emit


def board_plan(
    settings: Settings,
    environ: Mapping[str, str],
    target: Callable[[], RedisTarget],
    emit: Emit,
    *,
    job_names: tuple[str, ...] = (),
    read_only: bool = False,
) -> BoardPlan:
    return BoardPlan(
        target=target,
        prefix=settings.worker.prefix,
        queues=(*(share.name for share in settings.worker.queues), OWN_QUEUE),
        version=version("oxcart"),
        release=settings.release,
        operators=settings.http.tokens,
        readers=settings.http.board_read_tokens,
        read_only=read_only,
        veil=settings.http.board_veil,
        public_url=settings.http.public_url,
        environ=environ,
        job_names=job_names,
        commands_per_month=settings.commands_per_month,
        extras=(_kommo(settings),),
        emit=emit,
    )


def _kommo(settings: Settings) -> Extra:
    async def load() -> Sequence[Mapping[str, Any]]:
        page = await asyncio.to_thread(import_module, "oxcart.kommo.board_page")
        tables: Sequence[Mapping[str, Any]] = await page.tables(settings)
        return tables

    return Extra("kommo", "Kommo", lambda: may_hold_accounts(settings), load)

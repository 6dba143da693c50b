"""What do the worker's tests share? The matrix of loops and queues, and what is looked at after each."""

from __future__ import annotations

from support.afterwards import nothing_left_over
from support.matrix import combinations_for as pytest_asyncio_loop_factories

__all__ = ["nothing_left_over", "pytest_asyncio_loop_factories"]

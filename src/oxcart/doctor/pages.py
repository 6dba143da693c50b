"""What is there to say about one code or check?"""

from __future__ import annotations


def explain(name: str) -> str:
    return name

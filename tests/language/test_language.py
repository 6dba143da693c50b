"""Which language is spoken, and where?"""

from __future__ import annotations

import threading

import pytest

from oxcart.connection.failures import failure_for
from oxcart.doctor.aside import in_thread
from oxcart.language import language_of, speaking, spoken, tr


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "ru_RU.UTF-8"}, "ru"),
        ({"LANG": "ru"}, "ru"),
        ({"LANG": "RU_ru@euro"}, "ru"),
        ({"LC_MESSAGES": "ru_RU.UTF-8", "LANG": "de_DE.UTF-8"}, "ru"),
        ({"LC_ALL": "C.UTF-8", "LC_MESSAGES": "ru_RU.UTF-8", "LANG": "ru_RU.UTF-8"}, "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "", "LANG": "ru_RU.UTF-8"}, "ru"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "rust"}, "en"),
    ],
)
def test_the_first_variable_that_is_set_decides(environ: dict[str, str], language: str) -> None:
    assert language_of(environ) == language


def test_english_is_spoken_unless_asked_otherwise() -> None:
    """The worker, its log and /health speak to programs and to everyone."""
    assert tr("Nothing listens at {host}.", host="x") == "Nothing listens at x."
    with speaking("ru"):
        assert tr("Nothing listens at {host}.", host="x") == "По адресу x никто не слушает."
        with speaking("en"):
            assert failure_for("TCP_REFUSED").summary == "Nothing listens at the server."
    assert spoken() == "en"


def test_a_value_is_never_taken_for_a_template() -> None:
    with speaking("ru"):
        assert tr("Nothing listens at {host}.", host="{0}{host}") == "По адресу {0}{host} никто не слушает."
        assert "${…}" in tr("holds a reference (${…}) that was not filled in; correct the name in it.")


async def test_what_runs_aside_speaks_the_same_and_other_threads_do_not() -> None:
    heard: list[str] = []
    with speaking("ru"):
        assert await in_thread("listening", spoken) == "ru"
        thread = threading.Thread(target=lambda: heard.append(spoken()))
        thread.start()
        thread.join()

    assert heard == ["en"]

"""Which exit code does a command end with?"""

from __future__ import annotations

from oxcart.errors import InvalidInput, OxcartError, ResultTimeout, SettingsError, Unavailable

DONE = 0
FAILED = 1
TIMED_OUT = 3
USAGE = 64  # sysexits.h, as are the next two
UNREACHABLE = 69
BAD_SETTINGS = 78
INTERRUPTED = 130

_BY_ERROR: tuple[tuple[type[OxcartError], int], ...] = (
    (SettingsError, BAD_SETTINGS),
    (InvalidInput, USAGE),
    (Unavailable, UNREACHABLE),
    (ResultTimeout, TIMED_OUT),
)


def exit_code_of(error: OxcartError) -> int:
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), FAILED)


class Refused(Exception):  # noqa: N818 - a command ends here, which need not be an error of Oxcart
    """Ends a command with this sentence on stderr and this exit code."""

    def __init__(self, sentence: str, exit_code: int = USAGE) -> None:
        self.exit_code = exit_code
        super().__init__(sentence)


class Interrupted(Exception):  # noqa: N818
    """A signal ended the command, which has cleaned up."""

    def __init__(self, signal_number: int) -> None:
        self.exit_code = 128 + signal_number
        super().__init__(f"signal {signal_number}")

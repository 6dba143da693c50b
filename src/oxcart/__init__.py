"""What may a program import from Oxcart? These names, and oxcart.testing for its tests; everything else is inside.

`Oxcart` is an app with its handlers, `Queue` adds jobs and looks at them, `Job` is what a handler receives.
"""

from __future__ import annotations

from importlib.metadata import version as _version

from oxcart.app import Oxcart
from oxcart.errors import (
    AddFailed,
    Discard,
    InvalidInput,
    JobFailed,
    JobNotFound,
    MoveToWait,
    OxcartError,
    PayloadTooLarge,
    RateLimited,
    ResultGone,
    ResultTimeout,
    ServerRefused,
    SettingsError,
    Snooze,
    StateConflict,
    Unavailable,
    UnrecoverableError,
    WaitForChildren,
)
from oxcart.handlers import Backoff
from oxcart.job import Job
from oxcart.queue.added_job import AddedJob
from oxcart.queue.producer import Queue
from oxcart.queue.repeats import Repeat
from oxcart.worker.controls import Controls

__version__ = _version("oxcart")

__all__ = [
    "AddFailed",
    "AddedJob",
    "Backoff",
    "Controls",
    "Discard",
    "InvalidInput",
    "Job",
    "JobFailed",
    "JobNotFound",
    "MoveToWait",
    "Oxcart",
    "OxcartError",
    "PayloadTooLarge",
    "Queue",
    "RateLimited",
    "Repeat",
    "ResultGone",
    "ResultTimeout",
    "ServerRefused",
    "SettingsError",
    "Snooze",
    "StateConflict",
    "Unavailable",
    "UnrecoverableError",
    "WaitForChildren",
    "__version__",
]

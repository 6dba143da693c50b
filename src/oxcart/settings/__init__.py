"""What can be set, and what was set? The environment in, frozen settings out.

Only this package and connection/target.py read environment values. Parts receive their own piece, as in
`WorkerSettings(concurrency=5)`: every knob has its default.
"""

from __future__ import annotations

from oxcart.settings.knobs import Given, Knob, Reader, knobs_of
from oxcart.settings.load import SettingsReport, inspect, known_names, load, unknown_names
from oxcart.settings.page import render_settings_page
from oxcart.settings.pieces import (
    DATABASE_URL_ADVICE,
    HttpSettings,
    LogSettings,
    RedisSettings,
    Settings,
    WorkerSettings,
)
from oxcart.settings.platform import KILL_MARGIN_SECONDS, Platform, detect_platform
from oxcart.settings.values import (
    KEEP_ALL,
    KEEP_NONE,
    MOST_SLOTS,
    KeepPolicy,
    QueueShare,
    RateLimit,
    encryption_key_bytes,
    parse_rate,
)

__all__ = [
    "DATABASE_URL_ADVICE",
    "KEEP_ALL",
    "KEEP_NONE",
    "KILL_MARGIN_SECONDS",
    "MOST_SLOTS",
    "Given",
    "HttpSettings",
    "KeepPolicy",
    "Knob",
    "LogSettings",
    "Platform",
    "QueueShare",
    "RateLimit",
    "Reader",
    "RedisSettings",
    "Settings",
    "SettingsReport",
    "WorkerSettings",
    "detect_platform",
    "encryption_key_bytes",
    "inspect",
    "knobs_of",
    "known_names",
    "load",
    "parse_rate",
    "render_settings_page",
    "unknown_names",
]

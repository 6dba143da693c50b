"""Write docs/settings.md to stdout."""

from __future__ import annotations

import sys

from oxcart.settings.page import render_settings_page

sys.stdout.write(render_settings_page())

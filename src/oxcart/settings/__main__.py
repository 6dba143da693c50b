"""What does `python -m oxcart.settings` print? docs/settings.md, from the declarations."""

from __future__ import annotations

import sys

from oxcart.settings.page import render_settings_page

sys.stdout.write(render_settings_page())

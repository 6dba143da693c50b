"""What does `python -m oxcart.doctor` print? docs/doctor.md, from the texts and the tables."""

from __future__ import annotations

import sys

from oxcart.doctor.pages import render_page

sys.stdout.write(render_page())

"""What does `python -m oxcart.doctor` print? docs/doctor.md, or docs/LANGUAGE/doctor.md with a language as argument."""

from __future__ import annotations

import sys

from oxcart.doctor.pages import render_page
from oxcart.language import ENGLISH, speaking

with speaking(sys.argv[1] if len(sys.argv) > 1 else ENGLISH):
    sys.stdout.write(render_page())

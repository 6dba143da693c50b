"""What does `python -m oxcart` do? The same as the command `oxcart`."""

from __future__ import annotations

import sys

from oxcart.cli import main

sys.exit(main())

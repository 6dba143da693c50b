"""bench/faults: experiments of ../../../docs/proof.md on real processes, for Oxcart, BullMQ for Node and its Python port.

Without arguments all of them, and the page is written anew. `--only 1,13 --systems oxcart` runs a part and writes only
with `--record`. `--soak 30` runs a mixed fleet for so many minutes instead.
"""

from __future__ import annotations

import argparse
import json
import sys

from lab.faults.soak import soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/faults", description=__doc__)
    parser.add_argument("--soak", type=float, metavar="MINUTES")
    parser.add_argument("--kill-every", type=float, default=60.0, metavar="SECONDS", help="with --soak")
    asked = parser.parse_args()
    print(json.dumps(soak(asked.soak, asked.kill_every, lambda line: print(line, file=sys.stderr, flush=True)), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())

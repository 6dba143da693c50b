"""Does what we build contain BullMQ's scripts, as tested, and does the source package leave them out?"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("src", "README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "hatch_build.py")
SCRIPTS = "oxcart/protocol/upstream/"

pytestmark = pytest.mark.timeout(300)  # the build's own requirements are downloaded first


def find_uv() -> str:
    beside_python = Path(sys.executable).with_name("uv")
    uv = str(beside_python) if beside_python.exists() else shutil.which("uv")
    if uv is None:
        pytest.skip("uv builds the packages; scripts/setup installs it")
    return uv


def build(source: Path, output: Path, what: str) -> subprocess.CompletedProcess[str]:
    """`source` is a folder or an sdist; `what` is --wheel or --sdist."""
    return subprocess.run(
        [find_uv(), "build", "--python", sys.executable, what, "--out-dir", str(output), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )


def built(source: Path, output: Path, what: str) -> Path:
    done = build(source, output, what)
    assert done.returncode == 0, done.stderr
    [path] = output.glob("*.whl" if what == "--wheel" else "*.tar.gz")
    return path


@pytest.fixture
def source_tree(tmp_path: Path) -> Path:
    """A copy of what is built, with the scripts that an editable install has put there."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, tree / name)
    assert (tree / "src" / SCRIPTS / "SHA256SUMS").exists()
    return tree


def manifest_of(tree: Path) -> dict[str, str]:
    """Script name -> SHA-256, as upstream.sha256 in the tree lists them."""
    lines = (tree / "src/oxcart/protocol/upstream.sha256").read_text().splitlines()[1:]
    return {name: digest for digest, name in (line.split() for line in lines)}


def assert_wheel_has_scripts(wheel: Path, tree: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith(SCRIPTS)]
        scripts = {Path(name).name: archive.read(name) for name in names}
    assert len(names) == len(set(names)), "a file is in the wheel twice"
    assert b"MIT License" in scripts.pop("LICENSE")
    assert scripts.pop("SHA256SUMS") == (tree / "src/oxcart/protocol/upstream.sha256").read_bytes()
    assert {name: hashlib.sha256(content).hexdigest() for name, content in scripts.items()} == manifest_of(tree)


def test_a_wheel_has_the_scripts_their_licence_and_their_sums(source_tree: Path, tmp_path: Path) -> None:
    wheel = built(source_tree, tmp_path / "out", "--wheel")

    assert_wheel_has_scripts(wheel, source_tree)
    assert {name.partition("/")[0] for name in names_in(wheel) if not name.startswith("oxcart-")} == {"oxcart"}


def test_the_local_kommo_is_a_wheel_of_its_own(tmp_path: Path) -> None:
    names = names_in(built(ROOT / "sandbox", tmp_path / "out", "--wheel"))

    assert "oxcart_sandbox/world.py" in names
    assert not [name for name in names if name.startswith("oxcart/")]


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_a_source_package_has_no_scripts_but_a_wheel_made_from_it_does(source_tree: Path, tmp_path: Path) -> None:
    sdist = built(source_tree, tmp_path / "out", "--sdist")
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
    assert not [name for name in names if "/upstream/" in name]
    assert [name for name in names if name.endswith("/upstream.sha256")]

    wheel = built(sdist, tmp_path / "out", "--wheel")

    assert_wheel_has_scripts(wheel, source_tree)


def test_a_script_that_is_not_the_one_we_tested_stops_the_build(source_tree: Path, tmp_path: Path) -> None:
    manifest = source_tree / "src/oxcart/protocol/upstream.sha256"
    name, digest = next(iter(manifest_of(source_tree).items()))
    manifest.write_text(manifest.read_text().replace(digest, "0" * 64))

    refused = build(source_tree, tmp_path / "out", "--wheel")

    assert refused.returncode != 0
    assert f"{name} of bullmq" in refused.stderr
    assert "is not the file we tested; the build stops here." in refused.stderr
    assert not list((tmp_path / "out").glob("*.whl"))


def test_what_the_image_copies_is_enough_to_build_and_holds_the_files_of_a_deploy(tmp_path: Path) -> None:
    """The build stage of deploy/Dockerfile sees nothing but what its COPY lines name."""
    lines = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8").partition("\nFROM python:3.13-slim")[0]
    copied = [name for line in lines.splitlines() if line.startswith("COPY ") for name in line.split()[1:-1]]
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in copied:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "upstream"))
        else:
            shutil.copy(ROOT / name, tree)  # as COPY does: without its folder

    wheel = built(tree, tmp_path / "out", "--wheel")

    assert_wheel_has_scripts(wheel, tree)
    with zipfile.ZipFile(wheel) as archive:
        names = {Path(name).name for name in archive.namelist() if name.startswith("oxcart/deploy/templates/")}
    assert names == {path.name for path in (ROOT / "src/oxcart/deploy/templates").iterdir()}

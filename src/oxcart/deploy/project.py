"""What kind of project is to be deployed? How its packages are installed, and which app it serves."""

from __future__ import annotations

import ast
import json
import tomllib
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

# Where people put an app, the likeliest first.
_APP_FILES = ("app.py", "worker.py", "main.py", "jobs.py", "handlers.py")


class Packages(Enum):
    """Which file lists the packages; the first that exists is used."""

    UV = "uv.lock"
    REQUIREMENTS = "requirements.txt"
    PYPROJECT = "pyproject.toml"
    NONE = ""


@dataclass(frozen=True, slots=True)
class Project:
    """`app` is MODULE:APP, None for the built-in jobs; `requirement` installs this very Oxcart, as pip writes it."""

    name: str
    packages: Packages
    app: str | None
    requirement: str


def look_at(folder: Path, app: str | None = None) -> Project:
    """The project in `folder`. `app` wins over what is found there."""
    packages = next((kind for kind in Packages if kind.value and (folder / kind.value).is_file()), Packages.NONE)
    return Project(_name_of(folder), packages, app or _find_app(folder), _own_requirement())


def _name_of(folder: Path) -> str:
    try:
        declared = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        return str(declared["project"]["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return folder.resolve().name or "worker"


def _find_app(folder: Path) -> str | None:
    """A module of this folder that assigns Oxcart() to a name. It is read, not run."""
    for file_name in _APP_FILES:
        try:
            tree = ast.parse((folder / file_name).read_text(encoding="utf-8"))
        except (OSError, ValueError, SyntaxError):
            continue
        for node in tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and _makes_app(node.value):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                if isinstance(target, ast.Name):
                    return f"{Path(file_name).stem}:{target.id}"
    return None


def _makes_app(value: ast.expr | None) -> bool:
    if not isinstance(value, ast.Call):
        return False
    called = value.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return name == "Oxcart"


def _own_requirement() -> str:
    """From where it was installed: a repository at a commit, a file at an address, or by its version."""
    try:
        origin: dict[str, Any] = json.loads(distribution("oxcart").read_text("direct_url.json") or "{}")
    except ValueError:
        origin = {}
    url, source = str(origin.get("url", "")), origin.get("vcs_info", {})
    if source:
        return f"oxcart @ {source.get('vcs', 'git')}+{url}@{source.get('commit_id', 'main')}"
    if url.startswith("https://"):
        return f"oxcart @ {url}"
    return f"oxcart=={version('oxcart')}"

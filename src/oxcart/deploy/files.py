"""Which files does a deploy need, and what is in them? Templates, filled in for one project."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from importlib.resources import files
from pathlib import Path

from oxcart.deploy.project import Packages, Project

_INSTALL: Mapping[Packages, str] = {
    Packages.UV: (
        "COPY --from=ghcr.io/astral-sh/uv:0.11."
        "30@sha256:93b61e21202b1dab861092748e46bbd6e0e41dd84f59b9174efd2353186e1b47 /uv /bin/uv\n"
        "COPY pyproject.toml uv.lock ./\n"
        "RUN UV_PROJECT_ENVIRONMENT=/venv uv sync --frozen --no-dev --no-install-project"
    ),
    Packages.REQUIREMENTS: "COPY requirements.txt ./\nRUN pip --python /venv/bin/python install -r requirements.txt",
    Packages.PYPROJECT: "COPY . .\nRUN pip --python /venv/bin/python install .",
}
_STEPS: Mapping[Packages, tuple[str, ...]] = {
    Packages.UV: ("uv export --frozen --no-emit-project | pip install -r /dev/stdin",),
    Packages.REQUIREMENTS: ("pip install -r requirements.txt",),
    Packages.PYPROJECT: ("pip install .",),
}


_SETUP_UV = "      - uses: astral-sh/setup-uv@11f9893b081a58869d3b5fccaea48c9e9e46f990 # v8.3.2"


class Kind(Enum):
    """What `oxcart init` can write."""

    RAILWAY = "railway"
    DOCKER = "docker"
    GITHUB = "github"


class Fate(Enum):
    """What became of one file."""

    WRITTEN = "written"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class File:
    """`path` is relative to the project's folder."""

    path: str
    content: str


def files_for(kind: Kind, project: Project, service: str = "worker") -> list[File]:
    """The files of one kind, in the order in which one reads them."""
    requirements = [] if project.packages is not Packages.NONE else [File("requirements.txt", _requirements(project))]
    image = [*requirements, File("Dockerfile", _dockerfile(project)), File(".dockerignore", _template("dockerignore"))]
    match kind:
        case Kind.DOCKER:
            compose = _fill("compose.yaml", CONTEXT=".", DOCKERFILE="Dockerfile")
            return [*image, File("compose.yaml", compose)]
        case Kind.RAILWAY:
            return [*image, File(".railway/railway.py", railway_file(project.name, service, project.app))]
        case Kind.GITHUB:
            workflow = File(".github/workflows/deploy-worker.yml", _workflow(project, service))
            return [*requirements, workflow, File(".github/dependabot.yml", _template("dependabot.yml"))]


def write(files_to_write: list[File], folder: Path, *, force: bool) -> list[tuple[File, Fate]]:
    """Write what is missing; what is there and differs is kept, unless `force`. Raises OSError."""
    return [(file, _write(file, folder / file.path, force=force)) for file in files_to_write]


def _write(file: File, path: Path, *, force: bool) -> Fate:
    exists = path.exists() or path.is_symlink()
    if exists and path.is_file() and path.read_bytes() == file.content.encode():
        return Fate.UNCHANGED
    if exists and not force:
        return Fate.KEPT
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(file.content, encoding="utf-8")
    return Fate.REPLACED if exists else Fate.WRITTEN


def railway_file(
    project_name: str, service: str, app: str | None = None, variables: Mapping[str, str] | None = None
) -> str:
    """`.railway/railway.py`; `variables` are set in it beside the usual ones."""
    more = [f"            {json.dumps(name)}: {json.dumps(value)}," for name, value in (variables or {}).items()]
    partial = re.sub(r"[^a-zA-Z0-9._-]", "-", service)[:64]
    return _fill(
        "railway.py",
        PARTIAL=json.dumps(partial),
        SERVICE=json.dumps(service),
        PROJECT=json.dumps(project_name),
        DOCTOR=json.dumps(" ".join(["oxcart", "doctor", *([app] if app else [])])),
        VARIABLES="\n".join(more),
    )


def _dockerfile(project: Project) -> str:
    install = _INSTALL[_listed(project)]
    return _fill("Dockerfile", INSTALL=install, COPY="COPY . .", COMMAND=json.dumps(_command(project))[1:-1])


def _workflow(project: Project, service: str) -> str:
    module, _, attribute = (project.app or "").partition(":")
    steps = [*_STEPS[_listed(project)]]
    return _fill(
        "deploy-worker.yml",
        SERVICE_NAME=service,
        SETUP_UV=_SETUP_UV if project.packages is Packages.UV else "",
        DOCKERFILE="Dockerfile",
        INSTALL_STEPS="\n".join(f"          {step}" for step in steps),
        IMPORT_CHECK=f'python -c "from {module} import {attribute}"' if module else "oxcart --version",
        EMBEDDED=" ".join([*_command(project), "--embedded"]),
    )


def _listed(project: Project) -> Packages:
    """A project without a list of packages is given a requirements.txt."""
    return Packages.REQUIREMENTS if project.packages is Packages.NONE else project.packages


def _requirements(project: Project) -> str:
    return f"# What the worker needs; add what your handlers import.\n{project.requirement}\n"


def _command(project: Project) -> list[str]:
    return ["oxcart", "run", *([project.app] if project.app else [])]


def _fill(name: str, **values: str) -> str:
    """A marker that stands alone on its line and has no value takes its line with it."""
    text = _template(name)
    for marker, value in values.items():
        text = text.replace(f"@@{marker}@@\n", f"{value}\n" if value else "").replace(f"@@{marker}@@", value)
    return text


def _template(name: str) -> str:
    return (files("oxcart.deploy") / "templates" / f"{name}.txt").read_text(encoding="utf-8")

"""How does a project get its deploy files? `init railway|docker|github` writes them, and says what to do by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oxcart.cli.exits import FAILED, Refused
from oxcart.cli.options import Group, json_option
from oxcart.cli.output import say, say_json, say_wrapped
from oxcart.language import tr

if TYPE_CHECKING:
    from oxcart.deploy.files import Fate, File, Kind
    from oxcart.deploy.project import Project

init = Group(name="init", help="Write the files of a deploy into this folder; what is there is kept.")

_RAILWAY_STEPS = (
    "Connect the source: dashboard, the service, Settings, Source; or deploy this folder with: railway up",
    "Set the Redis: the service, Variables: UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN, or REDIS_URL",
    "Set OXCART_HTTP_TOKEN beside them; openssl rand -hex 32 makes one",
    "See what the file changes: pip install railway-sdk==0.7.0; railway login; railway link; railway config plan",
    "If it is what you want: railway config apply",
    "Get a public address: Settings, Networking, Generate Domain",
    "Prove it: OXCART_HTTP_TOKEN=… oxcart verify https://YOUR-DOMAIN --wait 5m",
)
_DOCKER_STEPS = (
    'Make a password: echo "POSTGRES_PASSWORD=$(openssl rand -hex 16)" >> .env',
    'Make a token: echo "OXCART_HTTP_TOKEN=$(openssl rand -hex 32)" >> .env',
    "Start it: docker compose up --build --detach",
    "Examine it: docker compose exec worker oxcart doctor",
    "Prove it: (set -a; . ./.env; oxcart verify http://127.0.0.1:3001 --wait 1m)",
)
_GITHUB_STEPS = (
    "Write the Dockerfile first if there is none: oxcart init railway",
    "Make a project token: Railway, the project's Settings, Tokens; it becomes the repository's secret RAILWAY_TOKEN",
    "Put the service's OXCART_HTTP_TOKEN into the repository's secrets, too",
    "Set the repository's variables: WORKER_URL (the public address) and RAILWAY_SERVICE (the service's name)",
    "Switch Railway's own deploy at each push off: the service, Settings, Source; or both will deploy",
)


def _command(name: str, help_text: str, steps: tuple[str, ...]) -> click.Command:
    @click.command(name, help=help_text)
    @click.option("--app", metavar="MODULE:APP", help="The app to serve; else the one that is found, or the built-ins.")
    @click.option("--service", metavar="NAME", default="worker", help="The service's name on Railway.")
    @click.option("--force", is_flag=True, help="Replace files that are there and differ.")
    @json_option
    def command(app: str | None, service: str, force: bool, as_json: bool) -> None:
        _init(name, steps, app, service, force=force, as_json=as_json)

    return command


init.add_command(
    _command("railway", "Write Dockerfile, .dockerignore and .railway/railway.py for Railway.", _RAILWAY_STEPS)
)
init.add_command(
    _command("docker", "Write Dockerfile, .dockerignore and compose.yaml: worker, Redis and Postgres.", _DOCKER_STEPS)
)
init.add_command(
    _command("github", "Write a workflow that tests, builds, deploys to Railway, and verifies.", _GITHUB_STEPS)
)


def _init(kind: str, steps: tuple[str, ...], app: str | None, service: str, *, force: bool, as_json: bool) -> None:
    from oxcart.deploy.files import Kind, files_for, write
    from oxcart.deploy.project import look_at

    _check(app, service)
    folder = Path.cwd()
    project = look_at(folder, app)
    try:
        fates = write(files_for(Kind(kind), project, service), folder, force=force)
    except OSError as error:
        raise Refused(
            tr(
                "{filename} cannot be written ({strerror}). Look at its folder.",
                filename=error.filename,
                strerror=error.strerror,
            ),
            FAILED,
        ) from error
    if as_json:
        say_json(_as_json(fates, project, steps))
        return
    for file, fate in fates:
        say(f"{tr(fate.value):<10} {file.path}{f'   {tr(_KEPT)}' if fate.value == 'kept' else ''}")
    say(
        "\n"
        + tr(
            "The worker runs: oxcart run{app}{remark}",
            app=f" {project.app}" if project.app else "",
            remark="" if project.app else f"   ({tr(_BUILT_IN)})",
        )
    )
    for remark in _remarks(project, Kind(kind)):
        say_wrapped(remark)
    say("\n" + tr("What is left to do"))
    for number, step in enumerate(steps, 1):
        say_wrapped(f"  {number}. {tr(step)}", hang=5)


_KEPT = "it differs and was left alone; --force replaces it"
_FATES = ("written", "replaced", "unchanged", "kept")
_BUILT_IN = "the built-in jobs; --app MODULE:APP names your own"


def _remarks(project: Project, kind: Kind) -> list[str]:
    from oxcart.deploy.files import Kind as Kinds
    from oxcart.deploy.project import Packages

    remarks = []
    if project.packages is Packages.NONE and " @ " not in project.requirement:
        remarks.append(
            tr(
                "requirements.txt says {requirement}: until that is published, put the address of the repository "
                "there, as in: oxcart @ git+https://…",
                requirement=project.requirement,
            )
        )
    if kind is Kinds.RAILWAY and any((Path.cwd() / name).exists() for name in ("railway.json", "railway.toml")):
        remarks.append(
            tr("railway.json and railway.toml are not read after 2026-12-01; move with: railway config migrate")
        )
    return remarks


def _as_json(fates: list[tuple[File, Fate]], project: Project, steps: tuple[str, ...]) -> dict[str, Any]:
    return {
        "files": [{"path": file.path, "state": fate.value} for file, fate in fates],
        "app": project.app,
        "steps": [tr(step) for step in steps],
    }


def _check(app: str | None, service: str) -> None:
    import re

    if app is not None and not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", app):
        raise Refused(tr("--app {app}: write it as MODULE:APP, as in app:app or crm.jobs:app.", app=app))
    if not re.fullmatch(r"[\w .-]{1,64}", service):
        raise Refused(
            tr(
                "--service {service}: use letters, digits, spaces, dots and dashes, as the dashboard shows it.",
                service=service,
            )
        )


def declared_texts() -> Iterator[str]:
    """The words of the tables above, which are looked up when they are told."""
    yield from (*_RAILWAY_STEPS, *_DOCKER_STEPS, *_GITHUB_STEPS, _KEPT, _BUILT_IN)
    yield from _FATES

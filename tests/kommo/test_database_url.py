"""Is DATABASE_URL understood as people write it, and is a mistake in it answered with its cure and no password?"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from oxcart.errors import SettingsError
from oxcart.kommo.store.database_url import (
    DatabaseTarget,
    choose_database,
    connect_arguments,
    parse_database_url,
    ssl_of,
)
from oxcart.secret import Secret
from oxcart.settings import Platform, inspect

SUPABASE = "postgresql://postgres.ref:geheim@aws-0-eu-west-1.pooler.supabase.com:6543/postgres"


def parse(text: str) -> DatabaseTarget:
    return parse_database_url(Secret(text))


def parts(target: DatabaseTarget) -> tuple[str | None, str | None, str | None, int, str | None]:
    password = target.password.reveal() if target.password else None
    return target.user, password, target.host, target.port, target.database


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://ann:geheim@db.example:6432/crm", ("ann", "geheim", "db.example", 6432, "crm")),
        ("postgresql://ann:geheim@db.example/crm", ("ann", "geheim", "db.example", 5432, "crm")),
        ("postgresql+asyncpg://ann:geheim@db.example/crm", ("ann", "geheim", "db.example", 5432, "crm")),
        ("POSTGRES://ann:geheim@db.example/crm", ("ann", "geheim", "db.example", 5432, "crm")),
        (SUPABASE, ("postgres.ref", "geheim", "aws-0-eu-west-1.pooler.supabase.com", 6543, "postgres")),
        ("postgresql://ann:a%40b%2Fc%3A@h/crm", ("ann", "a@b/c:", "h", 5432, "crm")),
        ("postgresql://ann:a@b@h/crm", ("ann", "a@b", "h", 5432, "crm")),
        ("postgresql://ann:a/b#c@h/crm", ("ann", "a/b#c", "h", 5432, "crm")),
        ("postgresql://ann:100%sure@h/crm", ("ann", "100%sure", "h", 5432, "crm")),
        ("postgresql://ann:a?b@h/crm", ("ann", "a?b", "h", 5432, "crm")),
        ("postgresql://ann@h/crm", ("ann", None, "h", 5432, "crm")),
        ("postgresql://ann:geheim@h", ("ann", "geheim", "h", 5432, "ann")),
        ("postgresql://h/crm?user=ann&password=geheim", ("ann", "geheim", "h", 5432, "crm")),
        ("postgresql:///crm?host=/var/run/postgresql&user=ann", ("ann", None, "/var/run/postgresql", 5432, "crm")),
        ("postgresql://ann:geheim@[2001:db8::1]:5433/crm", ("ann", "geheim", "2001:db8::1", 5433, "crm")),
        ("postgresql://ann:geheim@h/crm?application_name=me@home", ("ann", "geheim", "h", 5432, "crm")),
        ("  postgresql://ann:geheim@h/crm\n", ("ann", "geheim", "h", 5432, "crm")),
    ],
)
def test_postgresql_as_people_write_it(text: str, expected: tuple[Any, ...]) -> None:
    target = parse(text)

    assert parts(target) == expected
    assert (target.dialect, target.path) == ("postgresql", None)
    assert (target.password is None) or (target.password.reveal() not in target.shown)


@pytest.mark.parametrize(
    ("query", "mode"),
    [
        ("", "prefer"),
        ("?sslmode=require", "require"),
        ("?sslmode=disable&pgbouncer=true&connection_limit=1", "disable"),
        ("?ssl=true", "require"),
        ("?sslmode=no-verify", "require"),
        ("?sslmode=require&channel_binding=require", "require"),
        ("?schema=public&pool_timeout=0&statement_cache_size=0", "prefer"),
        ("?sslmode=verify-full&sslrootcert=system", "verify-full"),
    ],
)
def test_options_of_other_drivers_are_understood(query: str, mode: str) -> None:
    """Of libpq, Prisma, Neon and node-postgres."""
    assert parse(SUPABASE + query).ssl_mode == mode


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///crm.db", Path.cwd() / "crm.db"),
        ("sqlite:////var/lib/crm.db", Path("/var/lib/crm.db")),
        ("sqlite+aiosqlite:///crm.db", Path.cwd() / "crm.db"),
        ("sqlite:///my%20crm.db?mode=rw", Path.cwd() / "my crm.db"),
    ],
)
def test_sqlite_is_a_path(text: str, path: Path) -> None:
    target = parse(text)

    assert (target.dialect, target.path, target.is_ours) == ("sqlite", path, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("geheim", "is no URL"),
        ("mysql://u:geheim@h/db", "starts with mysql://"),
        ("postgresql+psycopg2://u:geheim@h/db", 'asks for the driver "psycopg2"'),
        ("sqlite://file.db", "three slashes"),
        ("sqlite://", "three slashes"),
        ("sqlite:///:memory:", "gone with the process"),
        ("sqlite:///", "gone with the process"),
        ("postgresql://postgres.ref:[YOUR-PASSWORD]@h:5432/postgres", "placeholder"),
        ("postgresql://u:geheim@h:port/db", "port"),
        ("postgresql://u:geheim@h:99999/db", "port"),
        ("postgresql://u:geheim@h1,h2/db", "several hosts"),
        ("postgresql://u:geheim@h/db?sslmode=on", 'sslmode "on"'),
        ("postgresql://u:geheim@h/db?sslmode=verify-ca&sslrootcert=/no/such.pem", "sslrootcert"),
        ("postgresql://u:geheim@h/db?sslmod=require", "sslmod"),
        ("postgresql://u:geheim@h/db?connect_timeout=soon", "connect_timeout"),
        ("postgresql://u:geheim@[::1/db", "address"),
    ],
)
def test_a_url_that_cannot_be_used_says_what_to_change(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(text)

    (problem,) = caught.value.problems
    assert problem.startswith("DATABASE_URL ")
    assert said in problem
    assert "geheim" not in problem


@given(st.text(min_size=1).filter(lambda text: not text.startswith(("[", "<", "*"))))
def test_a_password_that_is_encoded_comes_through(password: str) -> None:
    from urllib.parse import quote

    encoded = quote(password.encode("utf-8", "replace").decode(), safe="")
    target = parse(f"postgresql://ann:{encoded}@h/crm")

    assert target.password == Secret(password.encode("utf-8", "replace").decode())


@given(st.text())
def test_no_text_makes_anything_but_a_target_or_a_problem(text: str) -> None:
    for start in ("", "postgresql://", "postgresql://ann:", "sqlite:///"):
        try:
            target = parse(start + text)
        except SettingsError:
            continue
        assert target.dialect in {"postgresql", "sqlite"}


def choose(url: str | None, *, platform: Platform = Platform.NONE, supabase: bool = False) -> DatabaseTarget:
    return choose_database(
        Secret(url) if url else None,
        schema="crm",
        data_dir=Path("data"),
        platform=platform,
        has_supabase_url=supabase,
    )


def test_without_a_url_it_is_a_file_in_the_data_folder() -> None:
    target = choose(None)

    assert (target.path, target.is_ours) == (Path("data").absolute() / "kommo.db", True)


@pytest.mark.parametrize("platform", [Platform.RAILWAY, Platform.RENDER, Platform.HEROKU, Platform.KUBERNETES])
def test_on_a_platform_a_file_would_be_gone_with_the_next_deploy(platform: Platform) -> None:
    with pytest.raises(SettingsError, match="gone with the next deploy"):
        choose(None, platform=platform)


def test_supabase_url_alone_says_where_the_right_string_is() -> None:
    with pytest.raises(SettingsError, match='"Session pooler" connection string'):
        choose(None, platform=Platform.RAILWAY, supabase=True)


def test_the_schema_goes_with_postgresql_only() -> None:
    assert choose(SUPABASE).schema == "crm"
    assert choose("sqlite:///crm.db").schema is None


def test_poolers_get_no_prepared_statement_and_no_start_parameter() -> None:
    arguments = connect_arguments(parse(SUPABASE))

    assert (arguments["statement_cache_size"], arguments["prepared_statement_cache_size"]) == (0, 0)
    assert arguments["prepared_statement_name_func"]() == ""
    assert arguments["server_settings"] == {}


def test_require_encrypts_and_the_verify_modes_verify(tmp_path: Path) -> None:
    """The meanings are libpq's: with `require` and no CA named, nobody's certificate is checked."""
    authority = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(authority))
    found = {}
    for query in (
        "sslmode=require",
        "sslmode=verify-full&sslrootcert=system",
        f"sslmode=verify-ca&sslrootcert={authority}",
    ):
        context = ssl_of(parse(f"{SUPABASE}?{query}"))
        assert isinstance(context, ssl.SSLContext)
        found[query.partition("&")[0]] = (context.verify_mode, context.check_hostname)

    assert found == {
        "sslmode=require": (ssl.CERT_NONE, False),
        "sslmode=verify-full": (ssl.CERT_REQUIRED, True),
        "sslmode=verify-ca": (ssl.CERT_REQUIRED, False),
    }
    assert ssl_of(parse(f"{SUPABASE}?sslmode=disable")) is False


def test_the_settings_know_their_forms() -> None:
    key = "00" * 32
    settings = inspect({"OXCART_DATABASE_SCHEMA": "crm", "OXCART_ENCRYPTION_KEYS_OLD": f"{key}, {key}"}).settings
    assert settings is not None
    assert (settings.database_schema, len(settings.old_encryption_keys)) == ("crm", 2)

    problems = inspect({"OXCART_DATABASE_SCHEMA": 'a"; drop', "OXCART_ENCRYPTION_KEYS_OLD": "kurz"}).problems
    assert len(problems) == 2
    assert not any("kurz" in problem for problem in problems)

"""What can be done about the CRM's database from here? Its tables are added, its secrets encrypted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from oxcart.cli.options import json_option
from oxcart.cli.output import say, say_json, say_wrapped
from oxcart.language import tr

if TYPE_CHECKING:
    from oxcart.kommo.reencrypt import Reencrypted
    from oxcart.kommo.store.migrate import Additions
    from oxcart.settings import Settings


@click.command("migrate")
@click.option("--sql", "as_sql", is_flag=True, help="Print the statements, and change nothing.")
@json_option
def migrate(*, as_sql: bool, as_json: bool) -> None:
    """Add the tables, columns and views that the database lacks. Nothing of anybody else's is altered or dropped.

    What an earlier version of Oxcart kept elsewhere is moved: stop its workers first. SQLite needs no such command. On
    PostgreSQL every table that is made has row level security on and no policy, and everything that is made
    is closed to Supabase's roles anon and authenticated.
    """
    from oxcart.cli.session import run_async
    from oxcart.kommo.store.database_url import database_of

    settings = _settings()
    shown = database_of(settings).shown
    additions = run_async(_additions(settings, is_dry=as_sql))
    if as_json:
        found: dict[str, Any] = {
            "database": shown,
            "tables": list(additions.tables),
            "columns": list(additions.columns),
        }
        found |= {"views": list(additions.views), "rowsTold": additions.told}
        say_json(found | ({"statements": list(additions.statements)} if as_sql else {}))
    elif as_sql:
        _say_statements(additions)
    elif additions:
        say_wrapped(_sentence(additions, shown))
    else:
        say_wrapped(tr("Nothing is missing in {shown}.", shown=shown))


@click.command("encrypt")
@click.option("--plain", is_flag=True, help="The other way: tokens as plain text, as the platform's API reads them.")
@json_option
def encrypt(*, plain: bool, as_json: bool) -> None:
    """Encrypt the tokens and client secrets in the database with ENCRYPTION_KEY.

    Also what was written with a key of OXCART_ENCRYPTION_KEYS_OLD, which may be removed afterwards. A Node worker that
    reads tokens as plain text cannot go on beside that; --plain takes it back. Client secrets stay encrypted, for the
    platform wants them so.
    """
    from oxcart.cli.session import run_async

    done = run_async(_encrypted(_settings(), plain=plain))
    if as_json:
        say_json({"shape": "plain" if plain else "base64", "changed": done.changed, "unchanged": done.unchanged})
    else:
        as_what = tr("as plain text, client secrets encrypted") if plain else tr("encrypted with ENCRYPTION_KEY")
        say_wrapped(
            tr(
                "{changed} secrets were rewritten, {unchanged} were right already: tokens are {as_what}.",
                changed=done.changed,
                unchanged=done.unchanged,
                as_what=as_what,
            )
        )


def _settings() -> Settings:
    from oxcart.settings import load

    return load(os.environ)


async def _additions(settings: Settings, *, is_dry: bool) -> Additions:
    from oxcart.kommo.store.database_url import database_of
    from oxcart.kommo.store.migrate import migrate as add
    from oxcart.kommo.store.migrate import missing
    from oxcart.kommo.store.opening import reach_database

    async with reach_database(database_of(settings)) as database:
        return await missing(database) if is_dry else await add(database)


async def _encrypted(settings: Settings, *, plain: bool) -> Reencrypted:
    from oxcart.kommo.crypto import Keyring
    from oxcart.kommo.reencrypt import decrypt_tokens, encrypt_secrets
    from oxcart.kommo.store.database_url import database_of
    from oxcart.kommo.store.opening import open_database

    keyring = Keyring(settings.encryption_key, settings.old_encryption_keys)
    async with open_database(database_of(settings)) as database:
        return await (decrypt_tokens if plain else encrypt_secrets)(database, keyring)


def _say_statements(additions: Additions) -> None:
    if not additions:
        say(f"-- {tr('Nothing is missing.')}")
        return
    say("BEGIN;")
    for statement in additions.statements:
        say(f"{statement};")
    say("COMMIT;")


def _sentence(additions: Additions, shown: str) -> str:
    parts = []
    if additions.tables:
        parts.append(tr("tables: {names}", names=", ".join(sorted(additions.tables))))
    if additions.columns:
        parts.append(tr("columns: {names}", names=", ".join(additions.columns)))
    if additions.views:
        parts.append(tr("views: {count}", count=len(additions.views)))
    told = tr(" {told} rows of an earlier version got new columns.", told=additions.told) if additions.told else ""
    return tr("Added to {where}: {what}.{told}", what="; ".join(parts) or tr("indexes"), where=shown, told=told)

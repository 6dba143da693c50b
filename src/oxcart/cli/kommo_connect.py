"""How is an account connected from here, and let go? connect, disconnect, rotate-secret."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from oxcart.cli.exits import Refused
from oxcart.cli.options import confirm, json_option, yes_option
from oxcart.cli.output import complain, note, say_json, say_pairs, say_wrapped
from oxcart.language import tr

if TYPE_CHECKING:
    from oxcart.kommo.crm import ServedCrm
    from oxcart.kommo.store.connections import StoredConnection
    from oxcart.secret import Secret

VARIABLES = ("KOMMO_TOKEN", "KOMMO_CLIENT_ID", "KOMMO_CLIENT_SECRET")
"""Read by `connect` alone, and no settings: what they hold is in the database afterwards."""

DEFAULT_REDIRECT = "http://127.0.0.1:3001/kommo/callback"

domain_argument = click.argument("domain", metavar="DOMAIN")


def which_account(command: Any) -> Any:
    """DOMAIN, or --connection with the id that `status` has; one of them."""
    named = click.option("--domain", "--connection", "chosen", metavar="DOMAIN|ID", help="The same, as an option.")
    return click.argument("domain", metavar="DOMAIN|ID", required=False)(named(command))


def _one_of(domain: str | None, chosen: str | None) -> str:
    if (domain is None) == (chosen is None):
        raise Refused(tr("Say which account: its domain, or --connection with its id. See: oxcart kommo status"))
    return domain or chosen or ""


@click.command("connect")
@domain_argument
@click.option("--token", metavar="TOKEN", help="A private integration's long-lived token; better: KOMMO_TOKEN.")
@click.option(
    "--client-id", metavar="ID", help="The integration's id (KOMMO_CLIENT_ID); its secret: KOMMO_CLIENT_SECRET."
)
@click.option(
    "--redirect-uri", default=DEFAULT_REDIRECT, metavar="URL", show_default=True, help="As the integration has it."
)
@click.option("--org", metavar="UUID", help="The platform's organisation, where its database wants one.")
@click.option("--no-sync", is_flag=True, help="Connect only; the first sync can wait.")
@json_option
def connect(
    domain: str,
    *,
    token: str | None,
    client_id: str | None,
    redirect_uri: str,
    org: str | None,
    no_sync: bool,
    as_json: bool,
) -> None:
    """Connect a Kommo account: with a long-lived token, else by OAuth in a browser.

    An account that is connected already gets the new token, and keeps everything else. Nothing is changed in the
    account but one webhook subscription. Then a worker reads the whole account once, and keeps it current.
    """
    from oxcart.cli.session import run_async

    secret = _token(token)
    how: dict[str, Any] = {"client_id": client_id, "redirect_uri": redirect_uri, "org_id": org, "no_sync": no_sync}
    run_async(_connect(domain, secret, as_json=as_json, **how))


@click.command("disconnect")
@which_account
@click.option("--purge", is_flag=True, help="Also delete what was read of it: every row of the mirror.")
@yes_option
@json_option
def disconnect(domain: str | None, *, chosen: str | None, purge: bool, yes: bool, as_json: bool) -> None:
    """Let an account go: its tokens are deleted, its schedules and webhook removed. With --purge its data, too."""
    from oxcart.cli.session import run_async

    what = tr("Delete its tokens and everything that was read of it") if purge else tr("Delete its tokens")
    which = _one_of(domain, chosen)
    confirm(tr("Disconnect {which}? {what}.", which=which, what=what), yes=yes)
    run_async(_disconnect(which, purge=purge, as_json=as_json))


@click.command("rotate-secret")
@which_account
@json_option
def rotate_secret(domain: str | None, *, chosen: str | None, as_json: bool) -> None:
    """Give the webhook's address another secret. The old one is accepted for 24 hours more."""
    from oxcart.cli.session import run_async

    run_async(_rotate(_one_of(domain, chosen), as_json=as_json))


async def _connect(
    domain: str,
    token: Secret | None,
    *,
    client_id: str | None,
    redirect_uri: str,
    org_id: str | None,
    no_sync: bool,
    as_json: bool,
) -> None:
    from oxcart.cli.session import open_crm
    from oxcart.kommo.connect import connect_by_token
    from oxcart.kommo.rights import learn_rights
    from oxcart.kommo.schedules import POLL_SECONDS
    from oxcart.kommo.upkeep import look_after

    async with open_crm() as crm:
        if token is not None:
            stored = await connect_by_token(crm, domain, token, org_id=org_id)
        else:
            stored = await _by_oauth(crm, domain, client_id, redirect_uri, org_id)
        rights = await learn_rights(crm.account(stored, interactive=True))
        looked = await look_after(crm, stored, poll_after_seconds=POLL_SECONDS)
        job_id = None if no_sync else await _first_sync(crm, stored)
        answer: dict[str, Any] = {
            "connectionId": stored.id,
            "domain": stored.domain,
            "account": rights.account_name,
            "timezone": rights.timezone,
            "user": rights.user_name,
            "isAdmin": rights.is_admin,
            "webhook": looked.webhook,
            "problem": looked.problem,
            "syncJobId": job_id,
        }
    if as_json:
        say_json(answer)
    else:
        _say_connected(answer)


def _say_connected(answer: dict[str, Any]) -> None:
    who = answer["user"] or tr("a user who may not see users")
    rights = tr("administrator") if answer["isAdmin"] else tr("no administrator")
    say_wrapped(tr("{domain} is connected.", domain=answer["domain"]))
    say_pairs(
        [
            (tr("account"), answer["account"]),
            (tr("token of"), f"{who}, {rights}"),
            (tr("webhook"), answer["webhook"] or ""),
            (tr("problem"), answer["problem"] or ""),
            (tr("database id"), answer["connectionId"]),
        ]
    )
    if not answer["isAdmin"]:
        say_wrapped(
            tr(
                "A user who is no administrator may not see every row: what such a token does not see is "
                "not counted as deleted. Rows that vanish without a word stay here until an "
                "administrator's token is connected."
            )
        )
    if answer["syncJobId"]:
        say_wrapped(
            tr(
                "The first sync is job {job}; a worker (oxcart run) does it. See: oxcart kommo status",
                job=answer["syncJobId"],
            )
        )


async def _by_oauth(
    crm: ServedCrm, domain: str, client_id: str | None, redirect_uri: str, org_id: str | None
) -> StoredConnection:
    from oxcart.kommo.authorize import Integration
    from oxcart.kommo.connect import begin, finish, is_local, read_redirect, wait_for_redirect

    client_id = client_id or os.environ.get("KOMMO_CLIENT_ID")
    secret = _secret_of("KOMMO_CLIENT_SECRET")
    if not client_id or secret is None:
        raise Refused(
            tr(
                "Connecting {domain} takes either a long-lived token (KOMMO_TOKEN, or --token), or the "
                "integration's id and secret for OAuth (KOMMO_CLIENT_ID and KOMMO_CLIENT_SECRET). Both "
                "are on the page of your integration in Kommo: Settings, Integrations, Keys and scopes.",
                domain=domain,
            )
        )
    pending = await begin(crm, domain, Integration(client_id, secret, redirect_uri), org_id=org_id)
    note(
        tr("Open this address in a browser, and grant access to {domain}:\n\n  {url}\n", domain=domain, url=pending.url)
    )
    if is_local(redirect_uri):
        note(tr("Waiting for the browser at {redirect_uri} …", redirect_uri=redirect_uri))
        return await finish(crm, await wait_for_redirect(redirect_uri))
    if sys.stdin is None or not sys.stdin.isatty():
        raise Refused(
            tr(
                "{redirect_uri} is not on this machine, and there is no terminal to paste the browser's "
                "address at. Run this in a terminal, or register {redirect} with the integration.",
                redirect_uri=redirect_uri,
                redirect=DEFAULT_REDIRECT,
            )
        )
    complain(tr("Paste the whole address that the browser ends at: "), end="")
    return await finish(crm, read_redirect(sys.stdin.readline()))


async def _first_sync(crm: ServedCrm, stored: StoredConnection) -> str:
    from oxcart.queue.producer import Queue
    from oxcart.queue.schedules import OWN_QUEUE

    async with Queue(OWN_QUEUE, prefix=crm.settings.worker.prefix, server=crm.server) as queue:
        return (await queue.add("kommo:sync", {"connectionId": stored.id}, attempts=10, backoff="exponential:10s")).id


async def _disconnect(domain: str, *, purge: bool, as_json: bool) -> None:
    from oxcart.cli.session import open_crm
    from oxcart.kommo.disconnect import let_go

    async with open_crm() as crm:
        stored = await crm.find(domain=domain)
        gone = await let_go(crm, stored, purge=purge)
    if as_json:
        say_json({"domain": stored.domain, "connectionId": stored.id, "purged": purge, "webhook": gone})
    else:
        kept = (
            tr("and everything that was read of it is deleted") if purge else tr("what was read of it is still there")
        )
        say_wrapped(tr("{domain} is disconnected, {kept}. {gone}", domain=stored.domain, kept=kept, gone=gone))


async def _rotate(domain: str, *, as_json: bool) -> None:
    from oxcart.cli.session import open_crm
    from oxcart.kommo.webhooks.subscription import rotate_secret

    async with open_crm() as crm:
        stored = await crm.find(domain=domain)
        account = crm.account(stored, interactive=True)
        kept = await rotate_secret(account, crm.settings.http.public_url, keyring=crm.keyring)
    if as_json:
        say_json({"domain": stored.domain, "webhook": kept.sentence})
    else:
        say_wrapped(
            tr(
                "{domain} has another secret; the old one is accepted for 24 hours more. {sentence}",
                domain=stored.domain,
                sentence=kept.sentence,
            )
        )


def _token(given: str | None) -> Secret | None:
    from oxcart.secret import Secret

    return Secret(given.strip()) if given else _secret_of("KOMMO_TOKEN")


def _secret_of(name: str) -> Secret | None:
    """Of the environment, or of the file that NAME_FILE names."""
    from pathlib import Path

    from oxcart.secret import Secret

    value, path = os.environ.get(name, "").strip(), os.environ.get(f"{name}_FILE", "").strip()
    if not value and path:
        try:
            value = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Refused(
                tr(
                    "{name}_FILE: the file cannot be read ({kind}). Look at its path.",
                    name=name,
                    kind=type(error).__name__,
                )
            ) from error
    return Secret(value) if value else None

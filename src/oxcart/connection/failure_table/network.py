"""Which failures happen on the way to the server: name, TLS, TCP?"""

from __future__ import annotations

import errno
import socket

from oxcart.connection.failure_table.row import Row
from oxcart.connection.providers import Provider
from oxcart.errors import Kind

TRANSIENT, CONFIGURATION = Kind.TRANSIENT, Kind.CONFIGURATION

NETWORK_ROWS: tuple[Row, ...] = (
    # -------------------------------------------------------------------------------------------- name
    Row(
        "DNS_LABEL",
        CONFIGURATION,
        "The host is no valid name: a part of it is empty or too long.",
        "Correct the host; perhaps a password or token was pasted into it.",
        texts=(r"'idna' codec", r"label (empty|too long)"),
    ),
    Row(
        "DNS_TEMP",
        TRANSIENT,
        "The name {host} could not be looked up: the name server did not answer.",
        "This passes by itself when the container has just started; if it lasts, check the machine's network.",
        name_errors=(socket.EAI_AGAIN,),
        texts=(r"Temporary failure in name resolution",),
    ),
    Row(
        "DNS_FAMILY",
        CONFIGURATION,
        "The name {host} has no address of the IP version that was asked for.",
        "Set OXCART_REDIS_FAMILY to auto, so that both versions are tried.",
        {
            Provider.RAILWAY_PRIVATE: (
                "Older Railway environments have IPv6 only: remove OXCART_REDIS_FAMILY, and any family=4 in REDIS_URL."
            )
        },
        name_errors=(getattr(socket, "EAI_NODATA", -5), getattr(socket, "EAI_ADDRFAMILY", -9), socket.EAI_FAMILY),
        texts=(r"No address associated with hostname", r"Address family for hostname not supported"),
    ),
    Row(
        "DNS_NX",
        CONFIGURATION,
        "The name {host} does not resolve.",
        "Check the host for typing errors, and that the database still exists.",
        {
            Provider.UPSTASH: "Compare it with the database page of the Upstash console. A free database is archived "
            "after 30 days without use and then has no name: restore it there, or make a new one.",
            Provider.RAILWAY_PRIVATE: "Private names resolve only at run time inside the same Railway project and "
            "environment; from a laptop set REDIS_URL to the value of REDIS_PUBLIC_URL.",
        },
        name_errors=(socket.EAI_NONAME, socket.EAI_FAIL),
        texts=(r"Name or service not known", r"nodename nor servname provided", r"ENOTFOUND", r"getaddrinfo failed"),
    ),
    # -------------------------------------------------------------------------------------------- TLS
    Row(
        "TLS_HOST",
        CONFIGURATION,
        "The certificate that {address} shows is for another name.",
        "Use the host name that the provider shows, not an IP address, an alias or a tunnel.",
        verify_codes=(62, 64),
        texts=(r"Hostname mismatch", r"IP address mismatch"),
    ),
    Row(
        "TLS_SELF",
        CONFIGURATION,
        "The certificate of {address} is self-signed, or from a private authority.",
        "Set OXCART_REDIS_TLS_CA_FILE to the authority's certificate (PEM).",
        {
            Provider.HEROKU: "Heroku signs its own and publishes no authority. OXCART_REDIS_TLS_VERIFY=false is what "
            "its users do, at the risk that the warning names.",
            Provider.RAILWAY_PRIVATE: "Railway's private network needs no TLS: use redis:// in REDIS_URL.",
        },
        verify_codes=(18, 19),
        texts=(r"self[- ]signed certificate",),
    ),
    Row(
        "TLS_CA",
        CONFIGURATION,
        "The certificate of {address} is from an authority that this machine does not know.",
        "Install the ca-certificates package in the image, or set OXCART_REDIS_TLS_CA_FILE to the authority's "
        "certificate (PEM).",
        {
            Provider.REDIS_CLOUD: "Redis Cloud has an authority of its own: download redis_ca.pem from the account's "
            "access page and set OXCART_REDIS_TLS_CA_FILE to it."
        },
        verify_codes=(2, 20, 21),
        texts=(r"unable to get (local )?issuer certificate", r"unable to verify the first"),
    ),
    Row(
        "TLS_EXPIRED",
        CONFIGURATION,
        "The certificate of {address} has expired or is not valid yet.",
        "Check the clock of this machine; if it is right, the server's certificate must be renewed.",
        verify_codes=(9, 10),
        texts=(r"certificate has expired", r"certificate is not yet valid"),
    ),
    Row(
        "TLS_VER",
        CONFIGURATION,
        "{address} and this machine have no TLS version or cipher in common.",
        "Allow TLS 1.2 on the server, or update the image (OpenSSL).",
        tls_reasons=(
            "TLSV1_ALERT_PROTOCOL_VERSION",
            "UNSUPPORTED_PROTOCOL",
            "NO_PROTOCOLS_AVAILABLE",
            "SSLV3_ALERT_HANDSHAKE_FAILURE",
            "TLSV1_ALERT_INSUFFICIENT_SECURITY",
            "NO_SHARED_CIPHER",
        ),
        texts=(r"ALERT_PROTOCOL_VERSION", r"UNSUPPORTED_PROTOCOL", r"ALERT_HANDSHAKE_FAILURE"),
    ),
    Row(
        "TLS_MTLS",
        CONFIGURATION,
        "{address} wants a certificate from the client.",
        "Switch mutual TLS off for this database; Oxcart logs in with a password.",
        tls_reasons=("TLSV13_ALERT_CERTIFICATE_REQUIRED",),
        texts=(r"ALERT_CERTIFICATE_REQUIRED",),
    ),
    Row(
        "TLS_TO_PLAIN",
        CONFIGURATION,
        "{address} does not speak TLS.",
        "Use redis:// in place of rediss://, or the provider's TLS port.",
        {
            Provider.RAILWAY_PRIVATE: "Railway's Redis has no TLS, its private network encrypts: use redis://.",
            Provider.RAILWAY_PROXY: "Railway's Redis has no TLS: use redis://, or better the private address from "
            "inside the project.",
            Provider.REDIS_CLOUD: "TLS is off for this database (the free plan has none): use redis://, or switch TLS "
            "on in the console.",
        },
        tls_reasons=("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"),
        texts=(r"WRONG_VERSION_NUMBER", r"wrong version number", r"PACKET_LENGTH_TOO_LONG", r"RECORD_LAYER_FAILURE"),
    ),
    Row(
        "TLS_EOF",
        TRANSIENT,
        "{address} closed the connection during the TLS handshake.",
        "If it goes on: check the port, that it is a TLS port, and that no proxy stands between.",
        tls_reasons=("UNEXPECTED_EOF_WHILE_READING",),
        texts=(r"UNEXPECTED_EOF", r"EOF occurred in violation of"),
    ),
    Row(
        "TLS_HANG",
        CONFIGURATION,
        "{address} accepts connections without TLS and then says nothing; it expects TLS, it seems.",
        "Use rediss:// in place of redis://.",
        {Provider.ELASTICACHE: "In-transit encryption is on for this cache: use rediss://."},
    ),
    Row(
        "TLS_OTHER",
        CONFIGURATION,
        "The TLS handshake with {address} failed.",
        "Run oxcart doctor: it repeats the handshake and shows every step.",
        texts=(r"CERTIFICATE_VERIFY_FAILED", r"\[SSL: "),
        words=True,
    ),
    # -------------------------------------------------------------------------------------------- TCP
    Row(
        "TCP_REFUSED",
        TRANSIENT,
        "Nothing listens at {address}.",
        "Check host and port; if they are right, the server is restarting or stopped.",
        errnos=(errno.ECONNREFUSED,),
        texts=(r"Connection refused", r"Connect call failed", r"ECONNREFUSED"),
    ),
    Row(
        "TCP_UNREACH",
        CONFIGURATION,
        "There is no route from this machine to {address}.",
        "Set OXCART_REDIS_FAMILY=4 if the name has an IPv6 address and this network has none; else check the network.",
        {
            Provider.UPSTASH: (
                "On Railway outbound IPv6 is off by default: set OXCART_REDIS_FAMILY=4, or switch it on "
                "in the service's settings."
            )
        },
        errnos=(errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL),
        texts=(r"Network is unreachable", r"No route to host", r"ENETUNREACH", r"EHOSTUNREACH"),
    ),
    Row(
        "TCP_TIMEOUT",
        CONFIGURATION,
        "{address} did not answer in time.",
        "Check host and port, and that no firewall stands between.",
        {
            Provider.UPSTASH: "If there is an IP allowlist, add this machine's IPv4 address (it takes a while); "
            "if not, check the region's state on status.upstash.com.",
            Provider.ELASTICACHE: "The worker must be in the same VPC, and the security group must let the port in "
            "(6379, serverless 6380 too).",
            Provider.AZURE: "Check the firewall rules and the private endpoint, and use the TLS port, 6380.",
        },
        texts=(r"Timeout connecting to server",),
    ),
    Row(
        "TCP_RESET",
        CONFIGURATION,
        "{address} closed the connection before it was set up.",
        "A server that speaks only TLS does this to a client without it: use rediss://.",
        {Provider.UPSTASH: "Upstash speaks only TLS: use rediss://, or the pair UPSTASH_REDIS_REST_URL and _TOKEN."},
    ),
    Row(
        "TCP_RESET_LATE",
        TRANSIENT,
        "{address} closed the connection.",
        "The worker connects again by itself. Often: look for restarts, failovers and idle limits of the provider.",
        {Provider.AZURE: "The worker connects again by itself. Azure closes connections that are idle for 10 minutes."},
        errnos=(errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ESHUTDOWN, errno.ENOTCONN),
        texts=(r"Connection closed by server", r"Connection reset", r"Connection lost", r"Broken pipe", r"ECONNRESET"),
    ),
    Row(
        "TCP_HALFOPEN",
        TRANSIENT,
        "{address} vanished without closing the connection.",
        "The worker connects again by itself. Often: look for a proxy or firewall that drops idle connections.",
    ),
    Row(
        "UNIX_SOCKET",
        CONFIGURATION,
        "The socket {address} does not exist, or may not be opened by this user.",
        "Check the path, that the server runs, and the permissions of the socket.",
    ),
    Row(
        "FD_LIMIT",
        CONFIGURATION,
        "This process may not open more connections or files.",
        "Raise the limit (ulimit -n), or find what leaves files open.",
        errnos=(errno.EMFILE, errno.ENFILE),
    ),
)

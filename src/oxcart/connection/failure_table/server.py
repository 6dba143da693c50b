"""Which failures does the server answer with, or cause after it was reached: login, quota, state, scripts, cluster?"""

from __future__ import annotations

from oxcart.connection.failure_table.row import Row
from oxcart.connection.providers import Provider
from oxcart.errors import Kind

TRANSIENT, CONFIGURATION, QUOTA, PERMANENT = Kind.TRANSIENT, Kind.CONFIGURATION, Kind.QUOTA, Kind.PERMANENT

_UPGRADE = (
    "Upgrade the plan in the Upstash console (a fixed plan has no limit of commands), or stop other users of this "
    "database; the worker tries again by itself."
)
_TWICE = "If it lasts over 2 minutes, see the state of the database in the provider's console."

SERVER_ROWS: tuple[Row, ...] = (
    # -------------------------------------------------------------------------------------------- login
    Row(
        "AUTH_OFF",
        CONFIGURATION,
        "{address} has no password set, and one was sent.",
        "Check that this is the right server; if it is, remove the password, or set one on the server.",
        texts=(r"without any password configured", r"no password is set"),
    ),
    Row(
        "AUTH_ARGS",
        CONFIGURATION,
        "{address} is older than Redis 6 and takes no user name.",
        "Leave the user name out of REDIS_URL (redis://:PASSWORD@HOST), or update the server to 6.2 or later.",
        texts=(r"(?i:wrong number of arguments for 'auth')",),
    ),
    Row(
        "AUTH_BAD",
        CONFIGURATION,
        "{address} refused the password.",
        "Copy user name and password again from where the provider shows them; the password may have been changed.",
        {
            Provider.UPSTASH: (
                "Copy the token again from the database page of the Upstash console. If it is right: the read-only "
                "token belongs to the user default_ro, the token of an ACL user to that user, and on old databases the "
                "password of the TCP tab differs from the REST token; then set REDIS_URL to the string of the TCP tab."
            ),
            Provider.REDIS_CLOUD: (
                "Copy user name and password again from the console; the default user may be switched off there."
            ),
            Provider.ELASTICACHE: (
                "Check the password; IAM tokens expire after 15 minutes and are not supported, use a password."
            ),
            Provider.HEROKU: "Heroku changes credentials by itself: read REDIS_URL at start, never copy it by hand.",
        },
        replies=("WRONGPASS",),
        texts=(r"WRONGPASS", r"\bERR invalid password"),
    ),
    Row(
        "AUTH_NONE",
        CONFIGURATION,
        "{address} asks for a password, and none was sent.",
        "Set the password: rediss://default:PASSWORD@HOST:PORT, with the colon before it.",
        {Provider.UPSTASH: "Set UPSTASH_REDIS_REST_TOKEN, or put default:TOKEN@ before the host in REDIS_URL."},
        replies=("NOAUTH",),
        texts=(r"NOAUTH", r"Authentication required"),
    ),
    Row(
        "AUTH_LATE",
        TRANSIENT,
        "{address} forgot the login of a connection that had been logged in.",
        "The server behind the address was swapped, as in maintenance; the worker connects again by itself.",
        closes=True,
    ),
    Row(
        "PERM",
        CONFIGURATION,
        "The Redis user may not do this.",
        "Grant it the keys of the queue and the commands, as in: ~bull:* +@all -@dangerous +info +client; or use the "
        "default user.",
        {Provider.UPSTASH: "This is a read-only token or a restricted user: use the token of the user default."},
        replies=("NOPERM",),
        texts=(r"NOPERM", r"has no permissions to run", r"can't run this command or subcommand"),
        words=True,
    ),
    Row(
        "PROTECTED",
        CONFIGURATION,
        "{address} is in protected mode: it has no password and accepts only its own machine.",
        "Set a password on the server (requirepass), and put it into REDIS_URL.",
        replies=("DENIED",),
        texts=(r"protected mode",),
    ),
    Row(
        "NO_DB",
        CONFIGURATION,
        "The server does not have the database number that was asked for.",
        "Use /0 in REDIS_URL, and OXCART_PREFIX to keep queues apart.",
        texts=(
            r"DB index is out of range",
            r"invalid DB index",
            r"SELECT is not allowed",
            r"unknown command '?`?SELECT",
            r"(?i:only (database|db) 0)",
        ),
    ),
    # -------------------------------------------------------------------------------------------- quota
    Row(
        "Q_DAY",
        QUOTA,
        "The database has used up its commands for today.",
        _UPGRADE,
        texts=(r"max daily request limit",),
        words=True,
    ),
    Row(
        "Q_MONTH",
        QUOTA,
        "The database has used up its commands for this month.",
        _UPGRADE,
        texts=(r"max requests limit",),
        words=True,
    ),
    Row(
        "Q_CONN",
        TRANSIENT,  # a refused connection is billed by nobody: no reason for a quota's patience
        "The server accepts no more connections.",
        "Run fewer processes or lower other clients' pools; CLIENT LIST shows who holds the connections.",
        {Provider.HEROKU: "Small Heroku plans allow about 20 connections: run fewer processes, or upgrade."},
        texts=(r"max concurrent connections", r"max number of clients"),
    ),
    Row(
        "Q_REQ",
        PERMANENT,
        "One command is larger than the server allows.",
        "Make the job's data or return value smaller: keep large things elsewhere, and only their address in the job.",
        texts=(r"max request size", r"invalid bulk length", r"unauthenticated bulk length"),
        words=True,
    ),
    Row(
        "Q_REC",
        CONFIGURATION,
        "One key has grown larger than the server allows.",
        "Keep fewer finished jobs (OXCART_KEEP_COMPLETED, OXCART_KEEP_FAILED), and clean the queue: oxcart clean.",
        texts=(r"max single record size",),
        words=True,
    ),
    Row(
        "Q_KEY",
        PERMANENT,
        "A key is longer than the server allows.",
        "Use a shorter job id.",
        texts=(r"max key size",),
        words=True,
    ),
    Row(
        "Q_DISK",
        CONFIGURATION,
        "The database is full; it still deletes and reads.",
        "Remove finished jobs (oxcart clean), keep fewer of them, or upgrade the plan.",
        texts=(r"capacity quota exceeded",),
    ),
    # -------------------------------------------------------------------------------------------- state
    Row(
        "LOADING",
        TRANSIENT,
        "The server has started and is still loading its data.",
        "The worker waits for it. " + _TWICE,
        replies=("LOADING",),
        texts=(r"LOADING Redis", r"loading the dataset in memory"),
        closes=True,
    ),
    Row(
        "READONLY",
        TRANSIENT,
        "{address} is a replica and takes no writes: after a failover, or because it is the replica's address.",
        "The worker connects again by itself. If it lasts over 2 minutes, use the address of the primary.",
        replies=("READONLY",),
        texts=(r"READONLY", r"against a read only (replica|slave)"),
        closes=True,
    ),
    Row(
        "MASTERDOWN",
        TRANSIENT,
        "{address} is a replica that has lost its primary.",
        "The worker waits for a new primary. " + _TWICE,
        replies=("MASTERDOWN",),
        texts=(r"MASTERDOWN", r"Link with MASTER is down"),
        closes=True,
    ),
    Row(
        "DB_TIMEOUT",
        TRANSIENT,
        "The provider accepted the connection, but could not reach the database behind it.",
        "The worker tries again by itself. If it lasts over 2 minutes, see the state and the region of the database in "
        "the provider's console, then the provider's status page.",
        {
            Provider.UPSTASH: (
                "The worker tries again by itself. If it lasts over 2 minutes, see the state and the region of the "
                "database in the Upstash console, then status.upstash.com."
            )
        },
        texts=(r"DB connection timed[- ]?out", r"^ERR .*timed[- ]?out"),
        words=True,
    ),
    Row(
        "UNBLOCKED",
        TRANSIENT,
        "The server ended a blocking call: its role changed, or someone unblocked the client.",
        "The worker connects again by itself.",
        replies=("UNBLOCKED",),
        texts=(r"UNBLOCKED",),
        closes=True,
    ),
    Row(
        "OOM",
        CONFIGURATION,
        "The server's memory is full, and its policy is to refuse writes.",
        "Remove finished jobs (oxcart clean), keep fewer of them (OXCART_KEEP_COMPLETED), or add memory.",
        replies=("OOM",),
        texts=(r"\bOOM command not allowed", r"used memory > 'maxmemory'"),
    ),
    Row(
        "MISCONF",
        CONFIGURATION,
        "The server cannot save its data to disk, and refuses writes.",
        "Free space on the server's disk, and see its log.",
        replies=("MISCONF",),
        texts=(r"MISCONF", r"unable to persist to disk", r"Errors writing to the AOF"),
    ),
    Row(
        "BUSY",
        TRANSIENT,
        "The server is busy with a script that takes too long.",
        "Wait for it; find who runs it: dashboards that read whole queues do. SCRIPT KILL may lose data.",
        replies=("BUSY",),
        texts=(r"BUSY Redis is busy", r"busy running a script"),
    ),
    # -------------------------------------------------------------------------------------------- commands and scripts
    Row(
        "NOSCRIPT",
        TRANSIENT,
        "The server has forgotten our scripts, as after a restart.",
        "They are sent again by themselves.",
        replies=("NOSCRIPT",),
        texts=(r"NOSCRIPT", r"No matching script"),
    ),
    Row(
        "UNPACK",
        PERMANENT,
        "A script had to handle too many jobs at once.",
        "Update BullMQ in the other workers; old versions do this with thousands of active jobs.",
        texts=(r"too many results to unpack",),
    ),
    Row(
        "LUA_ARGS",
        PERMANENT,
        "A script was given an empty argument.",
        "Report this with the log line: it is a bug of ours. Until then, look for an empty queue name or job id.",
        texts=(r"(?i:command arguments must be strings or integers)",),
        words=True,
    ),
    Row(
        "LUA_KEYS",
        PERMANENT,
        "The server refuses scripts that make up the names of keys.",
        "BullMQ's scripts need that: remove the flag allow-key-locking from the script.",
        texts=(r"Dynamic keys are not allowed",),
    ),
    Row(
        "TXN_LUA",
        PERMANENT,
        "The server refuses scripts inside a transaction.",
        "ElastiCache Serverless does this, and BullMQ does not run on it: use a node-based cache.",
        texts=(r"not supported inside transaction", r"EXECABORT"),
    ),
    Row(
        "UNKNOWN_CMD",
        CONFIGURATION,
        "The server does not know a command that we need.",
        "Use Redis 6.2, Valkey 7.2 or later, and no proxy that lacks commands.",
        texts=(r"(?i:unknown (sub)?command)",),
        words=True,
    ),
    Row(
        "WRONGTYPE",
        PERMANENT,
        "A key of the queue is of another type than BullMQ's.",
        "Something else uses this key: check OXCART_PREFIX and the name of the queue, and look for data of Bull 3.",
        replies=("WRONGTYPE",),
        texts=(r"WRONGTYPE", r"wrong kind of value"),
    ),
    # -------------------------------------------------------------------------------------------- cluster
    Row(
        "CROSSSLOT",
        PERMANENT,
        "The keys of the queue are in different slots of a Redis Cluster.",
        "Give producers and worker a prefix with a hash tag: OXCART_PREFIX={{bull}}, and prefix: '{{bull}}' in Node.",
        replies=("CROSSSLOT",),
        texts=(r"CROSSSLOT", r"don't hash to the same slot"),
    ),
    Row(
        "CLUSTERDOWN",
        TRANSIENT,
        "The Redis Cluster does not serve all slots at the moment.",
        "The worker tries again by itself. " + _TWICE,
        replies=("CLUSTERDOWN", "TRYAGAIN"),
        texts=(r"CLUSTERDOWN", r"TRYAGAIN"),
    ),
    Row(
        "MOVED",
        CONFIGURATION,
        "{address} is a Redis Cluster, and the queue's keys are on another node.",
        "Use a database without cluster mode.",
        {Provider.ELASTICACHE: "ElastiCache Serverless and MemoryDB are always clusters: use a node-based cache."},
        replies=("MOVED", "ASK"),
        texts=(r"\b(MOVED|ASK) \d+ \S+:\d+",),
    ),
    # -------------------------------------------------------------------------------------------- our own side
    Row(
        "URL_PORT443",
        CONFIGURATION,
        "{address} is an HTTP server, not Redis.",
        "Use the port of Redis, 6379 with most providers.",
        {Provider.UPSTASH: "Port 443 is the REST API's: use 6379."},
        texts=(r"HTTP/1\.[01]", r'(?i:protocol error), got "H"'),
        closes=True,
    ),
    Row(
        "PROTO",
        CONFIGURATION,
        "{address} answered with something that is not Redis' protocol.",
        "Check host and port, and rediss:// against redis://.",
        texts=(r"(?i:protocol error)", r"Invalid RESP version"),
        closes=True,
    ),
    Row(
        "POOL_FULL",
        PERMANENT,
        "All connections of this process are in use.",
        "Report this with the log line: it is a bug of ours.",
        texts=(r"No connection available",),
    ),
    Row(
        "CLOSE_TIMEOUT",
        TRANSIENT,
        "Closing a connection took too long.",
        "Nothing to do; the connection is given up.",
        texts=(r"Timed out closing connection",),
    ),
    Row(
        "LOOP",
        PERMANENT,
        "A connection was used from another event loop than its own.",
        "Make the Queue in the loop that uses it: one asyncio.run() for all of it.",
        texts=(r"attached to a different (event )?loop", r"bound to a different event loop", r"Event loop is closed"),
    ),
    Row(
        "READ_TIMEOUT",
        TRANSIENT,
        "{address} did not answer in time; what was asked for may have been done.",
        "The worker connects again and looks. If it goes on: see the server's load, and the network between.",
        texts=(r"Timeout (reading|writing)", r"took longer than"),
    ),
    Row(
        "UNKNOWN",
        Kind.UNKNOWN,
        "Redis failed in a way that is not known.",
        "The worker tries again. Run oxcart doctor, and please report this text.",
        words=True,
    ),
)

"""
The verbs of a release and the flags of each.

Owns: the two lines' trees of verbs. Refuses: nothing; what a verb does is elsewhere.

Rules: names, defaults and environment variables are those recorded from the real releases, the
words about them ours. `--as-release`, `--conn-insecure` and `--alarm-interval` are our own, stand
before the verb, and are for whoever builds an image or has no minute to wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from nodes import bls
from nodes.beacon.commands_flags import HELP, Flag, Kind
from nodes.beacon.profiles import PROFILES
from nodes.beacon.releases import Line, Surface

LATEST = tuple(PROFILES)[-1]
DEFAULT_FOLDER = "~/.drand"


class Action(Enum):
    """What a verb does."""

    START = auto()
    STOP = auto()
    LOAD = auto()
    SYNC = auto()
    GENERATE = auto()
    CHECK = auto()
    REMOTE_STATUS = auto()
    PING = auto()
    LIST_SCHEMES = auto()
    STATUS = auto()
    RESET = auto()
    DELETE_ROUNDS = auto()
    SELF_SIGN = auto()
    BACKUP = auto()
    SHOW_GROUP = auto()
    SHOW_CHAIN = auto()
    SHOW_PUBLIC = auto()
    CEREMONY = auto()
    REMOVED_SHARE = auto()
    NOT_HERE = auto()


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb: one that does something, or one with verbs below it."""

    name: str
    about: str
    flags: tuple[Flag, ...] = ()
    action: Action | None = None
    verbs: tuple[Verb, ...] = ()
    hidden: bool = False


def _text(name: str, about: str, default: str = "", *, required: bool = False) -> Flag:
    variable = "DRAND_" + name.upper().replace("-", "_")
    return Flag((name,), Kind.TEXT, about, (variable,), default, required=required)


def _switch(name: str, about: str) -> Flag:
    return Flag((name,), Kind.SWITCH, about, ("DRAND_" + name.upper().replace("-", "_"),), "false")


def _insecure(*, hidden: bool) -> Flag:
    names = ("tls-disable", "insecure")
    about = "Speak plaintext with everyone (not for real networks)."
    variables = ("DRAND_TLS_DISABLE", "DRAND_INSECURE")
    return Flag(names, Kind.SWITCH, about, variables, "false", hidden=hidden)


_AS_RELEASE = Flag(
    ("as-release",),
    Kind.TEXT,
    f"The release to stand in for: one of {', '.join(PROFILES)}.",
    ("DRAND_AS_RELEASE",),
    LATEST,
)
_CONN_INSECURE = Flag(
    ("conn-insecure",),
    Kind.SWITCH,
    "Stand in for a build with the tag conn_insecure: dial in plaintext (v2).",
    ("DRAND_CONN_INSECURE",),
    "false",
)
_ALARM_INTERVAL = Flag(
    ("alarm-interval",),
    Kind.TEXT,
    "How often the node looks whether its threshold is in danger; drand: a minute.",
    ("DRAND_ALARM_INTERVAL",),
    "1m",
)
_VERSION = Flag(("version", "v"), Kind.SWITCH, "print the version", (), "false")

_FOLDER = _text("folder", "Where keys, groups and rounds are kept.", DEFAULT_FOLDER)
_CONTROL = _text("control", "The port of the operator's interface, on 127.0.0.1.", "8888")
_VERBOSE = _switch("verbose", "Log debug lines too.")
_ID = _text("id", "The network that is meant.")
_JSON = _switch("json", "Say it as JSON.")
_ALL = _switch("all", "All networks.")
_LIST_IDS = _switch("list-ids", "Only the names of the networks that run.")
_GROUP = _text("group", "Check every member that this group file lists.")
_HASH = _switch("hash", "Only the hash.")
_OUT = _text("out", "Write the group to this file.")
_BACKUP_OUT = Flag(("out",), Kind.TEXT, "Write the copy to this file.", ())
_SCHEME = _text("scheme", "The scheme of the keys.", bls.DEFAULT_SCHEME)
_CERTIFICATE = _text("tls-cert", "PEM file of our certificate chain.")
_CERTIFICATES = _text("certs-dir", "Folder of trusted certificates (PEM).")
_CHAIN_HASH = _text("chain-hash", "The chain that is meant, by its hash.")
_SYNC_NODES = _text("sync-nodes", "Members to ask, host:port, separated by commas.", required=True)
_UP_TO = Flag(("up-to",), Kind.WHOLE, "The last round to look at.", ("DRAND_UP_TO",), "0")
_FOLLOW = _switch("follow", "Follow other members' chain instead of checking our own.")


def _start_flags(line: Line) -> tuple[Flag, ...]:
    v1 = line is Line.V1
    host = "localhost" if v1 else "127.0.0.1"
    tls = (
        _CERTIFICATE,
        _text("tls-key", "PEM file of its key."),
        _insecure(hidden=False),
    )
    traces = (
        _text("traces", "Taken and not used: nothing is traced."),
        Flag(
            ("traces-probability",),
            Kind.FRACTION,
            "Taken and not used.",
            ("DRAND_TRACES_PROBABILITY",),
            "0.05",
        ),
    )
    return (
        _FOLDER,
        *(tls if v1 else ()),
        _CONTROL,
        _text("private-listen", "Where to listen for other members; else at our key's address."),
        _text("public-listen", "Where to serve HTTP; else nowhere."),
        _text("metrics", "Where to serve metrics, (host:)port; else nowhere."),
        *((_CERTIFICATES,) if v1 else traces),
        _switch("push", "Taken and not used: a node always asks for what it lacks."),
        _VERBOSE,
        _text("from", "Taken and not used: there are no ceremonies here."),
        Flag(
            ("skipValidation",),
            Kind.SWITCH,
            "Taken and not used: every round is verified.",
            ("DRAND_SKIP_VALIDATION",),
            "false",
        ),
        _switch("json", "Taken and not used: the log is always JSON."),
        _ID,
        _text("db", "The database: bolt, which stands for our own; no other.", "bolt"),
        _text(
            "pg-dsn",
            "Taken and not used: there is no PostgreSQL here.",
            f"postgres://drand:drand@{host}:5432/drand?sslmode=disable&connect_timeout=5",
        ),
        Flag(
            ("memdb-size",),
            Kind.WHOLE,
            "Taken and not used.",
            ("DRAND_MEMDB_SIZE",),
            "2000",
        ),
        *(() if v1 else (_insecure(hidden=True),)),
    )


def tree(surface: Surface) -> tuple[Verb, ...]:
    """The verbs of a release, in the order of its help."""
    v1 = surface.line is Line.V1
    insecure = _insecure(hidden=not v1)
    start = Verb("start", "Start the daemon.", _start_flags(surface.line), Action.START)
    stop = Verb("stop", "Stop the daemon, or one network.", (_CONTROL, _ID), Action.STOP)
    ceremony = "Key ceremonies; none in this release of the node."
    share = Verb("share", ceremony, (), Action.CEREMONY)
    dkg = Verb("dkg", ceremony, (), Action.CEREMONY)
    hidden_share = Verb("share", "Removed.", (), Action.REMOVED_SHARE, hidden=True)
    tls = (_CERTIFICATE, insecure)
    sync_flags = (_FOLDER, _CONTROL, _CHAIN_HASH, _SYNC_NODES, *(tls if v1 else ()), _UP_TO, _ID)
    common = (
        Verb("load", "Load a network from the folder.", (_CONTROL, _ID, insecure), Action.LOAD),
        Verb("sync", "Check our chain with others' help.", (*sync_flags, _FOLLOW), Action.SYNC),
        Verb(
            "generate-keypair",
            "Make the long-term key pair, and have the daemon load it if it runs.",
            (_CONTROL, _FOLDER, insecure, _ID, _SCHEME),
            Action.GENERATE,
        ),
    )
    get = Verb("get", "Ask a remote node; not in this release of the node.", (), Action.NOT_HERE)
    util = Verb("util", "Looking after a node.", (), None, _util(surface.line, insecure))
    show = Verb("show", "What a node holds.", (_FOLDER, _CONTROL), None, _show())
    if v1:
        return (start, stop, share, *common, get, util, show)
    return (dkg, start, stop, hidden_share, *common, util, show)


def _util(line: Line, insecure: Flag) -> tuple[Verb, ...]:
    v1 = line is Line.V1
    check = (_GROUP, *((_CERTIFICATES,) if v1 else ()), insecure, _VERBOSE, _ID)
    migrate = Verb("migrate", "Not in this release of the node.", (_FOLDER,), Action.NOT_HERE)
    self_sign = Verb("self-sign", "Sign our identity.", (_FOLDER, _ID), Action.SELF_SIGN)
    return (
        Verb("check", "Whether nodes at ADDRESS... answer.", check, Action.CHECK),
        Verb(
            "remote-status",
            "The status of nodes at ADDRESS..., and whom of each other they reach.",
            (_CONTROL, _JSON, _ID, *(() if v1 else (insecure,))),
            Action.REMOTE_STATUS,
        ),
        Verb("ping", "Whether the daemon runs.", (_CONTROL,), Action.PING),
        Verb("list-schemes", "The schemes there are.", (_CONTROL,), Action.LIST_SCHEMES),
        Verb(
            "status",
            "How the daemon is.",
            (_CONTROL, _JSON, _ID, _ALL, _LIST_IDS),
            Action.STATUS,
        ),
        *((migrate,) if v1 else ()),
        Verb(
            "reset",
            "Delete share, group and rounds; the key pair stays.",
            (_FOLDER, _CONTROL, _ID, _ALL),
            Action.RESET,
        ),
        Verb(
            "del-beacon",
            "Delete the rounds from ROUND on, while the daemon is stopped.",
            (_FOLDER, _ID, _ALL),
            Action.DELETE_ROUNDS,
        ),
        *((self_sign,) if v1 else ()),
        Verb("backup", "Copy the database.", (_BACKUP_OUT, _CONTROL, _ID), Action.BACKUP),
    )


def _show() -> tuple[Verb, ...]:
    return (
        Verb("group", "The group.", (_OUT, _CONTROL, _HASH, _ID), Action.SHOW_GROUP),
        Verb("chain-info", "The chain.", (_CONTROL, _HASH, _ID), Action.SHOW_CHAIN),
        Verb("public", "Our public key.", (_CONTROL, _ID), Action.SHOW_PUBLIC),
    )


def application_flags(surface: Surface) -> tuple[Flag, ...]:
    """The flags before a verb."""
    theirs = (_VERBOSE, _FOLDER) if surface.line is Line.V1 else ()
    return (*theirs, _AS_RELEASE, _CONN_INSECURE, _ALARM_INTERVAL, HELP, _VERSION)


def verb_named(verbs: Sequence[Verb], name: str) -> Verb | None:
    """The verb of this name."""
    return next((verb for verb in verbs if verb.name == name), None)

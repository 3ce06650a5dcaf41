"""
nginx in front of a member: it ends TLS where the member does not, well configured or wrongly.

Owns: nginx's configuration for each way that a member's operator may have set it up, and its log's
form. Refuses: running it. Its log holds what it is asked (one line for each request, as `requests`
reads them) among its own words, which nobody here reads.

Sources: nginx's manual of ngx_http_grpc_module; drand's issue 1163 and its outage of 2024-02-21,
where members behind badly configured proxies were taken for broken ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from chaoskit.certificates import Credential
from chaoskit.companion import FOLDER, Companion

IMAGE = "chaoskit/nginx:1.22.1"
FRONT = "front"
HELD_OPEN_S = 600
"""How long a stream of rounds may be silent: longer than the longest period."""
PEERS = "POST /drand."
_INNER = "127.0.0.1:4449"
_SCRATCH = "/dev/shm"  # noqa: S108 - of its own container, and the only place that it may write
_FOLDERS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
_FORM = (
    '{"request":"$request","at":"$msec","status":"$status","upstream":"$upstream_addr",'
    '"upstream_status":"$upstream_status","sent":"$upstream_bytes_sent"}'
)


class Front(Enum):
    """How a member's nginx is set up."""

    RIGHT = "grpc_pass, in the mode that the member serves"
    HTTP1 = "proxy_pass: requests arrive at the member as HTTP/1"
    WRONG_MODE = "grpc_pass by TLS, where the member serves plaintext"
    TWICE = "a second terminator behind the first, which gets what the first has decrypted"


@dataclass(frozen=True, slots=True)
class Request:
    """
    What nginx was asked once, and what came of it.

    `line`: the request's first line; `ended_s`: when it was done with, Unix time; `status`: what
    the asker got; `upstream`: whom nginx asked then (host:port, or "-"), `upstream_status` what it
    got there, `sent` how many bytes it sent.
    """

    line: str
    ended_s: float
    status: str
    upstream: str
    upstream_status: str
    sent: str


def requests(log: Iterable[str]) -> list[Request]:
    """The requests in a log, in order; other lines are passed over."""
    found = []
    for line in log:
        if line.startswith('{"request":'):
            said = json.loads(line)
            found.append(
                Request(
                    said["request"],
                    float(said["at"]),
                    said["status"],
                    said["upstream"],
                    said["upstream_status"],
                    said["sent"],
                )
            )
    return found


def of_peers(asked: Iterable[Request]) -> list[Request]:
    """Those that are calls of other members, which nginx handed on to somebody."""
    return [one for one in asked if one.line.startswith(PEERS) and one.upstream != "-"]


def failed(line: str) -> bool:
    """Whether a line of the log tells of a peer's call that came to nothing."""
    return any(one.line.startswith(PEERS) and one.status != "200" for one in requests([line]))


def named(asked: Sequence[Request], behind: str) -> Front | None:
    """
    How the nginx is set up that logged these requests, by what became of those of peers.

    None where none was handed on to an end, or no two agree. The requests have to be of a time when
    the member at `behind` ran: what nginx could not hand on because nobody listened there looks
    like WRONG_MODE.
    """
    ways = {way(one, behind) for one in of_peers(asked)} - {None}
    return ways.pop() if len(ways) == 1 else None


def way(one: Request, behind: str) -> Front | None:
    """
    What became of a peer's call says how nginx is set up; None where it says nothing: the peer
    left before anything came back, or the member took too long.
    """
    if one.upstream_status == "-":
        return None
    if one.status == "200":
        return Front.RIGHT
    if one.upstream != behind:
        return Front.TWICE
    # Whatever a server of gRPC says to HTTP/1 is taken for an answer of HTTP/0.9; the peer gets a
    # status that is none, or waits until it leaves (499).
    if one.upstream_status == "200":
        return Front.HTTP1
    return Front.WRONG_MODE if one.upstream_status == "502" else None


def terminator(listen: str, behind: str, credential: Credential, front: Front) -> Companion:
    """Of nginx before a member that listens in plaintext at `behind`; both are host:port."""
    files = {
        "nginx.conf": configuration(listen, behind, front, folder=FOLDER, scratch=_SCRATCH),
        "chain.pem": credential.certificate_pem.decode(),
        "key.pem": credential.key_pem.decode(),
    }
    argv = ("nginx", "-e", "stderr", "-c", f"{FOLDER}/nginx.conf")
    return Companion(IMAGE, argv, {name: text.encode() for name, text in files.items()}, failed)


def configuration(listen: str, behind: str, front: Front, *, folder: str, scratch: str) -> str:
    """The text of nginx.conf, beside chain.pem and key.pem in `folder`; writes into `scratch`."""
    folders = "\n".join(f"    {one}_temp_path {scratch}/{one};" for one in _FOLDERS)
    passing = {
        Front.RIGHT: f"grpc_pass grpc://{behind}",
        Front.HTTP1: f"proxy_pass http://{behind}",
        Front.WRONG_MODE: f"grpc_pass grpcs://{behind}",
        Front.TWICE: f"grpc_pass grpc://{_INNER}",
    }[front]
    servers = [_server(listen, passing, folder)]
    if front is Front.TWICE:
        servers.append(_server(_INNER, f"grpc_pass grpc://{behind}", folder))
    return f"""\
daemon off;
worker_processes 1;
pid {scratch}/nginx.pid;
error_log stderr info;
events {{ worker_connections 512; }}
http {{
{folders}
    log_format calls escape=json '{_FORM}';
    access_log /dev/stdout calls;
{"".join(servers)}}}
"""


def _server(listen: str, passing: str, folder: str) -> str:
    held = f"{HELD_OPEN_S}s"
    return f"""\
    server {{
        listen {listen} ssl http2;
        ssl_certificate {folder}/chain.pem;
        ssl_certificate_key {folder}/key.pem;
        keepalive_timeout {held};
        location / {{
            {passing};
            grpc_read_timeout {held};
            grpc_send_timeout {held};
        }}
    }}
"""

"""
What an operator may type beside a member that runs: drand's own commands, at a bad moment.

Owns: their words for a member, and what each leaves when it does its work. Refuses: saying when a
release does it and when it declines.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaoskit.command import Command
from chaoskit.system import Placement
from suites.beacon.dealing import FOLDER

GENERATE, STOP = "generate-keypair", "stop"
OTHER_CURVE = "bls-unchained-g1-rfc9380"


def commands(placement: Placement) -> Sequence[Command]:
    """
    `generate-keypair` asks for a pair on the other curve than the default scheme's, as who takes up
    a new network without a thought of the one that is there; `stop` ends the daemon, where its
    control port is the one that it asks by default.
    """
    folder = f"{placement.data}/{FOLDER}"
    address = f"{placement.hosts[placement.name]}:{placement.ports['private']}"
    plain = () if placement.settings["tls"] == "on" else ("--tls-disable",)
    generate = Command(
        GENERATE,
        ("drand", GENERATE, *plain, "--folder", folder, "--scheme", OTHER_CURVE, address),
        rewrites=("private key", "public key"),
    )
    stop = Command(STOP, ("drand", STOP), ends=True)
    return (generate,) if placement.bind.startswith("127.") else (generate, stop)

"""
What `chaoskit demo` shows of a beacon: v1 with TLS between members, and the outage's stale keys.

Owns: the acts. Members have no roles, so each act has its own.
"""

from __future__ import annotations

from chaoskit.demo import Act, Demo
from suites.beacon.system import beacon

DEMO = Demo(
    beacon(tls=True),
    acts=(
        Act("partition", "Isolate", {"node": "n1"}, "cut off from all others"),
        Act("tls", "TlsMismatch", {"node": "n2"}, "serves plaintext to its peers"),
        Act("storage", "SlowStorage", {"node": "n3", "delay_s": 0.2}, "fsync +200 ms"),
        Act(
            "keys",
            "StaleKeys",
            {
                "node": "n4",
                "artifacts": ["private key", "public key", "share"],
                "field": "SchemeName",
            },
            "starts on keys without SchemeName",
        ),
    ),
    progress=3,
    step="round",
    release="v1.5.8",
)

"""The host in a few words."""

from __future__ import annotations

import json
import os

from chaoskit.hostfacts import host_facts, in_words


def test_the_facts_are_this_host_s_and_json() -> None:
    facts = host_facts()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["cores"] == os.cpu_count()
    assert facts["kernel"] == os.uname().release
    assert facts["memory_bytes"] > 1 << 28


def test_in_words() -> None:
    facts = {"distribution": "D 12", "cores": 2, "memory_bytes": 23 << 30, "kernel": "6.1"}
    assert in_words(facts) == "D 12, 2 cores, 23 GiB, kernel 6.1"

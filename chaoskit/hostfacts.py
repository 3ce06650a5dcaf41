"""
The host a run was made on, in a few words, for its header and its report.

Owns: reading cores, memory, kernel and distribution. Refuses: probing what it can do (`doctor`).
"""

from __future__ import annotations

import os
import platform
from typing import Any

_GIB = 1 << 30


def host_facts() -> dict[str, Any]:
    """Cores, memory in bytes, kernel, distribution, Python; JSON values."""
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    try:
        distribution = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        distribution = platform.system()
    return {
        "distribution": distribution,
        "kernel": platform.release(),
        "cores": os.cpu_count() or 0,
        "memory_bytes": pages * page_bytes,
        "python": platform.python_version(),
    }


def in_words(facts: dict[str, Any]) -> str:
    """Such as "Debian GNU/Linux 12 (bookworm), 2 cores, 23 GiB, kernel 6.18"."""
    return (
        f"{facts['distribution']}, {facts['cores']} cores, "
        f"{facts['memory_bytes'] // _GIB} GiB, kernel {facts['kernel']}"
    )

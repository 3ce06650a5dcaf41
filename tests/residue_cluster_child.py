"""
A real cluster of toys, started and stopped: a program for the residue tests to kill.

`python -m tests.residue_cluster_child STATE SCRATCH RUN AT HOW`; its run folder is RUNS/RUN/latest,
RUNS beside SCRATCH. It is a session as any command opens it, apart from its name and the sweep at
its start, which would clear up the kills beside it before they were looked at.
"""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from chaoskit import reaper, session
from chaoskit.session import Choices, open_session
from chaoskit.setting import Setting
from chaoskit.sweep import Report
from suites.toys.system import toys
from tests import boundaries

REPOSITORY = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 60.0  # how long a start takes is not what is looked at here


def main(state: str, scratch: str, run: str, at: str, how: str) -> None:
    """Start three toys with faulty storage, then stop them."""
    os.environ["XDG_STATE_HOME"] = str(Path(state).parent.parent)
    steps = boundaries.install(int(at), how)
    watched = functools.partial(reaper.watched, run)

    def under_this_name(_: str, **how_long: Any) -> Any:
        return watched(**how_long)

    reaper.watched = under_this_name  # type: ignore[assignment]
    session.sweep = lambda *_, **__: Report()  # type: ignore[attr-defined]
    session.SCRATCH_ROOT = Path(scratch)
    choices = Choices(
        seed="7f3a",
        project=REPOSITORY,
        runs=Path(scratch).parent / "runs" / run,
        command="the residue tests",
        subnets="10.238.0.0/16",
    )
    system = replace(toys(3), start_timeout_s=START_TIMEOUT_S)
    with (
        open_session(choices, system="toys", say=lambda _: None) as one,
        one.cluster(system, Setting(release="1", storage=True, load_per_s=0.0)),
    ):
        steps.reach(boundaries.ALL_IS_UP)
        sys.stdin.read()  # at an end, unless somebody holds it open


if __name__ == "__main__":
    main(*sys.argv[1:])

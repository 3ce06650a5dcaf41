"""
A run: everything that is opened before the first cluster and closed after the last.

Owns: the run folder, the recorder, the journal with its reaper, the engine, the images and the
seed; making clusters; keeping one up when asked. Refuses: two runs in one folder, and a run before
what dead runs left has been swept away.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from chaoskit import clock, journal, reaper, report
from chaoskit.backend import Backend
from chaoskit.backend_docker import DockerBackend
from chaoskit.backend_process import ProcessBackend
from chaoskit.calibration import Calibration, calibrate
from chaoskit.cluster import Cluster
from chaoskit.engine import Engine
from chaoskit.errors import ChaosError, NotApplicable, UsageError
from chaoskit.history import Recorder
from chaoskit.hostfacts import host_facts
from chaoskit.images import Images, parse_image_options
from chaoskit.journal import Journal
from chaoskit.moment import own_second
from chaoskit.plan import Plan, executed
from chaoskit.programs import Programs
from chaoskit.provenance import never_started
from chaoskit.provision import Workshop
from chaoskit.redaction import Redactor
from chaoskit.rundir import RunFolder, TestVerdict, create_run
from chaoskit.setting import Setting
from chaoskit.sweep import sweep
from chaoskit.system import System
from chaoskit.vintage import Store, Vintage, default_folder

_REAP_TIMEOUT_S = 30.0
_SWEEP_TIMEOUT_S = 60.0
SCRATCH_ROOT = Path("/var/tmp")  # noqa: S108  # folders there carry the run's name and our mode


@dataclass(frozen=True, slots=True)
class Choices:
    """
    What a person may choose for any run.

    `seed` is 4 to 16 hex digits; `images` are SYSTEM@RELEASE=REF; `subnets` is the range (CIDR)
    that clusters take theirs from; `project` is where recipes and runs are relative to; `keep`
    is how long clusters stay up after the run, in seconds, 0 for not at all.
    """

    seed: str
    project: Path
    runs: Path
    command: str
    images: tuple[str, ...] = ()
    subnets: str = "10.231.0.0/16"
    backend: str = "docker"
    keep_s: float = 0.0


def draw_seed() -> str:
    """A seed for a run that was not given one: four hex digits."""
    return f"{Random().randrange(1 << 16):04x}"


def typed_command() -> str:
    """What was typed to start this process, as one line for a shell."""
    module = sys.modules["__main__"].__spec__
    if module is not None:  # begun by -m: the name of its file is no command
        started = ["python", "-m", module.name.removesuffix(".__main__")]
    else:
        started = [Path(sys.argv[0]).name]
    return shlex.join([*started, *sys.argv[1:]])


class Session:
    """One run; made by `open_session`."""

    def __init__(
        self,
        choices: Choices,
        *,
        folder: RunFolder,
        recorder: Recorder,
        written: Journal,
        redactor: Redactor,
        calibration: Calibration,
    ) -> None:
        self.choices = choices
        self.calibration = calibration
        self.folder = folder
        self.recorder = recorder
        self.random = Random(int(choices.seed, 16))
        self.redactor = redactor
        self.rebuilt = 0
        self._journal = written
        self._plans: dict[str, tuple[Plan, bool]] = {}
        self._clusters = 0
        self._engine: Engine | None = None
        self._images: Images | None = None

    @property
    def engine(self) -> Engine:
        """The container engine, connected at its first use."""
        if self._engine is None:
            self._engine = Engine()
        return self._engine

    @property
    def images(self) -> Images:
        """The images of releases."""
        if self._images is None:
            own = parse_image_options(self.choices.images)
            self._images = Images(self.engine, self.choices.project, own)
        return self._images

    def cluster(self, system: System, setting: Setting) -> Cluster:
        """A cluster that is started by entering it."""
        self._clusters += 1
        name = f"c{self._clusters}"
        scratch = SCRATCH_ROOT / self._journal.name(name)
        if setting.storage and self.choices.backend == "process":
            raise NotApplicable(
                "the process backend has no faulty storage: its nodes run as the user who runs "
                "chaoskit, and their calls could not be told apart"
            )
        images: Images | Programs = Programs(parse_image_options(self.choices.images))
        if self.choices.backend == "docker":
            images = self.images
        workshop = Workshop(
            scratch,
            self.folder.nodes,
            self._journal,
            self.redactor,
            images.reference,
            images.digest,
            self.folder.write_inspection,
            default_folder(),
        )
        vintage = _vintage_of(system, setting)
        workshop.open()
        return Cluster(
            self.calibration.stretched(system),
            setting,
            name=name,
            backend=self._backend(system, name, scratch),
            recorder=self.recorder,
            workshop=workshop,
            random=Random(self.random.getrandbits(64)),
            vintage=vintage,
        )

    def _backend(self, system: System, name: str, scratch: Path) -> Backend:
        match self.choices.backend:
            case "docker":
                return DockerBackend(
                    self.engine,
                    self._journal,
                    cluster=name,
                    nodes=system.nodes,
                    scratch=scratch,
                    subnets=self.choices.subnets,
                )
            case "process":
                return ProcessBackend(
                    self._journal,
                    cluster=name,
                    nodes=system.nodes,
                    scratch=scratch,
                    project=self.choices.project,
                )
            case other:
                raise UsageError(f"backend {other!r}: there are docker and process")

    def keep(self, duration_s: float) -> None:
        """Leave what is up standing when this process ends, for so long at most."""
        self._journal.keep_until(clock.utc_now() + timedelta(seconds=duration_s))

    def add(self, verdict: TestVerdict) -> None:
        """Record a judged test; verdicts.json has it when this returns."""
        self.folder.add(verdict)

    def note_plan(self, test: str, plan: Plan, *, as_given: bool) -> None:
        """
        Say what a test is run with; `as_given`: it carries the steps of `plan` out itself.

        The steps of any other test are those that it took.
        """
        self._plans[test] = plan, as_given

    def _plan_of(self, test: str, done: Plan) -> Plan:
        plan, as_given = self._plans.get(test, (Plan(seed=self.choices.seed), False))
        return plan if as_given else replace(plan, steps=done.steps)

    def write_plans(self) -> None:
        """Write plan.json, unless a plan stands there: what was done, test by test, with seeds."""
        if (self.folder.path / "plan.json").exists():
            return
        plans = executed(self.recorder.history())
        self.folder.write_plan(
            {
                "seed": self.choices.seed,
                "images": list(self.choices.images),
                "backend": self.choices.backend,
                "tests": {
                    test: self._plan_of(test, done).document() for test, done in plans.items()
                },
            }
        )

    def write_report(self) -> Path:
        """Write report.html into the run folder; answers its path."""
        return report.write(self.folder.path)


def _vintage_of(system: System, setting: Setting) -> Vintage | None:
    """The stored data that a setting names. Raises UsageError when they are another system's."""
    if not setting.vintage:
        return None
    vintage = Store(default_folder()).find(setting.vintage)
    if vintage.left.system != system.name:
        raise UsageError(
            f"vintage {vintage.name} was left by {vintage.left.system} {vintage.left.release}: "
            f"{system.name} cannot start on it"
        )
    return vintage


def _require_no_leak(folder: Path, redactor: Redactor) -> None:
    """Raise ChaosError when a secret has got into the run folder in spite of everything."""
    leaking = redactor.leaks(folder)
    if leaking:
        names = ", ".join(str(path.relative_to(folder)) for path in leaking)
        raise ChaosError(
            f"a key of this run stands in {names} below {folder}: delete them before you share "
            f"the folder, and report it"
        )


@contextmanager
def open_session(choices: Choices, *, system: str, say: Callable[[str], None]) -> Iterator[Session]:
    """
    Open a run of `system` (a name for people) for the length of the block.

    Sweeps first; `say` gets one line for whatever was removed. The report is written, and nothing
    is left running, however the block ends. Raises UsageError for choices that cannot be meant.
    """
    parse_image_options(choices.images)
    state = journal.default_folder()
    found = sweep(state, Engine, lock_timeout_s=_SWEEP_TIMEOUT_S)
    for line in found.news():
        say(line)
    with own_second(choices.seed) as started:
        yield from _opened(choices, system, started, say)


def _opened(
    choices: Choices, system: str, started: datetime, say: Callable[[str], None]
) -> Iterator[Session]:
    state = journal.default_folder()
    redactor = Redactor()
    folder = create_run(
        choices.runs,
        seed=choices.seed,
        system=system,
        command=choices.command,
        started=started,
        redactor=redactor,
    )
    recorder = Recorder(folder.history, redactor)
    run = folder.name
    try:
        with reaper.watched(run, folder=state, timeout_s=_REAP_TIMEOUT_S) as written:
            calibration = calibrate(folder.path)
            facts = host_facts() | {"calibration": calibration.document()}
            folder.describe(system=system, host=facts)
            recorder.record(
                "chaoskit",
                "run",
                {
                    "run": run,
                    "seed": choices.seed,
                    "system": system,
                    "argv": choices.command,
                    "host": facts,
                },
            )
            session = Session(
                choices,
                folder=folder,
                recorder=recorder,
                written=written,
                redactor=redactor,
                calibration=calibration,
            )
            try:
                yield session
                folder.finish()
            finally:
                session.write_plans()
                session.write_report()
                _require_no_leak(folder.path, redactor)
    finally:
        recorder.close()
        for option in never_started(folder.path, choices.images):
            say(f"unused   --chaos-image {option}: no node of this run was started from it")
        record = journal.read(state / f"{run}.jsonl")
        if record is not None and record.kept_until is None:
            say(f"left     {run}: not all is removed: `chaoskit sweep` says what and why")

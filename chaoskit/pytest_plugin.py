"""
The pytest plugin: `--chaos-*` options, fixtures, and verdicts as outcomes.

Owns: one run per pytest session, opened when the first test asks for a cluster; leases per module;
an experiment per test; a failure in at most six lines; the verdict as a JUnit property. Refuses:
green for anything but PASS. Loaded at every start of pytest: what is heavy is imported when used.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from chaoskit import leftout
from chaoskit.errors import ChaosError, InvariantViolated, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack

    from chaoskit.cluster import Cluster
    from chaoskit.experiment import Experiment
    from chaoskit.lease import Leases
    from chaoskit.plan import Plan
    from chaoskit.replay import SavedPlans
    from chaoskit.session import Session
    from chaoskit.setting import Setting
    from chaoskit.system import System

_MARKER = (
    "chaos(storage=False, load_per_s=20.0, release=..., settings=...): how this test's cluster is "
    "started"
)
_KEEP_S = 3600.0
_EXPERIMENT: pytest.StashKey[Experiment] = pytest.StashKey()
_FAILED: pytest.StashKey[BaseException] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the `--chaos-*` options."""
    group = parser.getgroup("chaoskit", "chaos suites")
    group.addoption("--chaos-seed", metavar="HEX", help="4 to 16 hex digits; drawn otherwise")
    group.addoption(
        "--chaos-image",
        metavar="SYSTEM@RELEASE=REF",
        action="append",
        default=[],
        help="run this release from an image of yours (repeatable)",
    )
    group.addoption("--chaos-release", metavar="RELEASE", help="instead of the newest")
    group.addoption(
        "--chaos-plan",
        metavar="FILE",
        help="a plan for the test that asks for one, or the plan.json of a run, to do it again",
    )
    group.addoption("--chaos-backend", choices=["docker", "process"], help="docker unless given")
    group.addoption(
        "--chaos-keep",
        default="never",
        choices=["never", "failed"],
        help="leave the cluster of a failed test up for an hour; `chaoskit down` removes it",
    )
    group.addoption("--chaos-runs", metavar="FOLDER", default="runs", help="where run folders go")
    group.addoption("--chaos-subnets", metavar="CIDR", default="10.231.0.0/16")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and the plugins that hold this session's run and what it leaves out."""
    config.addinivalue_line("markers", _MARKER)
    runs = _Runs(config)
    config.option.chaos_backend = config.getoption("chaos_backend") or runs.saved_backend
    config.pluginmanager.register(runs, "chaoskit-runs")
    config.pluginmanager.register(leftout.LeftOut(config), "chaoskit-left-out")


def _command(config: pytest.Config, *more: str) -> str:
    return shlex.join(["pytest", *more, *_passed_on(config)])


def _passed_on(config: pytest.Config) -> list[str]:
    """The options that a repetition needs beside the test and the seed."""
    options = []
    for name in ("release", "plan"):
        if value := config.getoption(f"chaos_{name}"):
            options += [f"--chaos-{name}", value]
    for image in config.getoption("chaos_image"):
        options += ["--chaos-image", image]
    if (backend := config.getoption("chaos_backend")) != "docker":
        options += ["--chaos-backend", backend]
    return options


class _Runs:
    """The run of one pytest session: its seed, and the run once a test has asked for it."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._stack: ExitStack | None = None
        self._session: Session | None = None
        self._systems: list[str] = []
        self.plans: SavedPlans | None = _read_plans(config)
        self.saved_backend = (self.plans.backend if self.plans is not None else "") or "docker"
        self.left_out = 0
        self.kept: dict[str, list[str]] = {}
        self._missing: tuple[str, ...] = ()
        self._chosen_seed: str = config.getoption("chaos_seed") or getattr(self.plans, "seed", "")
        self.leases: list[Leases] = []

    @property
    def seed(self) -> str:
        """The seed given, or drawn once."""
        if not self._chosen_seed:
            from chaoskit.session import draw_seed

            self._chosen_seed = draw_seed()
        return self._chosen_seed

    def session(self) -> Session:
        """The run, opened at the first call."""
        if self._session is None:
            from contextlib import ExitStack

            from chaoskit.catalogue import project_root
            from chaoskit.session import Choices, open_session

            project = project_root(self._config.rootpath)
            saved_images = self.plans.images if self.plans is not None else ()
            choices = Choices(
                seed=self.seed,
                project=project,
                runs=self._config.invocation_params.dir / self._config.getoption("chaos_runs"),
                command=shlex.join(["pytest", *map(str, self._config.invocation_params.args)]),
                images=tuple(self._config.getoption("chaos_image")) or saved_images,
                subnets=self._config.getoption("chaos_subnets"),
                backend=self._config.getoption("chaos_backend"),
            )
            self._stack = ExitStack()
            self._session = self._stack.enter_context(
                open_session(choices, system="", say=self._say)
            )
        return self._session

    def plan(self, item: Any) -> Plan | None:
        """The plan that `--chaos-plan` holds for a test; None when it has none for it."""
        asks = "chaos_plan" in getattr(item, "fixturenames", ())
        return self.plans.of(item.nodeid, asks=asks) if self.plans is not None else None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out tests that the plan says nothing about: they would be no replay."""
        if self.plans is None:
            return
        without = [item for item in items if self.plan(item) is None]
        self.left_out = len(without)
        if without:
            self._config.hook.pytest_deselected(items=without)
            items[:] = [item for item in items if item not in without]
        there = {item.nodeid for item in items}
        self._missing = tuple(test for test in self.plans.by_test if test not in there)

    def keep(self, cluster: Cluster) -> None:
        """Leave a cluster up for an hour after the run, and say in the end where it answers."""
        self.session().keep(_KEEP_S)
        for node in cluster.nodes:
            at = cluster.endpoint(node)
            self.kept[f"{cluster.name} {node}"] = [at.url(one.name) for one in cluster.system.ports]

    def _say(self, line: str) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(line)

    def uses(self, system: System) -> None:
        """Note which systems the run is about."""
        if system.name not in self._systems:
            self._systems.append(system.name)
            folder = self.session().folder
            folder.describe(system=" ".join(self._systems), host=folder.verdicts.host)

    def pytest_report_header(self) -> str:
        """Seed and host, so that any output says how to repeat it."""
        from chaoskit.hostfacts import host_facts, in_words

        return f"chaoskit: seed {self.seed}, {in_words(host_facts())}"

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Close the run: nothing stays up, the report is written."""
        if self._stack is not None:
            self._stack.close()

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Count the verdicts and the leases, what a plan left out, and name the report."""
        named = self._config.getoption("chaos_plan")
        if self.left_out:
            terminalreporter.write_line(f"{self.left_out} tests left out: no plan in {named}")
        if self._missing:
            terminalreporter.write_line(
                f"{len(self._missing)} plans of {named} not carried out: their tests are not among "
                f"those collected, the first {self._missing[0]}"
            )
        if self._session is None:
            return
        tests = self._session.folder.verdicts.tests
        counted = Counter(one.verdict.value for one in tests)
        words = "   ".join(f"{verdict} {number}" for verdict, number in counted.items())
        built = sum(one.built for one in self.leases)
        reused = sum(one.reused for one in self.leases)
        rebuilt = sum(one.rebuilt for one in self.leases)
        terminalreporter.section("chaos")
        terminalreporter.write_line(
            f"{words}   clusters built {built} (of these rebuilt {rebuilt}), reused {reused}"
        )
        terminalreporter.write_line(f"report  {self._session.folder.path / 'report.html'}")
        if self.kept:
            name = self._session.folder.name
            terminalreporter.write_line(
                f"kept    what failed tests left, for an hour; end it: chaoskit down {name}"
            )
            for node, ports in self.kept.items():
                terminalreporter.write_line(f"        {node}  {'  '.join(ports)}")


def _runs(config: pytest.Config) -> _Runs:
    plugin = config.pluginmanager.get_plugin("chaoskit-runs")
    assert isinstance(plugin, _Runs)
    return plugin


@pytest.fixture(scope="session")
def chaos_session(request: pytest.FixtureRequest) -> Session:
    """The run of this pytest session."""
    return _runs(request.config).session()


def _read_plans(config: pytest.Config) -> SavedPlans | None:
    named = config.getoption("chaos_plan")
    if not named:
        return None
    from chaoskit.replay import read_plans

    try:
        return read_plans(config.invocation_params.dir / named)
    except UsageError as error:
        raise pytest.UsageError(f"--chaos-plan: {error}") from None


@pytest.fixture
def chaos_plan(request: pytest.FixtureRequest) -> Plan:
    """The plan that `--chaos-plan` holds for the test to carry out; an empty one without."""
    from chaoskit.plan import Plan

    return _runs(request.config).plan(request.node) or Plan()


@pytest.fixture(scope="module")
def _chaos_leases(request: pytest.FixtureRequest, chaos_session: Session) -> Iterator[Leases]:
    from chaoskit.lease import Leases

    with Leases(chaos_session) as leases:
        _runs(request.config).leases.append(leases)
        yield leases


def _setting(item: Any, plan: Plan | None, system: System, changes: Mapping[str, Any]) -> Setting:
    """How a test's cluster is started: by its own word, marker, options, plan, in this order."""
    from chaoskit.setting import Setting

    marker = item.get_closest_marker("chaos")
    asked = dict(marker.kwargs) if marker else {}
    release = asked.pop("release", None) or item.config.getoption("chaos_release")
    release = release or (plan.release if plan is not None else "")
    settings = tuple(sorted(asked.pop("settings", {}).items()))
    made = {"release": release or system.releases[-1].label, "settings": settings, **asked}
    return Setting(**(made | dict(changes)))


@pytest.fixture
def chaos_cluster(
    request: pytest.FixtureRequest, chaos_session: Session, _chaos_leases: Leases
) -> Iterator[Callable[..., Cluster]]:
    """
    Answers a cluster of a system for this test, under its load, in a scope of its own.

    A suite's fixture calls it with its System. `@pytest.mark.chaos(...)` says how the cluster is to
    be started; `changes` are fields of its Setting that the test knows only now (a release, a
    vintage just made). The test ends in `cluster.check()`.
    """
    from contextlib import ExitStack
    from random import Random

    from chaoskit.experiment import Experiment, without_cluster
    from chaoskit.replay import Replay, as_run
    from chaoskit.verdict import Verdict

    config, test = request.config, request.node.nodeid
    seed = chaos_session.choices.seed
    plan = _runs(config).plan(request.node)
    as_given = "chaos_plan" in request.fixturenames
    stack = ExitStack()
    taken: list[Experiment] = []
    verdicts: list[Verdict] = []

    def take(system: System, **changes: Any) -> Cluster:
        _runs(config).uses(system)
        setting = _setting(request.node, plan, system, changes)
        again = _command(config, test, "--chaos-seed", seed)
        chaos_session.note_plan(test, as_run(plan, system, setting, seed), as_given=as_given)
        try:
            cluster = _chaos_leases.lease(system, setting)
        except ChaosError as error:
            verdict = without_cluster(test, chaos_session.recorder, again, error)
            chaos_session.add(verdict)
            request.node.user_properties.append(("verdict", verdict.verdict.value))
            raise
        cluster.random = Random(f"{seed} {test}")  # alike, whatever else is run beside it
        experiment = Experiment(cluster, test, again)
        if plan is not None and not as_given:
            experiment.replay = Replay(test, plan.steps)
        experiment.begin()
        cluster.experiment = experiment
        taken.append(experiment)
        request.node.stash[_EXPERIMENT] = experiment
        stack.enter_context(cluster.loaded(setting.load_per_s))
        return cluster

    try:
        yield take
    finally:
        error = request.node.stash.get(_FAILED, None)
        for experiment in taken:
            verdict = experiment.end(error)
            chaos_session.add(verdict)
            verdicts.append(verdict.verdict)
            request.node.user_properties.append(("verdict", verdict.verdict.value))
            _chaos_leases.returned(experiment.cluster, verdict.verdict)
            if verdict.verdict is not Verdict.PASS and config.getoption("chaos_keep") == "failed":
                _runs(config).keep(experiment.cluster)
                _chaos_leases.keep()
        stack.close()
    if error is None and any(verdict is not Verdict.PASS for verdict in verdicts):
        raise InvariantViolated(f"{test} did not end in a PASS")


@pytest.fixture
def chaos_vintage(
    chaos_session: Session, _chaos_leases: Leases
) -> Callable[[System, str, Mapping[str, str], float], str]:
    """
    Answers a vintage's digest: data that `release` of a system really left, made at the call.

    Takes what the test's module had up down first.
    """
    from chaoskit.vintage_making import make

    def made(system: System, release: str, settings: Mapping[str, str], timeout_s: float) -> str:
        _chaos_leases.drop_all()
        return make(
            chaos_session, system, release=release, settings=settings, timeout_s=timeout_s
        ).digest

    return made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Note what ended a test's body, and judge what there is of the test at once."""
    try:
        return (yield)
    except BaseException as error:
        item.stash[_FAILED] = error
        if isinstance(error, ChaosError) and _EXPERIMENT in item.stash:
            item.stash[_EXPERIMENT].end(error)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show a verdict in six lines instead of a traceback."""
    report = yield
    error = call.excinfo.value if call.excinfo is not None else None
    if "chaos_cluster" not in getattr(item, "fixturenames", ()):
        return report
    if not isinstance(error, InvariantViolated | ChaosError):
        return report
    from chaoskit.terminal import failure_lines, setup_lines

    experiment = item.stash.get(_EXPERIMENT, None)
    if experiment is not None and experiment.judged is not None:
        report.longrepr = "\n".join(failure_lines(experiment, item.nodeid))
    elif isinstance(error, ChaosError) and experiment is None:
        again = _command(item.config, item.nodeid, "--chaos-seed", _runs(item.config).seed)
        report.longrepr = "\n".join(setup_lines(error, item.nodeid, again))
    return report

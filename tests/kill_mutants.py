"""
Does a test die for each mutant of the harness?

Run as `python -m tests.kill_mutants [--tests-passed] [NAME...]`.

A mutant is a patch in tests/mutants: what it breaks in a sentence, `must die: TEST`, the diff. All
named tests pass on the code as it is, which is looked at first, but with `--tests-passed`: for who
has just run them. With a patch applied (to a copy, never to this tree) its test fails. A patch that
no longer applies is a failure too. Prints a table; exit code 1 on a survivor.
"""

from __future__ import annotations

import argparse
import compileall
import importlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import NoReturn

import pytest

from chaoskit import clock

_ROOT = Path(__file__).parent.parent
_PATCHES = _ROOT / "tests" / "mutants"
_CODE = ("chaoskit", "faults", "nodes", "suites", "tests")
_TIMEOUT_S = 300.0  # of a process that takes what others leave of the cores
_SIDE_BY_SIDE = 4  # of two cores: the tests wait for half their time
# What costs a process time that only looks whether a test fails: why it does is of no interest.
_WITHOUT = ("cacheprovider", "xdist", "unraisableexception")
_OPTIONS = ("--assert=plain", *(f"-pno:{name}" for name in _WITHOUT))
_FAILED = 1  # pytest: tests were run, and some failed; 2 and more: they could not be run
_LIBRARIES = ("blspy", "cryptography.x509", "docker", "grpc.aio", "hypothesis.stateful")
"""Imported once and forked with each child: what no patch changes is not loaded 150 times."""
_FORKED = multiprocessing.get_context("fork")  # of a process that has one thread


@dataclass(frozen=True, slots=True)
class Mutant:
    """A patch, what it breaks, and the test (a node id, or a prefix of some) that must fail."""

    path: Path
    breaks: str
    test: str


def mutants(names: list[str]) -> list[Mutant]:
    """The mutants of these names, all for none. Raises ValueError for none, or one without test."""
    unknown = sorted(name for name in names if not (_PATCHES / f"{name}.patch").is_file())
    if unknown:
        raise ValueError(f"no patch in {_PATCHES} is called {', '.join(unknown)}")
    found = []
    for path in sorted(_PATCHES.glob("*.patch")):
        if names and path.stem not in names:
            continue
        head = path.read_text().split("\n--- ", maxsplit=1)[0].splitlines()
        tests = [line.removeprefix("must die: ") for line in head if line.startswith("must die: ")]
        if len(tests) != 1:
            raise ValueError(f"{path}: say in one line which test `must die: TEST`")
        found.append(Mutant(path, head[0], tests[0]))
    return found


class Run:
    """
    Tests that run in a copy, in a child with a process group of its own.

    Only the first runs, of the code as it is, leave what they `compiled`: nothing is left of a
    patch.
    """

    def __init__(self, tree: Path, tests: list[str], *, compiled: bool) -> None:
        self.tree, self._tests, self._compiled = tree, tests, compiled
        self._written = tree.with_suffix(".out")
        self._child = _FORKED.Process(target=self._become_pytest)
        self._child.start()
        self.sentinel = self._child.sentinel
        self.ends_s = clock.monotonic() + _TIMEOUT_S

    def _become_pytest(self) -> NoReturn:
        os.setpgid(0, 0)  # no session: to each of them the kernel gives its share, however nice
        with self._written.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.chdir(self.tree)
        for name in [name for name in sys.modules if name.partition(".")[0] in _CODE]:
            del sys.modules[name]  # of the tree that this program was started from
        sys.path.insert(0, str(self.tree))
        os.environ["PYTHONPATH"] = str(self.tree)  # for what a test starts
        sys.dont_write_bytecode = not self._compiled
        os.environ["PYTHONDONTWRITEBYTECODE"] = "" if self._compiled else "1"
        code = int(pytest.ExitCode.INTERNAL_ERROR)  # what python makes of an exception is _FAILED
        try:
            code = pytest.main(["-q", "-x", *_OPTIONS, *self._tests])
        except Exception:  # noqa: BLE001 - told, and not taken for a failed test
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def passed(self) -> bool | None:
        """
        Whether the tests passed; None when their time is up, and they are ended.

        Raises RuntimeError when they could not be run.
        """
        in_time = bool(wait([self.sentinel], 0))
        if not in_time:
            os.killpg(self._child.ident or 0, signal.SIGKILL)
        self._child.join()
        if not in_time:
            return None
        if self._child.exitcode not in (0, _FAILED):
            raise RuntimeError(f"pytest could not run {self._tests}:\n{self.said()}")
        return self._child.exitcode == 0

    def said(self) -> str:
        """What pytest wrote."""
        return self._written.read_text(errors="replace")


def ended(running: list[Run]) -> Iterator[Run]:
    """Those that ended or whose time is up; waits until there is one."""
    left_s = min(run.ends_s for run in running) - clock.monotonic()
    sentinels = wait([run.sentinel for run in running], max(left_s, 0.0))
    for run in running:
        if run.sentinel in sentinels or run.ends_s <= clock.monotonic():
            yield run


def copies(folder: Path) -> list[Path]:
    """So many copies of the code and its configuration, compiled once."""
    trees = [folder / str(number) for number in range(_SIDE_BY_SIDE)]
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in _CODE:
        shutil.copytree(_ROOT / name, trees[0] / name, ignore=ignored)
        compileall.compile_dir(trees[0] / name, quiet=2)
    shutil.copy(_ROOT / "pyproject.toml", trees[0])
    for tree in trees[1:]:
        shutil.copytree(trees[0], tree)
    return trees


def failed_unchanged(trees: list[Path], tests: list[str]) -> str:
    """What pytest says where tests fail; each copy runs its share of them."""
    shares = [(tree, tests[number :: len(trees)]) for number, tree in enumerate(trees)]
    running = [Run(tree, share, compiled=True) for tree, share in shares if share]
    failed = ""
    while running:
        for run in list(ended(running)):
            running.remove(run)
            if not run.passed():
                failed += run.said()
    return failed


def changed(tree: Path, mutant: Mutant, *how: str) -> bool:
    """Apply a patch to a copy, or do as git's options say; whether git could."""
    command = ["git", "apply", *how, str(mutant.path)]
    return subprocess.run(command, cwd=tree, check=False).returncode == 0


def taken_back(tree: Path, mutant: Mutant) -> bool:
    """
    Take a patch back; whether git could. A file that is as before is as old as before, too: what
    was compiled of it holds.
    """
    if not changed(tree, mutant, "--reverse"):
        return False
    for line in mutant.path.read_text().splitlines():
        if line.startswith("+++ b/"):
            name = line.removeprefix("+++ b/")
            shutil.copystat(_ROOT / name, tree / name)
    return True


def outcomes(wanted: list[Mutant], trees: list[Path]) -> Iterator[tuple[Mutant, str]]:
    """What became of each mutant, as they end; the copies are as before afterwards."""
    waiting, free = list(reversed(wanted)), list(trees)
    running: dict[Run, Mutant] = {}
    while waiting or running:
        if waiting and free:
            mutant, tree = waiting.pop(), free.pop()
            if changed(tree, mutant):
                running[Run(tree, [mutant.test], compiled=False)] = mutant
            else:
                yield mutant, "DOES NOT APPLY"
                free.append(tree)
            continue
        for run in list(ended(list(running))):
            mutant = running.pop(run)
            passed = run.passed()
            if not taken_back(run.tree, mutant):
                raise RuntimeError(f"{mutant.path} cannot be taken back: its test changed the code")
            free.append(run.tree)
            # A test is to end by itself, whatever it finds.
            yield mutant, "HANGS" if passed is None else "SURVIVED" if passed else "killed"


def main() -> int:
    """Print a line for each mutant; 1 unless all were killed."""
    options = argparse.ArgumentParser(prog="python -m tests.kill_mutants")
    options.add_argument("names", nargs="*", metavar="NAME")
    options.add_argument("--tests-passed", action="store_true", help="they need not pass again")
    chosen = options.parse_args()
    wanted = mutants(chosen.names)
    for name in _LIBRARIES:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        trees = copies(Path(folder))
        tests = [] if chosen.tests_passed else sorted({mutant.test for mutant in wanted})
        failed = failed_unchanged(trees, tests)
        if failed:
            sys.stdout.write(f"{failed}\nnamed tests fail without any mutant: mend them first\n")
            return 1
        killed = 0
        for mutant, outcome in outcomes(wanted, trees):
            killed += outcome == "killed"
            sys.stdout.write(f"{outcome:<15} {mutant.path.stem}: {mutant.breaks}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{killed} of {len(wanted)} mutants killed\n")
    return 0 if wanted and killed == len(wanted) else 1


if __name__ == "__main__":
    sys.exit(main())

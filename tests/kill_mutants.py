"""
Does a test die for each mutant of the harness? Run as `python -m tests.kill_mutants [NAME...]`.

A mutant is a patch in tests/mutants: what it breaks in a sentence, `must die: TEST`, the diff. All
named tests pass on the code as it is; with a patch applied (to a copy, never to this tree) its test
fails. A patch that no longer applies is a failure too. Prints a table; exit code 1 on a survivor.
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parent.parent
_PATCHES = _ROOT / "tests" / "mutants"
_CODE = ("chaoskit", "faults", "nodes", "suites", "tests")
_TIMEOUT_S = 300.0  # of a process that takes what others leave of the cores
_SIDE_BY_SIDE = 4  # of two cores: the tests wait for half their time
_PLUGINS = ("-p", "no:cacheprovider", "-p", "no:xdist")
_FAILED = 1  # pytest: tests were run, and some failed; 2 and more: they could not be run


@dataclass(frozen=True, slots=True)
class Mutant:
    """A patch, what it breaks, and the test (a node id, or a prefix of some) that must fail."""

    path: Path
    breaks: str
    test: str


def mutants(names: list[str]) -> list[Mutant]:
    """The mutants of these names, all for none. Raises ValueError for a patch without a test."""
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


def passes(tree: Path, tests: list[str], *, compiled: bool) -> bool:
    """
    Whether the tests pass in a copy. Raises RuntimeError when they could not be run.

    Only the first run, of the code as it is, leaves what it `compiled`: nothing is left of a patch.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-x", *_PLUGINS, *tests],
        cwd=tree,
        env=os.environ
        | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "" if compiled else "1"},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode not in (0, _FAILED):
        raise RuntimeError(f"pytest could not run {tests}:\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def copy(tree: Path) -> None:
    """The code and its configuration, without what runs and tools left behind."""
    for name in _CODE:
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(_ROOT / name, tree / name, ignore=ignored)
    shutil.copy(_ROOT / "pyproject.toml", tree)


def all_pass(trees: list[Path], tests: list[str]) -> bool:
    """Whether the tests pass in copies of which each runs its share."""
    shares = [(tree, tests[number :: len(trees)]) for number, tree in enumerate(trees)]
    with ThreadPoolExecutor(len(trees)) as pool:
        return all(pool.map(lambda share: not share[1] or passes(*share, compiled=True), shares))


def verdict(mutant: Mutant, tree: Path) -> str:
    """What became of one mutant; the copy is as before afterwards."""
    patch = ["git", "apply", str(mutant.path)]
    if subprocess.run([*patch, "--check"], cwd=tree, check=False).returncode:
        return "DOES NOT APPLY"
    subprocess.run(patch, cwd=tree, check=True)
    try:
        return "SURVIVED" if passes(tree, [mutant.test], compiled=False) else "killed"
    except subprocess.TimeoutExpired:
        return "HANGS"  # its test is to end by itself, whatever it finds
    finally:
        subprocess.run([*patch, "--reverse"], cwd=tree, check=True)


def main() -> int:
    """Print a line for each mutant; 1 unless all were killed."""
    wanted = mutants(sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = [Path(folder) / str(number) for number in range(_SIDE_BY_SIDE)]
        trees: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for tree in copies:
            copy(tree)
            trees.put(tree)
        if not all_pass(copies, sorted({mutant.test for mutant in wanted})):
            sys.stdout.write("the named tests fail without any mutant: mend them first\n")
            return 1

        def one(mutant: Mutant) -> str:
            tree = trees.get()
            try:
                return verdict(mutant, tree)
            finally:
                trees.put(tree)

        outcomes = []
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            for mutant, outcome in zip(wanted, pool.map(one, wanted), strict=True):
                outcomes.append(outcome)
                sys.stdout.write(f"{outcome:<15} {mutant.path.stem}: {mutant.breaks}\n")
                sys.stdout.flush()
    killed = outcomes.count("killed")
    sys.stdout.write(f"{killed} of {len(outcomes)} mutants killed\n")
    return 0 if outcomes and killed == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Parts of the suites: all of them together are all tests, each once."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suites.conftest import spread

ROOT = Path(__file__).parents[1]


@given(st.dictionaries(st.text(min_size=1), st.floats(0.1, 300)), st.integers(1, 6))
def test_every_module_is_in_one_shard_whatever_order_it_was_found_in(
    sizes: dict[str, float], over: int
) -> None:
    shards = spread(sizes, over=over)
    assert shards.keys() == sizes.keys()
    assert set(shards.values()) <= set(range(1, over + 1))
    assert spread(dict(reversed(sizes.items())), over=over) == shards


def test_the_longest_are_shared_out_first() -> None:
    sizes = {"a": 1.0, "b": 2.0, "c": 6.0, "d": 5.0, "e": 2.0}
    assert spread(sizes, over=2) == {"c": 1, "d": 2, "b": 2, "e": 1, "a": 2}


def collected(*options: str) -> tuple[list[str], str]:
    """The tests of a suite that a run with these options would run, and all that was said."""
    argv = [sys.executable, "-m", "pytest", "suites/etcd", "--collect-only", "-q"]
    argv += ["-p", "no:cacheprovider", *options]
    done = subprocess.run(argv, cwd=ROOT, text=True, capture_output=True, check=False, timeout=60)
    return re.findall(r"^\S+::.+$", done.stdout, re.MULTILINE), done.stdout + done.stderr


def test_the_shards_of_a_suite_are_all_its_tests_each_once() -> None:
    every, _ = collected()
    one, said = collected("--shard", "1/2")
    other, _ = collected("--shard", "2/2")
    assert sorted(one + other) == sorted(every)
    assert min(len(one), len(other)) > 0
    assert {name.partition("::")[0] for name in one}.isdisjoint(
        name.partition("::")[0] for name in other
    )
    assert f"{len(other)} tests left out: this is shard 1/2" in said


@pytest.mark.parametrize("shard", ["3/2", "x"])
def test_what_is_no_shard_ends_the_run(shard: str) -> None:
    tests, said = collected("--shard", shard)
    assert tests == []
    assert f"--shard '{shard}': write i/n" in said

"""What the process backend leaves out of a suite, in pytest sessions of its own."""

from __future__ import annotations

import pytest

pytest_plugins = ("pytester",)
SUITE = """
import pytest
from faults.kill import Kill
from faults.slow_link import SlowLink

@pytest.mark.parametrize("fault", [Kill("n1"), SlowLink("n1", "n2", delay_s=0.1), Kill])
def test_of_a_fault(fault):
    pass

@pytest.mark.chaos(storage=True)
def test_of_storage():
    pass

@pytest.mark.containers("it looks into an image")
class TestMarked:
    def test_one(self):
        pass

    def test_other(self):
        pass

def test_plain():
    pass
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(test_suite=SUITE)
    return pytester


def run(suite: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return suite.runpytest_inprocess("-p", "no:cacheprovider", "--strict-markers", *arguments)


def test_in_containers_nothing_is_left_out(suite: pytest.Pytester) -> None:
    done = run(suite)
    done.assert_outcomes(passed=7)
    done.stdout.no_fnmatch_line("*left out*")


def test_what_processes_lack_is_left_out_and_counted_by_reason(suite: pytest.Pytester) -> None:
    done = run(suite, "--chaos-backend", "process", "-v")
    done.assert_outcomes(passed=3, deselected=4)
    done.stdout.fnmatch_lines(["*test_of_a_fault?fault0?*", "*test_of_a_fault?Kill?*"])
    done.stdout.fnmatch_lines(
        [
            "2 tests left out on the process backend: it looks into an image",
            "1 test left out on the process backend: its nodes run as our own user*",
            "1 test left out on the process backend: nothing counts packets there*",
        ]
    )


def test_what_is_all_left_out_is_not_green(suite: pytest.Pytester) -> None:
    done = run(suite, "--chaos-backend", "process", "-k", "storage")
    assert done.ret == pytest.ExitCode.NO_TESTS_COLLECTED

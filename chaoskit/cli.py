"""
The command line.

Owns: the commands, their options and their exit codes. Refuses: doing anything itself: each command
reads its options, calls one function and prints what that says. Plain lines; colour only on a
terminal. What is heavy is imported by the command that needs it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chaoskit.clock import read_duration_s
from chaoskit.console import say
from chaoskit.errors import ChaosError, UsageError
from chaoskit.verdict import USAGE_EXIT_CODE, Verdict, exit_code, usage_exit_code

if TYPE_CHECKING:
    from chaoskit.rehearsed import Rehearsed
    from chaoskit.session import Choices
    from chaoskit.system import System

app = typer.Typer(
    help="Break real clusters the way real outages did, and judge from evidence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Images = Annotated[
    list[str] | None,
    typer.Option("--chaos-image", metavar="SYSTEM@RELEASE=REF", help="an image of yours"),
]
Seed = Annotated[str | None, typer.Option("--seed", metavar="HEX", help="4 to 16 hex digits")]
Runs = Annotated[Path, typer.Option("--runs", help="where run folders go")]
Bisect = Annotated[
    bool, typer.Option("--exit-for-bisect", help="exit 125 for what says nothing of the release")
]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE")]
_RUNS = Path("runs")
_HOUR_S = 3600.0


@contextmanager
def _answering(*, for_bisect: bool = False) -> Iterator[None]:
    """Turn our own errors into one clear line and the exit code they have."""
    try:
        yield
    except UsageError as error:
        say(f"error: {error}", error=True)
        raise typer.Exit(usage_exit_code(for_bisect=for_bisect)) from None
    except ChaosError as error:
        say(f"INFRA  {error}", error=True)
        raise typer.Exit(exit_code(Verdict.INFRA, for_bisect=for_bisect)) from None


def _for_bisect(code: int, *, for_bisect: bool) -> int:
    """An exit code as `git bisect run` wants it."""
    verdicts = {exit_code(verdict): verdict for verdict in Verdict}
    return exit_code(verdicts[code], for_bisect=for_bisect)


def _project() -> Path:
    from chaoskit.catalogue import project_root

    return project_root(Path.cwd())


def _choices(seed: str | None, images: list[str] | None, runs: Path) -> Choices:
    from chaoskit.session import Choices, draw_seed, typed_command

    drawn = draw_seed()
    return Choices(
        seed=seed or drawn,
        project=_project(),
        runs=runs,
        command=typed_command() if seed else f"{typed_command()} --seed {drawn}",
        images=tuple(images or ()),
    )


def _system(name: str) -> System:
    from chaoskit.catalogue import load_system

    return load_system(name, project=_project())


def _rehearsed(name: str) -> Rehearsed:
    from chaoskit.rehearsed import load

    return load(name, project=_project())


def _release(system: System, prefix: str) -> str:
    try:
        return system.release(prefix).label
    except LookupError as error:
        raise UsageError(str(error)) from None


@app.command()
def doctor(
    *, as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False
) -> None:
    """Say what this host can do, and what each missing thing costs."""
    from chaoskit.doctor import examine, render_plain, to_json

    findings = examine()
    say(to_json(findings) if as_json else render_plain(findings))


@app.command()
def demo(
    system: Annotated[str | None, typer.Argument(help="the one with a demo unless given")] = None,
    *,
    release: Annotated[str | None, typer.Option(help="the newest unless given")] = None,
    seed: Seed = None,
    chaos_image: Images = None,
    runs: Runs = _RUNS,
) -> None:
    """Break a real cluster a few times, and judge it each time."""
    from chaoskit.demo import demo as play
    from chaoskit.demo import load

    with _answering():
        choices = _choices(seed, chaos_image, runs)
        shown = load(system, project=choices.project)
        newest = shown.system.releases[-1].label
        label = _release(shown.system, release or shown.release or newest)
        verdict = play(shown, choices, release=label, say=say)
    raise typer.Exit(exit_code(verdict))


@app.command()
def up(
    system: str,
    *,
    release: Annotated[str | None, typer.Option(help="the newest unless given")] = None,
    hours: Annotated[float, typer.Option(help="it goes by itself after so long")] = 1.0,
    storage: Annotated[bool, typer.Option(help="put the data on faulty storage")] = False,
    vintage: Annotated[str, typer.Option(help="stored data that it starts on")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    seed: Seed = None,
    chaos_image: Images = None,
    runs: Runs = _RUNS,
) -> None:
    """Start a cluster to play with; it stays up until `down`, or until its time is over."""
    from chaoskit.playground import start
    from chaoskit.setting import Setting

    with _answering():
        chosen = _system(system)
        label = _release(chosen, release or chosen.releases[-1].label)
        started = start(
            chosen,
            _choices(seed, chaos_image, runs),
            Setting(release=label, storage=storage, vintage=vintage),
            keep_s=hours * _HOUR_S,
        )
    say(json.dumps(started.document(), indent=1) if as_json else "\n".join(started.lines()))


@app.command()
def down(
    run: Annotated[str | None, typer.Argument(help="all that were kept unless given")] = None,
) -> None:
    """Remove clusters that were left up; exit 5 when something of them is left."""
    from chaoskit.playground import stop

    with _answering():
        stopped = stop(run)
        for line in stopped.lines:
            say(line)
    raise typer.Exit(exit_code(Verdict.INFRA) if stopped.left else 0)


@app.command()
def faults(
    *, as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False
) -> None:
    """List faults and changes: what each needs, whether it is available here, what proves it."""
    from chaoskit.faulttable import rows, table

    found = rows(_project())
    say(json.dumps([row.document() for row in found], indent=1) if as_json else table(found))


@app.command()
def rehearse(
    system: str,
    *,
    source: Annotated[str, typer.Option("--from", help="the release that runs today")],
    target: Annotated[str, typer.Option("--to", help="the release it shall go to")],
    via: Annotated[list[str] | None, typer.Option(help="a stop between, in order")] = None,
    skip: Annotated[bool, typer.Option("--skip", help="no stops between")] = False,
    rollback: Annotated[
        str, typer.Option(metavar="after:K|end", help="the way back that must be open")
    ] = "",
    pause_between: Annotated[str, typer.Option(metavar="30s", help="between two members")] = "",
    max_unavailable: Annotated[
        int, typer.Option(help="members that go, and are down, at once")
    ] = 1,
    vintage: Annotated[str, typer.Option(help="stored data that members start on")] = "",
    keys_as_left_by: Annotated[str, typer.Option(help="the release that left the keys")] = "",
    config_as_left_by: Annotated[str, typer.Option(help="the one they are set up for")] = "",
    settings: Settings = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="stop after the plan")] = False,
    seed: Seed = None,
    chaos_image: Images = None,
    runs: Runs = _RUNS,
    exit_for_bisect: Bisect = False,
) -> None:
    """Rehearse an upgrade: the plan, each step on a real cluster, then go or no-go."""
    from chaoskit.rehearsal_axes import left_by
    from chaoskit.rehearsal_route import RehearsalRequest
    from chaoskit.rehearse import rehearse as carry_out
    from chaoskit.vintage_making import parse_settings

    with _answering(for_bisect=exit_for_bisect):
        choices = _choices(seed, chaos_image, runs)
        staged = _rehearsed(system)
        request = RehearsalRequest(
            source=source,
            target=target,
            via=tuple(via or ()),
            skip=skip,
            rollback=rollback,
            pause_between_s=read_duration_s(pause_between) if pause_between else 0.0,
            max_unavailable=max_unavailable,
            vintage=vintage,
            left_by=left_by(keys=keys_as_left_by, configuration=config_as_left_by),
            settings=tuple(sorted(parse_settings(staged.system, settings or []).items())),
            dry_run=dry_run,
        )
        outcome = carry_out(staged, request, choices, say)
    raise typer.Exit(_for_bisect(outcome.exit_code, for_bisect=exit_for_bisect))


@app.command()
def rows(
    names: Annotated[list[str] | None, typer.Argument(metavar="ROW...", help="all if none")] = None,
    *,
    swap: Annotated[
        bool, typer.Option("--swap", help="swap the two labels: every verdict must swap")
    ] = False,
    short: Annotated[bool, typer.Option("--short", help="the short form of each row")] = False,
    at_once: Annotated[
        int, typer.Option("--at-once", min=1, help="so many halves at a time, each with a cluster")
    ] = 1,
    seed: Seed = None,
    chaos_image: Images = None,
    runs: Runs = _RUNS,
) -> None:
    """Run the rows of the outages, both halves each, and compare with what must come out."""
    from chaoskit.rows import run_rows

    with _answering():
        outcome = run_rows(
            names or (),
            choices=_choices(seed, chaos_image, runs),
            swap=swap,
            short=short,
            at_once=at_once,
            say=say,
        )
    raise typer.Exit(outcome.exit_code)


@app.command()
def matrix(
    systems: Annotated[list[str], typer.Argument(metavar="SYSTEM...")],
    *,
    budget: Annotated[str, typer.Option(metavar="20m", help="seconds, or with m or h")] = "20m",
    shard: Annotated[str, typer.Option(metavar="i/n", help="this part of the cells")] = "",
    out: Annotated[Path, typer.Option(help="where results and the page go")] = Path("out"),
    release: Annotated[list[str] | None, typer.Option(help="all unless given")] = None,
    only: Annotated[str, typer.Option(help="words that a cell's name must hold")] = "",
    seed: Seed = None,
    chaos_image: Images = None,
    runs: Runs = _RUNS,
) -> None:
    """Run the fault matrix: fault x release x role, as far as the budget goes."""
    from chaoskit.matrix import MatrixRequest, run_matrix

    with _answering():
        request = MatrixRequest(
            systems=tuple(systems),
            budget_s=read_duration_s(budget),
            shard=shard,
            out=out,
            releases=tuple(release or ()),
            only=only,
        )
        outcome = run_matrix(request, _choices(seed, chaos_image, runs), say)
    raise typer.Exit(outcome.exit_code)


@app.command()
def recheck(
    run: Annotated[str, typer.Argument(help="a run folder, its name, or latest")],
    *,
    runs: Runs = _RUNS,
    exit_for_bisect: Bisect = False,
) -> None:
    """Judge a saved run again by today's promises; needs no engine."""
    from chaoskit.recheck import recheck as judge_again

    with _answering(for_bisect=exit_for_bisect):
        verdict, lines = judge_again(run, runs=runs, load=_system, rehearsed=_rehearsed)
        for line in lines:
            say(line)
    raise typer.Exit(exit_code(verdict, for_bisect=exit_for_bisect))


vintages = typer.Typer(
    help="Data that a release really left, to start another release on.", no_args_is_help=True
)
app.add_typer(vintages, name="vintage")


@vintages.command("make")
def vintage_make(
    system: str,
    release: str,
    *,
    settings: Settings = None,
    progress: Annotated[int, typer.Option(help="how far it has to come first")] = 50,
    within: Annotated[str, typer.Option(metavar="2m", help="how long it may take")] = "2m",
    seed: Seed = None,
    chaos_image: Images = None,
    runs: Runs = _RUNS,
) -> None:
    """Run a release for a while, stop it in good order, and keep what it left."""
    from chaoskit.session import open_session
    from chaoskit.vintage_making import make, parse_settings

    with _answering():
        chosen, timeout_s = _system(system), read_duration_s(within)
        label, wanted = _release(chosen, release), parse_settings(chosen, settings or [])
        choices = _choices(seed, chaos_image, runs)
        with open_session(choices, system=system, say=lambda line: say(line, error=True)) as one:
            made = make(
                one, chosen, release=label, settings=wanted, progress=progress, timeout_s=timeout_s
            )
    say(made.line())


@vintages.command("list")
def vintage_list() -> None:
    """List the vintages there are, oldest first."""
    from chaoskit.vintage import Store, default_folder

    with _answering():
        lines = [one.line() for one in Store(default_folder()).all()]
    say("\n".join(lines) or "no vintage yet: chaoskit vintage make SYSTEM RELEASE")


@vintages.command("remove")
def vintage_remove(vintage: str) -> None:
    """Delete a vintage."""
    from chaoskit.vintage import Store, default_folder

    with _answering():
        store = Store(default_folder())
        store.remove(store.find(vintage))


@app.command()
def sweep() -> None:
    """Remove what dead runs have left behind; living ones and kept ones are spared."""
    from chaoskit import journal
    from chaoskit.engine import Engine
    from chaoskit.sweep import sweep as clear

    with _answering():
        report = clear(journal.default_folder(), Engine, lock_timeout_s=60)
        for line in report.lines() or ["nothing was left behind"]:
            say(line)
    raise typer.Exit(exit_code(Verdict.INFRA) if report.left else 0)


def main() -> None:
    """Run the command line; the entry point `chaoskit`."""
    try:
        app(prog_name="chaoskit")
    except SystemExit as ended:  # what cannot be read is refused by the library, with its own 2
        if ended.code == USAGE_EXIT_CODE and "--exit-for-bisect" in sys.argv:
            raise SystemExit(usage_exit_code(for_bisect=True)) from None
        raise


if __name__ == "__main__":
    main()

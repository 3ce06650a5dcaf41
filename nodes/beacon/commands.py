"""
The command line of a node: which verb is meant, and how it ends.

Owns: reading the verb and its flags, help, and exit codes. Refuses: verbs and flags that are not
the release's, releases that no surface was recorded of.

Rules: what is printed goes to stdout, failures too, as with drand; the log alone goes to stderr.
Exit codes: 0, and 1 for whatever did not work, wrong flags included; 2 for an unknown release.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from nodes.beacon import commands_control, commands_help, commands_keys, durations, wire
from nodes.beacon.commands_context import Context
from nodes.beacon.commands_flags import HELP, Flag, FlagMissing, Given, UsageError, read
from nodes.beacon.commands_verbs import LATEST, Action, Verb, application_flags, tree, verb_named
from nodes.beacon.commands_words import CommandFailed
from nodes.beacon.errors import BeaconError
from nodes.beacon.eventlog import Log, to_stderr
from nodes.beacon.profiles import PROFILES, Profile
from nodes.beacon.releases import Line

_HELP_WORDS = frozenset(("help", "h"))
_WITH_BANNER = frozenset((Action.START, Action.STOP, Action.GENERATE, Action.REMOVED_SHARE))
_WITHOUT_FLAGS = frozenset((Action.CEREMONY, Action.NOT_HERE, Action.REMOVED_SHARE))


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run on the terminal."""
    wire.silence_library()
    return run(arguments, environment, sys.stdout.write, sys.stdin.readline)


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    write: Callable[[str], object],
    answer: Callable[[], str],
) -> int:
    """Run a command line; `write` takes what is printed, `answer` gives what is typed."""
    release = _release(arguments, environment)
    profile = PROFILES.get(release)
    if profile is None:
        write(f"unknown release {release[:40]!r}; known: {', '.join(PROFILES)}\n")
        return 2
    try:
        return _Line(profile, environment, write, answer).run(arguments)
    except (BeaconError, UsageError, OSError) as error:
        write(f"{error}\n")
        return 1


def _release(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """The release that is meant, which decides the flags that there are, and is itself one."""
    everything = dict.fromkeys(
        flag for one in PROFILES.values() for flag in application_flags(one.surface)
    )
    # What is wrong with a line is told in its release's words: it may stand before what is wrong.
    for count in range(len(arguments), -1, -1):
        try:
            return read(tuple(everything), arguments[:count], environment).text("as-release")
        except UsageError:
            continue
    return LATEST


class _Line:
    """A command line of a release."""

    def __init__(
        self,
        profile: Profile,
        environment: Mapping[str, str],
        write: Callable[[str], object],
        answer: Callable[[], str],
    ) -> None:
        self._profile = profile
        self._surface = profile.surface
        self._environment = environment
        self._write = write
        self._answer = answer

    def run(self, arguments: Sequence[str]) -> int:
        """Run it; answers the exit code, raises what is told and ends with 1."""
        about = commands_help.application(self._surface)
        given = self._read(application_flags(self._surface), arguments, about)
        banner = f"drand {self._surface.version} (date unknown, commit none)\n"
        if given.on("version"):
            self._write(banner)
            return 0
        if given.on("help") or not given.arguments:
            self._write(about)
            return 0
        found = self._verb(given.arguments)
        if found is None:
            return 0
        action, here = found
        insecure, alarm_s = given.on("conn-insecure"), _alarm_s(given)
        if self._surface.line is Line.V2 and here.is_set("folder"):
            log = Log("", "beacon/commands.py", verbose=False, write=to_stderr)
            log.info("Using non-default path", folder=here.text("folder"))
        if action in _WITH_BANNER:
            self._write(banner)
        context = Context(
            self._profile, insecure, alarm_s, here, self._write, self._answer, self._environment
        )
        if action is Action.START:
            # Half of what there is to load, and no other verb needs it.
            from nodes.beacon import commands_start

            return commands_start.start(context)
        _ACTIONS[action](context)
        return 0

    def _verb(self, arguments: Sequence[str]) -> tuple[Action, Given] | None:
        """What is to be done, and with which flags; None where help was asked for and given."""
        verbs, path = tree(self._surface), list[str]()
        about = commands_help.application(self._surface)
        while arguments:
            name, *rest = arguments
            if name in _HELP_WORDS:
                self._write(self._about(verbs, path, rest, about))
                return None
            verb = _known(verbs, name)
            path.append(name)
            about = commands_help.of_verb(self._surface, path, verb)
            if verb.action in _WITHOUT_FLAGS:
                return verb.action, Given((), {}, tuple(rest))
            here = self._read((*verb.flags, HELP), rest, about)
            if verb.action is not None and not here.on("help"):
                return verb.action, here
            verbs, arguments = verb.verbs, () if here.on("help") else here.arguments
        self._write(about)
        return None

    def _about(
        self, verbs: Sequence[Verb], path: Sequence[str], topic: Sequence[str], about: str
    ) -> str:
        if not topic:
            return about
        verb = _known(verbs, topic[0])
        return commands_help.of_verb(self._surface, [*path, verb.name], verb)

    def _read(self, flags: Sequence[Flag], arguments: Sequence[str], about: str) -> Given:
        try:
            return read(flags, arguments, self._environment)
        except FlagMissing:
            self._write(about)
            raise
        except UsageError as error:
            self._write(f"Incorrect Usage: {error}\n\n{about}")
            raise


def _alarm_s(given: Given) -> float:
    try:
        return durations.seconds_of(given.text("alarm-interval"))
    except ValueError as error:
        raise CommandFailed(f"--alarm-interval: {error}") from error


def _known(verbs: Sequence[Verb], name: str) -> Verb:
    verb = verb_named(verbs, name)
    if verb is None:
        raise CommandFailed(f"No help topic for '{name[:80]}'")
    return verb


def _no_ceremonies(context: Context) -> None:
    del context
    raise CommandFailed("no ceremonies in this release of the node")


def _removed_share(context: Context) -> None:
    del context
    raise CommandFailed("the share command has been removed! Please use `drand dkg` instead")


def _not_here(context: Context) -> None:
    del context
    raise CommandFailed("not in this release of the node")


def _generate(context: Context) -> None:
    """Make keys, then have the daemon load them; that it does not run is no failure."""
    commands_keys.generate(context)
    try:
        commands_control.load(context)
    except CommandFailed as error:
        context.say(
            "Keys couldn't be loaded on drand daemon. If it is not running, these new keys will "
            f"be loaded on startup. Err: {error}"
        )


_ACTIONS: Mapping[Action, Callable[[Context], None]] = MappingProxyType(
    {
        Action.STOP: commands_control.stop,
        Action.LOAD: commands_control.load,
        Action.SYNC: commands_control.sync,
        Action.GENERATE: _generate,
        Action.CHECK: commands_control.check,
        Action.REMOTE_STATUS: commands_control.remote_status,
        Action.PING: commands_control.ping,
        Action.LIST_SCHEMES: commands_control.list_schemes,
        Action.STATUS: commands_control.status,
        Action.RESET: commands_keys.reset,
        Action.DELETE_ROUNDS: commands_keys.delete_rounds,
        Action.SELF_SIGN: commands_keys.self_sign,
        Action.BACKUP: commands_control.backup,
        Action.SHOW_GROUP: commands_control.show_group,
        Action.SHOW_CHAIN: commands_control.show_chain,
        Action.SHOW_PUBLIC: commands_control.show_public,
        Action.CEREMONY: _no_ceremonies,
        Action.REMOVED_SHARE: _removed_share,
        Action.NOT_HERE: _not_here,
    }
)

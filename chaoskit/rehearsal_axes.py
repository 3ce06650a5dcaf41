"""
What a rehearsal is started with beside a release, each an axis of its own: keys, configuration.

Owns: the axes, turning a request into a cluster's settings, and the controls: the same rehearsal
with one axis put back, which tells what that axis has to do with a failure and shows what the
failure hid. Refuses: to know what a vintage does. A System offers an axis by having the setting.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from chaoskit.errors import UsageError
from chaoskit.rehearsal_route import RehearsalRequest
from chaoskit.system import System


@dataclass(frozen=True, slots=True)
class Axis:
    """
    Something that an older release has left.

    `setting` is the System's setting that names the release, and the axis' name in a request;
    `option` what a person types; `what` and `plain` what it is, and how it is without.
    """

    setting: str
    option: str
    what: str
    plain: str


KEYS = Axis("keys_as_left_by", "--keys-as-left-by", "keys", "as {source} leaves them")
CONFIGURATION = Axis(
    "config_as_left_by", "--config-as-left-by", "configuration", "as each release wants it"
)
AXES = (KEYS, CONFIGURATION)


def left_by(*, keys: str, configuration: str) -> tuple[tuple[str, str], ...]:
    """A request's axes, of those that are named."""
    named = {KEYS.setting: keys, CONFIGURATION.setting: configuration}
    return tuple((axis, release) for axis, release in named.items() if release)


@dataclass(frozen=True, slots=True)
class Control:
    """A request with one axis put back; `words` say how it differs."""

    request: RehearsalRequest
    words: str


def settings_for(system: System, request: RehearsalRequest) -> tuple[tuple[str, str], ...]:
    """
    What the members are started with: the request's settings and its axes, by name.

    Raises UsageError for a setting or an axis that the system does not have, for a release that it
    does not list, and for axes of data that are stored already.
    """
    found = dict(request.settings)
    for name in found:
        if name not in system.settings:
            known = ", ".join(system.settings) or "none"
            raise UsageError(f"{name!r} is no setting of {system.name}; its settings: {known}")
    for axis in AXES:
        asked = _asked(request, axis)
        if not asked:
            continue
        if axis.setting not in system.settings:
            raise UsageError(
                f"{axis.option}: {system.name} starts on what a release itself leaves; "
                f"stored data: --vintage"
            )
        if request.vintage and axis is KEYS:
            raise UsageError(f"{axis.option} and --vintage both say what lies on the disk")
        try:
            found[axis.setting] = system.release(asked).label
        except LookupError as error:
            raise UsageError(f"{axis.option}: {error}") from None
    return tuple(sorted(found.items()))


def lines(request: RehearsalRequest, *, source: str) -> list[str]:
    """The axes and settings for people; none when all are plain."""
    told = [
        f"{axis.what} as {_asked(request, axis)} left {'them' if axis is KEYS else 'it'}"
        for axis in AXES
        if _asked(request, axis)
    ]
    told += [f"{name} {value}" for name, value in request.settings]
    found = [" · ".join(told)] if told else []
    found += [
        f"if that is no GO: once more with {one.words}, to tell what that has to do with it"
        for one in controls(request, source=source)
    ]
    return found


def controls(request: RehearsalRequest, *, source: str) -> list[Control]:
    """For each axis that is not plain the same request with it put back; `source` as a label."""
    return [
        Control(
            replace(
                request, left_by=tuple(one for one in request.left_by if axis.setting not in one)
            ),
            f"{axis.what} {axis.plain.format(source=source)}",
        )
        for axis in AXES
        if _asked(request, axis)
    ]


def _asked(request: RehearsalRequest, axis: Axis) -> str:
    return dict(request.left_by).get(axis.setting, "")

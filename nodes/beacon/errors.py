"""
What the beacon node refuses, by type: files, rounds, partials, requests.

Owns: the types. Refuses: nothing itself. A type says what kind of input was at fault, a message
what it was, where, and what is done about it; no message holds a secret. Wordings that operators
and members of other makes know from drand are kept where drand has one.
"""

from __future__ import annotations


class BeaconError(Exception):
    """Anything that this node refuses; it has done nothing by then, and goes on."""


class FileMissing(BeaconError):
    """A file that must be there is not."""


class FileRefused(BeaconError):
    """A file that is there and is not what it should be; it stays as it is."""


class SchemeMismatch(FileRefused):
    """Key pair, share and group do not name one scheme."""


class NotAMember(BeaconError):
    """The group does not hold this key pair or this share."""


class RoundOutOfRange(BeaconError):
    """A round or time that no clock will ever show."""


class PartialRefused(BeaconError):
    """A partial signature that is not taken; the sender is told, nothing is kept of it."""


class FutureRound(PartialRefused):
    """The partial's round is beyond the next one."""


class UnknownIndex(PartialRefused):
    """No member of the group has this index."""


class OwnIndex(PartialRefused):
    """A partial that came from elsewhere under our own index."""


class InvalidPartial(PartialRefused):
    """The partial's length is wrong, or it is not its member's signature of that round."""


class SyncRefused(BeaconError):
    """A request for rounds that cannot be met."""


class NoBeaconStored(SyncRefused):
    """The first round asked for is not stored yet."""


class StreamReplaced(SyncRefused):
    """The same address has asked again; its newer stream goes on."""


class TooManyStreams(SyncRefused):
    """As many others are being served as may be."""

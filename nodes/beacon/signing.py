"""
What a core needs of its group's signatures, and the real thing over nodes/bls.py.

Owns: the interface, which a simulation fills with something fast, and the member's own signing: its
share, the group's public polynomial, what each round hashes. Refuses: partials of a wrong length.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from nodes import bls
from nodes.beacon.errors import InvalidPartial
from nodes.beacon.group import Group
from nodes.beacon.share import Share


class Signing(Protocol):
    """A member's view of its group's threshold signatures."""

    @property
    def chained(self) -> bool:
        """Whether a round's signature covers the one before."""
        ...

    @property
    def threshold(self) -> int:
        """How many partials make a signature."""
        ...

    def sign(self, round_number: int, previous_signature: bytes) -> bytes:
        """Our own partial, index first."""
        ...

    def index_of(self, partial: bytes) -> int:
        """Whose partial it says to be; raises InvalidPartial."""
        ...

    def verify_partial(self, round_number: int, previous_signature: bytes, partial: bytes) -> bool:
        """Whether it is."""
        ...

    def recover(self, partials: Iterable[bytes]) -> bytes:
        """The round's signature from a threshold of verified partials, itself not verified."""
        ...

    def verify(self, round_number: int, previous_signature: bytes, signature: bytes) -> bool:
        """Whether this is the round's signature."""
        ...


class GroupSigning:
    """Threshold BLS for one member of a group; the caller has checked that they belong together."""

    def __init__(self, group: Group, share: Share) -> None:
        self._scheme = group.scheme
        self._share = share
        self._polynomial = bls.PublicPolynomial(group.scheme, share.commits)

    @property
    def chained(self) -> bool:
        """Whether a round's signature covers the one before."""
        return self._scheme.chained

    @property
    def threshold(self) -> int:
        """How many partials make a signature."""
        return self._polynomial.threshold

    def sign(self, round_number: int, previous_signature: bytes) -> bytes:
        """Our own partial, index first."""
        message = self._scheme.digest(round_number, previous_signature)
        return bls.sign_partial(self._scheme, self._share.secret, self._share.index, message)

    def index_of(self, partial: bytes) -> int:
        """Whose partial it says to be; raises InvalidPartial."""
        try:
            return bls.partial_index(self._scheme, partial)
        except bls.InvalidPartialError as error:
            raise InvalidPartial(str(error)) from error

    def verify_partial(self, round_number: int, previous_signature: bytes, partial: bytes) -> bool:
        """Whether it is."""
        message = self._scheme.digest(round_number, previous_signature)
        return self._polynomial.verify_partial(message, partial)

    def recover(self, partials: Iterable[bytes]) -> bytes:
        """The round's signature from a threshold of verified partials, itself not verified."""
        return self._polynomial.recover(partials)

    def verify(self, round_number: int, previous_signature: bytes, signature: bytes) -> bool:
        """Whether this is the round's signature."""
        message = self._scheme.digest(round_number, previous_signature)
        return self._polynomial.verify(message, signature)

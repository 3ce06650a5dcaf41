"""
What a verb is run with.

Owns: the context, and the folder, network and certificates that a command line means. Refuses: what
is no network's name, and a folder of certificates that holds none or several, with BeaconError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nodes.beacon.commands_flags import Given
from nodes.beacon.errors import FileMissing, FileRefused
from nodes.beacon.group import canonical_id
from nodes.beacon.profiles import Profile
from nodes.beacon.releases import Line, Surface


@dataclass(frozen=True, slots=True)
class Context:
    """
    What a verb is run with.

    `conn_insecure`: a build with that tag. `alarm_s`: how often the node looks whether its
    threshold is in danger. `write` takes what is printed, `answer` gives the next line that the
    operator types, empty at the end.
    """

    profile: Profile
    conn_insecure: bool
    alarm_s: float
    given: Given
    write: Callable[[str], object]
    answer: Callable[[], str]
    environment: Mapping[str, str]

    @property
    def surface(self) -> Surface:
        """What the release looks like from outside."""
        return self.profile.surface

    def say(self, text: str) -> None:
        """Print a line."""
        self.write(text + "\n")

    def folder(self) -> Path:
        """The node's folder."""
        return Path(self.given.text("folder")).expanduser()

    def network(self) -> str:
        """The network that is meant; raises FileRefused."""
        try:
            return canonical_id(self.given.text("id"))
        except ValueError as error:
            raise FileRefused(f"--id: {error}") from error

    def trusted(self, *, with_folder: bool = True) -> Path | None:
        """
        The file of certificates that is to be trusted; None for the system's.

        `with_folder`: --certs-dir counts, which v1 has, and reads unless told to do without TLS.
        """
        v1 = self.surface.line is Line.V1
        if not (v1 and with_folder and self.given.is_set("certs-dir")):
            # Where programs in Go look, and with them the real ones.
            named = self.environment.get("SSL_CERT_FILE", "")
            return Path(named) if named else None
        folder = Path(self.given.text("certs-dir"))
        try:
            found = sorted(path for path in folder.iterdir() if path.is_file())
        except OSError as error:
            raise FileMissing(f"--certs-dir {folder}: {error.strerror}") from error
        if len(found) != 1:
            raise FileRefused(
                f"--certs-dir {folder}: holds {len(found)} files; put all that is trusted into one"
            )
        return found[0]

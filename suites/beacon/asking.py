"""
Asking a member over its public HTTP interface, in the mode that it serves.

Owns: which of TLS and plaintext is spoken. Refuses: judging: a member of a secure group that serves
plaintext is asked in plaintext, and whoever it shows itself to be is taken for it, since watching
must outlive what it watches.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaoskit.http import HttpClient, NoAnswer
from chaoskit.system import Endpoint


@dataclass(frozen=True, slots=True)
class Asking:
    """
    The public interface of one member.

    `secure`: the member serves TLS, unless something made it serve plaintext.
    """

    http: HttpClient
    endpoint: Endpoint
    secure: bool

    def text(self, path: str) -> tuple[int, str]:
        """GET; answers the status and the body. Raises NoAnswer."""
        if self.secure:
            try:
                return self.http.text(self.endpoint.url("public", path, scheme="https"))
            except NoAnswer as error:
                if error.cause != "no_tls":
                    raise
        return self.http.text(self.endpoint.url("public", path))

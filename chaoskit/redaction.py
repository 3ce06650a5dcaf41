"""
Keeping secrets out of whatever a run writes.

Owns: the secrets of a run (keys, shares, tokens, as they are made) and finding them again in text:
as they are, escaped in JSON, percent-encoded, in hex, in base64 (both alphabets, at any offset in a
longer text) and, for PEM, line by line, wrapped anew or as DER in hex. Refuses: secrets shorter
than 8 bytes, which stand in any text by chance; and guessing what might be a secret.

A long encoded form is known by its pieces of 16 characters; a word that holds one is replaced as a
whole, so that no rest of it is left at a line's end. What is shorter than a piece when it is cut
off from its secret is not found.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

from chaoskit.errors import UsageError

MASK = b"[redacted]"
SHORTEST_SECRET_BYTES = 8
_PIECE = 16
_WORD = re.compile(rb"[A-Za-z0-9+/_=-]{16,}")
_PEM = re.compile(rb"-----BEGIN [^-]+-----(.*?)-----END [^-]+-----", re.DOTALL)
_HELD_BYTES = 65_536
_BLOCK_BYTES = 1_048_576


class SecretTooShort(UsageError):
    """A secret that stands in any text by chance, so that nothing can be told from it."""


class Redactor:
    """The secrets of a run; safe to call from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._exact: tuple[bytes, ...] = ()
        self._pieces: frozenset[bytes] = frozenset()
        self._hex_pieces: frozenset[bytes] = frozenset()

    def register(self, secret: bytes) -> None:
        """
        Never let `secret` pass from now on: any bytes, or the text of one or more PEM blocks.

        Raises SecretTooShort when it is shorter than 8 bytes.
        """
        if len(secret) < SHORTEST_SECRET_BYTES:
            raise SecretTooShort(
                f"a secret of {len(secret)} bytes cannot be told from chance, so it cannot be kept "
                f"out of logs: give one of {SHORTEST_SECRET_BYTES} bytes or more, or do not mark "
                f"its artifact secret"
            )
        plain = secret.strip()
        bodies = [b"".join(match.split()) for match in _PEM.findall(plain)]
        encoded = [*bodies, *_in_base64(plain)]
        in_hex = [binascii.hexlify(plain), *(_der_in_hex(body) for body in bodies)]
        exact = set() if bodies else {secret, plain, *_escaped(plain)}
        # What is too short for a piece is known as a whole, down to the last line of a PEM block.
        last_lines = {match.split()[-1] for match in _PEM.findall(plain) if match.strip()}
        short = {*encoded, *in_hex, *(form.upper() for form in in_hex), *last_lines}
        exact |= {form for form in short if SHORTEST_SECRET_BYTES <= len(form) < _PIECE}
        with self._lock:
            self._exact = tuple(sorted({*self._exact, *exact}, key=len, reverse=True))
            self._pieces |= _pieces(encoded)
            self._hex_pieces |= _pieces(in_hex)

    def clean(self, text: bytes) -> bytes:
        """`text` with every secret replaced by `[redacted]`."""
        for secret in self._exact:
            text = text.replace(secret, MASK)
        if self._pieces or self._hex_pieces:
            text = _WORD.sub(self._cleaned_word, text)
        return text

    def clean_document(self, value: Any) -> Any:
        """A JSON document (what an engine's inspect answers, say), its keys and texts cleaned."""
        match value:
            case str():
                cleaned = self.clean(value.encode("utf-8", "surrogatepass"))
                return cleaned.decode("utf-8", "surrogatepass")
            case dict():
                return {
                    self.clean_document(key): self.clean_document(one) for key, one in value.items()
                }
            case list() | tuple():
                return [self.clean_document(one) for one in value]
            case _:
                return value

    def stream(self) -> CleanStream:
        """A stream of bytes to be cleaned as it comes, in chunks that end anywhere."""
        return CleanStream(self)

    def leaks(self, folder: Path) -> tuple[Path, ...]:
        """The files in `folder`, at any depth, that hold a secret, by content or by name."""
        return tuple(path for path in sorted(folder.rglob("*")) if self._is_leaking(path, folder))

    def _is_leaking(self, path: Path, folder: Path) -> bool:
        named = os.fsencode(path.relative_to(folder))
        if self.clean(named) != named:
            return True
        if path.is_symlink() or not path.is_file():
            return False
        stream = self.stream()
        with path.open("rb") as file:
            for block in iter(lambda: file.read(_BLOCK_BYTES), b""):
                stream.feed(block)
        stream.end()
        return stream.replaced

    def _cleaned_word(self, match: re.Match[bytes]) -> bytes:
        word = match[0]
        lower = word.lower()
        for start in range(len(word) - _PIECE + 1):
            end = start + _PIECE
            if word[start:end] in self._pieces or lower[start:end] in self._hex_pieces:
                return MASK
        return word

    def held(self, text: bytes) -> int:
        """How many bytes at the end of `text` may be the start of a secret with a newline in it."""
        return max(
            (
                length
                for secret in self._exact
                if b"\n" in secret
                for length in range(1, len(secret))
                if text.endswith(secret[:length])
            ),
            default=0,
        )


class CleanStream:
    """
    One stream through a redactor; whole lines come out as soon as they are whole.

    `replaced` tells whether a secret was in it. A line longer than 64 KiB comes out in parts.
    """

    def __init__(self, redactor: Redactor) -> None:
        self.replaced = False
        self._redactor = redactor
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk; answers what can be let out now, cleaned."""
        text = self._rest + chunk
        cut = text.rfind(b"\n") + 1
        if len(text) - cut > _HELD_BYTES:
            cut = len(text) - _open_word(text)
        cut -= self._redactor.held(text[:cut])
        self._rest = text[cut:]
        return self._clean(text[:cut])

    def end(self) -> bytes:
        """The stream is over: the rest, cleaned."""
        rest, self._rest = self._rest, b""
        return self._clean(rest)

    def _clean(self, text: bytes) -> bytes:
        cleaned = self._redactor.clean(text)
        self.replaced = self.replaced or cleaned != text
        return cleaned


def _open_word(text: bytes) -> int:
    """
    How many bytes at the end of `text` to hold back: the word that may go on, within a bound.

    Of a word that fills the whole bound only a piece is held, so that a secret in it is still met.
    """
    tail = text[-_HELD_BYTES:]
    length = len(tail) - len(tail.rstrip(_word_bytes()))
    return length if length < len(tail) else _PIECE


def _word_bytes() -> bytes:
    return b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_=-"


def _escaped(secret: bytes) -> Iterator[bytes]:
    yield quote_from_bytes(secret).encode()
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        return
    yield json.dumps(text)[1:-1].encode()
    yield json.dumps(text, ensure_ascii=False)[1:-1].encode()


def _in_base64(secret: bytes) -> Iterator[bytes]:
    """
    What of `secret` stands in the base64 of any longer text, by its offset there modulo 3.

    The first and the last characters hold bits of neighbouring bytes and are left out (RFC 4648).
    """
    for offset, foreign in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(bytes(offset) + secret).rstrip(b"=")
        own = encoded[foreign:] if (offset + len(secret)) % 3 == 0 else encoded[foreign:-1]
        yield own
        yield own.translate(bytes.maketrans(b"+/", b"-_"))


def _der_in_hex(body: bytes) -> bytes:
    try:
        return binascii.hexlify(base64.b64decode(body, validate=True))
    except binascii.Error:  # an encrypted block has headers in it; its body is still known
        return b""


def _pieces(forms: list[bytes]) -> frozenset[bytes]:
    return frozenset(
        form[min(start, len(form) - _PIECE) :][:_PIECE]
        for form in forms
        if len(form) >= _PIECE
        for start in range(0, len(form), _PIECE)
    )

"""
The node's log: one JSON object a line on stderr, shaped as drand's are with --json.

Owns: the form, and what is shown. Refuses: nothing. Keys come in this order: level, ts, logger,
caller, msg, then what the event has.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace


def stamp(now_s: float) -> str:
    """A time as the log writes it, to the millisecond."""
    now_ms = int(now_s * 1000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_ms // 1000))
    return f"{whole}.{now_ms % 1000:03d}Z"


def to_stderr(line: str) -> None:
    """Write a line."""
    sys.stderr.write(line)
    sys.stderr.flush()


@dataclass(frozen=True, slots=True)
class Log:
    """
    Says what happens; `logger` is our address, with the network's name behind it.

    `caller` is the module that speaks. `verbose`: whether debug lines are shown.
    """

    logger: str
    caller: str
    verbose: bool
    write: Callable[[str], None]

    def named(self, name: str) -> Log:
        """The log of a part of what this one is of."""
        return replace(self, logger=f"{self.logger}.{name}" if self.logger else name)

    def of(self, caller: str) -> Log:
        """The log as another module uses it."""
        return replace(self, caller=f"beacon/{caller}.py")

    def debug(self, message: str, **fields: object) -> None:
        """What only somebody who looks for something wants to see."""
        if self.verbose:
            self._say("DEBUG", message, fields)

    def info(self, message: str, **fields: object) -> None:
        """What an operator expects."""
        self._say("INFO", message, fields)

    def warn(self, message: str, **fields: object) -> None:
        """What an operator should look at."""
        self._say("WARN", message, fields)

    def error(self, message: str, **fields: object) -> None:
        """What went wrong."""
        self._say("ERROR", message, fields)

    def _say(self, level: str, message: str, fields: dict[str, object]) -> None:
        head = {"level": level, "ts": stamp(time.time())}
        if self.logger:
            head["logger"] = self.logger
        line = head | {"caller": self.caller, "msg": message} | fields
        self.write(json.dumps(line, separators=(",", ":"), default=str) + "\n")


class LibraryLines(logging.Handler):
    """What libraries say through Python's logging, as lines of ours: above all a handler's bug."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Say one record."""
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        self._log.error(text, library=record.name)

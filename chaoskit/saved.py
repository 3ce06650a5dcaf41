"""
Reading a JSON file that chaoskit saved, of a schema that it knows.

Owns: the errors of a file that is missing, garbled or of another schema, all of them wrong usage.
Refuses: looking into what the file holds beyond its schema; that is its reader's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chaoskit.errors import UsageError


def read_document(path: Path, *, what: str, schema: int) -> dict[str, Any]:
    """
    The JSON object of a file; `what` names its kind to people ("plan").

    Raises UsageError, naming the file, for one that cannot be read, is no JSON, or no object of
    this schema.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"no {what} at {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is no JSON: {error}") from error
    found = document.get("schema") if isinstance(document, dict) else None
    if found != schema:
        raise UsageError(f"{path} is no {what} of schema {schema}: found {found}")
    assert isinstance(document, dict)
    return document

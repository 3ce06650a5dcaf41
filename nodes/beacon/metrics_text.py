"""
Metrics as text (Prometheus' exposition format 0.0.4), with exactly the names that drand uses.

Owns: families, samples and how they are written. Refuses: nothing; names are ours, not input.

Rules: families are sorted by name, samples as they are given; a family without samples is left out.
Not a client library's: those give each counter a name that ends in _total, and drand's do not.
Source: https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


@dataclass(frozen=True, slots=True)
class Sample:
    """One value; `suffix` is what a histogram's parts add to the family's name."""

    labels: Mapping[str, str]
    value: float
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """The samples of one name; `kind` is counter, gauge, histogram or untyped."""

    name: str
    kind: str
    about: str
    samples: Sequence[Sample]


def written(families: Iterable[Family]) -> str:
    """The text of all families."""
    return "".join(
        _family(family) for family in sorted(families, key=lambda one: one.name) if family.samples
    )


def number(value: float) -> str:
    """A value or a bucket's bound, whole ones without a fraction."""
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _family(family: Family) -> str:
    lines = [f"# HELP {family.name} {family.about}", f"# TYPE {family.name} {family.kind}"]
    for sample in family.samples:
        labels = ",".join(
            f'{name}="{value.translate(_ESCAPES)}"' for name, value in sample.labels.items()
        )
        braces = f"{{{labels}}}" if labels else ""
        lines.append(f"{family.name}{sample.suffix}{braces} {number(float(sample.value))}")
    return "\n".join(lines) + "\n"

"""
What protoc makes of the beacon's .proto files: written anew, or compared by a test.

`python -m tests.beacon_generate` writes nodes/beacon/proto/*_pb2.py and *_pb2.pyi.
"""

from __future__ import annotations

import sys
from pathlib import Path

from grpc_tools import protoc

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCES = tuple(sorted((REPOSITORY / "nodes/beacon/proto").glob("*.proto")))


def generate(into: Path) -> list[Path]:
    """Write the generated files below a folder; answers their paths, relative to it."""
    arguments = [f"-I{REPOSITORY}", f"--python_out={into}", f"--pyi_out={into}"]
    code = protoc.main(["protoc", *arguments, *(str(source) for source in SOURCES)])
    assert code == 0, "protoc refuses the sources; its words are above"
    names = [
        source.relative_to(REPOSITORY).with_name(f"{source.stem}_pb2{ending}")
        for source in SOURCES
        for ending in (".py", ".pyi")
    ]
    assert all((into / name).exists() for name in names)
    return names


if __name__ == "__main__":
    generate(REPOSITORY)
    sys.stdout.write(f"{len(SOURCES)} sources, generated below {REPOSITORY}\n")

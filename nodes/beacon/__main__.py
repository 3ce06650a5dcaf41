"""
`python -m nodes.beacon`: the node's command line, and our dealer beside it.

Owns: the choice between the two. Refuses: nothing itself. The dealer is run without loading what
the node needs.
"""

from __future__ import annotations

import os
import sys

from nodes.beacon import commands_dealer


def main() -> int:
    """Run what the process's arguments name; answers the exit code."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["dealer"]:
        return commands_dealer.main(arguments[1:])
    from nodes.beacon import commands

    return commands.main(arguments, os.environ)


if __name__ == "__main__":
    sys.exit(main())

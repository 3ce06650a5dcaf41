"""
Operator error: a command of the system's own, run as a person would, at a wrong moment.

Seen in: a testnet's outage of 2024-02-21, where keys were generated over a pair that worked. What
makes it an error is when it is run, which is the plan's or the test's part. There is no way back
by itself. Refuses: commands that the system does not declare, and a node that does not run.

The command and its answer come by one channel, the backend's, and prove nothing. Two facts on
others do: its process, which the kernel had in the node's control group; and what it leaves, by the
system's own word on that command: files of other content, or the end of the node's process. One
that may be refused, so that it leaves nothing, owes the first alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from chaoskit.artifacts import file_of
from chaoskit.cluster import Cluster
from chaoskit.command import Command
from chaoskit.commandevidence import is_rewritten, seen_running
from chaoskit.errors import NotApplicable
from chaoskit.fault import Testimony, target
from chaoskit.processevidence import is_gone
from chaoskit.sighting import Probe

_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True)
class OperatorError:
    """`command` (by its name) is run beside `node`; it does its work, or `may_be_refused`."""

    NEEDS: ClassVar = ("commands",)
    PROOF: ClassVar = (
        "its process, by the kernel, and what it leaves: files of other content, the node's end"
    )

    node: str = target()
    command: str = ""
    may_be_refused: bool = False

    def apply(self, cluster: Cluster) -> Testimony:
        """Run it to its end; witnessed by its process and, unless refused, by what it leaves."""
        cluster.require_running(self.node)
        node = cluster.node(self.node)
        command = self._command(cluster)
        leaves = self._leaves(cluster, command)
        with seen_running(node, command.argv) as ran:
            done = node.execute(command.argv)
        said = f"{command.name} beside {self.node}: exit code {done.exit_code}"
        cluster.recorder.record("chaoskit", "note", {"text": said})
        return Testimony(probes=[ran, *(() if self.may_be_refused else leaves)], within_s=_WITHIN_S)

    def _command(self, cluster: Cluster) -> Command:
        commands = cluster.system.commands
        placement = cluster.node(self.node).placement()
        found = {one.name: one for one in (commands(placement) if commands else ())}
        if self.command not in found:
            known = ", ".join(found) or "it declares none"
            raise NotApplicable(
                f"{cluster.system.name} has no command {self.command!r} beside {self.node}: {known}"
            )
        return found[self.command]

    def _leaves(self, cluster: Cluster, command: Command) -> Sequence[Probe]:
        node = cluster.node(self.node)
        files = [file_of(cluster, self.node, name) for name in command.rewrites]
        ends = [is_gone(node)] if command.ends else []
        return [*(is_rewritten(node, path) for path in files), *ends]

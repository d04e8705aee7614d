"""Cycles between transactions: who overwrote and who read whom, as in Adya's G0 and G1c.

Kafka promises atomic commitment, not isolation of writes: producers' records of two open transactions interleave in a
partition, so cycles with write order in them are its normal behaviour. A cycle of reads alone would be none.

Here: the graph over operations that did more than one thing (a single send or a single poll lies on no cycle of its
own; what it passes on is bridged), and its strongly connected components by Tarjan's algorithm, without recursion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cluster.checks.history.anomalies import Finding, Findings
from cluster.checks.history.operations import FAIL, OK, Operation
from cluster.checks.history.versions import KeyVersions

Edges = list[list[int]]


def cycles(versions: Mapping[str, KeyVersions], operations: list[Operation], findings: Findings) -> None:
    """Find g0, g1c and g1c-with-ww; a component counts once, by the strongest anomaly that it shows."""
    nodes = [one for one in operations if one.outcome != FAIL and one.sends and len(one.sends) + len(one.polls) > 1]
    if len(nodes) < 2:
        return
    numbers = {node.number: place for place, node in enumerate(nodes)}
    overwrites, reads, bridged = _edges(versions, nodes, numbers)
    writes_only = _components(overwrites)
    reads_only = _components(reads)
    both = _components([[*a, *b, *c] for a, b, c in zip(overwrites, reads, bridged, strict=True)])
    known: set[int] = set()
    for anomaly, components in (("g1c", reads_only), ("g0", writes_only), ("g1c-with-ww", both)):
        for component in components:
            if known.isdisjoint(component):
                known.update(component)
                findings.add(_finding(anomaly, [nodes[number] for number in sorted(component)]))


def _finding(anomaly: str, members: Sequence[Operation]) -> Finding:
    names = [f"{member.process}'s transaction of {member.sends[0][1]}" for member in members[:4]]
    more = f" and {len(members) - 4} more" if len(members) > 4 else ""
    key, value, offset = members[0].sends[0]
    message = f"{', '.join(names)}{more} lie on a cycle"
    return Finding(anomaly, message, key, offset, value, members[0].process, members[0].ended_us)


def _edges(
    versions: Mapping[str, KeyVersions], nodes: list[Operation], numbers: Mapping[int, int]
) -> tuple[Edges, Edges, Edges]:
    """Return edges of write order, of reads, and of reads of what a lone send wrote after a transaction."""
    overwrites: Edges = [[] for _ in nodes]
    reads: Edges = [[] for _ in nodes]
    bridged: Edges = [[] for _ in nodes]
    last_writers = {key: _last_writers(known, numbers) for key, known in versions.items()}
    for key in versions:
        previous = -1
        for writer, _ in last_writers[key]:
            if writer not in (previous, -1):
                if previous >= 0:
                    overwrites[previous].append(writer)
                previous = writer
    for number, node in enumerate(nodes):
        if node.outcome != OK:
            continue
        for key, records in node.polls:
            if records:
                index = versions[key].indexes[max(offset for offset, _ in records)]
                writer, is_own = last_writers[key][index]
                if writer not in (-1, number):
                    (reads if is_own else bridged)[writer].append(number)
    return overwrites, reads, bridged


def _last_writers(known: KeyVersions, numbers: Mapping[int, int]) -> list[tuple[int, bool]]:
    """Return, for every index, the last node that wrote at or below it, and whether it wrote that very value."""
    writers: list[tuple[int, bool]] = []
    last = -1
    for offset in known.sorted_offsets:
        sender = known.senders.get(known.at[offset])
        number = -1 if sender is None else numbers.get(sender.number, -1)
        if number >= 0:
            last = number
        writers.append((last, number >= 0))
    return writers


def _components(edges: Edges) -> list[list[int]]:
    """Return the strongly connected components of two nodes or more (Tarjan 1972), in a fixed order."""
    search = _Search(edges)
    for root in range(len(edges)):
        if search.order[root] < 0:
            search.from_root(root)
    return search.found


class _Search:
    def __init__(self, edges: Edges) -> None:
        self._edges = edges
        self.order = [-1] * len(edges)
        self._low = [0] * len(edges)
        self._on_stack = [False] * len(edges)
        self._stack: list[int] = []
        self._count = 0
        self.found: list[list[int]] = []

    def from_root(self, root: int) -> None:
        self._enter(root)
        work = [(root, iter(self._edges[root]))]
        while work:
            node, successors = work[-1]
            for successor in successors:
                if self.order[successor] < 0:
                    self._enter(successor)
                    work.append((successor, iter(self._edges[successor])))
                    break
                if self._on_stack[successor]:
                    self._low[node] = min(self._low[node], self.order[successor])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    self._low[parent] = min(self._low[parent], self._low[node])
                if self._low[node] == self.order[node]:
                    self._leave(node)

    def _enter(self, node: int) -> None:
        self.order[node] = self._low[node] = self._count
        self._count += 1
        self._stack.append(node)
        self._on_stack[node] = True

    def _leave(self, node: int) -> None:
        component: list[int] = []
        while True:
            member = self._stack.pop()
            self._on_stack[member] = False
            component.append(member)
            if member == node:
                break
        if len(component) > 1:
            self.found.append(component)

"""commits-fenced-by-generation: who has left a generation of a group commits nothing for it any more.

A member that was thought dead may come back with an offset that others have long passed: a coordinator refuses it by
the generation that it names (Kafka: ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID). Judged for groups of the classic protocol,
as of the moment when the coordinator was asked: the answer waits for replicas, and the group may move on meanwhile.
"""

from __future__ import annotations

from cluster.base.group_trace import GroupStateChanged, OffsetCommitAsked, OffsetCommitted
from cluster.base.ids import TopicPartition
from cluster.base.trace import CoordinatorUnloaded, NodeStarted, Traced
from cluster.checks.oracle import Oracle, Violation

_Asked = tuple[str, str, int, int]


class CommitsFencedByGeneration(Oracle):
    """Remember in which generation each coordinator was asked to commit."""

    name = "commits-fenced-by-generation"
    kinds = (
        CoordinatorUnloaded.kind,
        GroupStateChanged.kind,
        NodeStarted.kind,
        OffsetCommitAsked.kind,
        OffsetCommitted.kind,
    )

    def __init__(self) -> None:
        super().__init__()
        self._generations: dict[str, dict[str, int]] = {}
        self._asked: dict[str, dict[_Asked, dict[int, None]]] = {}

    def on_event(self, traced: Traced) -> None:
        """Follow what a coordinator knows; judge what it acknowledges."""
        event = traced.event
        if isinstance(event, GroupStateChanged):
            generations = self._generations.setdefault(traced.node, {})
            if event.leader:
                generations[event.group] = event.generation
            else:  # nobody is in it, or it speaks the new protocol, where every member has an epoch of its own
                generations.pop(event.group, None)
        elif isinstance(event, OffsetCommitAsked):
            known = self._generations.get(traced.node, {}).get(event.group)
            if known is not None:
                asked = (event.group, event.topic, event.partition, event.offset)
                # The same may be asked again in the next generation, after a refusal.
                self._asked.setdefault(traced.node, {}).setdefault(asked, {})[known] = None
        elif isinstance(event, OffsetCommitted):
            self._on_committed(traced, event)
        else:  # what is coordinated here next begins with what the log says
            self._generations.pop(traced.node, None)
            self._asked.pop(traced.node, None)

    def _on_committed(self, traced: Traced, event: OffsetCommitted) -> None:
        asked = (event.group, event.topic, event.partition, event.offset)
        known = self._asked.get(traced.node, {}).pop(asked, None)
        if known is not None and event.generation not in known:
            where = TopicPartition(event.topic, event.partition)
            present = ", ".join(str(generation) for generation in known)
            message = f"{event.group} is in generation {present}, and one of {event.generation} commits {event.offset}"
            self.violated(Violation(traced.time_us, message, where, event.offset))

"""every-send-answered, metadata-converges: once all is healed, nothing stays open and everybody knows the same.

Liveness of the KIP-966 specification: every write is acknowledged or refused, and metadata converges. Judged at the
end of a run that became whole; that it does (leaders everywhere, ISR full, records taken) is the runner's own check.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import (
    NodeFaulted,
    NodeStarted,
    NodeStopped,
    PartitionMetadataApplied,
    RecordAcknowledged,
    RecordFailed,
    RecordSent,
    RecordUnknown,
    TopicDeleted,
    Traced,
)
from cluster.checks.oracle import Evidence, Oracle, Violation

_DOWN = ("killed", "stopped", "powered-off")


class EverySendAnswered(Oracle):
    """At the end no record is without an answer; "unknown" is one: the client gave up."""

    name = "every-send-answered"
    kinds = (RecordSent.kind, RecordAcknowledged.kind, RecordFailed.kind, RecordUnknown.kind)
    needs_read_back = True

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[tuple[str, str], Traced] = {}

    def on_event(self, traced: Traced) -> None:
        """Open and close sends."""
        event = traced.event
        assert isinstance(event, RecordSent | RecordAcknowledged | RecordFailed | RecordUnknown)
        if isinstance(event, RecordSent):
            self._open[(traced.node, event.value)] = traced
        else:
            self._open.pop((traced.node, event.value), None)

    def at_end(self, evidence: Evidence) -> None:
        """Name what is still open."""
        for (node, value), sent in self._open.items():
            event = sent.event
            assert isinstance(event, RecordSent)
            where = TopicPartition(event.topic, event.partition)
            message = f"{value} was sent by {node} to {where} and never answered"
            self.violated(Violation(sent.time_us, message, where, value=value))


class MetadataConverges(Oracle):
    """At the end every running node knows the newest version of every partition."""

    name = "metadata-converges"
    kinds = (
        NodeFaulted.kind,
        NodeStarted.kind,
        NodeStopped.kind,
        PartitionMetadataApplied.kind,
        TopicDeleted.kind,
    )
    needs_read_back = True

    def __init__(self) -> None:
        super().__init__()
        self._newest: dict[tuple[str, int], PartitionMetadataApplied] = {}
        self._views: dict[str, dict[tuple[str, int], int]] = {}
        self._paused: dict[str, None] = {}
        self._deleted_at: dict[str, int] = {}

    def on_event(self, traced: Traced) -> None:
        """Follow each node's view."""
        event = traced.event
        if isinstance(event, PartitionMetadataApplied):
            key = (event.topic, event.partition)
            self._views.setdefault(traced.node, {})[key] = event.metadata_offset
            newest = self._newest.get(key)
            if newest is None or event.metadata_offset > newest.metadata_offset:
                self._newest[key] = event
        elif isinstance(event, TopicDeleted):
            last = max(event.metadata_offset, self._deleted_at.get(event.topic, -1))
            self._deleted_at[event.topic] = last
        elif isinstance(event, NodeFaulted):
            self._paused.pop(event.target, None)
            if event.state in _DOWN:
                self._views.pop(event.target, None)
            elif event.state == "paused":
                self._paused[event.target] = None  # it knows what it knew, and hears the rest when it goes on
        elif isinstance(event, NodeStarted):
            self._views[traced.node] = {}
        else:
            self._views.pop(traced.node, None)

    def at_end(self, evidence: Evidence) -> None:
        """Compare every view with the newest version."""
        for key, newest in self._newest.items():
            if self._deleted_at.get(key[0], -1) > newest.metadata_offset:
                continue
            where = TopicPartition(*key)
            for node, view in sorted(self._views.items()):
                if node not in self._paused and view.get(key, -1) < newest.metadata_offset:
                    message = f"{node} does not know the last change of {where}, at metadata offset"
                    text = f"{message} {newest.metadata_offset}"
                    self.violated(Violation(evidence.time_us, text, where))

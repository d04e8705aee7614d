"""The service through which the lab sets link rules in a running process, and the rules' form on the wire."""

from __future__ import annotations

from cluster.rpc import lab_pb2, lab_pb2_grpc
from cluster.runtime.links import LinkRule
from cluster.runtime.live.link_table import LinkTable


class LabService(lab_pb2_grpc.LabServicer):
    """Takes link rules from the lab."""

    def __init__(self, table: LinkTable) -> None:
        self._table = table

    async def SetLinkRules(self, request: lab_pb2.SetLinkRulesRequest, _context: object) -> lab_pb2.SetLinkRulesReply:
        """Put the rules in force before the reply is sent."""
        self._table.replace(rule_from_message(rule) for rule in request.rules)
        return lab_pb2.SetLinkRulesReply()


def rule_from_message(message: lab_pb2.LinkRule) -> LinkRule:
    """Read a rule."""
    return LinkRule(
        source=message.source,
        target=message.target,
        cut=message.cut,
        latency_ms=message.latency_ms,
        jitter_ms=message.jitter_ms,
        drop_rate=message.drop_rate,
        apis=tuple(message.apis),
    )


def rule_to_message(rule: LinkRule) -> lab_pb2.LinkRule:
    """Write a rule."""
    return lab_pb2.LinkRule(
        source=rule.source,
        target=rule.target,
        cut=rule.cut,
        latency_ms=rule.latency_ms,
        jitter_ms=rule.jitter_ms,
        drop_rate=rule.drop_rate,
        apis=rule.apis,
    )

"""The service through which the lab breaks a running process, and the rules' form on the wire.

Here: link rules and node rules coming in, and the end of a process whose machine is said to lose its power. Not here:
what the rules do (`link_table`, `cluster.runtime.node_rules`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from cluster.base.request_faults import RequestRule
from cluster.rpc import lab_pb2, lab_pb2_grpc
from cluster.runtime.faulty_disk import DiskRule
from cluster.runtime.links import LinkRule
from cluster.runtime.live.link_table import LinkTable
from cluster.runtime.node_rules import NodeFaults, NodeRule
from cluster.runtime.skewed_clock import ClockRule

_Rule = TypeVar("_Rule", LinkRule, DiskRule, ClockRule, RequestRule)


class LabService(lab_pb2_grpc.LabServicer):
    """Takes rules from the lab. `note_unsynced` writes down what a loss of power would take."""

    def __init__(self, table: LinkTable, faults: NodeFaults, note_unsynced: Callable[[], None]) -> None:
        self._table = table
        self._faults = faults
        self._note_unsynced = note_unsynced

    async def SetLinkRules(self, request: lab_pb2.SetLinkRulesRequest, _context: object) -> lab_pb2.SetLinkRulesReply:
        """Put the rules in force before the reply is sent."""
        self._table.replace(rule_from_message(rule) for rule in request.rules)
        return lab_pb2.SetLinkRulesReply()

    async def SetNodeRules(self, request: lab_pb2.SetNodeRulesRequest, _context: object) -> lab_pb2.SetNodeRulesReply:
        """Put the rules in force before the reply is sent."""
        self._faults.replace(node_rules_from_message(request))
        return lab_pb2.SetNodeRulesReply()

    async def LosePower(self, request: lab_pb2.LosePowerRequest, _context: object) -> lab_pb2.LosePowerReply:
        """Never answers: between the note and the end nothing may be synced and acknowledged."""
        self._note_unsynced()
        os.kill(os.getpid(), signal.SIGKILL)
        return lab_pb2.LosePowerReply()


def rule_from_message(message: lab_pb2.LinkRule) -> LinkRule:
    """Read a link rule."""
    return _read(LinkRule, message)


def rule_to_message(rule: LinkRule) -> lab_pb2.LinkRule:
    """Write a link rule."""
    return lab_pb2.LinkRule(**_written(rule))


def node_rules_from_message(message: lab_pb2.SetNodeRulesRequest) -> list[NodeRule]:
    """Read the rules of a node."""
    return [
        *(_read(DiskRule, rule) for rule in message.disk),
        *(_read(ClockRule, rule) for rule in message.clock),
        *(_read(RequestRule, rule) for rule in message.requests),
    ]


def node_rules_to_message(rules: Sequence[NodeRule]) -> lab_pb2.SetNodeRulesRequest:
    """Write the rules of a node."""
    return lab_pb2.SetNodeRulesRequest(
        disk=[lab_pb2.DiskRule(**_written(rule)) for rule in rules if isinstance(rule, DiskRule)],
        clock=[lab_pb2.ClockRule(**_written(rule)) for rule in rules if isinstance(rule, ClockRule)],
        requests=[lab_pb2.RequestRule(**_written(rule)) for rule in rules if isinstance(rule, RequestRule)],
    )


def _written(rule: Any) -> dict[str, Any]:
    """The messages have the fields of the facts, name by name."""
    return {field.name: getattr(rule, field.name) for field in fields(rule)}


def _read(kind: type[_Rule], message: Any) -> _Rule:
    values: dict[str, Any] = {field.name: getattr(message, field.name) for field in fields(kind)}
    for name, value in values.items():
        if not isinstance(value, str | bool | int | float):
            values[name] = tuple(value)
    return kind(**values)

"""What one node is told when it is started: who it is, whom it talks to, how it is configured.

Here: the facts and their JSON form, which a launcher writes and a process reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cluster.base.configs import Configs
from cluster.base.ids import NodeId


@dataclass(frozen=True, slots=True)
class Voter:
    """A member of the metadata quorum and its gRPC address."""

    node_id: NodeId
    host: str
    rpc_port: int


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """One node. A broker has a Kafka listener; a node with both roles runs in combined mode.

    Peers reach it by `host`, and so do clients unless `advertised_host` says otherwise (Kafka's advertised.listeners).
    """

    cluster_id: str
    node_id: NodeId
    name: str
    is_broker: bool
    is_controller: bool
    host: str
    rpc_port: int
    voters: tuple[Voter, ...]
    kafka_port: int = 0
    rack: str = ""
    profile: str = "kafka"
    properties: Mapping[str, str] = field(default_factory=dict)
    advertised_host: str = ""

    @property
    def roles(self) -> tuple[str, ...]:
        """Kafka's `process.roles`."""
        return tuple(role for role, has in (("broker", self.is_broker), ("controller", self.is_controller)) if has)

    def configs(self) -> Configs:
        """Return the broker-level configs in force. Raises KafkaError(INVALID_CONFIG)."""
        return Configs.of(self.properties, self.profile)

    def to_json(self) -> dict[str, Any]:
        """Return the form that a launcher hands to a process."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> NodeConfig:
        """Read that form back. Raises TypeError when a field is missing or unknown."""
        voters = tuple(Voter(**voter) for voter in row["voters"])
        return cls(**{**row, "voters": voters})

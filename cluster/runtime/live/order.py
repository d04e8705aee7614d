"""What the launcher orders a new process to be: a node's configuration and where it lives.

Here: the order and its JSON form, which travels from the launcher through the zygote to the node's process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cluster.base.ids import NodeId
from cluster.node.config import NodeConfig
from cluster.runtime.links import LinkRule

LOG_FILE = "node.log"


@dataclass(frozen=True, slots=True)
class NodeOrder:
    """One node's process. `rules` are in force before its first message; `names` are those of all nodes."""

    config: NodeConfig
    directory: str
    names: Mapping[NodeId, str] = field(default_factory=dict)
    rules: tuple[LinkRule, ...] = ()
    trace: bool = False
    bind_host: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the form that travels."""
        names = {str(node_id): name for node_id, name in self.names.items()}
        rules = [asdict(rule) for rule in self.rules]
        return {**asdict(self), "config": self.config.to_json(), "names": names, "rules": rules}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> NodeOrder:
        """Read that form back."""
        names = {NodeId(int(node_id)): name for node_id, name in row["names"].items()}
        rules = tuple(LinkRule(**{**rule, "apis": tuple(rule["apis"])}) for rule in row["rules"])
        return cls(**{**row, "config": NodeConfig.from_json(row["config"]), "names": names, "rules": rules})

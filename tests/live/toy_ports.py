"""Free ports for tests, from below the range that systems lend to outgoing connections."""

from __future__ import annotations

from cluster.lab.addresses import assign_addresses
from cluster.lab.target import numbered_cluster


def free_port() -> int:
    """Return a port that nobody listens on just now."""
    return assign_addresses(numbered_cluster(1, 1, combined=True), "127.0.0.1", 0)["b1"].kafka_port

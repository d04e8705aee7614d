"""What happened: the cluster as the trace tells it, the result of a run, and how both read."""

from cluster.report.cluster_view import ClientView, ClusterView, NodeView, ReplicaView

__all__ = ["ClientView", "ClusterView", "NodeView", "ReplicaView"]

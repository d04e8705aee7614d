"""Raft, without IO: elections, log replication, snapshots, and a voter's files over the Disk port.

The face: `RaftNode` decides, `RaftStorage` remembers, `codec` translates. The shell that gives them time, a network
and a disk is `cluster.node.quorum`.
"""

from cluster.raft.codec import from_protobuf, to_protobuf
from cluster.raft.leader import VoterStatus
from cluster.raft.messages import Entry, EntryKind, Message, Snapshot
from cluster.raft.node import RaftNode
from cluster.raft.roles import Role
from cluster.raft.settings import HardState, RaftSettings, Restored
from cluster.raft.state import Ready
from cluster.raft.storage import METADATA_DIRECTORY, RaftStorage, Sync

__all__ = [
    "METADATA_DIRECTORY",
    "Entry",
    "EntryKind",
    "HardState",
    "Message",
    "RaftNode",
    "RaftSettings",
    "RaftStorage",
    "Ready",
    "Restored",
    "Role",
    "Snapshot",
    "Sync",
    "VoterStatus",
    "from_protobuf",
    "to_protobuf",
]

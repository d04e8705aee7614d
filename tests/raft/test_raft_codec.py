"""Messages survive the journey through protobuf, and nonsense is a ValueError."""

from __future__ import annotations

import pytest

from cluster.base.ids import NodeId
from cluster.raft import Entry, EntryKind, Message, Snapshot, from_protobuf, to_protobuf
from cluster.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Body,
    InstallSnapshot,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from cluster.rpc.raft_pb2 import AppendEntries as SentAppendEntries
from cluster.rpc.raft_pb2 import Entry as SentEntry
from cluster.rpc.raft_pb2 import EntryKind as SentEntryKind
from cluster.rpc.raft_pb2 import RaftMessage

BODIES: list[Body] = [
    RequestVote(True, 5, 4, False),
    RequestVote(False, 0, 0, True),
    RequestVoteReply(False, True),
    AppendEntries(3, 2, 1, (Entry(4, 2, EntryKind.DATA, b"\x00\xff"), Entry(5, 3, EntryKind.NO_OP, b"")), 9),
    AppendEntries(0, 0, 0, (), 0),
    AppendEntriesReply(False, 0, 7, 6, 5, 4),
    InstallSnapshot(Snapshot(2**40, 3, b"state"), 8),
    TimeoutNow(),
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_a_message_arrives_as_it_was_sent(body: Body) -> None:
    message = Message(NodeId(1), NodeId(2), 7, body)
    assert from_protobuf(RaftMessage.FromString(to_protobuf(message).SerializeToString())) == message


def test_nonsense_is_an_error_and_not_a_message() -> None:
    with pytest.raises(ValueError, match="without a body"):
        from_protobuf(RaftMessage(source=1, target=2, term=3))
    unknown = SentEntry(index=1, term=1, kind=SentEntryKind.ENTRY_KIND_VOTERS)
    with pytest.raises(ValueError, match="EntryKind"):
        from_protobuf(RaftMessage(append_entries=SentAppendEntries(entries=[unknown])))

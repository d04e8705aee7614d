"""Between the core's frozen messages and the protobuf of `proto/cluster/rpc/raft.proto`.

Here: translation only. Bytes that no voter would send raise ValueError; the shell drops such a message.
"""

from __future__ import annotations

from cluster.base.ids import NodeId
from cluster.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Body,
    Entry,
    EntryKind,
    InstallSnapshot,
    Message,
    RequestVote,
    RequestVoteReply,
    Snapshot,
    TimeoutNow,
)
from cluster.rpc import raft_pb2 as pb


def to_protobuf(message: Message) -> pb.RaftMessage:
    """Return the form that travels."""
    sent = pb.RaftMessage(source=message.source, target=message.target, term=message.term)
    match message.body:
        case RequestVote(pre_vote, last_log_index, last_log_term, leadership_transfer):
            sent.request_vote.CopyFrom(
                pb.RequestVote(
                    pre_vote=pre_vote,
                    last_log_index=last_log_index,
                    last_log_term=last_log_term,
                    leadership_transfer=leadership_transfer,
                )
            )
        case RequestVoteReply(pre_vote, granted):
            sent.request_vote_reply.CopyFrom(pb.RequestVoteReply(pre_vote=pre_vote, granted=granted))
        case AppendEntries() as append:
            sent.append_entries.CopyFrom(_append_entries(append))
        case AppendEntriesReply() as reply:
            sent.append_entries_reply.CopyFrom(_append_entries_reply(reply))
        case InstallSnapshot(snapshot, contact_round):
            content = pb.Snapshot(last_index=snapshot.last_index, last_term=snapshot.last_term, data=snapshot.data)
            sent.install_snapshot.CopyFrom(pb.InstallSnapshot(snapshot=content, round=contact_round))
        case TimeoutNow():
            sent.timeout_now.SetInParent()
    return sent


def _append_entries(append: AppendEntries) -> pb.AppendEntries:
    return pb.AppendEntries(
        prev_log_index=append.prev_log_index,
        prev_log_term=append.prev_log_term,
        leader_commit=append.leader_commit,
        entries=[
            pb.Entry(index=entry.index, term=entry.term, kind=pb.EntryKind.ValueType(entry.kind), data=entry.data)
            for entry in append.entries
        ],
        round=append.round,
    )


def _append_entries_reply(reply: AppendEntriesReply) -> pb.AppendEntriesReply:
    return pb.AppendEntriesReply(
        success=reply.success,
        match_index=reply.match_index,
        reject_index=reply.reject_index,
        hint_index=reply.hint_index,
        hint_term=reply.hint_term,
        round=reply.round,
    )


def from_protobuf(received: pb.RaftMessage) -> Message:
    """Read the form that travels. Raises ValueError when it has no body or an unknown kind of entry."""
    return Message(NodeId(received.source), NodeId(received.target), received.term, _body(received))


def _body(received: pb.RaftMessage) -> Body:
    match received.WhichOneof("body"):
        case "request_vote":
            vote = received.request_vote
            return RequestVote(vote.pre_vote, vote.last_log_index, vote.last_log_term, vote.leadership_transfer)
        case "request_vote_reply":
            return RequestVoteReply(received.request_vote_reply.pre_vote, received.request_vote_reply.granted)
        case "append_entries":
            append = received.append_entries
            entries = tuple(
                Entry(entry.index, entry.term, EntryKind(entry.kind), entry.data) for entry in append.entries
            )
            return AppendEntries(
                append.prev_log_index, append.prev_log_term, append.leader_commit, entries, append.round
            )
        case "append_entries_reply":
            reply = received.append_entries_reply
            return AppendEntriesReply(
                reply.success,
                reply.match_index,
                reply.reject_index,
                reply.hint_index,
                reply.hint_term,
                reply.round,
            )
        case "install_snapshot":
            install = received.install_snapshot
            content = install.snapshot
            return InstallSnapshot(Snapshot(content.last_index, content.last_term, content.data), install.round)
        case "timeout_now":
            return TimeoutNow()
        case _:
            raise ValueError("a Raft message without a body")

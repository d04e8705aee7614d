"""Situations for tests that are built message by message: a quiet cluster, a made-up log, a message and its answer."""

from __future__ import annotations

from random import Random

from raft_cluster import Cluster, Voter
from raft_invariants import Invariants

from cluster.base.ids import NodeId
from cluster.raft import Entry, EntryKind, HardState, Message, RaftStorage
from cluster.raft.messages import Body


def make(voters: int = 3) -> Cluster:
    return Cluster(voters, Random("paper"), Invariants())


def hand(cluster: Cluster, source: int, target: int, term: int, body: Body) -> list[Body]:
    """Give a voter one message and return its answers to the sender; nobody else hears anything."""
    cluster.under_way.clear()
    cluster.deliver(Message(NodeId(source), NodeId(target), term, body))
    answers = [message.body for message in cluster.under_way if message.target == source]
    cluster.under_way.clear()
    return answers


def with_log(cluster: Cluster, voter_id: int, terms: list[int], term: int = 0) -> Voter:
    """Restart a voter whose disk holds entries of these terms; it is in the last of them unless told otherwise."""
    voter = cluster.voters[NodeId(voter_id)]
    storage = RaftStorage(voter.disk)
    storage.save_hard_state(HardState(max([*terms, term])))
    entries = [Entry(index, term, EntryKind.DATA, b"%d" % index) for index, term in enumerate(terms, 1)]
    if entries:
        storage.append(entries)
    voter.is_alive = False
    cluster.start(voter)
    cluster.sync(voter)
    return voter


def terms_of(voter: Voter) -> list[int]:
    return [voter.node.term_at(index) or 0 for index in range(1, voter.node.last_index + 1)]

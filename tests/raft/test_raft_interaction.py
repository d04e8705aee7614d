"""Readable conversations between voters: `interaction/*.txt` holds commands and what they bring about.

To see what a change does: `pytest tests/raft --rewrite`, then read the diff. A block is a command, `----`, and its
output up to an empty line. Lines that begin with `#` are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from raft_cluster import Cluster, Voter
from raft_invariants import Invariants

from cluster.base.ids import NodeId
from cluster.base.trace import RaftCommitted, RaftRoleChanged, RaftVoted, TraceEvent
from cluster.raft import Entry, Message, Snapshot
from cluster.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    RequestVote,
    RequestVoteReply,
)

CONVERSATIONS = sorted((Path(__file__).parent / "interaction").glob("*.txt"))


@pytest.mark.parametrize("path", CONVERSATIONS, ids=lambda path: path.stem)
def test_voters_behave_as_written_down(
    path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.raft.node.RAFT_ENTRIES_KEPT", 0)
    written = path.read_text()
    found = play(written)
    if request.config.getoption("--rewrite", default=False):
        path.write_text(found)
    else:
        assert found == written, "if this is meant, run `pytest tests/raft --rewrite` and review the diff"


def test_a_conversation_that_goes_another_way_is_noticed() -> None:
    written = CONVERSATIONS[0].read_text()
    assert play(written.replace("follower", "leader")) != written.replace("follower", "leader")


def play(text: str) -> str:
    """Run all commands of a conversation and return it with the output they have now."""
    stage = Stage()
    blocks = []
    for block in text.strip().split("\n\n"):
        lines = block.split("\n")
        notes = [line for line in lines if line.startswith("#")]
        commands = [line for line in lines[: lines.index("----")] if line not in notes] if "----" in lines else []
        output = [line for command in commands for line in gather(stage.command(command))] or ["(nothing)"]
        blocks.append("\n".join([*notes, *commands, "----", *output] if commands else notes))
    return "\n\n".join(blocks) + "\n"


def gather(lines: Iterator[str]) -> list[str]:
    """Say only once what a command brings about several times."""
    counts: dict[str, int] = {}
    for line in lines:
        counts[line] = counts.get(line, 0) + 1
    return [f"{line} ({count} times)" if count > 1 else line for line, count in counts.items()]


class Stage:
    """Carries out commands on a cluster. Voter 1 is `1`; `1-2` is the way from voter 1 to voter 2."""

    def __init__(self) -> None:
        self._cluster = Cluster(1, Random("stage"), Invariants())
        self._told: dict[NodeId, int] = {}

    def command(self, line: str) -> Iterator[str]:
        """Yield what the command brought about."""
        name, *arguments = line.split()
        under_way = list(self._cluster.under_way)
        if name == "cluster":
            self._cluster = Cluster(int(arguments[0]), Random("stage"), Invariants())
            self._told.clear()
            return
        if name in ("deliver", "drop"):
            yield from self._deliver(arguments, keeps=name == "deliver")
            return
        if name == "status":
            yield from (self._status(voter) for voter in self._cluster.voters.values())
            return
        self._act(name, arguments)
        yield from self._news()
        for message in self._cluster.under_way[len(under_way) :]:
            yield f"  sent {describe(message)}"

    def _act(self, name: str, arguments: list[str]) -> None:
        cluster = self._cluster
        if name == "elapse":
            cluster.elapse(int(arguments[0]))
            return
        voter = cluster.voters[NodeId(int(arguments[0]))]
        match name:
            case "elect":
                cluster.elect(voter.voter_id)
                for other in cluster.voters.values():
                    self._told[other.voter_id] = len(other.events)
            case "timeout":
                cluster.time_out(voter)
            case "propose":
                cluster.propose(voter, arguments[1])
            case "sync":
                cluster.sync(voter)
            case "snapshot":
                voter.take_snapshot()
            case "transfer":
                cluster.transfer(voter, int(arguments[1]))
            case "kill" | "power-off":
                voter.crash(loses_power=name == "power-off")
                cluster.under_way = [one for one in cluster.under_way if voter.voter_id not in (one.source, one.target)]
            case "start":
                cluster.start(voter)
            case _:
                raise AssertionError(f"unknown command {name!r}")

    def _deliver(self, arguments: list[str], keeps: bool) -> Iterator[str]:
        """Deliver, or drop, what is under way: on one way, or all of it and the answers, with a sync after each."""
        while chosen := [one for one in self._cluster.under_way if not arguments or way(one) in arguments]:
            for message in chosen:
                self._cluster.under_way.remove(message)
                yield f"{'' if keeps else 'lost '}{describe(message)}"
                if keeps:
                    self._cluster.deliver(message)
                    yield from self._news()
            if arguments or not keeps:
                return
            for voter in self._cluster.alive:
                if voter.has_unsynced:
                    self._cluster.sync(voter)
                    yield f"{voter.voter_id} synced"
                    yield from self._news()

    def _news(self) -> Iterator[str]:
        for voter in self._cluster.voters.values():
            told = self._told.get(voter.voter_id, 0)
            for event in voter.events[told:]:
                yield f"  {voter.voter_id} {describe_event(event)}"
            self._told[voter.voter_id] = len(voter.events)

    def _status(self, voter: Voter) -> str:
        if not voter.is_alive:
            return f"{voter.voter_id} is down"
        node = voter.node
        terms = [str(node.term_at(index)) for index in range(node.base_index + 1, node.last_index + 1)]
        log = f"{node.base_index}|{' '.join(terms)}"
        who = f"{voter.voter_id} {node.role.value} term={node.term} leader={node.leader_id}"
        return f"{who} commit={node.commit_index} log={log}"


def way(message: Message) -> str:
    return f"{message.source}-{message.target}"


def describe(message: Message) -> str:
    """One line for a message, without what does not matter."""
    body = message.body
    match body:
        case RequestVote():
            kind = "PreVote" if body.pre_vote else "RequestVote"
            text = f"{kind} last={body.last_log_index}/{body.last_log_term}"
            text += " transfer" if body.leadership_transfer else ""
        case RequestVoteReply():
            text = f"{'PreVote' if body.pre_vote else 'Vote'} {'granted' if body.granted else 'refused'}"
        case AppendEntries():
            prev = f"{body.prev_log_index}/{body.prev_log_term}"
            text = f"Append prev={prev} commit={body.leader_commit} entries={entries(body.entries)}"
        case AppendEntriesReply() if body.success:
            text = f"Accepted match={body.match_index}"
        case AppendEntriesReply():
            text = f"Refused prev={body.reject_index} hint={body.hint_index}/{body.hint_term}"
        case InstallSnapshot(Snapshot(last_index, last_term)):
            text = f"Snapshot last={last_index}/{last_term}"
        case _:
            text = type(body).__name__
    return f"{message.source}->{message.target} term={message.term} {text}"


def entries(sent: tuple[Entry, ...]) -> str:
    return "[" + " ".join(f"{one.index}/{one.term}:{one.data.decode() or one.kind.name}" for one in sent) + "]"


def describe_event(event: TraceEvent) -> str:
    match event:
        case RaftRoleChanged(term, role, leader):
            return f"is {role} in term {term}, leader {leader}"
        case RaftVoted(term, candidate):
            return f"votes for {candidate} in term {term}"
        case RaftCommitted(_, index):
            return f"commits {index}"
        case _:
            return str(event)

"""The catalogue of faults: every way to break a cluster, as one table.

Here: what each fault is called, what it takes, how it is undone, where it works. The scenario language, the commands of
`fencepost break`, `fencepost faults --catalogue` and the table in the documentation are made of it. Not here: how a
fault is brought about (`fault_table`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Takes = Literal["nodes", "link", "sides", "operation"]
"""What follows the verb: a selector of nodes, a link (`SOURCE -> TARGET`), the sides of a partition, or a mapping."""

OptionKind = Literal[
    "duration", "offset", "share", "drift", "bandwidth", "count", "words", "word", "direction", "spread"
]


@dataclass(frozen=True, slots=True)
class Option:
    """One setting of a fault, with its default as it would be written; empty when there is none."""

    name: str
    kind: OptionKind
    text: str
    default: str = ""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One fault. `undo` says what healing it does, empty when it leaves nothing to undo.

    `on` names the kinds of target that have it; `limits` what it cannot show, or shows differently.
    """

    verb: str
    group: str
    takes: Takes
    text: str
    undo: str
    options: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """Options without which the fault would do nothing: one of them must be given."""

    example: str = ""
    limits: str = ""
    on: tuple[str, ...] = ("sim", "local")

    @property
    def is_lasting(self) -> bool:
        """Whether it stays until it is healed, so that `for:` has a meaning."""
        return bool(self.undo)


OPTIONS: Mapping[str, Option] = {
    option.name: option
    for option in (
        Option("apis", "words", "only these: RPCs between nodes (Fetch, Deliver) or Kafka APIs (Produce)"),
        Option("latency", "duration", "added to each message, or to each sync of a disk"),
        Option("jitter", "duration", "up to so much more, drawn for each message; the mean when exponential"),
        Option("distribution", "spread", "how the jitter is drawn: uniform or exponential", "uniform"),
        Option("rate", "share", "the share that is hit"),
        Option("direction", "direction", "forward, backward or both", "forward"),
        Option("bandwidth", "bandwidth", "bytes per second, such as 64KB/s"),
        Option("count", "count", "how many are hit before the fault ends by itself"),
        Option("error", "word", "Kafka's name of an error, such as NOT_LEADER_OR_FOLLOWER"),
        Option("clients", "words", "only requests of these clients"),
        Option("operations", "words", "read, write or sync"),
        Option("files", "words", "patterns of files in the data directory, such as orders-0/*.log"),
        Option("bump", "offset", "a step of the time of day, such as 5m or -30s"),
        Option("drift", "drift", "how much faster the clock runs, such as 10% or -50%"),
        Option("strobe", "offset", "a step of the time of day that comes and goes"),
        Option("period", "duration", "how long it is there, and how long it is gone", "200ms"),
        Option("up", "duration", "how long a node runs before the next blow", "5s"),
        Option("down", "duration", "how long it is down", "1s"),
    )
}

_LATE = ("apis", "latency", "jitter", "distribution", "direction")

CATALOGUE: tuple[FaultKind, ...] = (
    # --- processes ---
    FaultKind(
        "kill", "process", "nodes", "end the process at once, as kill -9 does: the page cache keeps what it wrote",
        "the node is started", example="kill: leader(orders-0)",
    ),
    FaultKind(
        "stop", "process", "nodes", "stop in good order: a controlled shutdown",
        "the node is started", example="stop: b1",
    ),
    FaultKind("start", "process", "nodes", "start what is down", "", example="start: $victim"),
    FaultKind("restart", "process", "nodes", "stop in good order, then start", "", example="restart: one(brokers)"),
    FaultKind(
        "pause", "process", "nodes", "freeze the process, as a long garbage collection does: sockets stay open",
        "the node goes on", example="pause: active-controller",
    ),
    FaultKind("resume", "process", "nodes", "let a paused process go on", "", example="resume: $victim"),
    FaultKind(
        "crash-loop", "process", "nodes", "kill it, start it, and again, until healed",
        "the node is started and left alone", ("up", "down"), example="{crash-loop: b1, up: 3s, down: 1s}",
    ),
    FaultKind(
        "rolling-restart", "process", "nodes", "stop and start one node after the other, once",
        "nodes that have not had their turn are spared", ("up", "down"),
        example="{rolling-restart: brokers, up: 10s}",
    ),
    # --- power and disks ---
    FaultKind(
        "power-off", "disk", "nodes", "take its power: it keeps only what it synced",
        "the node is started", example="power-off: leader(orders-0)",
        limits="local: the process ends and what it had not synced is cut off its files; one that was killed before "
        "keeps all",
    ),
    FaultKind(
        "torn-write", "disk", "nodes", "end the process in the middle of a write: each log ends with half a batch",
        "the node is started", example="torn-write: leader(orders-0)",
        limits="only what was not synced can be torn",
    ),
    FaultKind(
        "wipe", "disk", "nodes", "end the process and empty its disk; it comes back with the same identity",
        "the node is started", example="wipe: one(followers(orders-0))",
    ),
    FaultKind(
        "bit-rot", "disk", "nodes", "flip bits of files at rest", "bits whose byte is still there are flipped back",
        ("files", "count"), example='{bit-rot: b2, files: ["orders-0/*.log"], count: 1}',
    ),
    FaultKind(
        "disk-misread", "disk", "nodes", "give back what is read with one bit wrong", "what is on the disk was right",
        ("files", "rate"), example='{disk-misread: b2, files: ["orders-0/*.log"], rate: 50%}',
        limits="offset, length and leader epoch of a batch lie outside its checksum: what is wrong there is believed",
    ),
    FaultKind(
        "disk-error", "disk", "nodes", "answer reads, writes or syncs with EIO", "the disk works",
        ("operations", "files", "rate"), example="{disk-error: b2, operations: [write]}",
    ),
    FaultKind("disk-full", "disk", "nodes", "refuse every write with ENOSPC", "there is room", example="disk-full: b2"),
    FaultKind(
        "disk-slow", "disk", "nodes", "make syncs late", "the disk is as fast as it was",
        ("latency", "jitter", "files"), ("latency", "jitter"), example="{disk-slow: controllers, latency: 300ms}",
        limits="syncs only: reads and writes go to the page cache",
    ),
    FaultKind(
        "disk-lie", "disk", "nodes", "say that a sync is done and do nothing: a loss of power shows it",
        "syncs are true again; what was not synced meanwhile still is not", ("files",), example="disk-lie: brokers",
        limits="files that are replaced whole (votes, checkpoints) stay durable",
    ),
    # --- clocks ---
    FaultKind(
        "clock", "clock", "nodes", "set the clock wrong: a step, a drift, or a step that comes and goes",
        "the time of day is right; the monotonic clock goes on from where it was",
        ("bump", "drift", "strobe", "period"), ("bump", "drift", "strobe"),
        "{clock: leader(orders-0), bump: 10m}",
        limits="nodes only: clients keep the machine's clock; a step does not move the monotonic clock, as on Linux",
    ),
    # --- links ---
    FaultKind(
        "partition", "network", "sides", "cut links between names that share no side; overlapping sides make a bridge",
        "messages that were kept are sent again", ("direction",),
        example="partition: {one: [leader(orders-0), p1], other: [rest]}",
        limits="forward: only what earlier sides send to later ones is cut",
    ),
    FaultKind(
        "ring", "network", "nodes", "leave each node its two neighbours: overlapping majorities, no two of them alike",
        "messages that were kept are sent again", example="ring: brokers",
        limits="of three or fewer nodes all are neighbours: nothing is cut",
    ),
    FaultKind(
        "isolate", "network", "nodes", "cut it off from every other node and client",
        "messages that were kept are sent again", example="isolate: followers(orders-0)",
    ),
    FaultKind(
        "slow", "network", "link", "make messages late", "messages are as fast as they were", _LATE,
        ("latency", "jitter"),
        "{slow: followers(orders-0) -> leader(orders-0), apis: [Fetch], latency: 300ms}",
        "on a stream, what is sent later waits behind",
    ),
    FaultKind(
        "drop", "network", "link", "lose messages", "nothing is lost", ("apis", "rate", "direction"), ("rate",),
        "{drop: p1 -> brokers, rate: 20%}",
        "TCP sends again what is lost: a loss is a delay of 200 ms and more, and one of 100% a cut",
    ),
    FaultKind(
        "hold", "network", "link", "keep messages, and deliver all of them when healed", "all are delivered at once",
        ("apis", "direction"), (), "{hold: leader(orders-0) -> followers(orders-0), apis: [Fetch]}",
    ),
    FaultKind(
        "throttle", "network", "link", "limit the bandwidth", "there is no limit", ("apis", "bandwidth", "direction"),
        ("bandwidth",), "{throttle: leader(orders-0) -> followers(orders-0), bandwidth: 64KB/s}",
        "not for apis of client connections",
    ),
    FaultKind(
        "duplicate", "network", "link", "deliver messages twice", "each arrives once", ("apis", "rate", "direction"),
        ("rate",), "{duplicate: controllers -> controllers, rate: 30%}",
        "single requests between nodes, and Raft's messages; a stream, and so a client's connection, cannot show it",
    ),
    FaultKind(
        "reorder", "network", "link", "let later messages overtake earlier ones", "they arrive in order",
        ("apis", "rate", "direction"), ("rate",), "{reorder: controllers -> controllers, rate: 30%}",
        "single requests between nodes, and Raft's messages; a stream, and so a client's connection, cannot show it",
    ),
    # --- requests of clients ---
    FaultKind(
        "fail", "requests", "nodes", "answer requests of clients with an error, without carrying them out",
        "requests are carried out", ("apis", "error", "clients", "rate", "count"), ("error",),
        "{fail: leader(orders-0), apis: [Produce], error: NOT_LEADER_OR_FOLLOWER, count: 10}",
    ),
    FaultKind(
        "lose-reply", "requests", "nodes", "carry requests of clients out and lose the answer",
        "requests are answered", ("apis", "clients", "rate", "count"), (),
        "{lose-reply: leader(orders-0), apis: [Produce], rate: 10%}",
        "its connection closes: replies come in the order of requests. Between nodes: hold or drop the way back",
    ),
    # --- operations ---
    FaultKind(
        "elect", "operation", "operation", "have a partition's preferred replica elected, or an unclean leader", "",
        example="elect: {preferred: orders-0}",
    ),
    FaultKind(
        "reassign", "operation", "operation", "give a partition other replicas", "",
        example="reassign: {partition: orders-0, to: [b2, b3, b1]}",
    ),
    FaultKind(
        "config", "operation", "operation", "change the config of a topic or a broker", "",
        example="config: {topic: orders, set: {min.insync.replicas: 2}}",
    ),
    FaultKind(
        "add-broker", "operation", "nodes", "start a broker that the cluster did not have", "",
        example="add-broker: b4",
    ),
    FaultKind(
        "remove-broker", "operation", "nodes", "stop a broker in good order; it stays down when all is healed", "",
        example="remove-broker: b3", limits="move its replicas away first (reassign), or ISRs stay short",
    ),
    FaultKind(
        "produce", "operation", "operation", "send some records from a client of its own", "",
        example="produce: {topic: orders, count: 10, acks: all}",
    ),
)  # fmt: skip

BY_VERB: Mapping[str, FaultKind] = {kind.verb: kind for kind in CATALOGUE}


def markdown() -> str:
    """Return the documentation's table."""
    rows = ["| fault | what it does | healing it | sim | local |", "| --- | --- | --- | --- | --- |"]
    for kind in CATALOGUE:
        text = kind.text + (f" ({kind.limits})" if kind.limits else "")
        marks = [("yes" if target in kind.on else "no") for target in ("sim", "local")]
        rows.append(f"| `{kind.verb}` | {text} | {kind.undo or 'nothing to undo'} | {' | '.join(marks)} |")
    return "\n".join(rows)

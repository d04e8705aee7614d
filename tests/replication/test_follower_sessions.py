"""Both ends of a replication stream: what requests and responses name, when a stream is woken, how refusals pause."""

from __future__ import annotations

from memory_disk import MemoryDisk
from replica_cluster import TOPIC, TOPIC_ID, ReplicaCluster

from cluster.base.errors import ErrorCode
from cluster.base.ids import NodeId, TopicPartition
from cluster.metadata import MetadataImage, delta_between
from cluster.replication import FIRST_BACKOFF_MS
from cluster.replication.high_watermark_checkpoint import (
    HIGH_WATERMARK_FILE,
    read_high_watermarks,
    write_high_watermarks,
)
from cluster.rpc.replication_pb2 import FetchRequest, FetchResponse


def test_a_request_names_only_what_moved() -> None:
    cluster = ReplicaCluster(2)
    stream = cluster.stream(2, 1)
    assert len(stream.ask().partitions) == 1
    stream.answer()
    assert len(stream.ask().partitions) == 0
    stream.answer()
    cluster.produce(1, "a")
    assert len(stream.ask().partitions) == 0
    stream.answer()
    named = stream.ask().partitions
    assert [(row.fetch_offset, row.last_fetched_epoch) for row in named] == [(1, 0)]


def test_records_that_are_sent_twice_because_messages_crossed_are_taken_once() -> None:
    """A second fetch leaves before the first response has arrived: the leader cannot know that it will."""
    cluster = ReplicaCluster(2)
    stream = cluster.stream(2, 1)
    stream.ask()
    cluster.produce(1, "a")
    first = stream.session.respond()
    stream.ask()
    second = stream.session.respond()
    assert [bool(row.records) for row in (*first.partitions, *second.partitions)] == [True, True]
    stream.feed.receive(first, cluster.now_ms, cluster.wall_ms)
    stream.ask()
    stream.feed.receive(second, cluster.now_ms, cluster.wall_ms)
    assert cluster.values(2) == ["a"]
    cluster.produce(1, "b")
    stream.answer()
    assert cluster.values(2) == ["a", "b"]


def test_a_response_names_only_what_has_news() -> None:
    cluster = ReplicaCluster(2)
    stream = cluster.stream(2, 1)
    assert len(stream.fetch().partitions) == 0
    assert not stream.session.has_news
    cluster.produce(1, "a")
    assert stream.session.is_urgent
    assert len(stream.fetch().partitions) == 1


def test_a_moved_high_watermark_is_news_but_not_urgent() -> None:
    cluster = ReplicaCluster(3)
    two, three = cluster.stream(2, 1), cluster.stream(3, 1)
    cluster.produce(1, "a")
    two.fetch(), three.fetch()
    two.ask()
    assert not two.session.has_news
    wakes = two.wakes
    three.ask()
    assert two.session.has_news
    assert not two.session.is_urgent
    assert two.wakes == wakes + 1
    assert [row.high_watermark for row in two.answer().partitions] == [1]
    assert cluster[2].high_watermark == 1


def test_a_session_that_knows_everything_is_silent_however_often_it_is_asked() -> None:
    cluster = ReplicaCluster(2)
    cluster.produce(1, "a")
    cluster.catch_up(2, 1)
    stream = cluster.stream(2, 1)
    assert [len(stream.fetch().partitions) for _ in range(3)] == [0, 0, 0]


def test_a_response_holds_whole_batches_up_to_the_limit_and_at_least_one() -> None:
    cluster = ReplicaCluster(2)
    for number in range(4):
        cluster.produce(1, f"{number}" * 1000)
    one_batch = len(cluster[1].log.read(0, 1, 4, True))
    small = cluster.stream(2, 1, max_bytes=10)
    assert [len(row.records) for row in small.fetch().partitions] == [one_batch]
    middle = cluster.stream(2, 1, max_bytes=int(2.5 * one_batch))
    assert [len(row.records) for row in middle.fetch().partitions] == [2 * one_batch]
    assert cluster[2].log_end_offset == 3


def test_a_forgotten_partition_is_heard_of_no_more() -> None:
    cluster = ReplicaCluster(2)
    stream = cluster.stream(2, 1)
    stream.fetch()
    stream.feed.unfollow(cluster[2])
    assert len(stream.ask().forgotten) == 1
    wakes = stream.wakes
    cluster.produce(1, "a")
    assert (stream.wakes, stream.session.has_news) == (wakes, False)


def test_a_response_to_a_position_that_moved_meanwhile_is_void() -> None:
    """A nudge may cross a response: the leader then says the same again."""
    cluster = ReplicaCluster(2)
    stream = cluster.stream(2, 1)
    cluster.produce(1, "a")
    stream.ask()
    response = stream.session.respond()
    for _ in range(2):
        stream.feed.receive(FetchResponse.FromString(response.SerializeToString()), 0, cluster.wall_ms)
    assert cluster.values(2) == ["a"]


def test_what_was_said_and_not_named_again_is_said_again() -> None:
    """The session keeps its last position: a follower that could not append is not passed over."""
    cluster = ReplicaCluster(2)
    stream = cluster.stream(2, 1)
    cluster.produce(1, "a")
    stream.ask()
    stream.session.respond()
    stream.session.accept(FetchRequest(replica_id=2, broker_epoch=2, max_bytes=1000), 0)
    assert stream.session.is_urgent
    assert [len(row.records) > 0 for row in stream.session.respond().partitions] == [True]


def test_a_refusal_pauses_the_partition_longer_each_time_and_shortens_the_wait_of_the_rest() -> None:
    cluster = ReplicaCluster(2)
    cluster.elect(1)
    cluster.tell(2)  # the leader does not know of its own epoch yet
    stream = cluster.stream(2, 1)
    assert [row.error_code for row in stream.fetch().partitions] == [ErrorCode.UNKNOWN_LEADER_EPOCH]
    request = stream.ask()
    assert (len(request.partitions), len(request.forgotten), request.max_wait_ms) == (0, 1, FIRST_BACKOFF_MS)
    stream.answer()
    cluster.now_ms += FIRST_BACKOFF_MS
    assert len(stream.ask().partitions) == 1
    stream.answer()
    assert stream.ask().max_wait_ms == 2 * FIRST_BACKOFF_MS
    stream.answer()
    cluster.tell(1)
    cluster.produce(1, "a")
    cluster.now_ms += 2 * FIRST_BACKOFF_MS
    stream.fetch()
    assert cluster.values(2) == ["a"]


def test_a_newer_stream_of_a_follower_takes_the_place_of_the_older() -> None:
    cluster = ReplicaCluster(2)
    old, new = cluster.stream(2, 1), cluster.stream(2, 1)
    old.ask(), new.ask()
    old.session.close()
    cluster.produce(1, "a")
    assert (old.wakes, new.wakes) == (0, 1)


def test_a_stream_hears_at_once_that_its_leader_leads_no_more() -> None:
    cluster = ReplicaCluster(2)
    stream = cluster.stream(2, 1)
    stream.ask()
    cluster.elect(2)
    cluster.tell(1)
    assert stream.session.is_urgent
    assert [row.error_code for row in stream.session.respond().partitions] == [ErrorCode.FENCED_LEADER_EPOCH]


def test_a_watch_hears_of_moves_until_it_is_cancelled() -> None:
    cluster = ReplicaCluster(1)
    heard: list[str] = []
    replicas = cluster.replicas[NodeId(1)]
    watch = replicas.watch([TOPIC, TopicPartition("not-yet", 0)], lambda: heard.append("moved"))
    cluster.produce(1, "a")
    assert heard == ["moved"]
    watch.cancel()
    watch.cancel()
    cluster.produce(1, "b")
    assert heard == ["moved"]


def test_a_deleted_topic_is_gone_with_its_files_and_whoever_waits_hears_of_it() -> None:
    cluster = ReplicaCluster(2)
    replicas = cluster.replicas[NodeId(1)]
    answered: list[ErrorCode] = []
    cluster[1].when_committed(cluster.produce(1, "a").required_offset, answered.append)
    empty = MetadataImage(99, 0, "c", brokers=cluster.image.brokers)
    replicas.apply(delta_between(replicas.image, empty), 0, cluster.wall_ms)
    assert (replicas.get(TOPIC), replicas.by_id(TOPIC_ID, 0), len(replicas)) == (None, None, 0)
    assert answered == [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
    assert not [name for name in cluster.disks[NodeId(1)].files if name.startswith("orders")]


def test_consumers_read_below_the_high_watermark_only() -> None:
    cluster = ReplicaCluster(2)
    cluster.produce(1, "a")
    cluster.catch_up(2, 1)
    cluster.produce(1, "b")
    read = cluster[1].read(offset=0, max_bytes=10_000)
    assert (read.error, read.high_watermark, len(read.records)) == (
        ErrorCode.NONE,
        1,
        len(cluster[1].log.read(0, 10_000, 1, True)),
    )
    assert cluster[1].read(offset=1, max_bytes=10_000).records == b""
    assert cluster[1].read(offset=3, max_bytes=10_000).error is ErrorCode.OFFSET_OUT_OF_RANGE
    assert cluster[1].read(offset=0, max_bytes=1, current_leader_epoch=4).error is ErrorCode.UNKNOWN_LEADER_EPOCH
    assert cluster[2].read(offset=0, max_bytes=1).error is ErrorCode.NOT_LEADER_OR_FOLLOWER


def test_the_checkpoint_is_kafkas_text_and_a_damaged_one_is_only_less_knowledge() -> None:
    disk = MemoryDisk()
    written = {TopicPartition("b", 1): 7, TopicPartition("a", 0): 3}
    write_high_watermarks(disk, written)
    assert bytes(disk.files[HIGH_WATERMARK_FILE]) == b"0\n2\na 0 3\nb 1 7\n"
    assert read_high_watermarks(disk) == written
    disk.files[HIGH_WATERMARK_FILE] = bytearray(b"0\n2\na 0 3\n")
    assert read_high_watermarks(disk) == {}


def test_the_checkpoint_keeps_partitions_that_were_not_opened_yet() -> None:
    """A broker that stops before it hears of its partitions must not forget what it knew."""
    cluster = ReplicaCluster(1)
    cluster.produce(1, "a")
    cluster.kill(1)
    cluster.replicas[NodeId(1)].close()
    assert read_high_watermarks(cluster.disks[NodeId(1)]) == {TOPIC: 1}

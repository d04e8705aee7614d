"""The shell above the quorum, step by step: what is answered when, and what a deposed controller forgets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any
from uuid import UUID

import pytest
from cluster_images import CLUSTER_ID

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId
from cluster.base.trace import TraceEvent
from cluster.controller import create_topics, delete_topics
from cluster.node.active_controller import ActiveController
from cluster.node.config import NodeConfig, Voter
from cluster.raft import Entry, EntryKind, VoterStatus
from cluster.rpc import controller_pb2 as rpc


class Clock:
    """A clock that the test moves."""

    now_ms = 1_000

    def monotonic_ms(self) -> int:
        return self.now_ms

    def wall_ms(self) -> int:
        return self.now_ms


class Tracer:
    """Keeps what it hears."""

    enabled = True

    def __init__(self) -> None:
        self.events: list[TraceEvent] = []

    def emit(self, event: TraceEvent) -> None:
        self.events.append(event)


class FakeWorld:
    """The ports that the controller uses."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.rng = Random(1)
        self.tracer = Tracer()


class FakeQuorum:
    """A quorum that commits when it is told to."""

    leader_id = NodeId(1)
    term = 1

    def __init__(self, controller: ActiveController) -> None:
        self.controller = controller
        self.log: list[Entry] = []
        self.commit_index = 0
        self.takes_proposals = True
        self.futures: dict[int, asyncio.Future[int]] = {}

    @property
    def last_index(self) -> int:
        return len(self.log)

    def propose(self, data: bytes) -> asyncio.Future[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if not self.takes_proposals:
            future.set_exception(KafkaError(ErrorCode.NOT_CONTROLLER))
            return future
        self.log.append(Entry(len(self.log) + 1, self.term, EntryKind.DATA, data))
        self.futures[len(self.log)] = future
        return future

    def entries(self, first_index: int, max_bytes: int) -> tuple[Entry, ...] | None:
        return tuple(self.log[first_index - 1 : self.commit_index])

    def status(self) -> tuple[VoterStatus, ...]:
        return ()

    def elect(self, term: int) -> None:
        self.term = term
        self.log.append(Entry(len(self.log) + 1, term, EntryKind.NO_OP, b""))
        self.commit()
        self.controller.on_leader(term)

    def commit(self, count: int | None = None) -> None:
        """Commit the next `count` entries, or all."""
        entries = self.log[self.commit_index :][:count]
        self.commit_index += len(entries)
        self.controller.on_committed(entries)
        for entry in entries:
            future = self.futures.pop(entry.index, None)
            if future is not None:
                future.set_result(entry.index)

    def depose(self, keeps: int = 0) -> None:
        """Lose leadership; of what was not committed the new leader keeps only the first entries."""
        del self.log[self.commit_index + keeps :]
        futures, self.futures = list(self.futures.values()), {}
        for future in futures:
            future.set_exception(KafkaError(ErrorCode.NOT_CONTROLLER))
        self.controller.on_resigned(self.term)


class Stage:
    """A controller, its quorum and its world."""

    def __init__(self) -> None:
        config = NodeConfig(
            CLUSTER_ID, NodeId(1), "c1", False, True, "c1", 1, (Voter(NodeId(1), "c1", 1),), profile="fast"
        )
        self.world = FakeWorld()
        self.configs = config.configs()
        world: Any = self.world
        self.controller = ActiveController(config, world, self.configs)
        self.quorum = FakeQuorum(self.controller)
        self.controller.attach(self.quorum)

    def begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return asyncio.get_running_loop().create_task(work)

    def create(self, name: str) -> asyncio.Task[Any]:
        request = rpc.CreateTopicsRequest(topics=[rpc.NewTopic(name=name, partitions=1, replication_factor=1)])
        rng = self.world.rng
        return self.begin(self.controller.decide(lambda image: create_topics(image, self.configs, request, rng)))

    def delete(self, name: str) -> asyncio.Task[Any]:
        request = rpc.DeleteTopicsRequest(topics=[rpc.DeleteTopic(name=name)])
        return self.begin(self.controller.decide(lambda image: delete_topics(image, request)))

    async def with_broker(self) -> int:
        """Elect the controller and let broker 7 in; return its epoch."""
        self.quorum.elect(1)
        request = rpc.RegisterBrokerRequest(cluster_id=CLUSTER_ID, broker_id=7, incarnation_id=UUID(int=3).bytes)
        registering = self.begin(self.controller.register(request))
        await settle()
        self.quorum.commit()
        epoch = int((await registering).broker_epoch)
        beating = self.begin(self.controller.heartbeat(self.beat(epoch)))
        await settle()
        self.quorum.commit()
        assert not (await beating).is_fenced
        return epoch

    def beat(self, epoch: int) -> rpc.BrokerHeartbeatRequest:
        return rpc.BrokerHeartbeatRequest(broker_id=7, broker_epoch=epoch, current_metadata_offset=1_000)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def play(story: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        await story(Stage())

    asyncio.run(main())


def code(task: asyncio.Task[Any]) -> ErrorCode:
    error = task.exception()
    assert isinstance(error, KafkaError)
    return error.code


def test_nothing_is_answered_before_it_is_committed() -> None:
    async def story(stage: Stage) -> None:
        await stage.with_broker()
        creating = stage.create("a")
        await settle()
        assert not creating.done() and "a" not in stage.controller.committed.topics
        stage.quorum.commit()
        assert (await creating).topics[0].error_code == 0
        assert "a" in stage.controller.committed.topics

    play(story)


def test_decisions_follow_each_other_without_waiting() -> None:
    async def story(stage: Stage) -> None:
        await stage.with_broker()
        tasks = [stage.create("a"), stage.delete("a"), stage.create("a")]
        await settle()
        stage.quorum.commit()
        assert [task.result().topics[0].error_code for task in await done(tasks)] == [0, 0, 0]

    play(story)


async def done(tasks: list[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
    await asyncio.wait(tasks)
    return tasks


def test_an_answer_that_rests_on_something_uncommitted_waits_for_it_or_falls_with_it() -> None:
    async def story(stage: Stage) -> None:
        await stage.with_broker()
        first, second = stage.create("a"), stage.create("a")
        await settle()
        assert not second.done(), "that the topic exists is not true yet"
        stage.quorum.commit()
        await done([first, second])
        assert second.result().topics[0].error_code == ErrorCode.TOPIC_ALREADY_EXISTS
        third, fourth = stage.create("b"), stage.create("b")
        await settle()
        stage.quorum.depose()
        await done([third, fourth])
        assert code(third) is code(fourth) is ErrorCode.NOT_CONTROLLER

    play(story)


@pytest.mark.parametrize("keeps", [0, 1])
def test_a_deposed_controller_forgets_what_was_not_committed_and_answers_not_controller(keeps: int) -> None:
    async def story(stage: Stage) -> None:
        await stage.with_broker()
        committed = stage.create("a")
        await settle()
        stage.quorum.commit()
        pending = stage.create("b")
        await settle()
        stage.quorum.depose(keeps)
        await done([committed, pending])
        assert committed.result().topics[0].error_code == 0
        assert code(pending) is ErrorCode.NOT_CONTROLLER
        refused = stage.create("c")
        await done([refused])
        assert code(refused) is ErrorCode.NOT_CONTROLLER
        stage.quorum.elect(2)
        assert list(stage.controller.committed.topics) == ["a", "b"][: 1 + keeps]
        again = stage.create("b")
        await settle()
        stage.quorum.commit()
        expected = ErrorCode.TOPIC_ALREADY_EXISTS if keeps else ErrorCode.NONE
        assert (await again).topics[0].error_code == expected

    play(story)


def test_a_client_that_gives_up_takes_nobody_with_it() -> None:
    async def story(stage: Stage) -> None:
        await stage.with_broker()
        first, second = stage.create("a"), stage.create("a")
        await settle()
        first.cancel()
        await settle()
        stage.quorum.commit()
        assert (await second).topics[0].error_code == ErrorCode.TOPIC_ALREADY_EXISTS

    play(story)


def test_silence_is_fenced_but_not_the_silence_of_a_controller_that_slept() -> None:
    async def story(stage: Stage) -> None:
        await stage.with_broker()
        timeout_ms = stage.configs.integer("broker.session.timeout.ms")
        woken_ms = stage.world.clock.now_ms + timeout_ms
        stage.world.clock.now_ms = woken_ms + timeout_ms
        stage.controller._fence_overdue(woken_ms)
        assert stage.quorum.last_index == stage.quorum.commit_index, "it slept: everybody gets a new session"
        stage.world.clock.now_ms += timeout_ms
        stage.controller._fence_overdue(stage.world.clock.now_ms)
        stage.quorum.commit()
        assert stage.controller.committed.brokers[7].fenced

    play(story)


def test_a_quorum_that_takes_no_proposals_for_a_moment_is_asked_again_and_not_without_pause() -> None:
    async def story(stage: Stage) -> None:
        await stage.with_broker()
        stage.quorum.takes_proposals = False
        stage.world.clock.now_ms += stage.configs.integer("broker.session.timeout.ms")
        stage.controller._fence_overdue(stage.world.clock.now_ms)
        assert not stage.controller.committed.brokers[7].fenced
        timer = stage.controller._fencing_timer
        assert timer is not None and timer.when() > asyncio.get_running_loop().time()

    play(story)


def test_the_trace_tells_when_a_controller_came_and_went_and_what_it_learned() -> None:
    async def story(stage: Stage) -> None:
        await stage.with_broker()
        stage.quorum.depose()
        kinds = [event.kind for event in stage.world.tracer.events]
        assert kinds == ["ControllerActivated", "BrokerStateChanged", "BrokerStateChanged", "ControllerResigned"]

    play(story)


def test_a_snapshot_brings_a_voter_to_where_the_others_are() -> None:
    async def story(stage: Stage) -> None:
        await stage.with_broker()
        other = Stage()
        image = stage.controller.committed
        other.controller.on_snapshot(stage.controller.take_snapshot(), image.offset, image.epoch)
        assert other.controller.committed == image

    play(story)

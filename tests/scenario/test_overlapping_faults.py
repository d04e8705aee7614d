"""Two steps may want the same node at once: what one has begun is finished before the other begins."""

from __future__ import annotations

import asyncio
import pickle
from random import Random

from scripted_target import ScriptedTarget

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.trace import StepFired
from cluster.lab import LabError, numbered_cluster
from cluster.lab.fault_table import FaultOrder, FaultTable
from cluster.scenario import make_plan, read_document, run_in_simulation


class SlowlyStopping(ScriptedTarget):
    """A target whose nodes take their time, and refuse to start before they have stopped."""

    def __init__(self) -> None:
        super().__init__(numbered_cluster(3, 3), lambda: 0)
        self.stopping: dict[str, None] = {}
        self.began = asyncio.Event()

    async def stop(self, name: str) -> None:
        self.stopping[name] = None
        self.began.set()
        for _ in range(5):
            await asyncio.sleep(0)
        del self.stopping[name]
        await super().stop(name)

    async def start_node(self, name: str) -> None:
        if name in self.stopping:
            raise LabError(f"{name} is running.", "Stop it first.")
        await super().start_node(name)


def test_a_node_that_is_restarted_twice_at_once_is_restarted_twice_in_turn() -> None:
    target = SlowlyStopping()
    faults = FaultTable(target, (), Random(1))

    async def overlap() -> None:
        await asyncio.gather(*(faults.break_(step, FaultOrder("restart", ("b1",))) for step in ("one", "other")))

    asyncio.run(overlap())
    assert [verb for _, verb, _ in target.done] == ["stop", "start_node", "stop", "start_node"]


def test_what_a_cancelled_step_began_is_finished_before_it_is_healed() -> None:
    target = SlowlyStopping()
    faults = FaultTable(target, (), Random(1))

    async def end_in_the_middle() -> None:
        stopping = asyncio.create_task(faults.break_("one", FaultOrder("stop", ("b1",))))
        await target.began.wait()
        stopping.cancel()
        await faults.heal_all()

    asyncio.run(end_in_the_middle())
    assert [verb for _, verb, _ in target.done] == ["stop", "start_node"]


HASTE = """
lab: v1
name: haste
duration: 5s
cluster: {brokers: 3, controllers: 3, profile: fast, topics: {orders: {partitions: 1, replication-factor: 3}}}
clients: {p1: {produce: orders, rate: 10/s}}
steps:
  - {id: late, at: 0s, disk-slow: controllers, latency: 500ms}
  - {id: again, at: 500ms, every: {period: 100ms, count: 5}, config: {topic: orders, set: {retention.ms: 600000}}}
"""


def test_an_operator_who_is_asked_again_answers_before_he_begins_anew() -> None:
    run = run_in_simulation(make_plan(read_document(HASTE)), 1, "")
    fired = [
        traced.time_us for traced in run.trace if isinstance(traced.event, StepFired) and "again" in traced.event.step
    ]
    assert run.result.verdict == "as-expected" and len(fired) == 5 and fired[-1] - fired[0] == 400_000


def test_errors_survive_the_way_back_from_a_worker_process() -> None:
    refusal = pickle.loads(pickle.dumps(LabError("cause", "remedy", 2)))
    assert (refusal.cause, refusal.remedy, refusal.exit_code, str(refusal)) == ("cause", "remedy", 2, "cause\nremedy")
    answer = pickle.loads(pickle.dumps(KafkaError(ErrorCode.NOT_CONTROLLER, "moved")))
    assert (answer.code, answer.message, str(answer)) == (ErrorCode.NOT_CONTROLLER, "moved", "NOT_CONTROLLER: moved")

"""The running voter, unmodified, in the simulated world: real streams, real syncs, machines that die.

Here: claims about the shell (`cluster.node.quorum`): futures, the listener's order, reconnection, stopped peers,
snapshots, failing disks. The algorithm itself is tested without a loop in the files beside this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NO_NODE, NodeId
from cluster.base.ports import DiskError
from cluster.node.config import NodeConfig, Voter
from cluster.node.quorum import Quorum
from cluster.raft import Entry, EntryKind
from cluster.rpc.raft_pb2_grpc import add_RaftServicer_to_server
from cluster.runtime.faulty_disk import DiskRule
from cluster.runtime.sim import Process, Simulation, SimulationResult, run_simulation

PORT = 9090
ENOUGH_S = 5.0


class Register:
    """A state machine: the list of what was committed, and a diary of what the quorum told it."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self.diary: list[str] = []
        self.index = 0

    def on_snapshot(self, data: bytes, index: int, term: int) -> None:
        self.values = data.decode().split(",") if data else []
        self.index = index
        self.diary.append(f"snapshot {index}")

    def on_committed(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            assert entry.index == self.index + 1, "in order, without gaps"
            self.index = entry.index
            if entry.kind is EntryKind.DATA:
                self.values.append(entry.data.decode())

    def on_leader(self, term: int) -> None:
        self.diary.append(f"leader {term} after {self.index}")

    def on_resigned(self, term: int) -> None:
        self.diary.append(f"resigned {term}")

    def take_snapshot(self) -> bytes:
        return ",".join(self.values).encode()


class Controllers:
    """Machines c1 to cn, each a voter."""

    def __init__(self, simulation: Simulation, count: int, **properties: str) -> None:
        self.simulation = simulation
        self.quorums: dict[str, Quorum] = {}
        self.registers: dict[str, Register] = {}
        self.failures: dict[str, ExceptionGroup[Exception]] = {}
        self._properties = {name.replace("_", "."): value for name, value in properties.items()}
        self._voters = tuple(Voter(NodeId(number), f"c{number}", PORT) for number in range(1, count + 1))
        for voter in self._voters:
            self.start(voter.host)

    def start(self, name: str) -> None:
        self.simulation.run_process(name, self._main)

    async def _main(self, process: Process) -> None:
        name = process.name
        number = NodeId(int(name.removeprefix("c")))
        config = NodeConfig(
            "test", number, name, False, True, name, PORT, self._voters, profile="fast", properties=self._properties
        )
        world = self.simulation.world(process)
        register = Register()
        quorum = Quorum(config, world, config.configs(), register)
        self.quorums[name], self.registers[name] = quorum, register
        await world.serve_rpc(name, PORT, lambda server: add_RaftServicer_to_server(quorum.servicer, server))
        try:
            await quorum.run()
        except ExceptionGroup as failure:
            self.failures[name] = failure

    def kill(self, name: str) -> None:
        self.simulation.machine(name).kill()
        del self.quorums[name]

    def process(self, name: str) -> Process:
        process = self.simulation.machine(name).process
        assert process is not None
        return process

    async def leader(self, *among: str) -> str:
        """Return who leads and has told its listener; fail when nobody does for long."""

        def leads(name: str) -> bool:
            quorum = self.quorums.get(name)
            return quorum is not None and quorum.is_leader and quorum.commit_index == quorum.last_index > 0

        await until(lambda: any(leads(name) for name in among or self.quorums))
        return next(name for name in among or self.quorums if leads(name))

    async def settle(self) -> None:
        """Wait until every living voter has applied the same."""
        await until(lambda: len({(one.commit_index, one.leader_id) for one in self.quorums.values()}) == 1)


async def until(is_so: Callable[[], bool]) -> None:
    """Look again every 10 virtual milliseconds; fail when it takes too long."""
    async with asyncio.timeout(ENOUGH_S):
        while True:
            if is_so():
                return
            await asyncio.sleep(0.01)


def simulate(main: Callable[[Simulation], Awaitable[None]], seed: int = 1) -> SimulationResult[None]:
    return run_simulation(main, seed, virtual_time_limit_s=120)


def test_a_proposal_is_done_once_it_was_applied_everywhere_in_order() -> None:
    async def main(simulation: Simulation) -> None:
        controllers = Controllers(simulation, 3)
        leader = controllers.quorums[await controllers.leader()]
        assert leader.leader_id == 1, "a new quorum is led by its lowest id"
        futures = [leader.propose(b"v%d" % number) for number in range(20)]
        assert [await future for future in futures] == list(range(2, 22))
        await controllers.settle()
        for register in controllers.registers.values():
            assert register.values == [f"v{number}" for number in range(20)]
        assert controllers.registers["c1"].diary == ["leader 1 after 1"]
        assert [voter.match_index for voter in leader.status()] == [21, 21, 21]
        assert controllers.quorums["c2"].status() == ()

    simulate(main)


def test_a_single_voter_leads_at_once() -> None:
    async def main(simulation: Simulation) -> None:
        controllers = Controllers(simulation, 1)
        before_us = simulation.now_us()
        name = await controllers.leader()
        assert simulation.now_us() - before_us < 50_000
        assert await controllers.quorums[name].propose(b"a") == 2

    simulate(main)


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_leader_is_replaced_and_what_it_acknowledged_stays(seed: int) -> None:
    async def main(simulation: Simulation) -> None:
        controllers = Controllers(simulation, 3)
        first = await controllers.leader()
        await controllers.quorums[first].propose(b"kept")
        controllers.kill(first)
        second = await controllers.leader(*controllers.quorums)
        assert controllers.registers[second].values == ["kept"]
        await controllers.quorums[second].propose(b"more")
        controllers.start(first)
        await asyncio.sleep(1)
        await controllers.settle()
        assert controllers.registers[first].values == ["kept", "more"]

    simulate(main, seed)


def test_proposals_of_a_deposed_leader_fail_with_not_controller() -> None:
    async def main(simulation: Simulation) -> None:
        controllers = Controllers(simulation, 3)
        first = await controllers.leader()
        old = controllers.quorums[first]
        others = [name for name in controllers.quorums if name != first]
        for name in others:
            controllers.process(name).pause()
        future = old.propose(b"in vain")
        with pytest.raises(KafkaError) as refusal:
            await future
        assert refusal.value.code is ErrorCode.NOT_CONTROLLER
        assert not old.is_leader and old.leader_id == NO_NODE, "CheckQuorum deposed it"
        assert controllers.registers[first].diary[-1] == "resigned 1"
        with pytest.raises(KafkaError):
            await old.propose(b"refused at once")
        for name in others:
            controllers.process(name).resume()
        assert await controllers.quorums[await controllers.leader()].propose(b"heard")

    simulate(main)


def test_a_stopped_peer_holds_up_nobody() -> None:
    async def main(simulation: Simulation) -> None:
        controllers = Controllers(simulation, 3)
        leader = await controllers.leader()
        silent = next(name for name in controllers.quorums if name != leader)
        controllers.process(silent).pause()
        for number in range(300):
            async with asyncio.timeout(0.2):
                await controllers.quorums[leader].propose(b"%d" % number)
        controllers.process(silent).resume()
        await asyncio.sleep(2)
        await controllers.settle()
        assert controllers.registers[silent].values == [str(number) for number in range(300)]

    simulate(main)


def test_leadership_is_handed_over_without_a_pause() -> None:
    async def main(simulation: Simulation) -> None:
        controllers = Controllers(simulation, 3)
        first = await controllers.leader()
        before_us = simulation.now_us()
        await controllers.quorums[first].transfer_leadership()
        second = await controllers.leader()
        assert second != first
        assert simulation.now_us() - before_us < 100_000, "no timeout had to pass"
        assert controllers.registers[first].diary == ["leader 1 after 1", "resigned 1"]

    simulate(main)


def test_a_grown_log_is_replaced_by_a_snapshot_and_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.raft.node.RAFT_ENTRIES_KEPT", 2)

    async def main(simulation: Simulation) -> None:
        controllers = Controllers(simulation, 3, metadata_log_max_record_bytes_between_snapshots="3000")
        first = await controllers.leader()
        late = next(name for name in controllers.quorums if name != first)
        controllers.kill(late)
        leader = controllers.quorums[first]
        values = [f"value-{number}" for number in range(200)]
        for value in values:
            await leader.propose(value.encode())
        latest = leader.snapshot()
        assert latest is not None and leader.entries(1, 1000) is None
        index = latest.last_index
        assert latest.data.decode().split(",") == values[: index - 1]
        kept = leader.entries(index + 1, 10_000)
        assert kept is not None and [entry.data.decode() for entry in kept] == values[index - 1 :]
        controllers.start(late)
        await asyncio.sleep(2)
        await controllers.settle()
        assert controllers.registers[late].values == values
        assert any(line.startswith("snapshot") for line in controllers.registers[late].diary)
        controllers.kill(first)
        controllers.start(first)
        await asyncio.sleep(2)
        await controllers.settle()
        assert controllers.registers[first].values == values

    simulate(main)


def test_a_snapshot_that_no_message_could_carry_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log stays whole instead: who starts late is sent entries, and nobody waits for what cannot come."""
    monkeypatch.setattr("cluster.raft.node.RAFT_ENTRIES_KEPT", 2)
    monkeypatch.setattr("cluster.node.quorum.RAFT_SNAPSHOT_BYTES_MAX", 1500)
    taken: list[int] = []
    original = Register.take_snapshot

    def take(register: Register) -> bytes:
        data = original(register)
        taken.append(len(data))
        return data

    monkeypatch.setattr(Register, "take_snapshot", take)

    async def main(simulation: Simulation) -> None:
        controllers = Controllers(simulation, 3, metadata_log_max_record_bytes_between_snapshots="3000")
        first = await controllers.leader()
        late = next(name for name in controllers.quorums if name != first)
        controllers.kill(late)
        leader = controllers.quorums[first]
        values = [f"value-{number}" for number in range(400)]
        for value in values:
            await leader.propose(value.encode())
        latest = leader.snapshot()
        assert latest is not None and len(latest.data) <= 1500
        kept = leader.entries(latest.last_index + 1, 100_000)
        assert kept is not None and [entry.data.decode() for entry in kept] == values[latest.last_index - 1 :]
        controllers.start(late)
        await asyncio.sleep(2)
        await controllers.settle()
        assert controllers.registers[late].values == values

    simulate(main)
    assert "no snapshot is taken" in caplog.text
    assert sum(size > 1500 for size in taken) < 10, "nor is it tried at every entry"


def test_what_is_too_large_is_refused_before_it_is_written() -> None:
    async def main(simulation: Simulation) -> None:
        controllers = Controllers(simulation, 1)
        quorum = controllers.quorums[await controllers.leader()]
        with pytest.raises(KafkaError) as refusal:
            await quorum.propose(bytes(2 * 1024 * 1024))
        assert refusal.value.code is ErrorCode.RECORD_LIST_TOO_LARGE
        assert quorum.last_index == 1

    simulate(main)


def test_a_voter_whose_disk_fails_stops_and_says_nothing_more() -> None:
    async def main(simulation: Simulation) -> None:
        controllers = Controllers(simulation, 3)
        leader = controllers.quorums[await controllers.leader()]
        await leader.propose(b"stored")
        simulation.machine("c1").faults.replace([DiskRule("c1", "full")])
        with pytest.raises(KafkaError):
            await leader.propose(b"not stored")
        assert isinstance(controllers.failures["c1"].exceptions[0], DiskError)
        other = await controllers.leader("c2", "c3")
        assert controllers.registers[other].values == ["stored"]

    simulate(main)


def test_an_idle_quorum_wakes_up_for_heartbeats_only() -> None:
    """Simulation speed depends on it: no polling. Measured in steps of the loop for each heartbeat and peer."""

    async def main(simulation: Simulation) -> None:
        controllers = Controllers(simulation, 3)
        await controllers.leader()
        before = simulation.loop.steps
        await asyncio.sleep(30)
        heartbeats = 30 / 0.03 * 2
        assert (simulation.loop.steps - before) / heartbeats < 25

    simulate(main)


def test_one_seed_gives_one_trace() -> None:
    async def main(simulation: Simulation) -> None:
        controllers = Controllers(simulation, 3)
        first = await controllers.leader()
        await controllers.quorums[first].propose(b"a")
        controllers.kill(first)
        await controllers.leader(*controllers.quorums)

    first, second = simulate(main, 5), simulate(main, 5)
    assert first.trace == second.trace and len(first.trace) > 10


@pytest.mark.parametrize("late", [("c2", "c3"), ("c1",)], ids=["peers", "first"])
@pytest.mark.parametrize("late_ms", [3, 20, 60, 110, 300])
def test_a_new_quorum_waits_for_no_election_timeout_when_its_voters_start_one_after_another(
    late: tuple[str, ...], late_ms: int
) -> None:
    async def story(simulation: Simulation) -> None:
        timeouts = {"controller_quorum_fetch_timeout_ms": "2000", "controller_quorum_election_timeout_ms": "1000"}
        controllers = Controllers(simulation, 3, **timeouts)
        for name in late:
            simulation.machine(name).kill()
        await asyncio.sleep(late_ms / 1000)  # who was there has tried to reach them, and could not
        for name in late:
            controllers.start(name)
        began_s = asyncio.get_running_loop().time()
        assert await controllers.leader() == "c1"
        assert asyncio.get_running_loop().time() - began_s < 0.7

    simulate(story)

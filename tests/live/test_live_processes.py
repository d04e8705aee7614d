"""Node processes start, break and end as told, and none outlives the cluster, whatever ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster.base.trace import NodeFaulted, Traced
from cluster.lab.errors import LabError
from cluster.lab.hand_faults import BreakRequest, HandFaults
from cluster.lab.local_target import LocalTarget
from cluster.lab.target import numbered_cluster
from cluster.runtime.links import LinkRule
from cluster.runtime.live.launcher import NodeExit

pytestmark = pytest.mark.live

HERE = Path(__file__).parent
SOON_S = 10.0


@pytest.fixture(autouse=True)
def _the_zygote_finds_the_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))


@asynccontextmanager
async def toy_cluster(directory: Path) -> AsyncIterator[LocalTarget]:
    target = LocalTarget(numbered_cluster(2, 1, combined=True), directory=directory, node="toy_node:ToyNode")
    try:
        await target.start()
        yield target
    finally:
        await target.close()


def with_toys(directory: Path, claim: Callable[[LocalTarget], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), toy_cluster(directory) as target:
            await claim(target)

    asyncio.run(main())


async def answered_by(target: LocalTarget, names: list[str]) -> None:
    async with asyncio.timeout(SOON_S):
        while True:
            if list((await target.observe(timeout_s=0.5)).replies) == names:
                return
            await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody has waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in ("Z", "X")


def await_end(pids: list[int]) -> list[int]:
    """Return which of the processes still run after a while; none, if all is well."""
    deadline_s = time.monotonic() + SOON_S
    while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return [pid for pid in pids if is_alive(pid)]


def test_every_fault_of_a_process_does_what_it_says_and_is_traced(tmp_path: Path) -> None:
    async def claim(target: LocalTarget) -> None:
        seen: list[Traced] = []
        target.subscribe(seen.append)
        first = target.pid("b1")
        await target.kill("b1")
        assert first is not None and not is_alive(first)
        await target.start_node("b1")
        assert target.pid("b1") not in (None, first)
        await target.pause("b2")
        await answered_by(target, ["b1"])
        await target.resume("b2")
        await target.stop("b2")
        assert not target.is_running("b2")
        await target.settle()
        faults = [(event.event.target, event.event.state) for event in seen if isinstance(event.event, NodeFaulted)]
        assert faults == [
            ("b1", "killed"),
            ("b1", "started"),
            ("b2", "paused"),
            ("b2", "resumed"),
            ("b2", "stopped"),
        ]

    with_toys(tmp_path / "data", claim)


def test_what_cannot_be_done_is_refused_with_a_remedy(tmp_path: Path) -> None:
    async def claim(target: LocalTarget) -> None:
        with pytest.raises(LabError, match="b1 is running"):
            await target.start_node("b1")
        with pytest.raises(LabError, match="not paused"):
            await target.resume("b1")
        await target.pause("b1")
        with pytest.raises(LabError, match="paused already"):
            await target.pause("b1")
        await target.power_off("b1")
        assert not target.crashes, "its end was asked for"
        with pytest.raises(LabError, match="not running"):
            await target.kill("b1")

    with_toys(tmp_path / "data", claim)


def test_rules_reach_running_nodes_and_those_that_start_or_resume_later(tmp_path: Path) -> None:
    async def claim(target: LocalTarget) -> None:
        await target.pause("b2")
        await target.set_link_rule("cut", [LinkRule("b1", "b2", cut=True)])
        await target.resume("b2")
        await target.kill("b1")
        await target.start_node("b1")
        await target.clear_link_rule("cut")

    with_toys(tmp_path / "data", claim)


def test_who_did_not_hear_that_a_rule_is_gone_is_told_again_and_holds_up_no_other_heal(tmp_path: Path) -> None:
    async def claim(target: LocalTarget) -> None:
        faults = HandFaults(target)
        await faults.break_(BreakRequest("slow", ("b1", "b2"), {"latency": 1000}))
        await faults.break_(BreakRequest("kill", ("b1",)))
        tell, told = target._calls.set_rules, []

        async def tell_all_but_b2(name: str, *rules: Any) -> bool:
            told.append(name)
            return name != "b2" and await tell(name, *rules)

        target._calls.set_rules = tell_all_but_b2  # type: ignore[assignment,method-assign]
        for _ in range(2):
            with pytest.raises(LabError, match="b2 does not answer"):
                await faults.heal("all")
            assert [fault.request.verb for fault in faults.active] == ["slow"]
        assert target.is_running("b1")
        target._calls.set_rules = tell  # type: ignore[method-assign]
        await faults.heal("all")
        assert faults.active == []
        assert told.count("b2") == 2

    with_toys(tmp_path / "data", claim)


def test_a_node_that_ends_by_itself_is_noticed(tmp_path: Path) -> None:
    async def claim(target: LocalTarget) -> None:
        victim = target.pid("b1")
        assert victim is not None
        noticed: asyncio.Future[NodeExit] = asyncio.get_running_loop().create_future()
        target.on_crash = noticed.set_result
        os.kill(victim, signal.SIGKILL)
        # Its parent's word, not its silence: a process is silent some time before its parent has buried it.
        end = await asyncio.wait_for(noticed, SOON_S)
        assert (end.name, end.pid, end.status) == ("b1", victim, -signal.SIGKILL)
        assert target.crashes == {"b1": end}
        assert not target.is_running("b1")
        await answered_by(target, ["b2"])

    with_toys(tmp_path / "data", claim)


def test_closing_leaves_no_process_and_no_temporary_file() -> None:
    async def main() -> tuple[list[int], Path]:
        target = LocalTarget(numbered_cluster(2, 1, combined=True), node="toy_node:ToyNode")
        await target.start()
        pids = [pid for name in target.node_names if (pid := target.pid(name)) is not None]
        await target.pause("b2")
        await target.close()
        await target.close()
        return pids, target.directory("b1").parent

    pids, directory = asyncio.run(main())
    assert len(pids) == 2
    assert await_end(pids) == []
    assert not directory.exists()


def test_two_clusters_do_not_share_a_data_directory(tmp_path: Path) -> None:
    async def claim(_target: LocalTarget) -> None:
        with pytest.raises(LabError, match="in use"):
            LocalTarget(numbered_cluster(2, 1, combined=True), directory=tmp_path / "data")

    with_toys(tmp_path / "data", claim)


def test_a_directory_of_a_stranger_or_of_another_cluster_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("x")
    with pytest.raises(LabError, match=r"no Fencepost cluster: dear\.txt"):
        LocalTarget(numbered_cluster(1, 1), directory=tmp_path / "letters")

    async def claim(_target: LocalTarget) -> None:
        """It only has to exist."""

    with_toys(tmp_path / "data", claim)
    with pytest.raises(LabError, match="another shape: -n 2 -c 1 --combined"):
        LocalTarget(numbered_cluster(3, 3), directory=tmp_path / "data")


KEEPER = """
import asyncio, sys
from pathlib import Path
from cluster.lab.local_target import LocalTarget
from cluster.lab.target import numbered_cluster

async def main():
    target = LocalTarget(numbered_cluster(2, 1, combined=True), directory=Path(sys.argv[1]), node="toy_node:ToyNode")
    await target.start()
    await target.pause("b2")
    pids = [target.pid(name) for name in target.node_names]
    zygote = int(Path(f"/proc/{pids[0]}/stat").read_text().rpartition(")")[2].split()[1])
    print(zygote, *pids, flush=True)
    await target.lost.wait()
    print("lost", flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("victim", ["supervisor", "zygote"])
def test_no_process_outlives_a_killed_parent(tmp_path: Path, victim: str) -> None:
    """Paused nodes included: the kernel's SIGKILL does not ask."""
    root = str(HERE.parents[1])
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{HERE}"}
    command = [sys.executable, "-c", KEEPER, str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as keeper:
        assert keeper.stdout is not None
        pids = [int(word) for word in keeper.stdout.readline().split()]
        assert len(pids) == 3 and all(is_alive(pid) for pid in pids)
        os.kill(keeper.pid if victim == "supervisor" else pids[0], signal.SIGKILL)
        if victim == "zygote":
            assert keeper.stdout.readline() == "lost\n", "the supervisor learns of it"
        assert await_end(pids) == []

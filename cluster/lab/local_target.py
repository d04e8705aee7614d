"""A target of processes on this machine: real sockets, real files, real signals.

Here: the cluster's life and its faults, over the launcher (`cluster.runtime.live`) and gRPC. What is in the page cache
survives a process, so a loss of power is played: the process notes what it synced and ends, the rest is cut off.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cluster.base.ids import NodeId, TopicPartition
from cluster.base.trace import NodeFaulted, Traced, TraceEvent
from cluster.lab import damage
from cluster.lab.addresses import HeldPorts, assign_addresses, bootstrap_servers
from cluster.lab.client_task import ClientTask
from cluster.lab.data_directory import DataDirectory
from cluster.lab.errors import LabError
from cluster.lab.node_calls import NodeCalls
from cluster.lab.node_directory import NodeDirectory
from cluster.lab.observation import Observation, leaderless_partitions, unready_brokers, unready_partitions
from cluster.lab.replica_files import read_stored_batches
from cluster.lab.target import LAB, ClusterSpec, StoredReplica, TopicSpec, layout
from cluster.lab.trace_merge import TraceMerge
from cluster.runtime.links import LinkRule
from cluster.runtime.live.launcher import Launcher, NodeExit, ZygoteGone
from cluster.runtime.live.order import LOG_FILE, NodeOrder
from cluster.runtime.live.trace_file import TRACE_FILE
from cluster.runtime.live.zygote_start import NODE, StartedZygote, start_zygote
from cluster.runtime.node_rules import NodeRule

START_S = 30.0
"""How long a cluster may take until it accepts acks=all."""

_CONTROLLER_S = 15.0  # longer than any election takes: without a controller by then there is no quorum
_POLL_S = 0.015
_STOP_S = 20.0  # a controlled shutdown that takes longer is ended by force
_STOP_ALL_S = 5.0
_HAND_OVER_S = 2.0  # when all of them stop, what is handed over is of use for the next start only
_FORGET_RULES_S = 1.0
_CRASH_S = 10.0
_LOG_LINES_SHOWN = 15


class LocalTarget:
    """A cluster of processes.

    Without a directory the data lies in a temporary one, which goes with `close`. `kafka_port` is the first broker's
    port, 0 for free ones. A zygote that was started early may be handed in.
    """

    kind = "local"

    def __init__(
        self,
        spec: ClusterSpec,
        *,
        directory: Path | None = None,
        host: str = "127.0.0.1",
        kafka_port: int = 0,
        trace: bool = True,
        zygote: StartedZygote | None = None,
        node: str = NODE,
    ) -> None:
        spec.check()
        addresses = assign_addresses(spec, host, kafka_port)  # before anything is written
        self._scratch = None if directory else Path(tempfile.mkdtemp(prefix="fencepost-"))
        self._data = DataDirectory(directory or self._scratch or Path(), spec)
        self.spec = spec
        self.node_names: tuple[str, ...] = spec.node_names
        self.node_ids: Mapping[str, NodeId] = spec.node_ids
        self.cluster_id = self._data.cluster_id
        self.addresses = addresses
        self._ports = HeldPorts(addresses)
        self.bootstrap = bootstrap_servers(spec, addresses)
        self._configs = {config.name: config for config in layout(spec, addresses, self.cluster_id)}
        self._launcher = Launcher(zygote or start_zygote(node))
        self._launcher.on_exit = self._exited
        self._launcher.on_gone = self._gone
        self._tracing = trace
        self._trace = TraceMerge([self.directory(name) / TRACE_FILE for name in self.node_names] if trace else [])
        self._calls = NodeCalls(addresses, self.node_ids)
        self._rules: dict[str, tuple[LinkRule, ...]] = {}
        self._node_rules: dict[str, tuple[NodeRule, ...]] = {}
        self._outdated: dict[str, None] = {}  # nodes that did not answer when they were told of other rules
        self._clients: list[ClientTask] = []
        self._expected: dict[str, None] = {}  # nodes whose end the lab has asked for
        self._closed = False
        self.paused: dict[str, None] = {}
        self.crashes: dict[str, NodeExit] = {}
        self.lost = asyncio.Event()
        self.on_crash: Callable[[NodeExit], None] = lambda _end: None

    # --- the cluster's life ------------------------------------------------------------------------

    async def start(self) -> None:
        """Start all nodes and topics; return when every ISR is full. Raises LabError when that fails."""
        await self._launcher.connect()
        self._trace.start()
        try:
            async with asyncio.timeout(START_S):
                for name in self.spec.first_names:
                    await self._spawn(name)
                await self._until(unready_brokers)
                await self._prepare_topics()
        except TimeoutError:
            waiting = unready_brokers(await self.observe())
            what = f"{', '.join(waiting)} did not become ready" if waiting else "the topics' replicas are not in sync"
            remedy = f"The nodes' logs say why: {self._data.path}/*/{LOG_FILE}."
            raise LabError(f"After {START_S:g} s {what}.", remedy) from None
        except ZygoteGone:
            cause = f"The process that starts nodes died before it had started them all.\n{self._launcher.last_words()}"
            raise LabError(cause.rstrip(), "Is Fencepost installed with all it depends on?") from None

    async def stop_all(self) -> None:
        """Stop every node in good order: brokers hand over their partitions while controllers still answer."""
        for name in list(self.paused):
            await self.resume(name)
        await self._forget_rules()
        await self._stop_together([broker.name for broker in self.spec.brokers])
        await self._stop_together(self.spec.controllers)

    async def _stop_together(self, names: Sequence[str]) -> None:
        """Stop nodes at the same time. Those that are left without a quorum have nobody to say goodbye to."""
        ending = {
            name: asyncio.create_task(self._terminate(name, _STOP_ALL_S)) for name in names if self.is_running(name)
        }
        deadline_s = asyncio.get_running_loop().time() + _HAND_OVER_S
        while not all(task.done() for task in ending.values()):
            left_s = deadline_s - asyncio.get_running_loop().time()
            voters_running = sum(self.is_running(name) for name in self.spec.controllers)
            if left_s <= 0 or 2 * voters_running <= len(self.spec.controllers):
                for name in filter(self.is_running, ending):
                    self._launcher.signal(name, signal.SIGTERM)  # again: do not wait for a hand-over
                break
            waiting = [task for task in ending.values() if not task.done()]
            await asyncio.wait(waiting, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(*ending.values())

    async def _forget_rules(self) -> None:
        """Let nodes that were cut off say goodbye, unless that takes too long."""
        if self._rules or self._node_rules:
            self._rules.clear()
            self._node_rules.clear()
            with suppress(LabError, TimeoutError):
                async with asyncio.timeout(_FORGET_RULES_S):
                    await self._push_rules(self.node_names)

    async def close(self) -> None:
        """Stop everything at once; nothing is left behind but the data, unless that was temporary.

        Raises what kept the trace from being read.
        """
        if self._closed:
            return
        self._closed = True
        for client in self._clients:
            await client.end()
        await self._calls.close()
        await self._launcher.close()
        try:
            await self._trace.close()
        finally:
            self._data.close()
            self._ports.close()
            if self._scratch is not None:
                shutil.rmtree(self._scratch, ignore_errors=True)

    def is_running(self, name: str) -> bool:
        """Whether a node has a process, paused or not."""
        return self._launcher.pid(name) is not None

    def pid(self, name: str) -> int | None:
        """Return the process id of a node that runs."""
        return self._launcher.pid(name)

    def directory(self, name: str) -> Path:
        """Return where a node keeps its data, its log and its trace."""
        return self._data.node(name)

    # --- looking and asking ------------------------------------------------------------------------

    async def observe(self, clients: Sequence[str] = (), timeout_s: float = 1.0) -> Observation:
        """Ask all nodes that can answer what they know."""
        awake = [name for name in self.node_names if self._is_awake(name)]
        return Observation(self.spec, await self._calls.describe_all(awake, timeout_s), clients)

    async def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        """Create topics; return when every broker knows them and every ISR is full. Raises LabError."""
        await self._calls.create_topics(self.node_names, topics, _CONTROLLER_S)
        names = [topic.name for topic in topics]
        await self._until(lambda observation: unready_partitions(observation, names))

    async def _prepare_topics(self) -> None:
        """Create what is missing of the wanted topics; those of an earlier start are wanted as they are."""
        there = (await self.observe()).topics()
        for topic in self.spec.topics:
            if there.get(topic.name, topic.partitions) != topic.partitions:
                cause = f"{topic.name} exists with {there[topic.name]} partitions, not {topic.partitions}."
                raise LabError(
                    cause, "Leave its --topic out, choose another --data-dir, or `fencepost down --purge --name NAME`."
                )
        missing = [topic for topic in self.spec.topics if topic.name not in there]
        if missing:
            await self.create_topics(missing)
        if there:
            await self._until(leaderless_partitions)

    async def delete_topics(self, topics: Sequence[str]) -> None:
        """Delete topics. Raises LabError."""
        await self._calls.delete_topics(self.node_names, topics, _CONTROLLER_S)

    async def _until(self, unready: Callable[[Observation], list[str]]) -> None:
        while unready(await self.observe()):
            self._raise_crash()
            await asyncio.sleep(_POLL_S)

    # --- faults of machines ------------------------------------------------------------------------

    async def kill(self, name: str) -> None:
        """End the process at once: what it wrote stays in the page cache."""
        self._must_run(name)
        self._expected[name] = None
        self._launcher.signal(name, signal.SIGKILL)
        await self._launcher.ended(name)
        self._ended(name, "killed")

    async def stop(self, name: str) -> None:
        """Stop it in good order and wait for its end; by force when that takes too long."""
        self._must_run(name)
        if name in self.paused:
            raise LabError(f"{name} is paused and cannot stop in good order.", "Resume it first, or kill it.")
        await self._terminate(name)

    async def start_node(self, name: str) -> None:
        """Start a node that is not running; return when its process runs."""
        if self.is_running(name):
            raise LabError(f"{name} is running.", "Only a node that was killed or stopped can be started.")
        self.files(name).forget_note()
        await self._spawn(name)
        self._trace.emit(LAB, NodeFaulted(name, "started"))
        if self._rules_about(name):
            await self._push_rules([name])

    async def pause(self, name: str) -> None:
        """Freeze it: sockets stay open, nothing answers."""
        self._must_run(name)
        if name in self.paused:
            raise LabError(f"{name} is paused already.", "Resume it first.")
        self._launcher.signal(name, signal.SIGSTOP)
        self.paused[name] = None
        self._trace.emit(LAB, NodeFaulted(name, "paused"))

    async def resume(self, name: str) -> None:
        """Let a paused node go on."""
        if name not in self.paused:
            raise LabError(f"{name} is not paused.", "`fencepost ps` shows the state of every node.")
        del self.paused[name]
        self._launcher.signal(name, signal.SIGCONT)
        self._trace.emit(LAB, NodeFaulted(name, "resumed"))
        await self._push_rules([name])  # what changed meanwhile could not reach it

    async def power_off(self, name: str) -> None:
        """End the process and cut off what it had not synced. Of one that is down already nothing is known, or cut."""
        if self.is_running(name):
            await self._crash(name, "powered-off")
            damage.cut_unsynced(self.files(name))
        else:
            self._trace.emit(LAB, NodeFaulted(name, "powered-off"))

    async def crash(self, name: str) -> None:
        """End the process at once, so that `files` can tell what it had synced. Raises LabError when it hangs."""
        await self._crash(name, "killed")

    async def _crash(self, name: str, state: str) -> None:
        self._must_run(name)
        if name in self.paused:
            await self.resume(name)  # it has to write its note
        self._expected[name] = None
        await self._calls.lose_power(name)
        try:
            async with asyncio.timeout(_CRASH_S):
                await self._launcher.ended(name)
        except TimeoutError:
            raise LabError(f"{name} did not answer the lab.", f"Its log says why: {self.directory(name)}.") from None
        self._ended(name, state)

    def is_paused(self, name: str) -> bool:
        """Whether a node is frozen."""
        return name in self.paused

    def files(self, name: str) -> NodeDirectory:
        """Return a node's files, for damage to be done to them."""
        return NodeDirectory(self.directory(name))

    # --- rules about nodes and links ---------------------------------------------------------------

    async def set_node_rules(self, rule_id: str, rules: Sequence[NodeRule]) -> None:
        """Put rules about disks, clocks and requests in force under one name, replacing what had that name."""
        before = self._node_rules.pop(rule_id, ())
        self._node_rules[rule_id] = tuple(rules)
        await self._push_rules([*self._outdated, *_nodes_of((*before, *rules))])

    async def clear_node_rules(self, rule_id: str) -> None:
        """Take the node rules of that name back."""
        await self._push_rules([*self._outdated, *_nodes_of(self._node_rules.pop(rule_id, ()))])

    async def set_link_rule(self, rule_id: str, rules: Sequence[LinkRule]) -> None:
        """Put rules in force under one name, replacing what had that name."""
        self._rules[rule_id] = tuple(rules)
        await self._push_rules(self.node_names)

    async def clear_link_rule(self, rule_id: str) -> None:
        """Take the rules of that name back; messages that were held are delivered."""
        self._rules.pop(rule_id, None)
        await self._push_rules(self.node_names)

    async def _push_rules(self, names: Sequence[str]) -> None:
        """Tell nodes of all rules. Raises LabError when one does not answer, which is outdated then."""
        awake = [name for name in dict.fromkeys(names) if self._is_awake(name)]
        rules = self._all_rules()
        answers = await asyncio.gather(*(self._calls.set_rules(name, rules, self._rules_about(name)) for name in awake))
        silent = [name for name, answered in zip(awake, answers, strict=True) if not answered and self._is_awake(name)]
        self._outdated = dict.fromkeys((*(name for name in self._outdated if name not in awake), *silent))
        if silent:
            raise LabError(f"{silent[0]} does not answer the lab.", f"Its log says why: {self.directory(silent[0])}.")

    def _is_awake(self, name: str) -> bool:
        return self.is_running(name) and name not in self.paused

    def _rules_about(self, name: str) -> tuple[NodeRule, ...]:
        return tuple(rule for rules in self._node_rules.values() for rule in rules if rule.node == name)

    def _all_rules(self) -> tuple[LinkRule, ...]:
        return tuple(rule for rules in self._rules.values() for rule in rules)

    # --- clients and the trace ---------------------------------------------------------------------

    def spawn_client(self, name: str, main: Callable[[], Coroutine[Any, Any, None]]) -> ClientTask:
        """Run a client as a task of this process; link rules know it by its Kafka client.id."""
        client = ClientTask(name, main())
        self._clients.append(client)
        return client

    def now_us(self) -> int:
        """Return the time on the clock that stamps trace events: microseconds since this target was made."""
        return self._trace.now_us()

    def subscribe(self, on_event: Callable[[Traced], None]) -> None:
        """Call back with every trace event, in order of time."""
        self._trace.subscribe(on_event)

    def emit(self, node: str, event: TraceEvent) -> None:
        """Enter an event of a client or of the lab into the trace, now."""
        self._trace.emit(node, event)

    async def read_replica(self, name: str, topic_partition: TopicPartition) -> StoredReplica:
        """Read a replica straight from the node's disk."""
        return read_stored_batches(self.directory(name), topic_partition)

    async def settle(self) -> None:
        """Return when subscribers have been told everything that happened before the call."""
        await self._trace.settle()

    # --- processes ---------------------------------------------------------------------------------

    async def _spawn(self, name: str) -> None:
        self._expected.pop(name, None)
        self.crashes.pop(name, None)
        names = {node_id: other for other, node_id in self.node_ids.items()}
        directory = str(self.directory(name))
        order = NodeOrder(self._configs[name], directory, names, self._all_rules(), trace=self._tracing)
        await self._launcher.spawn(order)

    async def _terminate(self, name: str, patience_s: float = _STOP_S) -> None:
        self._expected[name] = None
        self._launcher.signal(name, signal.SIGTERM)
        try:
            async with asyncio.timeout(patience_s):
                await self._launcher.ended(name)
        except TimeoutError:
            self._launcher.signal(name, signal.SIGKILL)
            await self._launcher.ended(name)
        self._ended(name, "stopped")

    def _ended(self, name: str, state: str) -> None:
        self.paused.pop(name, None)
        self._trace.emit(LAB, NodeFaulted(name, state))

    def _must_run(self, name: str) -> None:
        if not self.is_running(name):
            raise LabError(f"{name} is not running.", f"Start it first: fencepost break start {name}.")

    def _exited(self, end: NodeExit) -> None:
        if end.name not in self._expected and not self._closed:
            self.crashes[end.name] = end
            self._ended(end.name, "killed")
            self.on_crash(end)

    def _gone(self) -> None:
        if not self._closed:
            self.lost.set()

    def _raise_crash(self) -> None:
        """Raise LabError when a node has ended that should run."""
        for name, end in self.crashes.items():
            how = f"signal {-end.status}" if end.status < 0 else f"exit code {end.status}"
            log = self.directory(name) / LOG_FILE
            if end.cause:
                raise LabError(f"{name} could not start: {end.cause}.", f"Its log: {log}")
            raise LabError(f"{name} ended with {how}:\n{_tail(log)}", f"Its whole log: {log}")
        if self.lost.is_set():
            raise ZygoteGone


def _nodes_of(rules: Sequence[NodeRule]) -> list[str]:
    return list(dict.fromkeys(rule.node for rule in rules))


def _tail(path: Path) -> str:
    if not path.exists():
        return ""
    return "\n".join(path.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:])

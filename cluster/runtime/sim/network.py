"""The simulated network: links between machines, lanes that keep order, connections that machines can lose.

Here: when a message arrives, what a cut link or a dead machine makes of it, how connections are opened and reset.
Not here: what connections carry (`tcp` for byte streams, `rpc_channel` and `rpc_server` for gRPC).

Nothing is lost on a stream: loss is a retransmission's delay, and a cut link keeps what is sent and delivers it soon
after it is healed. A machine without power answers nothing; once it has booted it resets what it no longer knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import Context
from dataclasses import dataclass
from random import Random
from typing import Any

from cluster.runtime.links import LinkRule, LinkVerdict, judge
from cluster.runtime.sim.handles import SimHandle
from cluster.runtime.sim.loop import SimLoop
from cluster.runtime.sim.machines import Machine, Process
from cluster.runtime.sim.recording import StepRecorder

RETRANSMIT_S = 0.2
"""The first retransmission's delay (Linux's minimum); it doubles with each loss in a row."""

RETRANSMIT_S_MAX = 120.0
"""Where it stops doubling (Linux's maximum)."""

OVERTAKEN_S = 0.05
"""How long a message that is overtaken waits at most."""

HEADER_BYTES = 66
"""What Ethernet, IP and TCP add to a message; it counts against a bandwidth."""

LOOPBACK_S = 20e-6
"""Latency from a machine to itself."""


@dataclass(frozen=True, slots=True)
class Latency:
    """What every link of the run takes: a base and up to `jitter_s` more, in seconds."""

    base_s: float = 250e-6
    jitter_s: float = 100e-6


class Link:
    """One direction between two machines, with dice of its own so that a message more does not shift other links."""

    __slots__ = ("base_s", "busy_until", "dice", "jitter_s", "random", "rules", "source", "stalled", "target")

    def __init__(self, source: str, target: str, latency: Latency, seed: str) -> None:
        is_loopback = source == target
        self.source = source
        self.target = target
        self.base_s = LOOPBACK_S if is_loopback else latency.base_s
        self.jitter_s = 0.0 if is_loopback else latency.jitter_s
        self.dice = Random(f"{seed}/link/{source}/{target}")
        self.random = self.dice.random
        self.rules: tuple[LinkRule, ...] = ()
        self.stalled: list[Lane] = []
        self.busy_until = 0.0  # while bandwidth is scarce


@dataclass(frozen=True, slots=True)
class Message:
    """Something on its way: what will be called where it arrives."""

    deliver: Callable[..., None]
    arguments: tuple[Any, ...]


class Lane:
    """An ordered stream of messages over one link. `api` is the RPC method that link rules may name."""

    __slots__ = ("api", "last_arrival", "link", "loop", "network", "receiver", "sender", "step_label", "stored")

    def __init__(self, network: Network, sender: End, receiver: End, api: str | None) -> None:
        self.network = network
        self.loop = network.loop
        self.sender = sender
        self.receiver = receiver
        self.api = api
        self.link = network.link(sender.machine_name, receiver.machine_name)
        self.step_label = f"{self.link.source}>{self.link.target}" + (f"/{api}" if api else "")
        self.last_arrival = 0.0
        self.stored: list[Message] | None = None  # while the link is cut, or a lost message is not sent again yet

    def send(self, deliver: Callable[..., None], *arguments: Any) -> None:
        """Have `deliver(*arguments)` called at the other end, after everything sent before."""
        link = self.link
        if self.stored is not None:
            self.stored.append(Message(deliver, arguments))
            return
        delay_s = link.base_s + link.random() * link.jitter_s
        if link.rules:
            verdict = judge(link.rules, link.source, link.target, self.api)
            if verdict.stops:
                self.stored = [Message(deliver, arguments)]
                link.stalled.append(self)
                return
            if verdict.drop_rate and link.random() < verdict.drop_rate:
                self.stored = [Message(deliver, arguments)]
                self._retransmit_in(RETRANSMIT_S)
                return
            delay_s += self._hampered_s(verdict, arguments)
        # As `_schedule`, which would be one more call for every message.
        loop = self.loop
        arrival = loop.now + delay_s
        if arrival < self.last_arrival:  # noqa: PLR1730  # so would max()
            arrival = self.last_arrival
        self.last_arrival = arrival
        loop.set_timer(arrival, self.arrive, (deliver, arguments), self.receiver.context)

    def send_loose(self, deliver: Callable[..., None], *arguments: Any) -> None:
        """Send a message that is independent of all others: rules may have it arrive twice, or be overtaken."""
        link = self.link
        self.send(deliver, *arguments)
        if not link.rules or self.stored is not None:
            return
        verdict = judge(link.rules, link.source, link.target, self.api)
        if verdict.duplicate_rate and link.random() < verdict.duplicate_rate:
            self.send(deliver, *arguments)

    def overtaken_s(self) -> float:
        """Draw how long a message that is independent of all others is held back, for later ones to overtake it."""
        link = self.link
        if not link.rules:
            return 0.0
        verdict = judge(link.rules, link.source, link.target, self.api)
        if verdict.reorder_rate and link.random() < verdict.reorder_rate:
            return OVERTAKEN_S * link.random()
        return 0.0

    def _hampered_s(self, verdict: LinkVerdict, arguments: tuple[Any, ...]) -> float:
        """Draw how much longer a message takes: latency, and its place in the queue for the bandwidth."""
        link = self.link
        delay_s = verdict.delay_ms(link.dice) * 1e-3
        if verdict.bandwidth:
            size_bytes = len(arguments[0]) if arguments and isinstance(arguments[0], bytes) else 0
            now = self.network.loop.now
            link.busy_until = max(link.busy_until, now) + (size_bytes + HEADER_BYTES) / verdict.bandwidth
            delay_s += link.busy_until - now
        return delay_s

    def _retransmit_in(self, timeout_s: float) -> None:
        due_s = self.loop.now + timeout_s
        self.loop.call_at(due_s, self._retransmit, self.stored, timeout_s, context=self.network.kernel)

    def _retransmit(self, stored: list[Message], timeout_s: float) -> None:
        """Send a lost message again, under the rules of now; what was sent after it could not overtake it."""
        if self.stored is not stored:
            return  # its sender is gone
        link = self.link
        verdict = judge(link.rules, link.source, link.target, self.api)
        if verdict.stops:
            link.stalled.append(self)
        elif verdict.drop_rate and link.random() < verdict.drop_rate:
            self._retransmit_in(min(2 * timeout_s, RETRANSMIT_S_MAX))
        else:
            self.stored = None
            for message in stored:
                delay_s = link.base_s + self._hampered_s(verdict, message.arguments)
                self._schedule(delay_s, message.deliver, message.arguments)

    def _schedule(self, delay_s: float, deliver: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.last_arrival = max(self.last_arrival, self.loop.now + delay_s)
        self.loop.call_at(self.last_arrival, self.arrive, deliver, arguments, context=self.receiver.context)

    def arrive(self, deliver: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        """Hand a message over; a socket that is closed already answers with a reset."""
        if self.receiver.is_open:
            deliver(*arguments)
        elif self.receiver.answers_with_reset:
            self.receiver.reset_peer()

    def heal(self, was_cut: bool) -> None:
        """Send again what was stored, if this lane may pass now: after a cut, with the first retransmission."""
        link = self.link
        if self.stored is None or judge(link.rules, link.source, link.target, self.api).stops:
            return
        stored, self.stored = self.stored, None
        link.stalled.remove(self)
        delay_s = RETRANSMIT_S * (0.5 + link.random()) if was_cut else link.base_s
        for message in stored:
            self._schedule(delay_s, message.deliver, message.arguments)

    def undelivered(self, deliver: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        """Deal with a message for a process that is gone: its machine resets the connection, if it has power."""
        end = self.receiver
        if self.network.machine(end.machine_name).is_powered:
            end.reset_peer()
        else:
            self.network.machine(end.machine_name).when_booted(end.reset_peer)

    def drop_stored(self) -> None:
        """Forget what the sender's machine had not got rid of."""
        self.stored = None
        if self in self.link.stalled:
            self.link.stalled.remove(self)


class End:
    """One side of a connection, as its machine's kernel sees it."""

    peer: End
    """The other side, from `pair_with` on."""

    def __init__(self, network: Network, machine_name: str, process: Process | None) -> None:
        self.network = network
        self.machine_name = machine_name
        self.process: Process | None = None
        self.context = network.kernel  # in which it is told of what arrives
        self.number = network.loop.next_number()
        self.is_open = True
        self.answers_with_reset = False
        self.has_reset_peer = False
        self.on_reset: Callable[[], None] | None = None
        self.carrier: Any = None  # the transport or RPC connection on this side
        self._lanes: dict[str | None, Lane] = {}
        if process is not None:
            self.belong_to(process)

    def belong_to(self, process: Process) -> None:
        """Be closed with this process, and call back in it."""
        self.process = process
        self.context = process.context
        self.network.opened(process, self)

    def pair_with(self, other: End) -> None:
        """Make two ends one connection."""
        self.peer = other
        other.peer = self

    def lane(self, api: str | None) -> Lane:
        """Return the way to the peer for one RPC method, or for everything that belongs to none."""
        lane = self._lanes.get(api)
        if lane is None:
            lane = self._lanes[api] = Lane(self.network, self, self.peer, api)
        return lane

    def drop_unsent(self) -> None:
        """Forget what a cut link still held back: its sender is gone."""
        for lane in self._lanes.values():
            lane.drop_stored()

    def forget(self) -> None:
        """Close this side without telling the peer; what it still sends is answered with a reset."""
        self.is_open = False
        self.answers_with_reset = True
        self._leave_process()

    def reset(self) -> None:
        """Close this side and reset the peer."""
        if self.is_open:
            self.forget()
            self.reset_peer()

    def reset_peer(self) -> None:
        """Tell the peer that the connection does not exist (any more)."""
        if self.peer.is_open and not self.has_reset_peer:
            self.has_reset_peer = True
            self.lane(None).send(self.peer.was_reset)

    def was_reset(self) -> None:
        """The peer's reset arrived."""
        if self.is_open:
            self.is_open = False
            self._leave_process()
            if self.on_reset is not None:
                self.on_reset()

    def _leave_process(self) -> None:
        if self.process is not None:
            self.network.closed(self.process, self)


@dataclass(frozen=True, slots=True)
class Listener:
    """A process that accepts connections on a port: `accept` is called in the process with the new end."""

    process: Process
    accept: Callable[[End], None]


class Network:
    """All machines by name, all links between them, and the rules in force."""

    def __init__(self, loop: SimLoop, recorder: StepRecorder, seed: str, latency: Latency) -> None:
        self.loop = loop
        self.recorder = recorder
        self.kernel = Context()  # of callbacks that belong to no process
        self.machines: dict[str, Machine] = {}
        self._seed = seed
        self._latency = latency
        self._links: dict[tuple[str, str], Link] = {}
        self._rules: dict[str, tuple[LinkRule, ...]] = {}
        self._listeners: dict[str, dict[int, Listener]] = {}  # by machine and port
        self._ends: dict[Process, dict[int, End]] = {}
        loop.on_undelivered = self._undelivered

    def machine(self, name: str) -> Machine:
        """Return a machine. Raises KeyError when there is none of that name."""
        return self.machines[name]

    def link(self, source: str, target: str) -> Link:
        """Return the link from one machine to another."""
        link = self._links.get((source, target))
        if link is None:
            link = self._links[source, target] = Link(source, target, self._latency, self._seed)
            link.rules = self._rules_for(link)
        return link

    # --- rules ---

    def set_rules(self, rule_id: str, rules: Iterable[LinkRule]) -> None:
        """Put rules in force under one name; messages that were held by the ones before may go on."""
        self._rules[rule_id] = tuple(rules)
        self._apply_rules()

    def clear_rules(self, rule_id: str) -> None:
        """Take the rules of that name back."""
        self._rules.pop(rule_id, None)
        self._apply_rules()

    def clear_all_rules(self) -> None:
        """Heal every link."""
        self._rules.clear()
        self._apply_rules()

    def _rules_for(self, link: Link) -> tuple[LinkRule, ...]:
        rules = [rule for group in self._rules.values() for rule in group]
        return tuple(rule for rule in rules if rule.source == link.source and rule.target == link.target)

    def _apply_rules(self) -> None:
        for link in self._links.values():
            before, link.rules = link.rules, self._rules_for(link)
            for lane in list(link.stalled):
                lane.heal(was_cut=judge(before, link.source, link.target, lane.api).cut)

    # --- connections ---

    def listen(self, process: Process, port: int, accept: Callable[[End], None]) -> None:
        """Accept connections on a port of the process's machine. Raises OSError when it is taken."""
        listeners = self._listeners.setdefault(process.name, {})
        if port in listeners:
            raise OSError(98, f"address already in use: {process.name}:{port}")
        listeners[port] = Listener(process, accept)

    def stop_listening(self, process: Process, port: int) -> None:
        """Accept no more on a port of the process; connections stay. Nothing happens when the process has ended."""
        listeners = self._listeners.get(process.name, {})
        if port in listeners and listeners[port].process is process:
            del listeners[port]

    def opened(self, process: Process, end: End) -> None:
        """Remember an end that has to be closed when its process ends."""
        self._ends.setdefault(process, {})[end.number] = end

    def closed(self, process: Process, end: End) -> None:
        """Forget an end; nothing happens when its process ended before."""
        self._ends.get(process, {}).pop(end.number, None)

    def dial(self, process: Process, host: str, port: int, on_open: Callable[[], None]) -> End:
        """Begin to open a connection. The end's `on_reset` is called when it is refused; silence when nobody is there.

        Raises OSError when no machine has that name.
        """
        if host not in self.machines:
            raise OSError(-2, f"no machine is called {host!r}")
        near = End(self, process.name, process)
        far = End(self, host, None)
        near.pair_with(far)
        near.lane(None).send(self._connect_arrived, far, port, on_open)
        return near

    def _connect_arrived(self, far: End, port: int, on_open: Callable[[], None]) -> None:
        machine = self.machines[far.machine_name]
        if not machine.is_powered:  # whoever dials goes on trying
            machine.when_booted(lambda: self._connect_arrived(far, port, on_open))
            return
        listener = self._listeners.get(far.machine_name, {}).get(port)
        if listener is None:
            far.reset()
            return
        # The kernel completes the handshake, even for a process that is paused.
        far.belong_to(listener.process)
        self.loop.call_soon(listener.accept, far, context=listener.process.context)
        far.lane(None).send(on_open)

    def process_ended(self, process: Process) -> None:
        """Close what a process left open: resets from a machine with power, silence from one without."""
        self._listeners.pop(process.name, None)
        for end in self._ends.pop(process, {}).values():
            end.is_open = False
            end.drop_unsent()
            if process.machine.is_powered:
                end.reset_peer()

    def _undelivered(self, handle: SimHandle) -> None:
        callback, arguments, _ = handle
        lane = getattr(callback, "__self__", None)
        if isinstance(lane, Lane):
            lane.undelivered(*arguments)

"""What is bent for the time of a run so that unmodified libraries take time and chance from the simulation.

Here: the module attributes that are replaced and put back. Clocks, the operating system's randomness, host names,
sockets, the way to the running loop; and three spots of aiokafka: record timestamps that its C code takes from the
machine, and a hash that contains `hash(None)`, which before Python 3.12 is an address.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, NoReturn

import aiokafka.producer.message_accumulator as accumulator
import aiokafka.structs
import aiokafka.util

from cluster.runtime.sim.errors import SimEscape
from cluster.runtime.sim.loop import SimLoop
from cluster.runtime.sim.waiting import wait

EPOCH_S = 1_767_225_600.0
"""What the wall clock shows when the monotonic clock shows zero: the first second of 2026, UTC."""

NODE_NUMBER = 0x02_00_00_00_00_01
"""The network card's address that `uuid` sees; the bit says that it is locally administered."""


@contextmanager
def world_replaced(loop: SimLoop, seed: str) -> Iterator[None]:
    """Bend the process to the loop's time and the seed's chance; put everything back at the end.

    The garbage collector is off meanwhile: when it runs, destructors run, and when it runs depends on the machine.
    """
    replacements = _replacements(loop, seed)
    replaced = [(owner, name, getattr(owner, name)) for owner, name, _ in replacements]
    random_state = random.getstate()
    collected = gc.isenabled()
    gc.disable()
    for owner, name, value in replacements:
        setattr(owner, name, value)
    random.seed(f"{seed}/global")
    try:
        yield
    finally:
        for owner, name, value in reversed(replaced):
            setattr(owner, name, value)
        random.setstate(random_state)
        if collected:
            gc.enable()


def _replacements(loop: SimLoop, seed: str) -> list[tuple[Any, str, Any]]:
    entropy = Random(f"{seed}/urandom")
    now = loop.time

    def running_loop() -> SimLoop:
        return loop

    replacements: list[tuple[Any, str, Any]] = [
        # asyncio's own asks the kernel for the process's number each time: as long as a simulated step's own overhead.
        (asyncio, "get_running_loop", running_loop),
        (asyncio.events, "get_running_loop", running_loop),
        (asyncio, "get_event_loop", running_loop),
        (asyncio, "wait", wait),
        (time, "time", lambda: EPOCH_S + now()),
        (time, "time_ns", lambda: int((EPOCH_S + now()) * 1e9)),
        (time, "monotonic", now),
        (time, "monotonic_ns", lambda: int(now() * 1e9)),
        (time, "perf_counter", now),
        (time, "perf_counter_ns", lambda: int(now() * 1e9)),
        (time, "sleep", _escape("time.sleep")),
        (os, "urandom", entropy.randbytes),
        (os, "getpid", lambda: 1),
        (random, "_urandom", entropy.randbytes),
        (uuid, "_generate_time_safe", None),
        (uuid, "_last_timestamp", None),
        (uuid, "getnode", lambda: NODE_NUMBER),
        (socket, "gethostname", lambda: "simulation"),
        (socket, "getfqdn", lambda *_: "simulation"),
        (socket, "create_connection", _escape("socket.create_connection")),
        (socket, "getaddrinfo", _escape("socket.getaddrinfo")),
    ]
    return replacements + _aiokafka_replacements(running_loop)


def _aiokafka_replacements(running_loop: Callable[[], SimLoop]) -> list[tuple[Any, str, Any]]:
    append = accumulator.BatchBuilder.append

    def append_stamped(builder: Any, *, timestamp: int | None, **rest: Any) -> Any:
        stamp = int(time.time() * 1000) if timestamp is None else timestamp
        return append(builder, timestamp=stamp, **rest)

    def address_hash(broker: Any) -> int:
        return hash((broker.nodeId, broker.host, broker.port))

    return [
        (aiokafka.util, "get_running_loop", running_loop),
        (accumulator.BatchBuilder, "append", append_stamped),
        (aiokafka.structs.BrokerMetadata, "__hash__", address_hash),
    ]


def _escape(what: str) -> Callable[..., NoReturn]:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise SimEscape(f"{what} would leave the simulation")

    return refuse

"""The supervisor: what `fencepost up` becomes. It owns a local cluster and its faults, and answers commands.

Here: the control socket, one method for each command, and the end in good order. Whatever else ends it, the kernel
ends the nodes. Not here: how commands look (`cluster.cli`).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cluster.lab.control import is_running, reachable_socket
from cluster.lab.errors import USAGE, LabError
from cluster.lab.hand_faults import BreakRequest, HandFault, HandFaults
from cluster.lab.home import (
    SOCKET_FILE,
    cluster_home,
    forget_empty_home,
    make_cluster_home,
    note_data_directory,
    own_data_directory,
)
from cluster.lab.local_target import LocalTarget
from cluster.lab.observation import Observation
from cluster.lab.target import ClusterSpec, TopicSpec, check_topic
from cluster.runtime.live.launcher import NodeExit
from cluster.runtime.live.zygote_start import StartedZygote

_LINE_BYTES_MAX = 1 << 20


class Supervisor:
    """Runs one cluster under a name until it is told to stop, or until its nodes are lost."""

    def __init__(
        self,
        name: str,
        spec: ClusterSpec,
        *,
        data_directory: Path | None = None,
        kafka_port: int,
        trace: bool,
        zygote: StartedZygote | None = None,
        on_crash: Callable[[NodeExit], None] = lambda _end: None,
    ) -> None:
        self._name = name
        self._directory = cluster_home(name)
        if is_running(name):
            raise LabError(
                f"A cluster called {name} is running.",
                f"End it with `fencepost down --name {name}`, or choose another --name.",
            )
        make_cluster_home(name)
        directory = data_directory or own_data_directory(name)
        self._data_path = directory
        try:
            self._target = LocalTarget(spec, directory=directory, kafka_port=kafka_port, trace=trace, zygote=zygote)
        except LabError:
            forget_empty_home(name)
            raise
        note_data_directory(name, directory)
        self._on_crash = on_crash
        self._faults = HandFaults(self._target)
        self._stopping = asyncio.Event()
        self._server: asyncio.AbstractServer | None = None

    async def run(self, on_ready: Callable[[dict[str, Any]], None]) -> bool:
        """Start the cluster, tell when it accepts acks=all, serve until stopped. Raises LabError.

        Returns whether it was ever ready: it may be stopped before.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stopping.set)
        stopping = asyncio.create_task(self._stopping.wait())
        lost = asyncio.create_task(self._target.lost.wait())
        starting = asyncio.create_task(self._start())
        try:
            await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                return False
            ready = starting.result()
            self._target.on_crash = self._on_crash  # until now a crash was a failed start
            on_ready(ready)
            await asyncio.wait((stopping, lost), return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                raise LabError("The nodes' parent process died, and all nodes with it.", "Start again: fencepost up.")
            await self._faults.let_go()
            await self._target.stop_all()
            return True
        finally:
            for task in (starting, stopping, lost):
                task.cancel()
            await asyncio.gather(starting, stopping, lost, return_exceptions=True)
            await self._close()

    async def _start(self) -> dict[str, Any]:
        began_s = time.monotonic()
        await self._target.start()
        with suppress(FileNotFoundError):
            (self._directory / SOCKET_FILE).unlink()  # of a supervisor that was killed
        with reachable_socket(self._directory) as address:
            self._server = await asyncio.start_unix_server(self._serve, address, limit=_LINE_BYTES_MAX)
        return {**self._ps({}), "started_in_s": round(time.monotonic() - began_s, 3)}

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._target.close()
        with suppress(FileNotFoundError):
            (self._directory / SOCKET_FILE).unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = _request_in(await reader.readuntil(b"\n"))
            if request is not None:
                writer.write(json.dumps(await self._answer(request)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the asker went away, or sends a line without an end
        finally:
            writer.close()

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        commands: dict[str, Callable[[dict[str, Any]], Awaitable[Any]]] = {
            "ps": self._ps_now,
            "down": self._down,
            "break": self._break,
            "heal": self._heal,
            "faults": self._list_faults,
            "topic-create": self._topic_create,
            "topic-rm": self._topic_rm,
            "topic-describe": self._topic_describe,
        }
        try:
            command = commands.get(request.get("command", ""))
            if command is None:
                raise LabError(f"The supervisor has no command {request.get('command')}.", "Is it older?", USAGE)
            return {"result": await command(request)}
        except LabError as error:
            return {"error": {"cause": error.cause, "remedy": error.remedy, "exit_code": error.exit_code}}

    async def _ps_now(self, request: dict[str, Any]) -> dict[str, Any]:
        observation = await self._target.observe(timeout_s=0.5)
        return {**self._ps(request), "active_controller": observation.active_controller()} | {
            "nodes": [self._node(name, observation) for name in self._target.node_names]
        }

    def _ps(self, _request: dict[str, Any]) -> dict[str, Any]:
        target = self._target
        return {
            "name": self._name,
            "supervisor_pid": os.getpid(),
            "bootstrap": target.bootstrap,
            "cluster_id": target.cluster_id,
            "data_directory": str(self._data_path),
            "profile": target.spec.profile,
            "nodes": [self._node(name, None) for name in target.node_names],
        }

    def _node(self, name: str, observation: Observation | None) -> dict[str, Any]:
        target = self._target
        address = target.addresses[name]
        roles = [
            role
            for role, has in (("broker", address.kafka_port), ("controller", name in target.spec.controllers))
            if has
        ]
        reply = None if observation is None else observation.replies.get(name)
        return {
            "name": name,
            "id": int(target.node_ids[name]),
            "roles": roles,
            "state": self._faults.node_state(name),
            "fenced": None if reply is None or "broker" not in roles else reply.fenced,
            "pid": target.pid(name),
            "kafka": f"{address.host}:{address.kafka_port}" if address.kafka_port else None,
            "rpc": f"{address.host}:{address.rpc_port}",
            "directory": str(target.directory(name)),
        }

    async def _down(self, _request: dict[str, Any]) -> dict[str, Any]:
        self._stopping.set()
        # The asker waits for the end of the socket's file; this answer says that the end has begun.
        return {"name": self._name, "data_directory": str(self._data_path)}

    async def _break(self, request: dict[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in request["fault"].items()
        }
        return self._fault_row(await self._faults.break_(BreakRequest(**fields)))

    async def _heal(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        return [self._fault_row(fault) for fault in await self._faults.heal(request["what"])]

    async def _list_faults(self, _request: dict[str, Any]) -> list[dict[str, Any]]:
        return [self._fault_row(fault) for fault in self._faults.active]

    def _fault_row(self, fault: HandFault) -> dict[str, Any]:
        return {
            "id": fault.fault_id,
            "verb": fault.request.verb,
            "selectors": list(fault.request.selectors),
            "targets": list(fault.targets),
            "since_ms": fault.since_ms,
            "until_ms": fault.until_ms,
            "options": dict(fault.request.settings),
        }

    async def _topic_create(self, request: dict[str, Any]) -> dict[str, Any]:
        topic = TopicSpec(**request["topic"])
        check_topic(topic, len(self._target.spec.brokers))
        try:
            async with asyncio.timeout(request.get("timeout_s", 30)):
                await self._target.create_topics([topic])
        except TimeoutError:
            remedy = "`fencepost topic describe` and `fencepost faults` show what is missing."
            raise LabError(f"{topic.name} is created, but not all its replicas are in sync.", remedy) from None
        return asdict(topic)

    async def _topic_rm(self, request: dict[str, Any]) -> dict[str, Any]:
        await self._target.delete_topics([request["topic"]])
        return {"topic": request["topic"]}

    async def _topic_describe(self, _request: dict[str, Any]) -> list[dict[str, Any]]:
        observation = await self._target.observe()
        if not observation.replies:
            raise LabError("No node answers that could be asked.", "`fencepost ps` and `fencepost faults` show why.")
        return describe_topics(observation)


def describe_topics(observation: Observation) -> list[dict[str, Any]]:
    """Return every partition with its replicas' log end offsets and high watermarks, as the nodes themselves say."""
    local = {
        (name, state.topic, state.partition): state
        for name, reply in observation.replies.items()
        for state in reply.partitions
    }
    rows = []
    for state in observation.known():
        replicas = []
        for name in observation.names(state.replicas):
            own = local.get((name, state.topic, state.partition))
            replicas.append(
                {
                    "node": name,
                    "role": None if own is None else own.role,
                    "leader_epoch": None if own is None else own.leader_epoch,
                    "log_start_offset": None if own is None else own.log_start_offset,
                    "log_end_offset": None if own is None else own.log_end_offset,
                    "high_watermark": None if own is None else own.high_watermark,
                }
            )
        rows.append(
            {
                "topic": state.topic,
                "partition": state.partition,
                "leader": observation.names([state.leader])[0] if state.leader >= 0 else None,
                "leader_epoch": state.leader_epoch,
                "partition_epoch": state.partition_epoch,
                "isr": observation.names(state.isr),
                "elr": observation.names(state.elr),
                "replicas": replicas,
            }
        )
    return sorted(rows, key=lambda row: (row["topic"], row["partition"]))


def _request_in(line: bytes) -> dict[str, Any] | None:
    """Return the request that a line holds; None when there is none, or the asker is none of ours."""
    try:
        request = json.loads(line)
    except ValueError:
        return None
    return request if isinstance(request, dict) else None

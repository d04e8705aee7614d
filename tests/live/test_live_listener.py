"""Kafka connections are held by client id, both ways, and are left alone when no rule is about their client."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Awaitable, Callable

import pytest

from cluster.runtime.links import LinkRule
from cluster.runtime.live.link_table import LinkTable
from cluster.runtime.live.listener import linked_factory

pytestmark = pytest.mark.live

SOON_S = 5.0
HELD_S = 0.15


class EchoServer(asyncio.BufferedProtocol):
    """Answers with the bytes it got, from a buffer that it uses again, as the broker does."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.buffer = bytearray(7)  # small: a request arrives in pieces
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def get_buffer(self, _sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        assert self.transport is not None
        self.transport.write(memoryview(self.buffer)[:nbytes])

    def connection_lost(self, _exc: Exception | None) -> None:
        self.lost.set()


class Client:
    """A raw client with the server's end of its connection."""

    def __init__(self, table: LinkTable, servers: list[EchoServer], port: int) -> None:
        self.table = table
        self._servers = servers
        self._port = port

    async def connect(self, client_id: str) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        hello = request(client_id)
        self.writer.write(hello)
        assert await asyncio.wait_for(self.reader.readexactly(len(hello)), SOON_S) == hello
        self.server = self._servers[-1]

    async def say(self, text: bytes) -> bytes:
        self.writer.write(text)
        return await self.reader.readexactly(len(text))


def request(client_id: str) -> bytes:
    name = client_id.encode()
    body = struct.pack(">hhih", 18, 0, 1, len(name)) + name
    return struct.pack(">i", len(body)) + body


def with_client(claim: Callable[[Client], Awaitable[None]]) -> None:
    async def main() -> None:
        table = LinkTable("b1", random.Random(1))
        servers: list[EchoServer] = []

        def made() -> EchoServer:
            servers.append(EchoServer())
            return servers[-1]

        listener = await asyncio.get_running_loop().create_server(linked_factory(table, made), "127.0.0.1", 0)
        client = Client(table, servers, listener.sockets[0].getsockname()[1])
        try:
            async with asyncio.timeout(30):
                await claim(client)
        finally:
            client.writer.close()
            listener.close()

    asyncio.run(main())


def bare_transport(client: Client) -> asyncio.Transport:
    transport: asyncio.Transport = client.server.transport.bare  # type: ignore[union-attr]
    return transport


def test_without_rules_the_broker_is_on_the_bare_transport(tmp_path: object) -> None:
    async def claim(client: Client) -> None:
        await client.connect("p1")
        assert bare_transport(client).get_protocol() is client.server
        assert client.server.transport is not None
        assert client.server.transport.write == bare_transport(client).write
        assert await client.say(b"a longer text than the buffer") == b"a longer text than the buffer"

    with_client(claim)


@pytest.mark.parametrize(("source", "target"), [("p1", "b1"), ("b1", "p1")], ids=["requests", "replies"])
def test_a_cut_holds_an_open_connection_in_either_direction(source: str, target: str) -> None:
    async def claim(client: Client) -> None:
        await client.connect("p1")
        client.table.replace([LinkRule(source, target, cut=True)])
        said = asyncio.create_task(client.say(b"0123456789abcdef"))
        done, _ = await asyncio.wait({said}, timeout=HELD_S)
        assert not done
        client.table.replace([])
        assert await asyncio.wait_for(said, SOON_S) == b"0123456789abcdef"
        assert await client.say(b"again") == b"again"
        assert bare_transport(client).get_protocol() is client.server, "the gate has taken itself out"

    with_client(claim)


def test_a_rule_about_another_client_leaves_a_connection_alone() -> None:
    async def claim(client: Client) -> None:
        client.table.replace([LinkRule("p2", "b1", cut=True), LinkRule("b1", "p2", cut=True)])
        await client.connect("p1")
        assert await asyncio.wait_for(client.say(b"hello"), SOON_S) == b"hello"
        assert bare_transport(client).get_protocol() is client.server

    with_client(claim)


def test_a_new_connection_of_a_client_that_is_cut_off_is_held_from_its_first_request_on() -> None:
    async def claim(client: Client) -> None:
        client.table.replace([LinkRule("p1", "b1", cut=True)])
        connected = asyncio.create_task(client.connect("p1"))
        done, _ = await asyncio.wait({connected}, timeout=HELD_S)
        assert not done
        client.table.replace([])
        await asyncio.wait_for(connected, SOON_S)

    with_client(claim)


def test_a_slow_client_gets_everything_in_order() -> None:
    async def claim(client: Client) -> None:
        await client.connect("p1")
        rules = [LinkRule("p1", "b1", latency_ms=10, jitter_ms=20), LinkRule("b1", "p1", latency_ms=10, jitter_ms=20)]
        client.table.replace(rules)
        text = b"".join(b"%06d" % number for number in range(200))
        for start in range(0, len(text), 100):
            client.writer.write(text[start : start + 100])
            await asyncio.sleep(0)
        assert await asyncio.wait_for(client.reader.readexactly(len(text)), SOON_S) == text

    with_client(claim)


def test_a_client_that_leaves_while_it_is_cut_off_is_forgotten() -> None:
    async def claim(client: Client) -> None:
        await client.connect("p1")
        client.table.replace([LinkRule("p1", "b1", cut=True)])
        client.writer.write(b"never delivered")
        client.writer.close()
        await asyncio.wait_for(client.server.lost.wait(), SOON_S)
        client.table.replace([])

    with_client(claim)


def test_a_connection_without_a_client_id_works() -> None:
    async def claim(client: Client) -> None:
        await client.connect("")
        assert await client.say(b"hello") == b"hello"

    with_client(claim)

"""The live world: asyncio, grpc.aio, sockets, files, signals and processes.

Here: `LiveWorld` (what a node runs in), the zygote that forks nodes, and the launcher that commands it. It is kept
thin, because simulation never runs it. Import its parts from their files: the launcher must start without loading
what only a node needs.
"""

"""A limit on everything, in one file, with the relations between the limits asserted.

These are bounds of the implementation. What a user may tune is a config (`cluster.base.configs`).
"""

from __future__ import annotations

FRAME_SIZE_BYTES_MAX = 100 * 1024 * 1024
"""The largest Kafka request that is read (Kafka's default `socket.request.max.bytes`)."""

RPC_MESSAGE_SIZE_BYTES_MAX = 128 * 1024 * 1024
"""The largest gRPC message between nodes; it must hold the largest fetch response and the largest snapshot."""

STRING_BYTES_MAX = 2**15 - 1
"""The longest string of the Kafka protocol: older versions, and the logs of coordinators, have no room for more."""

CONNECTIONS_MAX = 10_000
"""Kafka clients of one broker; whoever comes after is turned away."""

CONNECTION_REPLIES_PENDING_MAX = 1_000
"""Requests of one connection that may wait for their reply; reading stops until some are answered."""

CONNECTION_BYTES_PENDING_MAX = 64 * 1024 * 1024
"""Bytes of finished replies, and of requests that are kept, that one connection may have; then serving stops."""

RECORD_BATCH_OVERHEAD_BYTES = 61
"""The v2 batch header; the smallest possible batch is not smaller."""

RECORD_OVERHEAD_BYTES_MAX = 21
"""What a record without headers has besides its key and its value, at most (Kafka: `MAX_RECORD_OVERHEAD`)."""

RECORDS_READ_BYTES_MAX = 55 * 1024 * 1024
"""The most that one fetch returns, whatever it asks for (Kafka's default `fetch.max.bytes`)."""

RAFT_ENTRY_BYTES_MAX = 1024 * 1024
"""The largest single Raft entry: one decision of the controller."""

RAFT_APPEND_BYTES_MAX = 4 * 1024 * 1024
"""The most entry bytes in one AppendEntries; one entry always fits."""

METADATA_UPDATE_BYTES_MAX = 1024 * 1024
"""Metadata entries sent to a broker at once; one entry always fits."""

RAFT_APPENDS_IN_FLIGHT_MAX = 16
"""AppendEntries sent to one follower and not yet answered."""

RAFT_MESSAGES_QUEUED_MAX = 64
"""Messages that wait for one peer's stream; the oldest are dropped, which Raft tolerates."""

RAFT_SNAPSHOT_BYTES_MAX = 64 * 1024 * 1024
"""The largest snapshot of the metadata: it travels in one message. Beyond it the log is no longer cut."""

RAFT_ENTRIES_KEPT = 1_000
"""Entries that stay below a snapshot, so that whoever is only a little behind needs no snapshot."""

CONTROLLERS_MAX = 9
"""Voters in the metadata quorum."""

BROKERS_MAX = 64
"""Brokers in one cluster on one machine."""

PARTITIONS_PER_TOPIC_MAX = 10_000
"""Partitions of one topic."""

PARTITIONS_PER_CLUSTER_MAX = 10_000
"""Partitions of all topics together: fencing a broker that is in every ISR must fit into one decision."""

PARTITION_CHANGE_BYTES_MAX = 100
"""One partition's part of a decision, with the replication factors that people use."""

TOPIC_NAME_LENGTH_MAX = 249
"""Kafka's own limit, from file-name lengths."""

PRODUCER_BATCHES_REMEMBERED = 5
"""Batches per producer whose sequence numbers are kept to recognise duplicates (KIP-98)."""

CLIENT_METERS_MAX = 10_000
"""Clients whose bytes a broker counts because they have a quota; the one counted longest is forgotten."""

assert RECORDS_READ_BYTES_MAX < FRAME_SIZE_BYTES_MAX < RPC_MESSAGE_SIZE_BYTES_MAX
assert RECORDS_READ_BYTES_MAX < CONNECTION_BYTES_PENDING_MAX
assert RAFT_ENTRY_BYTES_MAX <= RAFT_APPEND_BYTES_MAX < RPC_MESSAGE_SIZE_BYTES_MAX
assert RAFT_SNAPSHOT_BYTES_MAX < RPC_MESSAGE_SIZE_BYTES_MAX
assert PARTITIONS_PER_TOPIC_MAX <= PARTITIONS_PER_CLUSTER_MAX
assert PARTITIONS_PER_CLUSTER_MAX * PARTITION_CHANGE_BYTES_MAX <= RAFT_ENTRY_BYTES_MAX
assert RAFT_ENTRY_BYTES_MAX <= METADATA_UPDATE_BYTES_MAX < RPC_MESSAGE_SIZE_BYTES_MAX

"""The configs of coordinators: groups and their offsets, share groups, transactions.

Here: a part of the table of `configs`, as data.
"""

from __future__ import annotations

from cluster.base.config_types import INT_MAX, ConfigDefinition, ConfigType, boolean_config, int_config, long_config

COORDINATOR_DEFINITIONS = (
    # Consumer groups
    int_config("offsets.topic.num.partitions", 50, "Partitions of __consumer_offsets when it is created", at_least=1),
    ConfigDefinition(
        "offsets.topic.replication.factor",
        ConfigType.SHORT,
        "3",
        "Replicas of __consumer_offsets when it is created; fewer when there are fewer brokers",
        None,
        1,
        64,
    ),
    int_config("offsets.topic.segment.bytes", 104_857_600, "The segment.bytes of __consumer_offsets", at_least=1024),
    int_config(
        "offsets.commit.timeout.ms", 5000, "How long a coordinator waits for what it wrote to commit", at_least=1
    ),
    int_config("offset.metadata.max.bytes", 4096, "The longest note that a client may leave with an offset"),
    int_config(
        "group.initial.rebalance.delay.ms", 3000, "How long an empty group waits for more members after the first"
    ),
    int_config(
        "group.min.session.timeout.ms", 6000, "The shortest session timeout that a member may ask for", at_least=1
    ),
    int_config("group.max.session.timeout.ms", 1_800_000, "The longest session timeout of a member", at_least=1),
    int_config("group.max.size", INT_MAX, "Members of one group", at_least=1),
    int_config(
        "offsets.retention.minutes", 10_080, "Committed offsets that nobody needs are kept for so long", at_least=1
    ),
    long_config("offsets.retention.check.interval.ms", 600_000, "Between two looks for such offsets", at_least=1),
    # Consumer groups of the new protocol (KIP-848)
    ConfigDefinition(
        "group.consumer.session.timeout.ms",
        ConfigType.INT,
        "45000",
        "A member that sends no heartbeat for so long is fenced",
        group_name="consumer.session.timeout.ms",
        at_least=1,
        at_most=INT_MAX,
    ),
    int_config(
        "group.consumer.min.session.timeout.ms", 45_000, "The shortest session timeout of one group", at_least=1
    ),
    int_config("group.consumer.max.session.timeout.ms", 60_000, "The longest session timeout of one group", at_least=1),
    ConfigDefinition(
        "group.consumer.heartbeat.interval.ms",
        ConfigType.INT,
        "5000",
        "Members are told to send a heartbeat so often",
        group_name="consumer.heartbeat.interval.ms",
        at_least=1,
        at_most=INT_MAX,
    ),
    int_config(
        "group.consumer.min.heartbeat.interval.ms", 5000, "The shortest heartbeat interval of one group", at_least=1
    ),
    int_config(
        "group.consumer.max.heartbeat.interval.ms", 15_000, "The longest heartbeat interval of one group", None, 1
    ),
    int_config("group.consumer.max.size", INT_MAX, "Members of one group of the new protocol", at_least=1),
    ConfigDefinition(
        "group.consumer.assignors",
        ConfigType.LIST,
        "uniform,range",
        "Server-side assignors; the first is taken when no member asks for one",
        choices=("uniform", "range"),
    ),
    ConfigDefinition(
        "group.consumer.migration.policy",
        ConfigType.STRING,
        "bidirectional",
        "Whether groups may change the protocol while they have members",
        choices=("bidirectional", "upgrade", "downgrade", "disabled"),
    ),
    # Share groups (KIP-932)
    ConfigDefinition(
        "group.share.session.timeout.ms",
        ConfigType.INT,
        "45000",
        "A share group's member that is silent for so long is fenced",
        group_name="share.session.timeout.ms",
        at_least=1,
        at_most=INT_MAX,
    ),
    int_config("group.share.min.session.timeout.ms", 45_000, "The shortest session timeout of one group", at_least=1),
    int_config("group.share.max.session.timeout.ms", 60_000, "The longest session timeout of one group", at_least=1),
    ConfigDefinition(
        "group.share.heartbeat.interval.ms",
        ConfigType.INT,
        "5000",
        "Members of share groups send a heartbeat so often",
        group_name="share.heartbeat.interval.ms",
        at_least=1,
        at_most=INT_MAX,
    ),
    int_config("group.share.min.heartbeat.interval.ms", 5000, "The shortest heartbeat interval of one group", None, 1),
    int_config("group.share.max.heartbeat.interval.ms", 15_000, "The longest heartbeat interval of one group", None, 1),
    int_config("group.share.max.size", 200, "Members of one share group", at_least=1),
    int_config("group.share.max.share.sessions", 2000, "Share sessions on one broker", at_least=1),
    int_config("group.share.delivery.count.limit", 5, "A record is given up after so many deliveries", at_least=2),
    int_config(
        "group.share.partition.max.record.locks", 2000, "Records of one partition in delivery to a group", at_least=100
    ),
    ConfigDefinition(
        "group.share.record.lock.duration.ms",
        ConfigType.INT,
        "30000",
        "A member has a record for so long before others may have it",
        group_name="share.record.lock.duration.ms",
        at_least=1,
        at_most=INT_MAX,
    ),
    int_config("group.share.min.record.lock.duration.ms", 15_000, "The shortest lock of one group", at_least=1),
    int_config("group.share.max.record.lock.duration.ms", 60_000, "The longest lock of one group", at_least=1),
    ConfigDefinition(
        "group.share.auto.offset.reset",
        ConfigType.STRING,
        "latest",
        "Where a share group begins with a partition",
        choices=("latest", "earliest"),
        group_name="share.auto.offset.reset",
    ),
    ConfigDefinition(
        "group.share.isolation.level",
        ConfigType.STRING,
        "read_uncommitted",
        "Whether share groups get records of transactions that are open or were aborted",
        choices=("read_uncommitted", "read_committed"),
        group_name="share.isolation.level",
    ),
    int_config("share.coordinator.state.topic.num.partitions", 50, "Partitions of __share_group_state", at_least=1),
    ConfigDefinition(
        "share.coordinator.state.topic.replication.factor",
        ConfigType.SHORT,
        "3",
        "Replicas of __share_group_state when it is created; fewer when there are fewer brokers",
        None,
        1,
        64,
    ),
    int_config(
        "share.coordinator.state.topic.segment.bytes",
        104_857_600,
        "The segment.bytes of __share_group_state",
        None,
        1024,
    ),
    int_config(
        "share.coordinator.state.topic.min.isr", 2, "The min.insync.replicas of __share_group_state", at_least=1
    ),
    # Transactions
    int_config("transaction.state.log.num.partitions", 50, "Partitions of __transaction_state", at_least=1),
    ConfigDefinition(
        "transaction.state.log.replication.factor",
        ConfigType.SHORT,
        "3",
        "Replicas of __transaction_state when it is created; fewer when there are fewer brokers",
        None,
        1,
        64,
    ),
    int_config(
        "transaction.state.log.segment.bytes", 104_857_600, "The segment.bytes of __transaction_state", at_least=1024
    ),
    int_config("transaction.state.log.min.isr", 2, "The min.insync.replicas of __transaction_state", at_least=1),
    int_config("transaction.max.timeout.ms", 900_000, "The longest transaction.timeout.ms of a producer", at_least=1),
    int_config(
        "transactional.id.expiration.ms", 604_800_000, "A transactional id unused for so long is forgotten", at_least=1
    ),
    int_config(
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        10_000,
        "Between two looks for transactions that take too long",
        at_least=1,
    ),
    int_config(
        "transaction.remove.expired.transaction.cleanup.interval.ms",
        3_600_000,
        "Between two looks for transactional ids that are unused",
        at_least=1,
    ),
    boolean_config(
        "transaction.partition.verification.enable",
        True,
        "A leader asks whether a transaction is open before it appends to one (KIP-890)",
    ),
)
"""In the order in which people look for them."""

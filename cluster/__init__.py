"""Fencepost: a Kafka-compatible cluster you can break. The rooms are described in the README."""

"""Console: what Kafka's own tools read and print, over confluent-kafka; the commands themselves are in `cli`.

Import the files, not this face: a command loads only what it uses, and confluent-kafka alone takes 0.1 s.
"""

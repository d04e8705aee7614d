"""Share groups (KIP-932): who is a member and reads which partitions. Outsiders use `cluster.groups`."""

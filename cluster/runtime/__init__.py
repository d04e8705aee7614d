"""Runtime: the two worlds that a node can live in, real and simulated. They never meet."""

"""Node: roles assembled and run. The shells that give the pure rooms their clocks, disks, tasks and calls."""

"""Base: the words that everyone shares. Ids, errors, ports, limits, configs, trace events; no behaviour."""

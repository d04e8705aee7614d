"""Generated from `proto/` by `make proto`: messages, stubs and servicers. Never edited."""

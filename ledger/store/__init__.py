"""Durable storage of the log, its state and (ledger only) the private index."""

"""Signed notes, checkpoints, Merkle tree, tiles and the state map: bytes only, no I/O."""

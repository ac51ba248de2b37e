"""Faults of every kind against a running log, judged by what an outsider can read afterwards."""

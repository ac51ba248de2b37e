"""The auditor: replays a whole log by itself, keeps what it saw, reports, and cosigns as a map auditor."""

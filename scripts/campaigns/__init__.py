"""Long runs of what must never happen: each prints its seeds and counts and leaves a results file."""

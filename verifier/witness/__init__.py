"""A C2SP tlog-witness: cosigns a checkpoint that extends what was cosigned before, and never two of one size."""

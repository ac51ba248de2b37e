"""The benchmark behind scripts/bench. Nothing of the product imports it."""

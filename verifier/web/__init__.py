"""The HTTP application of the verifier."""

"""What the operator of a verifier and who checks a certificate type."""

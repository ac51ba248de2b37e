"""Holders: claiming a certificate, passkeys, what a holder sees and shares. Nothing of a person is kept in clear."""

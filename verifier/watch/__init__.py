"""Watches: an employer who verified a certificate is told when it is suspended, revoked, corrected or upgraded."""

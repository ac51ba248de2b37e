"""What the issuer sees on a terminal."""

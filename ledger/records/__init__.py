"""The domain: statements, certificates, filings, state. Pure."""

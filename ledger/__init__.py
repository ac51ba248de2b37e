"""The log, its records and the service that runs it."""

"""What anyone runs who wants to check a certificate without trusting the log's server."""

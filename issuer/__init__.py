"""What an assessment body runs: rosters in, signed certificates out."""

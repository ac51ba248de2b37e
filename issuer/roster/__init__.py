"""Rosters as they really are: read, map columns, list problems."""

"""Sheets of people from the command line."""

"""Jinja templates of the public pages."""

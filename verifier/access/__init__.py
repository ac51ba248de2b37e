"""Who may ask how much: API keys of HR systems, limits for everybody, and POSTs that may be repeated."""

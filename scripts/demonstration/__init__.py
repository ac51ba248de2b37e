"""The demo: every step that real people would take, on one machine."""

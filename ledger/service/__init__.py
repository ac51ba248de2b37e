"""The running log. Nobody outside imports this room."""

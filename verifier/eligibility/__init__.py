"""From grade to pay: rules as data (packs), decided by a pure engine with a full trace."""

"""For a payer of benefits: its keys, its journal, and what it states about claims."""

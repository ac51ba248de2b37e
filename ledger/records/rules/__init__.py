"""The rules of the fold, by what a statement is about. `ledger.records.status` chooses among them."""

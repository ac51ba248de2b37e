"""Proof files of a statement's place in the log: C2SP tlog-proofs and RFC 9942 receipts, checked and handed out."""

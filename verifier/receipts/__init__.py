"""Verification receipts for the personnel file: what was asked, what was answered, and the proof of it."""

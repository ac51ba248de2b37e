"""Hiring lists: many certificates at once, the same sheet back with an answer for each row and a signed summary."""

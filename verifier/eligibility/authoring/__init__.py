"""Packs by people who do not program: tables as sheets of a workbook, and what a change would have done."""

"""Spreadsheets of strangers, read within limits: workbooks in a process of their own, CSV as offices save it."""

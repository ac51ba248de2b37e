"""Certificates by number and name: the number doctor, the look-up, and the typed match of an ID tail."""

"""Faults that are made on purpose: what is traced and how, the starts that it is done to, and how each is judged."""

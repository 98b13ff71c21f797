"""Whole runs by name, as Python values: debug (seconds), laptop (minutes), paper (the papers' settings on GPUs)."""

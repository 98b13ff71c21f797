"""Whose ECG it is: admissions read from a hospital's tables, linked to ECGs, compared, and told as experience."""

"""Where P, QRS and T begin and end in every lead: a small network that learns from cardiologists' marks (LUDB)."""

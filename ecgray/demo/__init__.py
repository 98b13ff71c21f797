"""The embedded archive: drawn patients in MIMIC-IV layout."""

"""What was said of it: reports, terms, queries, text encoders."""

"""What a stranger sends: bytes in, a recording out, in memory; no name of the sender is ever opened."""

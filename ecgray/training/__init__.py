"""What a training run needs and no network knows: the order of records, what is read, checkpoints, the journal."""

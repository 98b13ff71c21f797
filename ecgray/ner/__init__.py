"""Named entity recognition in ECG statements: the statement grammar, and the small Llama that learns it."""

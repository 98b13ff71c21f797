"""Whether an ECG and a text belong together: two encoders trained against each other, and what scores with them."""

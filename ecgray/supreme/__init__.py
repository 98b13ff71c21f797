"""Read an ECG: encoder, fusion network, losses, training step (SuPreME)."""

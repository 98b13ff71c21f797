"""Write an ECG: the variational autoencoder and the beat decoder (SE-Diff section 3.1)."""

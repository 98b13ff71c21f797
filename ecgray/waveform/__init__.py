"""What is on the strip: recordings in and out, quality, the simulator, the paper."""

"""What operations on pictures cost beside PyTorch."""

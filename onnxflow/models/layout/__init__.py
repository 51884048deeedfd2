"""The original key layout of Stable Diffusion checkpoints: which networks a file holds, of what shape, and where each
of their weights lies, by the names Diffusers gives them. No weight is read."""

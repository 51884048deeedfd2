"""From a prompt to what guides the sampler: weights, tokens, chunks, and the numpy half of a text encoder."""

"""The JSON files of a Diffusers pipeline's folder: what they say of a Stable Diffusion model, whoever wrote its weights
and in whatever format."""

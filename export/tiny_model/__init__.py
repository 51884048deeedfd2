"""The embedded model: its pictures, its training from scratch, and its judge. `python -m onnxflow.export.tiny_model`
runs it all."""

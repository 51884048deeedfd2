"""Execution providers: the only package that imports onnxruntime."""

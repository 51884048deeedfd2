"""From PyTorch models to ONNX bundles: the only part of onnxflow that imports torch, diffusers, transformers and
onnx."""

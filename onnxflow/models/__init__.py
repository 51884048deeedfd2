"""What lies on disk: model folders, exported bundles. Knows neither PyTorch nor ONNX Runtime."""

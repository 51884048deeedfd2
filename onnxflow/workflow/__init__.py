"""From a saved file to a checked graph: reading, overrides, checking. Knows neither numpy nor ONNX Runtime."""

"""Execution providers: the only package that imports onnxruntime."""

import os

# ONNX Runtime 1.31 keeps a device id and a list of events below the user's home, to be sent to its makers. Nobody who
# runs a workflow was asked: it is off unless the user set the variable.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

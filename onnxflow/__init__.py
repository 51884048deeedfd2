"""onnxflow"""

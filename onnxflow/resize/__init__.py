"""Resizing arrays [batch, channels, height, width] in numpy, by ComfyUI's methods.

::

    methods.py      resize: a method by its name
    crop.py         the middle in other proportions
    nearest.py      nearest-exact
    linear.py       bilinear      which old pixels make a new one:
    area.py         area          taps.py, and
    cubic.py        bicubic       separable.py, which adds them up
    bislerp.py      directions of channel vectors
    lanczos.py      pictures of 8 bits, by Pillow
"""

from onnxflow.resize.methods import CROPS, METHODS, resize

__all__ = ["CROPS", "METHODS", "resize"]

"""Arithmetic on the arrays of pictures and masks, as ComfyUI's nodes do it, in numpy and Pillow.

Pictures are float32 [batch, height, width, channels] in 0..1, masks float32 [batch, height, width].
"""

"""Box-Muller transform of 24-bit uniforms in PyTorch's float32 arithmetic, bit for bit, on every machine.

Box & Muller (1958), in blocks of 16 as PyTorch lays them out: ``z[j] = sqrt(-2 ln(1 - u[j])) cos(2 pi u[j+8])`` and
``z[j+8] = sqrt(-2 ln(1 - u[j])) sin(2 pi u[j+8])`` for j = 0..7. The logarithm, sine and cosine are Cephes' single
precision polynomials (Moshier) with the multiply-adds fused as the AVX2 kernel in PyTorch's x86-64 wheels fuses them.

A fused multiply-add of float32 is written here as a float64 product (exact), a float64 sum and one rounding to float32.
That rounds twice, which could differ from a true fused multiply-add in about one of 2^29 operations. There are only
2^24 uniforms, so the question is settled by trying all of them (tests/sampling/test_box_muller.py): the results are the
same for every one. Nothing but IEEE add, multiply, sqrt and conversion is used, hence no dependence on a C library,
on AVX or on the processor.

The polynomials follow avx_mathfun.h, whose notice is:

    AVX implementation of sin, cos, sincos, exp and log, based on "sse_mathfun.h" by Julien Pommier.
    Copyright (C) 2012 Giovanni Garberoglio, Interdisciplinary Laboratory for Computational Science (LISC),
    Fondazione Bruno Kessler and University of Trento, via Sommarive, 18, I-38123 Trento (Italy)

    This software is provided 'as-is', without any express or implied warranty. In no event will the authors be held
    liable for any damages arising from the use of this software. Permission is granted to anyone to use this software
    for any purpose, including commercial applications, and to alter it and redistribute it freely, subject to the
    following restrictions: 1. The origin of this software must not be misrepresented; you must not claim that you
    wrote the original software. If you use this software in a product, an acknowledgment in the product documentation
    would be appreciated but is not required. 2. Altered source versions must be plainly marked as such, and must not
    be misrepresented as being the original software. 3. This notice may not be removed or altered from any source
    distribution. (this is the zlib license)

This is an altered version: numpy instead of AVX, another range reduction of the logarithm, uniforms as its only input.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onnxflow.sampling.protocols import Array

BLOCK = 16
_CHUNK_BLOCKS = 512  # 4096 pairs: the float64 work arrays stay in a small second-level cache

_TWO_PI = np.float32(6.283185307179586)
_FOUR_OVER_PI = np.float32(1.27323954473516)
_SQRT_HALF_BITS = np.int32(0x3F3504F3)

# float64 arrays hold float32 values here, so that a product of two of them is exact.
_LOG_P = tuple(
    float(np.float32(c))
    for c in (
        7.0376836292e-2,
        -1.1514610310e-1,
        1.1676998740e-1,
        -1.2420140846e-1,
        1.4249322787e-1,
        -1.6668057665e-1,
        2.0000714765e-1,
        -2.4999993993e-1,
        3.3333331174e-1,
    )
)
_LOG_Q1 = np.float32(-2.12194440e-4)
_LOG_Q2 = float(np.float32(0.693359375))
_PI_4 = (-0.78515625, float(np.float32(-2.4187564849853515625e-4)), float(np.float32(-3.77489497744594108e-8)))
_SIN_P = tuple(float(np.float32(c)) for c in (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1))
_COS_P = tuple(float(np.float32(c)) for c in (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2))

_Float64 = NDArray[np.float64]


def _fma(a: _Float64, b: _Float64 | float, c: Array | _Float64 | float) -> _Float64:
    """float32(a * b + c) in float64, ``a`` and ``b`` holding float32 values."""
    product = a * b
    product += c
    return product.astype(np.float32).astype(np.float64)


def log_uniform(x: Array) -> Array:
    """Natural logarithm of x in [2^-24, 1], float32: Cephes' logf."""
    bits = x.view(np.int32)
    # x = m 2^e with m in [sqrt(1/2), sqrt(2))
    exponent = (bits - _SQRT_HALF_BITS) >> np.int32(23)
    m = (bits - (exponent << np.int32(23))).view(np.float32) - np.float32(1)
    e = exponent.astype(np.float32)
    z = m * m
    m64, z64 = m.astype(np.float64), z.astype(np.float64)
    y = _fma(m64, _LOG_P[0], _LOG_P[1])
    for coefficient in _LOG_P[2:]:
        y = _fma(y, m64, coefficient)
    y = (y * m64).astype(np.float32).astype(np.float64)
    y = _fma(y, z64, e * _LOG_Q1)
    y = _fma(z64, -0.5, y)
    total = m + y.astype(np.float32)
    return _fma(e.astype(np.float64), _LOG_Q2, total).astype(np.float32)


def sin_cos(x: Array) -> tuple[Array, Array]:
    """Sine and cosine of x in [0, 2 pi], float32: Cephes' sinf and cosf with one range reduction."""
    octant = ((x * _FOUR_OVER_PI).astype(np.int32) + np.int32(1)) & np.int32(~1)
    y = octant.astype(np.float64)
    x64 = x.astype(np.float64)
    for part in _PI_4:
        x64 = _fma(y, part, x64)
    z = (x64 * x64).astype(np.float32)
    z64 = z.astype(np.float64)

    cosine = _fma(z64, _COS_P[0], _COS_P[1])
    cosine = _fma(cosine, z64, _COS_P[2])
    cosine = (cosine * z64).astype(np.float32).astype(np.float64)
    c = _fma(cosine, z64, z64 * -0.5).astype(np.float32) + np.float32(1)

    sine = _fma(z64, _SIN_P[0], _SIN_P[1])
    sine = _fma(sine, z64, _SIN_P[2])
    sine = (sine * z64).astype(np.float32).astype(np.float64)
    s = _fma(sine, x64, x64).astype(np.float32)

    # Octants 2 and 6 swap sine and cosine; bit 2 of the octant is the sign. All on the bit patterns.
    s_bits, c_bits = s.view(np.int32), c.view(np.int32)
    swap = (s_bits ^ c_bits) & -((octant >> np.int32(1)) & np.int32(1))
    sign_sin = (octant & np.int32(4)) << np.int32(29)
    sign_cos = (~(octant - np.int32(2)) & np.int32(4)) << np.int32(29)
    return (s_bits ^ swap ^ sign_sin).view(np.float32), (c_bits ^ swap ^ sign_cos).view(np.float32)


def box_muller(words: NDArray[np.uint64]) -> Array:
    """Standard normals, float32 [n], from n raw 32-bit words; n is a multiple of 16 (the module states the formula)."""
    blocks = words.reshape(-1, BLOCK)
    out = np.empty(blocks.shape, np.float32)
    for start in range(0, len(blocks), _CHUNK_BLOCKS):
        part = slice(start, start + _CHUNK_BLOCKS)
        uniform = (blocks[part] & np.uint64(0xFFFFFF)).astype(np.float32)
        uniform *= np.float32(2.0**-24)
        radius = np.sqrt(np.float32(-2) * log_uniform(np.float32(1) - uniform[:, :8]))
        sine, cosine = sin_cos(_TWO_PI * uniform[:, 8:])
        np.multiply(radius, cosine, out=out[part, :8])
        np.multiply(radius, sine, out=out[part, 8:])
    out += np.float32(0)  # turns -0 into +0, as the kernel's final multiply-add by 1 and 0 does
    return out.reshape(-1)

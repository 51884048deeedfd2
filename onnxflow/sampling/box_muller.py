"""Box-Muller transform of 24-bit uniforms in PyTorch's float32 arithmetic, bit for bit, on every machine.

Box & Muller (1958), in blocks of 16 as PyTorch lays them out: ``z[j] = sqrt(-2 ln(1 - u[j])) cos(2 pi u[j+8])`` and
``z[j+8] = sqrt(-2 ln(1 - u[j])) sin(2 pi u[j+8])`` for j = 0..7. The logarithm, sine and cosine are Cephes' single
precision polynomials (Moshier) with the multiply-adds fused as the AVX2 kernel in PyTorch's x86-64 wheels fuses them.

A fused multiply-add of float32 is written here as a float64 product (exact), a float64 sum and one rounding to float32.
That rounds twice, which could differ from a true fused multiply-add in about one of 2^29 operations. Where the product
is exact in float32 already (a factor of few bits), it is a float32 product and sum, which is several times faster.
There are only 2^24 uniforms, so the question is settled by trying all of them (tests/sampling/test_box_muller.py): the
results are the same for every one. Nothing but IEEE add, multiply, sqrt and conversion is used, hence no dependence on
a C library, on AVX or on the processor.

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

This is an altered version: numpy instead of AVX, other range reductions, uniforms as its only input.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onnxflow.sampling.protocols import Array

BLOCK = 16
CHUNK = 1 << 14
"""Values to work on at a time: more would leave the second-level cache, fewer would wait for Python."""

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
_LOG_Q2 = np.float32(0.693359375)  # 9 bits
# -pi/2 in three parts, of which the first two have 8 and 11 bits.
_HALF_PI_1, _HALF_PI_2 = np.float32(-1.5703125), np.float32(-4.837512969970703125e-4)
_HALF_PI_3 = float(np.float32(-7.54978995489188216e-8))
_SIN_P = tuple(float(np.float32(c)) for c in (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1))
_COS_P = tuple(float(np.float32(c)) for c in (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2))

_Float64 = NDArray[np.float64]
_Int32 = NDArray[np.int32]


class Work:
    """Arrays to compute in, for draws of up to ``count`` values; one thread uses them at a time.

    Kept from draw to draw: memory fresh from the system costs as much time as the arithmetic.
    """

    def __init__(self, count: int) -> None:
        pairs = count // 2
        self.count = count
        self.doubles = tuple(np.empty(pairs, np.float64) for _ in range(3))
        self.singles = tuple(np.empty(pairs, np.float32) for _ in range(3))
        self.integers = np.empty(pairs, np.int32)
        self.radius, self.angle, self.sine, self.cosine = (np.empty(pairs, np.float32) for _ in range(4))


def _fma(y: _Float64, factor: _Float64 | float, addend: _Float64 | float, narrow: Array) -> None:
    """y = float32(y * factor + addend), all holding float32 values; ``narrow`` is left with the same values."""
    np.multiply(y, factor, out=y)
    np.add(y, addend, out=y)
    narrow[...] = y
    y[...] = narrow


def log_uniform(x: Array, work: Work) -> None:
    """Replace x, values in [2^-24, 1], by its natural logarithm: Cephes' logf."""
    count = len(x)
    poly, wide, _ = (a[:count] for a in work.doubles)
    m, e, narrow = (a[:count] for a in work.singles)
    # x = m 2^e with m in [sqrt(1/2), sqrt(2)), found on the bit patterns
    bits, exponent = x.view(np.int32), work.integers[:count]
    np.subtract(bits, _SQRT_HALF_BITS, out=exponent)
    exponent >>= 23
    e[...] = exponent
    exponent <<= 23
    np.subtract(bits, exponent, out=m.view(np.int32))
    m -= np.float32(1)

    wide[...] = m
    poly[...] = _LOG_P[0]
    for coefficient in _LOG_P[1:]:
        _fma(poly, wide, coefficient, narrow)
    narrow *= m
    poly[...] = narrow
    z = np.multiply(m, m, out=x)
    wide[...] = z
    q1 = work.doubles[2][:count]
    np.multiply(e, _LOG_Q1, out=narrow)
    q1[...] = narrow
    _fma(poly, wide, q1, narrow)
    z *= np.float32(0.5)
    narrow -= z
    narrow += m
    e *= _LOG_Q2
    np.add(narrow, e, out=x)


def sin_cos(x: Array, sine: Array, cosine: Array, work: Work) -> None:
    """Sine and cosine of x in [0, 2 pi], which is overwritten: Cephes' sinf and cosf with one range reduction."""
    count = len(x)
    poly, x_wide, z_wide = (a[:count] for a in work.doubles)
    z, part, narrow = (a[:count] for a in work.singles)
    quadrant = work.integers[:count]
    # x = quadrant pi/2 + x' with x' in [-pi/4, pi/4]
    np.multiply(x, _FOUR_OVER_PI, out=part)
    quadrant[...] = part
    quadrant += 1
    quadrant >>= 1
    part[...] = quadrant
    x += np.multiply(part, _HALF_PI_1, out=narrow)
    x += np.multiply(part, _HALF_PI_2, out=narrow)
    poly[...] = part
    x_wide[...] = x
    _fma(poly, _HALF_PI_3, x_wide, x)
    x_wide[...] = x
    np.multiply(x, x, out=z)
    z_wide[...] = z

    poly[...] = _SIN_P[0]
    _fma(poly, z_wide, _SIN_P[1], narrow)
    _fma(poly, z_wide, _SIN_P[2], narrow)
    narrow *= z
    poly[...] = narrow
    _fma(poly, x_wide, x_wide, sine)

    poly[...] = _COS_P[0]
    _fma(poly, z_wide, _COS_P[1], narrow)
    _fma(poly, z_wide, _COS_P[2], narrow)
    narrow *= z
    poly[...] = narrow
    np.multiply(z_wide, -0.5, out=x_wide)
    _fma(poly, z_wide, x_wide, cosine)
    cosine += np.float32(1)
    _turn(quadrant, sine.view(np.int32), cosine.view(np.int32), part.view(np.int32), narrow.view(np.int32))


def _turn(quadrant: _Int32, sine: _Int32, cosine: _Int32, work: _Int32, mask: _Int32) -> None:
    """Turn the bit patterns of a sine and cosine by quadrants: odd ones swap the two, then bit 1 becomes the sign."""
    np.bitwise_and(quadrant, 1, out=mask)
    np.negative(mask, out=mask)
    np.bitwise_xor(sine, cosine, out=work)
    work &= mask
    sine ^= work
    cosine ^= work
    np.bitwise_and(quadrant, 2, out=work)
    work <<= 30
    sine ^= work
    np.add(quadrant, 1, out=work)
    work &= 2
    work <<= 30
    cosine ^= work


def box_muller(uniforms: NDArray[np.uint32], out: Array, work: Work) -> None:
    """Fill ``out`` with standard normals: n float32 from n uniforms in units of 2^-24, n a multiple of 16.

    The module states the formula. n is no more than ``work`` is for.
    """
    pairs = len(out) // 2
    u, z = uniforms.reshape(-1, 2, BLOCK // 2), out.reshape(-1, 2, BLOCK // 2)
    radius, angle, sine, cosine = (a[:pairs] for a in (work.radius, work.angle, work.sine, work.cosine))
    radius.reshape(-1, BLOCK // 2)[...] = u[:, 0]
    radius *= np.float32(-(2.0**-24))
    radius += np.float32(1)
    log_uniform(radius, work)
    radius *= np.float32(-2)
    np.sqrt(radius, out=radius)
    angle.reshape(-1, BLOCK // 2)[...] = u[:, 1]
    angle *= np.float32(2.0**-24)
    angle *= _TWO_PI
    sin_cos(angle, sine, cosine, work)
    cosine *= radius
    sine *= radius
    z[:, 0] = cosine.reshape(-1, BLOCK // 2)
    z[:, 1] = sine.reshape(-1, BLOCK // 2)
    out += np.float32(0)  # turns -0 into +0, as the kernel's final multiply-add by 1 and 0 does

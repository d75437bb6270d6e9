"""What the exact laws of several families are made of, in 60 digits; nothing here calls vaekl or torch."""

import mpmath as mp

mp.mp.dps = 60
LEVELS, CLAMP = 5, 1e-4


def softplus(a):
    return mp.log1p(mp.exp(a))


def sigmoid(a):
    return 1 / (1 + mp.exp(-a))


def identity(a):
    return a


def normal(off, phi):
    sigma = mp.sqrt(phi)
    return -((off / sigma) ** 2) / 2 - mp.log(sigma * mp.sqrt(2 * mp.pi))


def normal_mass(a, b):
    a, b = (a, b) if a + b < 0 else (-b, -a)
    return mp.ncdf(b) - mp.ncdf(a)

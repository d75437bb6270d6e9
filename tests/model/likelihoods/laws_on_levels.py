"""The exact laws of integer levels: their moments, and how large the terms are that these and ln p add up."""

import mpmath as mp
from law_parts import LEVELS, sigmoid


def masses(eta, phi):
    each = [mp.exp((a - max(eta)) / phi) for a in eta]
    return [mass / mp.fsum(each) for mass in each]


def categorical_moments(eta, phi):
    law = masses(eta, phi)
    mean = mp.fsum(k * mass for k, mass in enumerate(law))
    return mean, mp.fsum((k - mean) ** 2 * mass for k, mass in enumerate(law))


def categorical_sizes(eta, x, phi, float64):
    top, (mean, variance) = max(abs(a) for a in eta), categorical_moments(eta, phi)
    rounded = 1 + top / phi
    energy = max(eta) - eta[int(x)] + LEVELS
    return energy, LEVELS * (1 + 1 / phi), LEVELS, LEVELS / phi, mean * rounded, (variance + mean) * rounded


LEAST_SCALE = mp.mpf("5e-4")


class Logistics:
    """The masses of LEVELS bins under a logistic density, and how its rounding grows.

    Args:
        location: μ, on the scale where levels are k/(levels − 1).
        scale: s, on the same.
        lost: by how many roundings s is off.
    """

    def __init__(self, location, scale, lost=1):
        self.centre, self.scale = location * (LEVELS - 1), scale * (LEVELS - 1)
        #: by how many roundings the argument of a sigmoid is off
        self.lost = lost * (abs(self.centre) + LEVELS) / self.scale

    def tails(self, k):
        """P(X < k) and P(X ≥ k), each with all of its digits."""
        u = (k - mp.mpf(1) / 2 - self.centre) / self.scale
        return sigmoid(u) if k > 0 else mp.mpf(0), sigmoid(-u) if k > 0 else mp.mpf(1)

    def mass(self, k):
        low, high = self.tails(k), (mp.mpf(1), mp.mpf(0)) if k == LEVELS - 1 else self.tails(k + 1)
        return high[0] - low[0] if high[0] < 0.5 else low[1] - high[1]

    def size(self, k):
        """Of −ln mass, and of its slope in centre/scale."""
        low, high = self.tails(k), (mp.mpf(1), mp.mpf(0)) if k == LEVELS - 1 else self.tails(k + 1)
        steep = self.lost * (low[0] + high[1])
        bends = self.lost * (low[0] * low[1] + high[0] * high[1])
        return 10 + abs(mp.log(self.mass(k))) + abs(mp.log(self.scale)) + steep, 2 + bends

    def moments(self):
        law = [self.mass(k) for k in range(LEVELS)]
        mean = mp.fsum(k * mass for k, mass in enumerate(law))
        return mean, mp.fsum((k - mean) ** 2 * mass for k, mass in enumerate(law))

    def moment_sizes(self):
        off = mp.fsum(min(self.tails(k)) for k in range(1, LEVELS)) * (1 + self.lost)
        return LEVELS + off, LEVELS * off + 1e-300


def shared_sizes(eta, x, phi, float64):
    logistics = Logistics(eta[0], phi)
    nats, slope = logistics.size(int(x))
    return phi * nats, 0, slope, 0, *logistics.moment_sizes()


def scale_of(raw):
    """The decoder's scale, and by how many roundings it is off."""
    scale = LEAST_SCALE + mp.exp(min(raw, 5))
    return scale, 2 + abs(mp.log(LEAST_SCALE)) + abs(mp.log(scale))


def decoder_logistics(eta):
    return Logistics(eta[0], *scale_of(eta[1]))


def decoder_sizes(eta, x, phi, float64):
    logistics = decoder_logistics(eta)
    nats, slope = logistics.size(int(x))
    far = (abs(int(x) - logistics.centre) + 1) / logistics.scale + (LEVELS - 1) / logistics.scale
    return phi * nats, 0, phi * slope * (1 + far), 0, *logistics.moment_sizes()

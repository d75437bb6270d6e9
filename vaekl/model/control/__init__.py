"""Controls: what stands for the KL in the loss, and so how much the latents say about x."""

from vaekl.model.control.base import Control
from vaekl.model.control.capacity import Capacity
from vaekl.model.control.controller import Controller
from vaekl.model.control.decomposed import Decomposed
from vaekl.model.control.free_bits import FreeBits
from vaekl.model.control.geco import Geco
from vaekl.model.control.information_weight import InformationWeight
from vaekl.model.control.learned_beta import LearnedBeta
from vaekl.model.control.mmd import Mmd

__all__ = [
    "Capacity",
    "Control",
    "Controller",
    "Decomposed",
    "FreeBits",
    "Geco",
    "InformationWeight",
    "LearnedBeta",
    "Mmd",
]

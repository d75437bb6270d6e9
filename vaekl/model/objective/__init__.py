"""Which bound on ln p(x) training maximises: each objective is a file here and one in `conf/objective/`."""

from vaekl.model.objective.base import Elbo, Objective
from vaekl.model.objective.iwae import Iwae

__all__ = ["Elbo", "Iwae", "Objective"]

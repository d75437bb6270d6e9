"""Every cause that the evidence speaks for, the most likely first: what is certain, then by what it costs."""

from vaekl.verbs.diagnose.causes import networks, noise, protocol, training, weight
from vaekl.verbs.diagnose.evidence import Cause, Evidence

_GROUPS = (protocol.causes, noise.causes, weight.causes, training.causes, networks.causes)


def causes(seen: Evidence) -> list[Cause]:
    """All of them; empty where nothing stands out."""
    every = [cause for group in _GROUPS for cause in group(seen)]
    return sorted(every, key=lambda cause: (not cause.certain, -cause.nats))

"""Every cause that the evidence speaks for, the most likely first: what is certain, then by what it costs."""

from vaekl.verbs.diagnose.causes import networks, noise, protocol, training, weight
from vaekl.verbs.diagnose.evidence import Cause, Evidence

_GROUPS = (protocol.causes, noise.causes, weight.causes, training.causes)


def causes(seen: Evidence) -> list[Cause]:
    """All of them; empty where nothing stands out."""
    # images that are all alike teach nothing, whatever is done with them
    every = [cause for group in (_GROUPS if not seen.all_alike else _GROUPS[:1]) for cause in group(seen)]
    every += networks.causes(seen, is_explained=bool(every))
    return sorted(every, key=lambda cause: (not cause.certain, -cause.nats))

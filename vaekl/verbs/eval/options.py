"""The keys of `vaekl eval`, checked."""

from dataclasses import dataclass
from typing import Any

from vaekl.run.load import SPLITS
from vaekl.system.checks import flag, one_of, optional, positive, whole


@dataclass(frozen=True)
class EvalOptions:
    """The keys of `conf/eval.yaml`; their meanings stand there."""

    split: str
    images: int | None
    k: list[int]
    ruler_k: list[int]
    theta: list[float] | None
    ais_steps: int
    ais_images: int
    knn: bool
    features: str
    generated: int
    seed: int
    checkpoint: str | None
    chunk: int | None
    device: str
    jobs: int | None
    threads: int

    @classmethod
    def checked(cls, options: dict[str, Any]) -> "EvalOptions":
        """Refuse what makes no sense, before anything is loaded.

        Raises:
            VaeklError: names the key.
        """
        thetas = [theta] if isinstance(theta := options["theta"], int | float) else theta
        return cls(
            split=one_of(options["split"], "eval.split", SPLITS),
            images=optional(whole, options["images"], "eval.images", 1),
            k=sorted({whole(k, "eval.k", 1) for k in options["k"]}),
            ruler_k=sorted({whole(k, "eval.ruler_k", 1) for k in options["ruler_k"]}),
            theta=thetas and sorted({positive(theta, "eval.theta") for theta in thetas}),
            ais_steps=whole(options["ais_steps"], "eval.ais_steps"),
            ais_images=whole(options["ais_images"], "eval.ais_images", 1),
            knn=flag(options["knn"], "eval.knn"),
            features=one_of(options["features"], "eval.features", ("none", "classifier", "inception")),
            generated=whole(options["generated"], "eval.generated", 2),
            seed=whole(options["seed"], "eval.seed"),
            checkpoint=optional(one_of, options["checkpoint"], "eval.checkpoint", ("last", "best")),
            chunk=optional(whole, options["chunk"], "eval.chunk", 1),
            device=str(options["device"]),
            jobs=optional(whole, options["jobs"], "eval.jobs", 1),
            threads=whole(options["threads"], "eval.threads", 1),
        )

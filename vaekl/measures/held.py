"""How near a run came to the target that its control holds."""

from vaekl.store.schema import ControlFacts


def held(control: ControlFacts, kl: float, rmse: float, distortion: float) -> tuple[str, str] | None:
    """What is held, and what it became beside its target, as text; None of a control that holds nothing.

    Args:
        control: its facts.
        kl: of an evaluation, nats.
        rmse: the same, on the scale that is reported.
        distortion: the same, E/φ − ln C, nats.

    >>> held(ControlFacts(name="controller", penalty="λ · KL", target_kl_nats=20.0), 20.1, 0.14, -400.0)
    ('KL, target', '20.100, 20 (+0.5 %)')
    """
    if control.target_kl_nats is not None:
        return "KL, target", f"{kl:,.3f}, {control.target_kl_nats:g} ({_percent(kl, control.target_kl_nats)})"
    if control.target_rmse is not None:
        return "RMSE, target", f"{rmse:.4g}, {control.target_rmse:g} ({_percent(rmse, control.target_rmse)})"
    if (target := control.target_distortion_nats) is not None:
        return "distortion, target", f"{distortion:,.3f}, {target:g} ({distortion - target:+.3g} nats)"
    return None


def _percent(reached: float, target: float) -> str:
    return f"{100 * (reached / target - 1):+.1f} %"

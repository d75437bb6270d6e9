"""What happens around a step: TensorBoard, images, `metrics.csv`, progress, checkpoints."""

from vaekl.callbacks.checkpoints import BEST, LAST, PREVIOUS, Checkpoints
from vaekl.callbacks.images import Images
from vaekl.callbacks.metrics_csv import MetricsCsv
from vaekl.callbacks.progress import ProgressDisplay
from vaekl.callbacks.pulse import Pulse
from vaekl.callbacks.tensorboard import TensorBoard
from vaekl.trainer import Callback

__all__ = [
    "BEST",
    "LAST",
    "PREVIOUS",
    "Callback",
    "Checkpoints",
    "Images",
    "MetricsCsv",
    "ProgressDisplay",
    "Pulse",
    "TensorBoard",
]

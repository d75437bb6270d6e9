"""What happens around a step: TensorBoard, images, `metrics.csv`, progress, checkpoints."""

from vaekl.training.callbacks.baseline import Baseline
from vaekl.training.callbacks.checkpoints import Checkpoints
from vaekl.training.callbacks.heartbeat import Heartbeat
from vaekl.training.callbacks.images import Images
from vaekl.training.callbacks.metrics_csv import MetricsCsv
from vaekl.training.callbacks.progress import ProgressDisplay
from vaekl.training.callbacks.projector import Projector
from vaekl.training.callbacks.tensorboard import TensorBoard

__all__ = [
    "Baseline",
    "Checkpoints",
    "Heartbeat",
    "Images",
    "MetricsCsv",
    "ProgressDisplay",
    "Projector",
    "TensorBoard",
]

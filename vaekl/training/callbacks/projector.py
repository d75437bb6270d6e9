"""TensorBoard's Projector: the posterior means of test images as points, with their labels and small pictures."""

from math import ceil, sqrt
from pathlib import Path

import torch
from google.protobuf import text_format
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from torch import Tensor
from torch.nn.functional import interpolate

from vaekl.data import batch_slices, generator
from vaekl.measures.elbo import Evaluation, batch_limit
from vaekl.measures.pictures import as_image, sheet, write_png
from vaekl.measures.tiles import Tiles
from vaekl.model.modes import evaluating
from vaekl.store import RunFolder
from vaekl.system.files import inner_folder, replacing
from vaekl.training.callback import Callback, TrainerView

#: points, and pixels of the longer side of a point's picture
_MOST, _LONGEST = 2000, 32


class Projector(Callback):
    """At the end of a run; the first test images, 2,000 at most.

    Args:
        folder: the run folder, which TensorBoard looks for `projector_config.pbtxt` in.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = RunFolder(folder)

    def tested(self, trainer: TrainerView, evaluation: Evaluation) -> None:
        model, split = trainer.judged, trainer.data.test.first(_MOST)
        stream = generator("projector", trainer.seed, trainer.device)
        inputs, means = [], []
        with torch.no_grad(), evaluating(model):
            for part in batch_slices(len(split), batch_limit(model), drop_last=False):
                x = split.batch(part, stream)
                inputs.append(model.spec.to_data(x).float().cpu())
                means.append(model.encode(x)[0].float().cpu())
        shown = torch.cat(inputs)
        pictures = _small(Tiles.of(model.spec, shown).drawn(shown))
        labels = split.labels.tolist() if split.labels is not None else None
        self._write(torch.cat(means), labels, pictures)

    def _write(self, means: Tensor, labels: list[int] | None, pictures: Tensor) -> None:
        config, folder = ProjectorConfig(), self.folder.projector
        embedding = config.embeddings.add(tensor_name="test posterior means", tensor_path=f"{folder.name}/means.tsv")
        inner_folder(folder)
        self._write_rows("means.tsv", ["\t".join(map(repr, row)) for row in means.tolist()])
        if labels is not None:
            embedding.metadata_path = f"{folder.name}/labels.tsv"
            self._write_rows("labels.tsv", [str(label) for label in labels])
        embedding.sprite.image_path = f"{folder.name}/sprite.png"
        embedding.sprite.single_image_dim.extend([pictures.shape[-1], pictures.shape[-2]])
        columns = ceil(sqrt(len(pictures)))  # TensorBoard takes rows of as many pictures as there are rows
        empty = torch.zeros(columns**2 - len(pictures), *pictures.shape[1:])
        with replacing(folder / "sprite.png", "picture") as partial:
            write_png(as_image(sheet(torch.cat([pictures, empty]), columns)), partial)
        with replacing(self.folder.path / "projector_config.pbtxt", "file") as partial:
            partial.write_text(text_format.MessageToString(config), encoding="utf-8")

    def _write_rows(self, name: str, rows: list[str]) -> None:
        with replacing(self.folder.projector / name, "file") as partial:
            partial.write_text("\n".join(rows) + "\n", encoding="utf-8")


def _small(pictures: Tensor) -> Tensor:
    """The pictures [N, C, H, W], no side longer than so many pixels."""
    longer = max(pictures.shape[-2:])
    if longer <= _LONGEST:
        return pictures
    size = [max(1, round(side * _LONGEST / longer)) for side in pictures.shape[-2:]]
    smaller: Tensor = interpolate(pictures, size=size, mode="area")
    return smaller

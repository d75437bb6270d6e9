"""Pictures of a model: what is decoded, how a grid is laid out, and PNG files that say what they show.

The *mean* of p(x|z) and a *draw* from it are different pictures.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin
from torch import Generator, Tensor
from torch.nn.functional import pad

from vaekl.measures.elbo import batch_limit
from vaekl.model.vae import VAE
from vaekl.system.files import replacing

#: images that are drawn, encoded or decoded together
BLOCK = 64
_GAP = 2
_GAP_SHADE = 0.5
_FONT_PIXELS = 14
_MARGIN = 8
_NARROWEST = 400


@torch.no_grad()
def decoded(model: VAE, z: Tensor, generator: Generator | None = None, inputs: Tensor | None = None) -> Tensor:
    """The mean of p(x|z), or with a generator a draw from it.

    z are decoded in blocks of one size, the last filled up with zeros, so that an image's bits do not depend on how
    many are decoded.

    Args:
        model: in evaluation mode.
        z: [N, Z].
        generator: of the draws, on the model's device; None for the mean.
        inputs: [N, *S], the rows whose totals the rates are in proportion to, as `VAE.decode` takes them.

    Returns:
        [N, *S] on the scale of pictures, float32, on the CPU.
    """
    device, dispersion = next(model.parameters()).device, model.weighting.dispersion
    # a power of two: where a large model needs smaller blocks, whole numbers of them make a block
    size = min(BLOCK, 1 << (batch_limit(model).bit_length() - 1))
    images = torch.empty(len(z), *model.spec.shape)
    for start in range(0, len(z), size):
        part = z[start : start + size].to(device)
        missing = (0, 0, 0, size - len(part))
        rows = None if inputs is None else pad(inputs[start : start + size].to(device).flatten(1), missing)
        eta = model.decode(pad(part, missing), rows if rows is None else rows.view(size, *model.spec.shape))
        if generator is None:
            x = model.moments(eta)[0]
        else:
            x = model.spec.to_data(model.likelihood.sample(eta, dispersion, generator))
        images[start : start + size] = x[: len(part)]
    return images


def prior(count: int, latents: int, noise: Generator) -> Tensor:
    """z ~ N(0, 1), [count or more, Z], in whole blocks, so that more of them begin with the same."""
    z = torch.empty(-(-count // BLOCK), BLOCK, latents)
    # block by block, because a longer draw at once would not begin with the same numbers
    for block in z:
        block.normal_(generator=noise)
    return z.flatten(0, 1)


def most_kl(kl_per_latent: Tensor, rows: int) -> list[int]:
    """The `rows` latents with the largest KL, largest first; kl_per_latent [Z]."""
    chosen: list[int] = kl_per_latent.argsort(descending=True, stable=True)[:rows].tolist()
    return chosen


def traversal(chosen: Sequence[int], latents: int, columns: int, span: float = 3.0) -> Tensor:
    """z [R · columns, Z]: in each row one of the chosen latents goes from −span to span, with all others at 0."""
    z = torch.zeros(len(chosen), columns, latents)
    z[torch.arange(len(chosen)), :, torch.tensor(chosen)] = torch.linspace(-span, span, columns)
    return z.flatten(0, 1)


def plane(first: int, second: int, latents: int, columns: int, span: float = 3.0) -> Tensor:
    """z [columns², Z]: one latent goes from −span to span to the right, another one upwards, with all others at 0."""
    values = torch.linspace(-span, span, columns)
    z = torch.zeros(columns, columns, latents)
    z[..., first], z[..., second] = values, values.flip(0)[:, None]
    return z.flatten(0, 1)


def interpolation(first: Tensor, last: Tensor, columns: int) -> Tensor:
    """z = (1 − t) · first + t · last with t from 0 to 1 in each row; first and last [R, Z], z [R · columns, Z].

    Linear, because posterior means lie anywhere. Great circles are for draws of the prior, which all have about the
    same length.
    """
    t = torch.linspace(0, 1, columns).view(1, -1, 1)
    return torch.lerp(first[:, None], last[:, None], t).flatten(0, 1)


def beside(inputs: Tensor, reconstructions: Tensor, columns: int) -> Tensor:
    """Rows of inputs, each above the row of its reconstructions; empty places of the last row are grey.

    Args:
        inputs: [N, C, H, W] in [0, 1].
        reconstructions: the same.
        columns: images in a row.

    Returns:
        [2 · columns · rows, C, H, W] in the order in which `grid` lays them out.
    """
    empty = torch.full((-len(inputs) % columns, *inputs.shape[1:]), _GAP_SHADE)
    rows = [torch.cat([part, empty]).unflatten(0, (-1, columns)) for part in (inputs, reconstructions)]
    return torch.stack(rows, 1).flatten(0, 2)


def grid(images: Tensor, columns: int, least: int = 32) -> Tensor:
    """Images [N, C, H, W] in [0, 1], row by row, as one picture [3, height, width].

    Args:
        images: of one channel or three.
        columns: images in a row.
        least: images narrower than this many pixels are magnified by whole numbers.
    """
    factor = max(1, least // images.shape[-1])
    images = images.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
    return sheet(images, columns, _GAP if len(images) > 1 else 0)


def sheet(images: Tensor, columns: int, gap: int = 0) -> Tensor:
    """Images [N, C, H, W] row by row as one picture [3, height, width], of one channel or three; empty places are grey.

    Args:
        images: on the scale of pictures.
        columns: images in a row.
        gap: pixels of grey around each.
    """
    columns = min(columns, len(images))
    tiles = pad(images.expand(-1, 3, -1, -1), (gap, 0, gap, 0, 0, 0, 0, -len(images) % columns), value=_GAP_SHADE)
    rows = tiles.unflatten(0, (-1, columns)).permute(2, 0, 3, 1, 4)
    return pad(rows.flatten(3).flatten(1, 2), (0, gap, 0, gap), value=_GAP_SHADE)


def as_image(picture: Tensor) -> Image.Image:
    """A picture [3, height, width] in [0, 1] as 8 bits of red, green and blue, or of grey where these are equal."""
    if torch.equal(picture[0], picture[1]) and torch.equal(picture[0], picture[2]):
        picture = picture[:1]
    pixels = (picture * 255 + 0.5).clamp_(0, 255).to("cpu", torch.uint8)
    return Image.fromarray(pixels[0].numpy() if len(pixels) == 1 else pixels.permute(1, 2, 0).contiguous().numpy())


def write_png(picture: Image.Image, file: Path | BytesIO, words: PngImagePlugin.PngInfo | None = None) -> None:
    """Write a picture as PNG with little packing: tiles of one colour are small all the same.

    Args:
        picture: of 8 bits.
        file: its path, or a buffer.
        words: what the file says of itself.
    """
    picture.save(file, "PNG", compress_level=1, pnginfo=words)


def captioned(picture: Tensor, caption: str, rows: Sequence[str] = ()) -> Image.Image:
    """A picture [3, height, width] in [0, 1] below its caption, with a label beside each row."""
    font = ImageFont.load_default(_FONT_PIXELS)
    pixels = as_image(picture)
    left = int(max(font.getlength(label) for label in rows)) + 2 * _MARGIN if rows else 0
    width = max(left + pixels.width, _NARROWEST)
    lines = _wrapped(caption, font, width - 2 * _MARGIN)
    line_height = sum(font.getmetrics()) + 2 if isinstance(font, ImageFont.FreeTypeFont) else _FONT_PIXELS
    top = len(lines) * line_height + 2 * _MARGIN
    page = Image.new("RGB", (width, top + pixels.height), "white")
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        draw.text((_MARGIN, _MARGIN + number * line_height), line, "black", font)
    for number, label in enumerate(rows):
        middle = top + (number + 0.5) * pixels.height / len(rows)
        draw.text((_MARGIN, middle - line_height / 2), label, "black", font)
    page.paste(pixels, (left, top))
    return page


def save_png(path: Path, picture: Tensor, caption: str, rows: Sequence[str] = ()) -> None:
    """Write a picture [3, height, width] as `captioned` draws it, whole or not at all.

    The caption is the PNG's `Description` too.
    """
    words = PngImagePlugin.PngInfo()
    words.add_text("Description", caption)
    words.add_text("Software", "vaekl")
    with replacing(path, "picture") as partial:
        write_png(captioned(picture, caption, rows), partial, words)


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> list[str]:
    """Lines no wider than so many pixels; a word that is too long for a line is broken."""
    lines = [""]
    for word in text.split():
        if lines[-1] and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines

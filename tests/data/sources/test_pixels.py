"""One image file -> its pixels as a viewer shows them: every kind of PNG, TIFF, GIF, JPEG and PGM."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from vaekl.data.sources.pixels import COLOURLESS, TRANSPARENT, Decoding, UnreadableError, read

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 8), np.uint8)
RGB = RNG.integers(0, 256, (6, 8, 3), np.uint8)
DEEP = RNG.integers(0, 65536, (6, 8, 4), np.uint16)


def saved(tmp_path, picture, name="a.png", **options):
    picture.save(tmp_path / name, **options)
    return tmp_path / name


def deep_png(tmp_path, values, kind, key=None):
    """A PNG of 16 bits, which Pillow cannot write in colour: kind 0 grey, 2 RGB, 4 grey and alpha, 6 RGBA."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    file = tmp_path / "deep.png"
    file.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
        + (chunk(b"tRNS", np.asarray(key, ">u2").tobytes()) if key is not None else b"")
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return file


def page(file, **how):
    """The only image of a file, [H, W, C]."""
    pages = read(file, Decoding(**how)).pages
    assert len(pages) == 1
    return pages[0].transpose(1, 2, 0)


def over(colour, alpha, behind, top):
    """What the eye sees of a colour over another one."""
    share = alpha[..., None].astype(np.float64) / top
    return np.round(colour * share + behind * (1 - share))


def test_what_needs_no_change(tmp_path):
    assert np.array_equal(page(saved(tmp_path, Image.fromarray(RGB))), RGB)
    assert np.array_equal(page(saved(tmp_path, Image.fromarray(GREY)), grayscale=True)[..., 0], GREY)
    grey = read(saved(tmp_path, Image.fromarray(GREY)), Decoding())
    assert grey.flags == COLOURLESS
    assert np.array_equal(grey.pages[0], np.stack([GREY] * 3))
    assert read(saved(tmp_path, Image.fromarray(RGB)), Decoding()).flags == 0


@pytest.mark.parametrize(("background", "behind"), [("white", (255, 255, 255)), ("#102030", (16, 32, 48))])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P", "key"])
def test_transparency_is_put_on_the_background(tmp_path, mode, background, behind):
    alpha = RNG.integers(0, 256, (6, 8), np.uint8)
    if mode == "RGBA":
        picture, colour = Image.fromarray(np.dstack([RGB, alpha])), RGB
        file = saved(tmp_path, picture)
    elif mode == "LA":
        colour = np.dstack([GREY] * 3)
        file = saved(tmp_path, Image.fromarray(np.dstack([GREY, alpha])))
    else:
        palette = RNG.integers(0, 256, (256, 3), np.uint8)
        picture = Image.fromarray(GREY).convert("P")
        picture.putpalette(palette.tobytes())
        colour = palette[GREY]
        if mode == "key":
            alpha = np.where(GREY[2, 3] == GREY, 0, 255)
            file = saved(tmp_path, picture, transparency=int(GREY[2, 3]))
        else:
            table = bytes(RNG.integers(0, 256, 256, np.uint8))
            alpha = np.frombuffer(table, np.uint8)[GREY]
            file = saved(tmp_path, picture, transparency=table)
    result = read(file, Decoding(background=background))
    assert result.flags & TRANSPARENT
    expected = over(colour, np.asarray(alpha), np.array(behind), 255)
    assert np.abs(result.pages[0].transpose(1, 2, 0) - expected).max() <= 1
    inside = np.asarray(alpha) == 0
    assert not inside.any() or (result.pages[0].transpose(1, 2, 0)[inside] == behind).all()


def test_an_alpha_channel_that_hides_nothing_is_not_mentioned(tmp_path):
    opaque = read(saved(tmp_path, Image.fromarray(np.dstack([RGB, np.full((6, 8), 255, np.uint8)]))), Decoding())
    assert opaque.flags == 0
    assert np.array_equal(opaque.pages[0].transpose(1, 2, 0), RGB)


def test_sixteen_bits_stay_sixteen(tmp_path):
    grey = DEEP[..., 0]
    for name in ("a.png", "a.tif"):
        result = page(saved(tmp_path, Image.fromarray(grey), name), grayscale=True)
        assert result.dtype == np.uint16 and np.array_equal(result[..., 0], grey)
    assert np.array_equal(page(deep_png(tmp_path, DEEP[..., :3], 2)), DEEP[..., :3])
    alpha = DEEP[..., 3]
    expected = over(DEEP[..., :3], alpha, np.array([65535] * 3), 65535)
    assert np.abs(page(deep_png(tmp_path, DEEP, 6)).astype(float) - expected).max() <= 1
    expected = over(DEEP[..., :1], alpha, np.array([65535]), 65535)
    assert np.abs(page(deep_png(tmp_path, DEEP[..., [0, 3]], 4)).astype(float) - expected).max() <= 1
    key = deep_png(tmp_path, DEEP[..., :3], 2, DEEP[2, 3, :3])
    assert page(key)[2, 3].tolist() == [65535] * 3 and np.array_equal(page(key)[0], DEEP[0, :, :3])
    key = deep_png(tmp_path, DEEP[..., :1], 0, DEEP[2, 3, :1])
    assert page(key, background="black", grayscale=True)[2, 3].tolist() == [0]
    half = page(deep_png(tmp_path, np.repeat(np.repeat(DEEP[:3, :3], 2, 0), 2, 1)[..., :3], 2), size=3)
    assert np.abs(half.astype(int) - DEEP[:3, :3, :3]).max() < 65535 and half.dtype == np.uint16
    # grey as Pillow weighs the colours, to which 16 bits of two equal bytes must agree
    wide = page(deep_png(tmp_path, RGB.astype(np.uint16) * 257, 2), grayscale=True)[..., 0]
    assert np.abs(wide / 257 - np.asarray(Image.fromarray(RGB).convert("L"))).max() <= 0.51


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_of_sixteen_bits_in_colour(tmp_path, order, compression):
    tifffile = pytest.importorskip("tifffile")
    colour = DEEP[..., :3]
    with tifffile.TiffWriter(tmp_path / "a.tif", byteorder=order) as file:
        for values in (colour, colour[::-1]):
            file.write(values, photometric="rgb", compression=compression, rowsperstrip=2)
    assert np.array_equal(read(tmp_path / "a.tif", Decoding()).pages.transpose(0, 2, 3, 1), [colour, colour[::-1]])


def test_a_pgm_of_twelve_bits_keeps_its_values(tmp_path):
    values = DEEP[..., 0] % 4096
    (tmp_path / "a.pgm").write_bytes(b"P5 8 6 4095\n" + values.astype(">u2").tobytes())
    assert np.array_equal(page(tmp_path / "a.pgm", grayscale=True)[..., 0], values)
    (tmp_path / "a.pgm").write_bytes(b"P5 8 6 65535\n" + DEEP[..., 0].astype(">u2").tobytes())
    assert np.array_equal(page(tmp_path / "a.pgm", grayscale=True)[..., 0], DEEP[..., 0])


def test_palettes_bits_and_inks_are_as_a_viewer_shows_them(tmp_path):
    bits = GREY > 127
    assert np.array_equal(page(saved(tmp_path, Image.fromarray(bits)), grayscale=True)[..., 0], bits * 255)
    palette = Image.fromarray(RGB).convert("P")
    assert np.array_equal(page(saved(tmp_path, palette)), np.asarray(palette.convert("RGB")))
    inks = Image.fromarray(RGB).convert("CMYK")
    assert np.array_equal(page(saved(tmp_path, inks, "a.tif")), RGB)
    few = Image.fromarray(GREY % 4).convert("P")
    few.putpalette([0, 0, 0, 9, 8, 7, 100, 200, 50, 255, 0, 1])
    expected = np.array([[0, 0, 0], [9, 8, 7], [100, 200, 50], [255, 0, 1]])[GREY % 4]
    assert np.array_equal(page(saved(tmp_path, few, bits=2)), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_a_camera_s_turn_is_undone(tmp_path, orientation, name):
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = np.zeros((16, 24, 3), np.uint8)
    upright[:8, :8] = 255
    # a viewer turns the stored picture so that the white corner comes to the top left
    undo = {2: 0, 3: 1, 4: 2, 5: 3, 6: 4, 7: 5, 8: 6}
    turns = [
        Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM,
        Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_90, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_270,
    ]  # fmt: skip
    stored = Image.fromarray(upright)
    if orientation > 1:
        stored = stored.transpose(turns[undo[orientation]])
    result = page(saved(tmp_path, stored, name, exif=exif))
    assert result.shape == (16, 24, 3)
    assert np.abs(result.astype(int) - upright).max() < 64  # JPEG's losses


def test_every_page_is_an_image(tmp_path):
    shots = [Image.fromarray(RNG.integers(0, 256, (6, 8), np.uint8)) for _ in range(5)]
    expected = np.stack([np.asarray(shot) for shot in shots])
    for name in ("a.tif", "a.webp", "a.png"):
        options = {"lossless": True} if name == "a.webp" else {}
        file = saved(tmp_path, shots[0].convert("RGB"), name, save_all=True, append_images=shots[1:], **options)
        assert np.array_equal(read(file, Decoding(grayscale=True)).pages[:, 0], expected)
    gif = saved(tmp_path, shots[0], "a.gif", save_all=True, append_images=shots[1:])
    assert np.array_equal(read(gif, Decoding(grayscale=True)).pages[:, 0], expected)
    mixed = saved(tmp_path, shots[0], "b.tif", save_all=True, append_images=[shots[1].resize((4, 4))])
    with pytest.raises(UnreadableError, match="its pages are of 1×6×8 and of 1×4×4"):
        read(mixed, Decoding(grayscale=True))
    assert read(mixed, Decoding(size=3)).pages.shape == (2, 3, 3, 3)


def test_smaller_copies_and_what_a_camera_adds_are_no_images(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(GREY, photometric="minisblack")
        file.write(GREY[::2, ::2], photometric="minisblack", subfiletype=1)
    result = read(tmp_path / "a.tif", Decoding(grayscale=True))
    assert (len(result.pages), result.others) == (1, 1)
    assert np.array_equal(result.pages[0, 0], GREY)
    two = [Image.fromarray(RGB), Image.fromarray(RGB[::2, ::2])]
    two[0].save(tmp_path / "b.jpg", "MPO", save_all=True, append_images=two[1:])
    result = read(tmp_path / "b.jpg", Decoding())
    assert (result.pages.shape, result.others) == ((1, 3, 6, 8), 1)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (GREY / np.float32(255), "floats"),
        (GREY.astype(np.int32) * 300 - 90, "whole numbers from"),
        (DEEP, "16 bits in each of several channels"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, array, words):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="separated" if array.ndim == 3 else "minisblack")
    with pytest.raises(UnreadableError, match=words):
        read(tmp_path / "a.tif", Decoding())


@pytest.mark.parametrize("size", [None, 4])
@pytest.mark.parametrize("crop", [None, 4, 7])
def test_squares_are_those_of_pillow(tmp_path, size, crop):
    file = saved(tmp_path, Image.fromarray(RGB))
    side = crop or 6
    left, top = (8 - side) // 2, (6 - side) // 2
    expected = Image.fromarray(RGB).crop((left, top, left + side, top + side))
    if size is not None:
        expected = expected.resize((size, size), Image.Resampling.BILINEAR)
    if size is None and crop is None:
        expected = ImageOps.exif_transpose(Image.fromarray(RGB))
    assert np.array_equal(page(file, size=size, crop=crop), np.asarray(expected))

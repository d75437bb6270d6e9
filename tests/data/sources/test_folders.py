from PIL import Image
from source_cases import refused

from vaekl.data.sources.folders import image_folder


def picture(path, value, size=(8, 6)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 0, value)).save(path)


def test_image_folder(tmp_path):
    for split in ("train", "test"):
        for label, kind in enumerate(("cat", "dog")):
            for i in range(3):
                picture(tmp_path / split / kind / f"{i}.png", 100 * label + i)
    source = image_folder(str(tmp_path))
    assert source.spec.shape == (3, 6, 8)
    assert source.spec.levels == 256
    train = source.train.gather(slice(None))
    assert train[:, 0, 0, 0].tolist() == [0, 1, 2, 100, 101, 102]
    assert train[:, 1].max() == 0
    assert source.test_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert image_folder(str(tmp_path), size=4, grayscale=True).spec.shape == (1, 4, 4)
    picture(tmp_path / "test" / "bird" / "0.png", 1)
    refused(lambda: image_folder(str(tmp_path)), "bird", "cat")


def test_image_folder_that_is_one_folder(tmp_path):
    for i in range(10):
        picture(tmp_path / f"{i}.png", i)
    source = image_folder(str(tmp_path), test_fraction=0.3)
    assert (len(source.train), len(source.test)) == (7, 3)
    assert source.train_labels is None
    picture(tmp_path / "x.png", 1, (9, 9))
    refused(lambda: image_folder(str(tmp_path)), "x.png", "dataset.size")
    file = tmp_path / "x.png"
    file.write_bytes(file.read_bytes()[:40])
    refused(lambda: image_folder(str(tmp_path), size=4), "x.png")
    refused(lambda: image_folder(str(tmp_path / "3.png")), "3.png", "folder")
    (tmp_path / "bare").mkdir()
    refused(lambda: image_folder(str(tmp_path / "bare")), "bare")
    refused(image_folder, "dataset.path")

"""Which images to correct next."""

import numpy as np
import tifffile

from napari_leafseg.inference.confidence import leaf_confidence
from napari_leafseg.io import write_image
from napari_leafseg.pipelines.rank import rank_images
from napari_leafseg.synthetic import SceneConfig, synthesize

SCENE = SceneConfig(size=(96, 96), diameter=(60, 80), blank=0.0, border=0.0)


def test_images_are_ranked_by_their_least_certain_leaf(tmp_path, predictor):
    images = [synthesize(4_000 + number, SCENE).image for number in range(2)]
    for number, image in enumerate(images):
        write_image(tmp_path / f"{number}.png", image)
    write_image(tmp_path / "empty.png", np.random.default_rng(0).integers(80, 90, (96, 96, 3), np.uint8))
    (tmp_path / "broken.png").write_bytes(b"not an image")
    paths = [tmp_path / name for name in ("0.png", "broken.png", "1.png", "empty.png")]
    found = list(rank_images(predictor, paths))
    assert [item.path for item in found] == paths
    assert [(item.done, item.total) for item in found] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for item, image in ((found[0], images[0]), (found[2], images[1])):
        prediction = predictor.predict(image)
        expected = leaf_confidence(prediction, prediction.labels())
        assert item.leaves == len(expected)
        assert item.confidence == min(expected.values())
    assert "broken.png" in found[1].trouble
    assert (found[3].confidence, found[3].leaves) == (0.0, 0)


def test_an_image_that_fails_in_an_unknown_way_does_not_end_the_others(tmp_path, predictor, monkeypatch):
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, synthesize(4_000, SCENE).image)
    real = type(predictor).predict

    def predict(self, image, name="", **more):
        if name == "a.png":
            raise RuntimeError("no kernel")
        return real(self, image, name=name, **more)

    monkeypatch.setattr(type(predictor), "predict", predict)
    first, second = rank_images(predictor, [tmp_path / "a.png", tmp_path / "b.png"])
    assert "a.png" in first.trouble
    assert "no kernel" in first.trouble
    assert second.leaves > 3
    assert not second.trouble


def test_of_a_series_a_few_frames_are_looked_at(tmp_path, predictor, monkeypatch):
    frames = np.stack([synthesize(4_000 + number, SCENE).image for number in (0, 1, 2, 3, 4)])
    tifffile.imwrite(tmp_path / "series.tif", frames, photometric="rgb")
    seen = []
    real = type(predictor).predict
    monkeypatch.setattr(
        type(predictor), "predict", lambda self, image, **more: seen.append(image) or real(self, image, **more)
    )
    (item,) = rank_images(predictor, [tmp_path / "series.tif"])
    assert [next(k for k in range(5) if np.array_equal(frames[k], image)) for image in seen] == [0, 2, 4]
    assert item.leaves > 3

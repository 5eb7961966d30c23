"""StarDist in the comparison; runs in an environment of its own (requirements-stardist.txt), knows nothing of ours.

``python benchmarks/peers/stardist_peer.py FOLDER --minutes N [--threads N]``
"""

import argparse
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
import tifffile
from csbdeep.utils import normalize
from imageio.v3 import imread
from stardist.models import Config2D, StarDist2D


def read(folder):
    """Names, normalized images, labels."""
    found = []
    for path in sorted(folder.glob("*_label.tif")):
        stem = path.name.removesuffix("_label.tif")
        image = normalize(imread(folder / f"{stem}.png")[..., :3].astype(np.float32), 1, 99.8, axis=(0, 1, 2))
        found.append((stem, image, tifffile.imread(path).astype(np.int32)))
    return found


def augment(image, labels):
    """Turn, mirror, change brightness: StarDist's own example."""
    turns = np.random.randint(4)
    image, labels = np.rot90(image, turns), np.rot90(labels, turns)
    if np.random.rand() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
    image = image * np.random.uniform(0.6, 2) + np.random.uniform(-0.2, 0.2)
    return image + 0.02 * np.random.uniform(0, 1) * np.random.normal(0, 1, image.shape), labels


class Clock(tf.keras.callbacks.Callback):
    """Ends training when its time is over."""

    def __init__(self, seconds):
        super().__init__()
        self.end = time.time() + seconds

    def on_train_batch_end(self, batch, logs=None):
        if time.time() > self.end:
            self.model.stop_training = True


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    np.random.seed(0)
    train, validation = read(args.folder / "train"), read(args.folder / "validation")
    config = Config2D(
        n_rays=32, grid=(2, 2), n_channel_in=3, train_patch_size=(176, 176), train_batch_size=4,
        train_steps_per_epoch=50, train_epochs=10_000, train_learning_rate=3e-4, train_tensorboard=False,
        train_reduce_lr={"factor": 0.5, "patience": 40, "min_delta": 0},
    )  # fmt: skip
    model = StarDist2D(config, name="stardist", basedir=str(args.folder / "runs"))
    began = time.time()
    model.prepare_for_training()
    model.callbacks.append(Clock(60 * args.minutes))
    few = validation[:8]
    model.train(
        [item[1] for item in train], [item[2] for item in train],
        validation_data=([item[1] for item in few], [item[2] for item in few]), augmenter=augment, workers=1,
    )  # fmt: skip
    print(f"trained for {(time.time() - began) / 60:.1f} min", flush=True)
    model.optimize_thresholds([item[1] for item in validation], [item[2] for item in validation])
    for name in ("synthetic", "real"):
        target = args.folder / "predicted" / "stardist" / name
        target.mkdir(parents=True, exist_ok=True)
        for stem, image, _ in read(args.folder / name):
            labels, _ = model.predict_instances(image)
            tifffile.imwrite(target / f"{stem}_label.tif", labels.astype(np.uint16))


if __name__ == "__main__":
    main()

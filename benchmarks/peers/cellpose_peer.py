"""Cellpose 3 in the comparison, from scratch; runs in an environment of its own (requirements-cellpose.txt).

``python benchmarks/peers/cellpose_peer.py FOLDER --minutes N [--threads N]``
"""

import argparse
import time
from pathlib import Path

import numpy as np
import tifffile
import torch
from cellpose import metrics, models, train
from cellpose.io import imread


def read(folder):
    """Names, images, labels."""
    found = []
    for path in sorted(folder.glob("*_label.tif")):
        stem = path.name.removesuffix("_label.tif")
        found.append((stem, imread(folder / f"{stem}.png")[..., :3], tifffile.imread(path).astype(np.int32)))
    return found


def run_training(model, images, epochs, folder):
    train.train_seg(
        model.net, train_data=[item[1] for item in images], train_labels=[item[2] for item in images],
        channels=[2, 1], normalize=True, batch_size=8, n_epochs=epochs, nimg_per_epoch=200, learning_rate=0.005,
        weight_decay=1e-5, SGD=False, rescale=False, bsize=176, min_train_masks=1, save_path=str(folder),
        model_name="cellpose", save_every=10_000,
    )  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    np.random.seed(0)
    torch.manual_seed(0)
    images, validation = read(args.folder / "train"), read(args.folder / "validation")
    place = args.folder / "runs" / "cellpose"
    place.mkdir(parents=True, exist_ok=True)
    began = time.time()
    run_training(models.CellposeModel(gpu=False, pretrained_model=None), images[:40], 1, place)
    probe = time.time() - began  # with what is computed once for 40 of the images
    model = models.CellposeModel(gpu=False, pretrained_model=None)
    run_training(model, images[:200], 1, place)
    each = max(1.0, time.time() - began - probe)
    model = models.CellposeModel(gpu=False, pretrained_model=None)
    epochs = max(1, int(60 * args.minutes / each))
    print(f"{each:.1f} s for 200 images: {epochs} epochs", flush=True)
    began = time.time()
    run_training(model, images, epochs, place)
    print(f"trained for {(time.time() - began) / 60:.1f} min", flush=True)
    best, chosen = -1.0, (0.0, 0.4)
    for probability in (-3.0, -1.0, 0.0, 1.0):
        for flow in (0.4, 0.8, 0.0):
            found = [segment(model, image, probability, flow) for _, image, _ in validation]
            value = metrics.average_precision([item[2] for item in validation], found, [0.5])[0].mean()
            if value > best:
                best, chosen = value, (probability, flow)
    print(f"tuned: cell probability {chosen[0]}, flow threshold {chosen[1]}", flush=True)
    for name in ("synthetic", "real"):
        target = args.folder / "predicted" / "cellpose" / name
        target.mkdir(parents=True, exist_ok=True)
        for stem, image, _ in read(args.folder / name):
            tifffile.imwrite(target / f"{stem}_label.tif", segment(model, image, *chosen).astype(np.uint16))


def segment(model, image, probability, flow):
    return model.eval(image, channels=[2, 1], diameter=None, rescale=1.0, cellprob_threshold=probability,
                      flow_threshold=flow, normalize=True)[0].astype(np.int32)  # fmt: skip


if __name__ == "__main__":
    main()

"""Check the device that computes, in at most eight minutes, and train on it for the time that is left.

Run ``make gpu-check``, or ``python -m benchmarks.gpu_check [--size small] [--output FOLDER]`` where torch and this
package are installed. Exits with 1 when a check failed.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from benchmarks.gpu_check.networks import check_networks
from benchmarks.gpu_check.report import Report
from benchmarks.gpu_check.runs import check_runs
from benchmarks.gpu_check.sizes import SIZES
from benchmarks.gpu_check.training import ENDING, check_training
from benchmarks.record import REPOSITORY, git_commit, machine
from napari_leafseg.errors import UserError
from napari_leafseg.inference.device import choose_device
from napari_leafseg.versions import __version__


def describe(device: torch.device, size: str) -> dict[str, str]:
    """Tell what is checked, and with which software."""
    card = ""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        card = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
    return {
        "date": datetime.datetime.now().isoformat(timespec="seconds"),
        "device": f"{device}: {card}" if card else str(device),
        "machine": machine(),
        "commit": git_commit(),
        "napari-leafseg": __version__,
        "torch": torch.__version__,
        "size": size,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Make all checks; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, help="full on a graphics card, else small")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=8.0, help="for everything, the training included")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the labeled data sets of the recipe")
    parser.add_argument("--output", type=Path, help="folder for results, weights and curves")
    options = parser.parse_args(arguments)
    try:
        device = choose_device(options.device)
    except UserError as error:
        parser.error(str(error))
    name = options.size or ("small" if device.type == "cpu" else "full")
    size = SIZES[name]()
    output = options.output or Path(os.environ.get("OUT") or REPOSITORY / "build" / "gpu-check")
    report = Report(output, describe(device, name), options.minutes)
    print("\n".join(f"{key}: {value}" for key, value in report.about.items()), flush=True)
    check_networks(report, device, size)
    check_runs(report, device, size)
    report.run("training", partial(check_training, report, device, size, options.data), reserve=ENDING + 10)
    print(f"{len(report.checks)} checks, {len(report.failed)} failed. Results, weights and curves: {output}")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())

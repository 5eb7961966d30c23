"""Axes and channels: from what a file holds to (H, W), (H, W, C) or (T, H, W, C)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from napari_leafseg.errors import InputFileError, ParameterError

Plane = int | Literal["max"]


@dataclass(frozen=True)
class ReadOptions:
    """How an image is read that holds more than one image of a plant's colors.

    Attributes
    ----------
    channels : tuple of int, optional
        Which channels, counted from 1, are red, green and blue, or the one that is shown as gray; only for files with
        channels that are no colors.
    z : int or "max"
        Which plane of a z-stack, counted from 1; "max" takes the brightest value of all planes.
    by_count : mapping
        From a number of channels to the choice for images of so many; goes before `channels`.
    """

    channels: tuple[int, ...] | None = None
    z: Plane = "max"
    by_count: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for chosen in [*self.by_count.values(), *([] if self.channels is None else [self.channels])]:
            if len(chosen) not in (1, 3) or any(not isinstance(one, int) or one < 1 for one in chosen):
                raise ParameterError(
                    f"Channels are one number or three (red, green, blue), counted from 1, not {list(chosen)}."
                )
        if self.z != "max" and (not isinstance(self.z, int) or self.z < 1):
            raise ParameterError(f"A plane is a number counted from 1, or “max” for the brightest, not “{self.z}”.")

    def of(self, count: int) -> tuple[int, ...] | None:
        """Find the choice for an image of so many channels."""
        return self.by_count.get(count, self.channels)


class ChannelsNeeded(InputFileError):
    """An image of several channels, of which nobody said what they are.

    Attributes
    ----------
    count : int
    names : tuple of str
        The channels' names; empty where the file states none.
    """

    def __init__(self, name: str, count: int, names: Sequence[str] = ()) -> None:
        self.count, self.names = count, tuple(names)
        named = f" ({', '.join(names)})" if any(not one.isdigit() for one in names) else ""
        some = "1" if count == 2 else "3,2,1"
        super().__init__(
            f"{name} has {count} channels{named}, and the file does not say which are red, green and blue. Choose "
            f"three, or one: --channels {some} on the command line, channels=({some.replace(',', ', ')}"
            f"{',' * (some == '1')}) in Python; Images asks when it opens the file."
        )


@dataclass
class Said:
    """What was chosen while an image was read.

    Attributes
    ----------
    notes : list of str
        Sentences for the user.
    options : dict
        The choices that mattered, for the record: ``channels``, ``z``.
    channels : tuple of str
        Names or numbers of the channels that there are to choose from.
    planes : int
        z-planes that there are to choose from.
    """

    notes: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    planes: int = 0


def arrange(
    array: Any, axes: str, name: str, options: ReadOptions | None = None, names: Sequence[str] = (),
    said: Said | None = None,
) -> Any:  # fmt: skip
    """Arrange axes as the rest of the package has them: (H, W), (H, W, C) or (T, H, W, C).

    Parameters
    ----------
    array : array
        NumPy or Dask.
    axes : str
        A letter for each axis: y, x; s = colors; c = channels; z = depth; any other letter = time, or what is counted
        like it (at most one of them longer than 1).
    name : str
        For messages.
    options : ReadOptions, optional
    names : sequence of str
        Of the channels.
    said : Said, optional
        Takes what was chosen.

    Raises
    ------
    InputFileError
        For two series axes, or channels of which nobody said what they are.
    """
    options, said, axes = options or ReadOptions(), said or Said(), axes.lower()
    if len(axes) != array.ndim or axes.count("y") != 1 or axes.count("x") != 1:
        raise InputFileError(f"{name} has axes “{axes.upper()}”, which are no image or time series. Export it as one.")
    array, axes = _channel_last(array, axes)
    for axis in [axis for axis in axes if axis not in "yx" and array.shape[axes.index(axis)] == 1]:
        array = array[(slice(None),) * axes.index(axis) + (0,)]
        axes = axes.replace(axis, "", 1)
    if "z" in axes:
        array, axes = _plane(array, axes, name, options, said), axes.replace("z", "")
    series = [axis for axis in axes if axis not in "yxcs"]
    if len(series) > 1 or axes.count("c") > 1 or axes.count("s") > 1:
        raise InputFileError(
            f"{name} has axes “{axes.upper()}”. A time series has one axis beside height, width and colors."
        )
    wanted = "".join(series) + "yx" + "".join(axis for axis in "cs" if axis in axes)
    array = array.transpose([axes.index(axis) for axis in wanted])
    if wanted.endswith("cs"):
        array, wanted = array.reshape(*array.shape[:-2], -1), wanted[:-1]
    if "c" in wanted:
        array = _channels(array, name, options, names, said)
    if series and array.ndim == 3:
        array = array[..., None]
    return array


def _channel_last(array: Any, axes: str) -> tuple[Any, str]:
    """Colors that NumPy's order put last and a file without axes calls width."""
    if array.ndim > 2 and axes[-1] == "x" and array.shape[-1] in (3, 4) and set(axes) <= set("qiyx"):
        height, width = array.shape[-3:-1]
        if min(height, width) >= 16:
            return array, f"{'q' * (array.ndim - 3)}yxs"
    return array, axes


def _plane(array: Any, axes: str, name: str, options: ReadOptions, said: Said) -> Any:
    """One plane of a z-stack, or the brightest of all."""
    place = axes.index("z")
    planes = array.shape[place]
    said.options["z"], said.planes = options.z, planes
    if options.z == "max":
        said.notes.append(f"Of {planes} z-planes, the maximum is shown.")
        return array.max(axis=place)
    if options.z > planes:
        raise InputFileError(f"{name} has {planes} z-planes; there is no plane {options.z}. Planes are counted from 1.")
    said.notes.append(f"Plane {options.z} of {planes} z-planes is shown.")
    return array[(slice(None),) * place + (options.z - 1,)]


def _channels(array: Any, name: str, options: ReadOptions, names: Sequence[str], said: Said) -> Any:
    """The channels that somebody chose, as colors; three are red, green and blue where nobody did."""
    count = array.shape[-1]
    said.channels = tuple(names) if len(names) == count else tuple(map(str, range(1, count + 1)))
    chosen = options.of(count)
    if chosen is None:
        if count == 3:
            return array
        raise ChannelsNeeded(name, count, names if len(names) == count else ())
    if max(chosen) > count:
        raise InputFileError(
            f"{name} has {count} channels; there is no channel {max(chosen)}. They are counted from 1."
        )
    said.options["channels"] = list(chosen)
    titles = [names[one - 1] if len(names) == count and names[one - 1] else str(one) for one in chosen]
    what = f"Channel {titles[0]}" if len(chosen) == 1 else f"Channels {', '.join(titles)}"
    said.notes.append(f"{what} of {count} {'is' if len(chosen) == 1 else 'are'} shown.")
    return array[..., chosen[0] - 1] if len(chosen) == 1 else array[..., [one - 1 for one in chosen]]


def upright(array: Any, orientation: int, y: int = 0) -> Any:
    """Turn an array as an EXIF or TIFF orientation says; `y` is the axis of height, the next one that of width."""
    rows, columns = (slice(None),) * y + (slice(None, None, -1),), (slice(None),) * (y + 1) + (slice(None, None, -1),)
    order = [*range(y), y + 1, y, *range(y + 2, array.ndim)]
    if orientation in (5, 6, 7, 8):
        array = array.transpose(order)
    if orientation in (2, 3, 6, 7):
        array = array[columns]
    if orientation in (3, 4, 7, 8):
        array = array[rows]
    return array


def with_alpha(array: np.ndarray) -> np.ndarray:
    """Turn gray and transparency, (…, 2), to (…, 4)."""
    return array[..., [0, 0, 0, 1]]

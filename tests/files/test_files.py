"""Every file that a biologist has: read right, or refused with the true reason."""

from __future__ import annotations

import numpy as np
import pytest

from napari_leafseg.errors import UserError
from napari_leafseg.io import ChannelsNeeded, check_image, read_image
from tests.files.cases import DATA, GRAY, MADE, READ, REFUSED, RGB, case_file


@pytest.mark.parametrize("name", sorted(READ))
def test_read_right(name, tmp_path):
    case = READ[name]
    image = read_image(case_file(name, tmp_path), channels=case.channels)
    assert image.array.shape == case.array.shape
    if case.off:
        assert np.abs(image.array.astype(float) - case.array).mean() <= case.off
    else:
        assert image.array.dtype == case.array.dtype
        assert np.array_equal(image.array, case.array, equal_nan=case.array.dtype.kind == "f")
    frame = image.array[0] if image.array.ndim == 4 else image.array
    check_image(frame)
    said = " ".join(image.notes)
    assert case.say in said if case.say else not said


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused_with_the_reason(name, tmp_path):
    with pytest.raises(UserError, match=REFUSED[name]) as caught:
        read_image(case_file(name, tmp_path))
    assert name in str(caught.value)
    if "channels" in REFUSED[name]:
        assert isinstance(caught.value, ChannelsNeeded)


def test_the_table_knows_every_file():
    assert {path.name for path in DATA.iterdir()} | set(MADE) == set(READ) | set(REFUSED)
    assert RGB.shape == (*GRAY.shape, 3)

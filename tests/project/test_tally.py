"""How many of the leaves to learn from a person changed."""

import numpy as np
import pytest
import tifffile

from napari_leafseg.editing.edit import difference
from napari_leafseg.io import write_image
from napari_leafseg.project import Project
from napari_leafseg.project.background import put_labels
from napari_leafseg.project.review import tally
from napari_leafseg.project.transfer import import_labels


def test_leaves_that_a_person_changed_are_told_from_those_that_a_model_found(tmp_path):
    write_image(tmp_path / "a.png", np.zeros((50, 60, 3), np.uint8))
    labels = np.zeros((50, 60), np.uint16)
    labels[5:10, 5:10], labels[20:30, 20:30], labels[35:40, 40:45] = 1, 2, 3
    with Project.create(tmp_path / "p") as project:
        (ref,) = project.add_images([tmp_path / "a.png"])
        document = project.open_document(ref, (50, 60))
        put_labels(document, labels, "segment with leaf", {"run": "k"})
        document.set_verified([(0, 2), (0, 3)], True)
        ref.state = "done"
        project.save(ref, document)
        assert tally(project, {}).changed == 0  # to accept is not to change
        after = document.labels.copy()
        after[5:12, 5:10] = 1
        document.commit(difference(document.labels, None, after, "draw"), False)
        project.save(ref, document)
        found = tally(project, {})
        assert (found.changed, found.leaves) == (1, 3)
        ref.state = "in progress"  # only verified leaves are learned from
        assert tally(project, {ref.id: 2}).changed == 0
        ref.state = "done"
        project.save_list()
    with Project.open(tmp_path / "p") as project:  # as nobody has it open
        assert tally(project, {}).changed == 1
        document = project.open_document(project.images[0], (50, 60))
        put_labels(document, np.roll(labels, 3, 1), "segment with leaf", {"run": "l"})
        project.save(project.images[0], document)
        assert tally(project, {}).changed == 0  # the model found them anew


@pytest.mark.parametrize(("verified", "changed"), [(False, 0), (True, 2)])
def test_a_draft_from_a_file_is_nobodys_correction(tmp_path, verified, changed):
    labels = np.zeros((50, 60), np.uint16)
    labels[5:10, 5:10], labels[20:30, 20:30] = 1, 2
    write_image(tmp_path / "a.png", np.zeros((50, 60, 3), np.uint8))
    tifffile.imwrite(tmp_path / "a_label.tif", labels)
    with Project.create(tmp_path / "p") as project:
        project.add_images([tmp_path / "a.png"])
        list(import_labels(project, [tmp_path / "a_label.tif"], verified=verified))
        project.images[0].state = "done"
        project.save_list()
    with Project.open(tmp_path / "p") as project:
        assert (tally(project, {}).changed, tally(project, {}).leaves) == (changed, 2)

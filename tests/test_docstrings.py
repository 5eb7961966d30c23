"""The first line of a public function's docstring: a verb in the imperative, and what it acts on."""

import ast
import re

import pytest

from tests.conftest import REPOSITORY

VERBS = set(
    re.findall(
        r"[\w-]+",
        """
    Add Allow Append Apply Arrange Ask Assign Average Begin Blur Brighten Bring Build Call Change Check Choose Clear
    Close Collect Compare Compute Connect Continue Convert Convolve Copy Count Create Cut Darken Decode Delete Derive
    Describe
    Discard Do Download Draw Drop End Encode Enlarge Erase Estimate Evaluate Exit Export Expose Fetch Fill Find
    Fine-tune Fit Flush
    Follow Forget Format Free Gather Give Go Group Grow Hide Hold Import Initialize Insert Join Keep Lay Leave Let
    Link List Load Lock Log Look Make Map Mark Measure Merge Mix Move Name Normalize Note Number Open Outline Pad Parse
    Part Paste Penalize Plot Predict Prepare Print Put Raise Read Rebuild Record Redo Refine Refuse Register Remember
    Remove Rename Repeat Replace Report Reset Resize Resolve Restore Return Reverse Round Run Sample Save Say Score
    Search See Segment Send Set Shift Show Smooth Sort Split Start Step Stop Store Suggest Sum Switch Synthesize Take
    Tell Test Trace Track Train Transform Turn Undo Unlock
    Unpack Update Use Validate Verify Wait Warn Wrap Write Yield Zoom
    """,
    )
)
PACKAGE = REPOSITORY / "src" / "napari_leafseg"
FILES = sorted(PACKAGE.rglob("*.py"))
PROPERTIES = {"property", "cached_property", "computed_field", "setter"}


def functions(tree):
    """Public functions and methods with a docstring, properties left out: these are named after what they are."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and ast.get_docstring(node):
            names = {
                item.id if isinstance(item, ast.Name) else getattr(item, "attr", "") for item in node.decorator_list
            }
            if not names & PROPERTIES:
                yield node


def without_a_verb(text):
    first = {node.name: ast.get_docstring(node).splitlines()[0] for node in functions(ast.parse(text))}
    return {name: line for name, line in first.items() if line.split()[0].rstrip(":,.;") not in VERBS}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_docstring_begins_with_a_verb(path):
    assert without_a_verb(path.read_text(encoding="utf-8")) == {}


def test_the_test_finds_them():
    code = """
class Leaf:
    @property
    def area(self):
        'Number of pixels.'
    def length(self):
        'The length of the midrib.'
    def _hidden(self):
        'Nothing.'
def draws():
    'Draws a leaf.'
def draw():
    'Draw a leaf.'
"""
    assert set(without_a_verb(code)) == {"length", "draws"}

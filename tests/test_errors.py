"""The one exception: whatever others said within it, it is one line, in every process."""

import base64
import pickle

import lz4.frame
import pytest

from rllib_safemarl.data.rllib_compression import decompress
from rllib_safemarl.errors import SafeMARLError


def test_lines_become_one_and_spaces_within_them_stay():
    error = SafeMARLError("of /a  b:\n  one\n  two")
    assert str(error) == "of /a  b: one two"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_what_pickle_says_in_two_lines_is_said_in_one():
    packed = base64.b64encode(lz4.frame.compress(b"\x80\x04K\x01Q."))
    with pytest.raises(SafeMARLError, match="no persistent_load function was specified") as caught:
        decompress(packed, "column")
    assert "\n" not in str(caught.value)

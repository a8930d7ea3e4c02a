"""Files of 2 GiB and more."""

import pytest

TALK = "huge"
PATIENCE = 1500
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_a_huge_file_is_uploaded_and_downloaded_in_parts(seen):
    assert seen["size"] is True and seen["verified"] is True

"""Files that appear whole or not at all."""

import pytest

from fer_bench.atomic import atomic_path, write_text


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(ValueError, match="boom"), atomic_path(path) as aside:
        aside.write_text("half")
        raise ValueError("boom")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]


def test_text_keeps_its_line_ends_and_its_folder_is_made(tmp_path):
    path = tmp_path / "a" / "x.csv"
    write_text(path, "é\r\n", newline="")
    assert path.read_bytes() == "é\r\n".encode()
    assert [p.name for p in path.parent.iterdir()] == ["x.csv"]

from benchmarks.object_sync import LARGE, QUICK, WHOLE


def test_a_smaller_tree_has_bars_of_its_own_names() -> None:
    assert WHOLE.bars["10000 small files: nothing changed"] == 0.5
    assert WHOLE.bars["20 x 50 MiB: upload"] == 1.1
    assert not WHOLE.bars.keys() & QUICK.bars.keys()


def test_the_large_files_alone_have_the_same_bars() -> None:
    shared = WHOLE.bars.keys() & LARGE.bars.keys()
    assert shared == {"20 x 50 MiB: upload", "20 x 50 MiB: download"}
    assert LARGE.room_bytes == WHOLE.room_bytes > 4 * 1000 * 1024**2

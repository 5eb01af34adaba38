from hakoiri.host.conversations.points_in_use import PointsInUse


def test_a_point_is_used_until_all_have_let_go() -> None:
    points = PointsInUse()
    with points.using("w-a", "rp-1"), points.using("w-a", "rp-2"):
        with points.using("w-a", "rp-1"):
            pass
        assert points.is_used("w-a", "rp-1")
        assert not points.is_used("w-b", "rp-1")
    assert not points.is_used("w-a", "rp-1")
    assert not points.is_used("w-a", "rp-2")

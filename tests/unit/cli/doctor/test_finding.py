from hakoiri.cli.doctor.finding import Finding, is_fit


def test_warnings_leave_a_host_fit_and_one_missing_thing_does_not() -> None:
    fine = Finding.ok("root", "yes")
    lesser = Finding.warning("apparmor", "no", mend="boot with it")
    lacking = Finding.missing("engine", "away", mend="start it")

    assert is_fit([])
    assert is_fit([fine, lesser])
    assert not is_fit([fine, lacking, lesser])

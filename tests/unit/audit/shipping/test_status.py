from hakoiri.audit.shipping.status import ChainStatus, TargetStatus


def test_what_waits_is_told_of_all_chains() -> None:
    chains = {
        "server": ChainStatus(sequence=5, waiting_bytes=70),
        "proxy": ChainStatus(sequence=1, waiting_bytes=30),
    }
    assert TargetStatus(name="siem", kind="syslog", chains=chains).waiting_bytes == 100

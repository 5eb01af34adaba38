from collections.abc import Sequence

import pytest
from tests.conftest import give_up
from tests.guest.machine import Record
from tests.guest_aarch64.boxes import honest_programs, trials
from tests.guest_aarch64.machine import reason_against_guest, run_guest
from tests.seccomp import bpf
from tests.seccomp.libseccomp import call_numbers, filter_of
from tests.seccomp.reading import calls_to_ask

from hakoiri.host.container_settings import ContainerSettings
from hakoiri.host.containers.box import read_profile


@pytest.fixture(scope="session")
def asked() -> list[tuple[int, ...]]:
    """The calls that the guest's kernel is asked about."""
    return list(calls_to_ask(call_numbers(read_profile(ContainerSettings()), "aarch64")))


@pytest.fixture(scope="session")
def records(asked: list[tuple[int, ...]]) -> Sequence[Record]:
    """What happened in one run of the guest, in which all is tried."""
    if reason := reason_against_guest():
        give_up(reason)
    program = bpf.read(filter_of(read_profile(ContainerSettings()), "aarch64"))
    asking = bpf.write(bpf.asking(program))
    return run_guest(asking=asking, asked=asked, alone=trials(), together=honest_programs())

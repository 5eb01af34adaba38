import subprocess
import sys

import pytest

from hakoiri.cli.supervisor.way_out import default_routes, default_routes_v6

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
OUT = "eth0\t00000000\t013C1FAC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
NEAR = "eth0\t003C1FAC\t00000000\t0001\t0\t0\t0\tF0FFFFFF\t0\t0\t0\n"
ZERO = "0" * 32
FLAGS = "00000400 00000001 00000000 00000003"


def test_a_default_route_is_told_from_one_to_the_own_network() -> None:
    assert default_routes(HEAD) == default_routes(HEAD + NEAR) == []
    assert default_routes(HEAD + OUT + NEAR) == ["eth0"]


def test_a_default_route_of_version_6_is_one_unless_the_kernel_refuses_by_it() -> None:
    out = f"{ZERO} 00 {ZERO} 00 {ZERO} {FLAGS}     eth0\n"
    refusal = f"{ZERO} 00 {ZERO} 00 {ZERO} {FLAGS}       lo\n"
    near = f"fe80{'0' * 28} 40 {ZERO} 00 {ZERO} {FLAGS}     eth0\n"
    assert default_routes_v6(refusal + near) == []
    assert default_routes_v6(out + refusal) == ["eth0"]


TRY = """
import subprocess
from hakoiri.cli.supervisor.way_out import ROUTES, close_way_out, default_routes
for line in ("link add near type veth peer name far", "link set far up",
             "addr add 10.0.0.2/28 dev near", "link set near up",
             "route add default via 10.0.0.1", "route add default via 10.0.0.3 metric 7"):
    subprocess.run(["ip", *line.split()], check=True)
print(default_routes(ROUTES.read_text()))
close_way_out()
print(default_routes(ROUTES.read_text()))
"""


@pytest.mark.root
def test_all_default_routes_are_taken_away() -> None:
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", TRY], check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == ["['near', 'near']", "[]"]

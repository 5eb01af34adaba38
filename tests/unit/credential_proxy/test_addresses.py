from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.addresses import check_addresses, parse_address, why_not_public
from hakoiri.credential_proxy.errors import AddressRefusedError

PUBLIC = ["8.8.8.8", "1.1.1.1", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "2a00::1"]
SPECIAL = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:169.254.169.254",
    "::ffff:8.8.8.8",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_dialled(address: str) -> None:
    assert check_addresses([address], port=443, allowed=()) == (address,)


@pytest.mark.parametrize("address", SPECIAL)
def test_a_special_address_is_refused(address: str) -> None:
    with pytest.raises(AddressRefusedError):
        check_addresses([address], port=443, allowed=())


def test_an_exception_names_address_and_port_exactly() -> None:
    allowed = {("127.0.0.1", 9999)}
    assert check_addresses(["127.0.0.1"], port=9999, allowed=allowed) == ("127.0.0.1",)
    for address, port in (("127.0.0.1", 9998), ("127.0.0.2", 9999), ("::ffff:127.0.0.1", 9999)):
        with pytest.raises(AddressRefusedError):
            check_addresses([address], port=port, allowed=allowed)


def test_an_answer_that_mixes_public_and_private_is_refused_whole() -> None:
    with pytest.raises(AddressRefusedError, match=r"10\.0\.0\.1"):
        check_addresses(["8.8.8.8", "10.0.0.1"], port=443, allowed=())


@pytest.mark.parametrize("text", ["", "127.1", "0x7f.1", "fe80::1%eth0", "a.test", "8.8.8.8 "])
def test_what_is_not_an_address_or_has_a_zone_is_refused(text: str) -> None:
    with pytest.raises(AddressRefusedError):
        check_addresses([text], port=443, allowed=())


def test_no_address_is_a_refusal() -> None:
    with pytest.raises(AddressRefusedError):
        check_addresses([], port=443, allowed=())


@given(st.ip_addresses())
def test_nothing_passes_that_python_holds_for_special(address: IPv4Address | IPv6Address) -> None:
    if why_not_public(address) is None:
        assert address.is_global
        assert not address.is_multicast
        assert parse_address(str(address)) == address

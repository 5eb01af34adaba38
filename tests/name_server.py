"""A name server on loopback that answers as a test wants, and tells what it was asked."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

ADDRESS = "127.0.0.1"


@dataclass
class Reply:
    """Lines like `a.test. 60 IN A 192.0.2.1`; `is_cut` sends nothing but TC over UDP."""

    answer: tuple[str, ...] = ()
    authority: tuple[str, ...] = ()
    rcode: str = "NOERROR"
    is_cut: bool = False
    is_silent: bool = False


NO_SUCH_NAME = Reply(rcode="NXDOMAIN")
NOTHING = Reply()


@dataclass
class NameServer:
    """What it says to (name, kind); to other names that they do not exist."""

    port: int = 0
    replies: dict[tuple[str, str], Reply] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def say(self, name: str, *, ttl_s: int = 60, **addresses: list[str]) -> None:
        """Answer for `name` with addresses: `A=[…]`, `AAAA=[…]`; nothing of a kind not named."""
        for kind in ("A", "AAAA"):
            lines = [f"{name}. {ttl_s} IN {kind} {text}" for text in addresses.get(kind, [])]
            self.replies[name, kind] = Reply(tuple(lines))

    def say_all(self, name: str, reply: Reply) -> None:
        """Answer with `reply` for both kinds."""
        self.replies[name, "A"] = self.replies[name, "AAAA"] = reply

    def reply_to(self, wire: bytes, way: str) -> bytes | None:
        """Make the answer to a question."""
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind, way))
        reply = self.replies.get((name, kind), NO_SUCH_NAME)
        if reply.is_silent:
            return None
        response = dns.message.make_response(query)
        response.set_rcode(dns.rcode.from_text(reply.rcode))
        if reply.is_cut and way == "udp":
            response.flags |= dns.flags.TC
            return response.to_wire()
        response.answer = [_rrset(line) for line in reply.answer]
        response.authority = [_rrset(line) for line in reply.authority]
        return response.to_wire()


def _rrset(line: str) -> dns.rrset.RRset:
    name, ttl, rdclass, kind, *rest = line.split()
    return dns.rrset.from_text(name, int(ttl), rdclass, kind, " ".join(rest))


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        wire = self._server.reply_to(data, "udp")
        if wire is not None:
            self._transport.sendto(wire, addr)


@asynccontextmanager
async def running_name_server() -> AsyncIterator[NameServer]:
    """Serve over UDP and TCP on one port of loopback."""
    server = NameServer()

    async def answer_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        wire = server.reply_to(await reader.readexactly(length), "tcp")
        if wire is not None:
            writer.write(struct.pack("!H", len(wire)) + wire)
        writer.close()
        await writer.wait_closed()

    tcp = await asyncio.start_server(answer_tcp, ADDRESS, 0)
    server.port = tcp.sockets[0].getsockname()[1]
    udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Udp(server), local_addr=(ADDRESS, server.port)
    )
    try:
        yield server
    finally:
        udp.close()
        tcp.close()
        await tcp.wait_closed()

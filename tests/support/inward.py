"""Ways to write an address that leads inside: for what fetches addresses that strangers name.

urls(seed)        addresses of webhooks, each of them to be refused as it is written
answers(seed)     what a resolver may say of a harmless name, each with an address inside among them
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from typing import Final

# Private, shared, loopback, link-local with the clouds' metadata, this network, benchmarks, documentation, multicast.
INSIDE: Final = (
    "127.0.0.1", "127.255.255.254", "10.0.0.1", "10.255.0.9", "172.16.0.1", "172.31.9.9", "192.168.0.1",
    "192.168.255.1", "169.254.169.254", "169.254.170.2", "100.64.0.1", "100.100.100.200", "0.0.0.0", "0.1.2.3",
    "192.0.0.192",
    "192.0.2.7", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.251", "239.255.255.250", "240.0.0.1",
    "255.255.255.255",
)  # fmt: skip
INSIDE_6: Final = (
    "::", "::1", "fe80::1", "fe80::1%eth0", "fe80::1%25lo", "fec0::1", "fc00::1", "fd00:ec2::254", "fd12:3456::1",
    "ff02::1", "ff0e::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1", "4000::1", "2001:2::1", "2001:20::1",
)  # fmt: skip
PUBLIC: Final = ("8.8.8.8", "93.184.216.34", "2606:4700::1111")
_WIDE: Final = str.maketrans("0123456789.", "０１２３４５６７８９．")


def spellings(address: str) -> Iterator[str]:
    """Of an IPv4 address, as one C library or browser or another reads it."""
    octets = [int(part) for part in address.split(".")]
    number = int(ipaddress.IPv4Address(address))
    last3, last2 = number & 0xFFFFFF, number & 0xFFFF
    yield address
    yield address + "."
    yield str(number)
    yield hex(number)
    yield hex(number).upper().replace("0X", "0x")
    yield f"0{number:o}"
    yield ".".join(f"0{octet:o}" for octet in octets)
    yield ".".join(f"000{octet:o}" for octet in octets)
    yield ".".join(hex(octet) for octet in octets)
    yield f"{hex(octets[0])}.{octets[1]}.0{octets[2]:o}.{octets[3]}"
    yield f"{octets[0]}.{last3}"
    yield f"{octets[0]}.{octets[1]}.{last2}"
    yield str(number + (1 << 32))
    yield ".".join(f"{octet:03}" for octet in octets)
    yield address.replace(".", "。")
    yield address.replace(".", "．")
    yield address.replace(".", "｡")
    yield address.translate(_WIDE)
    yield address.replace(".", "%2e")
    yield "".join(f"%{ord(c):02x}" for c in address)
    yield "".join(chr(0x2460 + int(c) - 1) if c in "123456789" else c for c in address)
    for inner in embedded(address):
        yield f"[{inner}]"
        yield f"[{inner}%25eth0]"


def embedded(address: str) -> Iterator[str]:
    """IPv6 addresses that carry an IPv4 address: mapped, compatible, translated (RFC 2765, 6052), 6to4, Teredo,
    ISATAP."""
    number = int(ipaddress.IPv4Address(address))
    high, low = number >> 16, number & 0xFFFF
    yield f"::ffff:{address}"
    yield f"::ffff:{high:x}:{low:x}"
    yield f"0:0:0:0:0:ffff:{high:x}:{low:x}"
    yield f"::{high:x}:{low:x}" if number > 1 else f"::{number:x}"
    yield f"::ffff:0:{high:x}:{low:x}"
    yield f"64:ff9b::{high:x}:{low:x}"
    yield f"64:ff9b:1::{high:x}:{low:x}"
    yield f"2002:{high:x}:{low:x}::1"
    yield f"2001:0:{high:x}:{low:x}::"
    yield f"2001:0:808:808:0:0:{high ^ 0xFFFF:x}:{low ^ 0xFFFF:x}"
    yield f"2606:4700::200:5efe:{high:x}:{low:x}"
    yield f"2606:4700::5efe:{high:x}:{low:x}"


def urls(seed: int) -> list[str]:
    """Each spelling of each address inside, in the places of a URL where a host may be believed to stand."""
    draw = random.Random(seed)
    found = []
    for address in INSIDE:
        for host in spellings(address):
            port = draw.choice(["", ":443", ":8443"])
            found.append(f"https://{host}{port}/hook")
            found.append(
                draw.choice(
                    [
                        f"https://hooks.example.com@{host}{port}/",
                        f"https://hooks.example.com:443@{host}/",
                        f"https://user:word@{host}{port}/",
                        f"https://{host}\\@hooks.example.com/",
                        f"https://hooks.example.com\\@{host}/",
                        f"https://{host}#@hooks.example.com/",
                        f"https://hooks.example.com#@{host}/",
                        f"https://hooks.example.com?@{host}/",
                        f"https://hooks.example.com%2f@{host}/",
                        f"https://hooks.example.com\t@{host}/",
                        f"https://{host}\n.example.com/",
                        f"https://{host}%00.example.com/",
                        f"https:{host}/",
                        f"https:///{host}/",
                        f"//{host}/",
                        f"http://{host}{port}/",
                        f"HTTPS://{host}/",
                        f"ftp://{host}/",
                        f"gopher://{host}:70/_",
                        f"https://{host}:22/",
                        f" https://{host}/",
                    ]
                )
            )
    found += [f"https://[{address}]{port}/" for address in INSIDE_6 for port in ("", ":8443")]
    found += [f"https://{name}/" for name in ("localhost", "LOCALHOST", "localhost.", "ip6-localhost", "metadata", "①")]
    found += ["file:///etc/passwd", "dict://127.0.0.1:11211/", "unix:///run/x.sock", "data:,x", "https://", "https:"]
    return found


def answers(seed: int) -> list[list[str]]:
    """Addresses of a name: inside in every embedding, alone, and beside public ones in any place."""
    draw = random.Random(seed)
    networks = [ipaddress.ip_network(text) for text in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10", "0.0.0.0/8",
        "224.0.0.0/4", "240.0.0.0/4", "198.18.0.0/15",
    )]  # fmt: skip
    drawn = [str(network[draw.randrange(network.num_addresses)]) for network in networks for _ in range(3)]
    inside = [form for address in (*INSIDE, *drawn) for form in (address, *embedded(address))] + list(INSIDE_6)
    found = []
    for address in inside:
        among = [address, *draw.sample(PUBLIC, draw.choice((0, 0, 1, 2)))]
        draw.shuffle(among)
        found.append(among)
    return found

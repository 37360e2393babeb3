"""imaplib behind a balancer: a login after a PROXY protocol header.

Arguments: ADDRESS USER PASSWORD VERSION CLIENT
"""

import socket
import struct

from common import Imap, arguments, check

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
TCP_OVER_IPV4 = 0x11


def header(version, client):
    if version == "1":
        return f"PROXY TCP4 {client} 192.0.2.1 4321 143\r\n".encode()
    addresses = socket.inet_aton(client) + socket.inet_aton("192.0.2.1") + struct.pack("!HH", 4321, 143)
    return SIGNATURE + struct.pack("!BBH", 0x21, TCP_OVER_IPV4, len(addresses)) + addresses


address, user, password, version, client = arguments(5)
imap = Imap(address, header=header(version, client))
check(imap.login(user, password))
check(imap.select(readonly=True))
check(imap.logout(), "BYE")

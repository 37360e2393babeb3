"""imaplib behind a balancer: a login after a PROXY protocol header.

Arguments: ADDRESS:PORT USER PASSWORD VERSION CLIENT
"""

import socket
import struct

from common import Imap, arguments, check

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
TCP_OVER_IPV4 = 0x11


class Balanced(Imap):
    def __init__(self, address, header):
        self._header = header
        super().__init__(address)

    def _create_socket(self, timeout):
        connection = super()._create_socket(timeout)
        connection.sendall(self._header)
        return connection


def header(version, client):
    if version == "1":
        return f"PROXY TCP4 {client} 192.0.2.1 4321 143\r\n".encode()
    addresses = socket.inet_aton(client) + socket.inet_aton("192.0.2.1") + struct.pack("!HH", 4321, 143)
    return SIGNATURE + struct.pack("!BBH", 0x21, TCP_OVER_IPV4, len(addresses)) + addresses


address, user, password, version, client = arguments(5)
imap = Balanced(address, header(version, client))
check(imap.login(user, password))
check(imap.select(readonly=True))
check(imap.logout(), "BYE")

"""What the scripts share: the arguments, and connections from an address of choice."""

import imaplib
import poplib
import socket
import sys

TIMEOUT = 60
# Messages may have longer lines than these modules expect.
imaplib._MAXLINE = poplib._MAXLINE = 10_000_000


def arguments(count):
    """Exactly `count` arguments of the command line."""
    if len(sys.argv) != count + 1:
        sys.exit(f"{sys.argv[0]}: {count} arguments, not {sys.argv[1:]}")
    return sys.argv[1:]


class Imap(imaplib.IMAP4):
    """IMAP4 from an address of choice."""

    def __init__(self, address, source="127.0.0.1"):
        self._source = source
        host, port = address.rsplit(":", 1)
        super().__init__(host, int(port), TIMEOUT)

    def _create_socket(self, timeout):
        connection = socket.create_connection((self.host, self.port), timeout, (self._source, 0))
        # imaplib sends the CRLF behind a literal by itself: without this, each APPEND waits for a delayed ACK.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


class Pop3(poplib.POP3):
    """POP3 from an address of choice."""

    def __init__(self, address, source="127.0.0.1"):
        self._source = source
        host, port = address.rsplit(":", 1)
        super().__init__(host, int(port), TIMEOUT)

    def _create_socket(self, timeout):
        return socket.create_connection((self.host, self.port), timeout, (self._source, 0))


def refused(call, error):
    """Fails unless `call` raises `error`; returns it."""
    try:
        call()
    except error as reason:
        return reason
    raise AssertionError(f"{call} was not refused")


def check(result, wanted="OK"):
    """The data of an imaplib result that must be `wanted`."""
    status, data = result
    assert status == wanted, result
    return data

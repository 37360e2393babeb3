"""What the scripts share: the arguments, and connections from an address of choice, with TLS or without.

An address is SECURITY:HOST:PORT, where SECURITY is plain, tls (from the first byte) or starttls. The environment's
AUTHORITIES is the file of those who may sign the server's certificate.
"""

import imaplib
import os
import poplib
import smtplib
import socket
import ssl
import sys

TIMEOUT = 60
# Messages may have longer lines than these modules expect.
imaplib._MAXLINE = poplib._MAXLINE = 10_000_000


def arguments(count):
    """Exactly `count` arguments of the command line."""
    if len(sys.argv) != count + 1:
        sys.exit(f"{sys.argv[0]}: {count} arguments, not {sys.argv[1:]}")
    return sys.argv[1:]


class Place:
    """Where the server is, and how to get there."""

    def __init__(self, text, source):
        self.security, self.host, port = text.split(":")
        self.port = int(port)
        self.source = source

    def connect(self, timeout, header=b""):
        """A connection; what comes first on it is `header`, then TLS."""
        connection = socket.create_connection((self.host, self.port), timeout, (self.source, 0))
        # imaplib sends the CRLF behind a literal by itself: without this, each APPEND waits for a delayed ACK.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(header)
        if self.security == "tls":
            connection = verifying().wrap_socket(connection, server_hostname=self.host)
        return connection


def verifying():
    """What is needed to verify the server."""
    return ssl.create_default_context(cafile=os.environ["AUTHORITIES"])


class Imap(imaplib.IMAP4):
    """IMAP4, after STARTTLS if that is wanted."""

    def __init__(self, address, source="127.0.0.1", header=b""):
        self._place = Place(address, source)
        self._header = header
        super().__init__(self._place.host, self._place.port, TIMEOUT)
        if self._place.security == "starttls":
            self.starttls(verifying())

    def _create_socket(self, timeout):
        return self._place.connect(timeout, self._header)


class Pop3(poplib.POP3):
    """POP3, after STLS if that is wanted."""

    def __init__(self, address, source="127.0.0.1"):
        self._place = Place(address, source)
        super().__init__(self._place.host, self._place.port, TIMEOUT)
        if self._place.security == "starttls":
            self.stls(verifying())

    def _create_socket(self, timeout):
        return self._place.connect(timeout)


class Smtp(smtplib.SMTP):
    """SMTP, after STARTTLS if that is wanted."""

    def __init__(self, address, source="127.0.0.1"):
        self._place = Place(address, source)
        super().__init__(self._place.host, self._place.port, "smtplib.example.test", TIMEOUT)
        if self._place.security == "starttls":
            self.starttls(context=verifying())

    def _get_socket(self, host, port, timeout):
        return self._place.connect(timeout)


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

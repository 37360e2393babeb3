"""imaplib: every way to log in, and a round of commands on an empty INBOX.

Arguments: ADDRESS USER PASSWORD SOURCE-ADDRESS
"""

import imaplib

from common import Imap, arguments, check, refused

MESSAGE = b"Subject: by imaplib\r\n\r\n.\r\nGr\xc3\xbc\xc3\x9fe {3}\r\n\r\n" + b"x" * 5000 + b"\r\n"


def log_in(address, user, password, source):
    for attempt in (
        lambda imap: imap.login(user, password),
        lambda imap: imap.login_cram_md5(user, password),
        lambda imap: imap.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode()),
        lambda imap: imap.authenticate("LOGIN", answers(user, password)),
    ):
        imap = Imap(address, source)
        check(attempt(imap))
        check(imap.select(readonly=True))
        check(imap.logout(), "BYE")


def answers(*texts):
    """A callback for SASL that gives one text after the other."""
    left = list(texts)
    return lambda _: left.pop(0).encode()


def wrong_then_right(address, user, password, source):
    """A connection without a login ends; one that gave up in mid-exchange goes on."""
    imap = Imap(address, source)
    refused(lambda: imap.login(user, password + "x"), imaplib.IMAP4.error)
    imap = Imap(address, source)
    refused(lambda: imap.authenticate("PLAIN", lambda _: None), imaplib.IMAP4.error)
    check(imap.noop())
    check(imap.login(user, password))
    check(imap.logout(), "BYE")


def work(address, user, password, source):
    imap = Imap(address, source)
    check(imap.login(user, password))
    # What only the mail server has: it is there.
    assert b"IDLE" in check(imap.capability())[0]
    check(imap.append("INBOX", r"(\Flagged)", None, MESSAGE))
    assert check(imap.select("INBOX")) == [b"1"]
    assert check(imap.search(None, "FLAGGED", "SUBJECT", '"by imaplib"')) == [b"1"]
    assert check(imap.fetch("1", "(BODY.PEEK[])"))[0][1] == MESSAGE
    check(imap.create("Other"))
    check(imap.uid("COPY", "1:*", "Other"))
    check(imap.store("1", "+FLAGS", r"\Deleted"))
    assert check(imap.expunge()) == [b"1"]
    assert check(imap.select("Other")) == [b"1"]
    assert check(imap.fetch("1", "(FLAGS BODY.PEEK[])"))[0][1] == MESSAGE
    assert any(b"Other" in folder for folder in check(imap.list()))
    check(imap.logout(), "BYE")


log_in(*arguments(4))
wrong_then_right(*arguments(4))
work(*arguments(4))

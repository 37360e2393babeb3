"""imaplib: copies the files of a directory to INBOX, or INBOX to files.

Arguments: up|down ADDRESS USER PASSWORD DIRECTORY
"""

import pathlib

from common import Imap, arguments, check


def up(imap, directory):
    for file in sorted(directory.iterdir()):
        check(imap.append("INBOX", None, None, file.read_bytes()))


def down(imap, directory):
    """All in one FETCH, so that answers follow each other without a pause."""
    check(imap.select("INBOX", readonly=True))
    answers = check(imap.fetch("1:*", "(BODY.PEEK[])"))
    for number, answer in enumerate(answer for answer in answers if isinstance(answer, tuple)):
        (directory / f"{number:05}").write_bytes(answer[1])


direction, address, user, password, directory = arguments(5)
imap = Imap(address)
# APPEND without a change of line ends: the files have CRLF throughout.
check(imap.login(user, password))
{"up": up, "down": down}[direction](imap, pathlib.Path(directory))
check(imap.logout(), "BYE")

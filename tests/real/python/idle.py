"""IMAP IDLE: a message that arrives by SMTP is announced, and can be read.

Arguments: IMAP-ADDRESS SMTP-ADDRESS USER PASSWORD
"""

from common import Imap, Smtp, arguments, check

imap_address, smtp_address, user, password = arguments(4)
mailbox = f"{user}@example.test"


def send(number):
    with Smtp(smtp_address) as smtp:
        smtp.login(user, password)
        smtp.sendmail(mailbox, [mailbox], f"Subject: {number}\r\n\r\nwake up {number}\r\n")


imap = Imap(imap_address)
check(imap.login(user, password))
check(imap.select("INBOX"))
for number in (1, 2):
    imap.send(b"I%d IDLE\r\n" % number)
    assert imap.readline().startswith(b"+ ")
    send(number)
    # The line comes by itself, or the socket's timeout fails the test.
    while (line := imap.readline()) != b"* %d EXISTS\r\n" % number:
        assert line.startswith(b"* "), line
    imap.send(b"DONE\r\n")
    while not (line := imap.readline()).startswith(b"I%d OK" % number):
        assert line.startswith(b"* "), line
    text = check(imap.fetch(str(number), "(BODY[TEXT])"))[0][1]
    assert text == b"wake up %d\r\n" % number, text
check(imap.logout(), "BYE")

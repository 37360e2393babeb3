"""smtplib: every way to log in, each with a message to oneself; refusals; several recipients.

Arguments: ADDRESS USER PASSWORD SOURCE-ADDRESS
"""

import smtplib

from common import Smtp, arguments, refused

address, user, password, source = arguments(4)
mailbox = f"{user}@example.test"


def authenticate(smtp, mechanism):
    smtp.user, smtp.password = user, password
    if mechanism == "PLAIN":
        smtp.auth("PLAIN", smtp.auth_plain)
    elif mechanism == "LOGIN without initial response":
        smtp.auth("LOGIN", smtp.auth_login, initial_response_ok=False)
    elif mechanism == "LOGIN":
        smtp.auth("LOGIN", smtp.auth_login)
    else:
        smtp.auth("CRAM-MD5", smtp.auth_cram_md5)


for mechanism in ("PLAIN", "LOGIN", "LOGIN without initial response", "CRAM-MD5"):
    smtp = Smtp(address, source)
    smtp.ehlo()
    assert smtp.has_extn("8bitmime") and smtp.has_extn("size"), smtp.esmtp_features
    authenticate(smtp, mechanism)
    # What only the mail server has: it is there.
    smtp.ehlo()
    assert smtp.has_extn("pipelining"), smtp.esmtp_features
    text = f"Subject: {mechanism}\r\n\r\n.\r\n..\r\nGr\u00fc\u00dfe\r\n".encode()
    unknown = smtp.sendmail(mailbox, [mailbox, "nobody-here@example.test"], text, ["BODY=8BITMIME"])
    assert unknown["nobody-here@example.test"][0] == 550, unknown
    smtp.quit()

smtp = Smtp(address, source)
smtp.ehlo()
smtp.user, smtp.password = user, password + "x"
denied = refused(lambda: smtp.auth("PLAIN", smtp.auth_plain), smtplib.SMTPAuthenticationError)
assert denied.smtp_code == 535, denied
smtp = Smtp(address, source)
denied = refused(lambda: smtp.sendmail(mailbox, mailbox, b"\r\n"), smtplib.SMTPSenderRefused)
assert denied.smtp_code == 530, denied

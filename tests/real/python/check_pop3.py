"""poplib: every way to log in, and a round of commands on an INBOX with two messages.

Arguments: ADDRESS USER PASSWORD SOURCE-ADDRESS
"""

import poplib

from common import Pop3, arguments, refused


def by_user(pop, user, password):
    pop.user(user)
    pop.pass_(password)


def by_apop(pop, user, password):
    pop.apop(user, password)


address, user, password, source = arguments(4)
for log_in in (by_user, by_apop):
    pop = Pop3(address, source)
    refused(lambda: log_in(pop, user, password + "x"), poplib.error_proto)
    pop = Pop3(address, source)
    assert "UIDL" in pop.capa()
    log_in(pop, user, password)
    assert pop.stat()[0] == 2
    pop.quit()

pop = Pop3(address, source)
by_user(pop, user, password)
# What only the mail server has: it is there.
assert "PIPELINING" in pop.capa()
assert len(set(pop.uidl()[1])) == 2
bodies = []
for number in (1, 2):
    lines = pop.retr(number)[1]
    assert sum(len(line) + 2 for line in lines) == int(pop.list(number).split()[2])
    bodies.append(lines[lines.index(b"") + 1 :])
    assert pop.top(number, 0)[1] == lines[: lines.index(b"") + 1]
assert sorted(bodies) == [[b"first", b".", b"..", b".end"], [b"second"]], bodies
pop.dele(1)
pop.quit()
pop = Pop3(address, source)
by_user(pop, user, password)
assert pop.stat()[0] == 1
pop.quit()

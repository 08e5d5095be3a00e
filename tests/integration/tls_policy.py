"""Who is served over TLS, at random, against a small model: names and certificates, client_auth with several authorities, strict_sni, authority, versions, tickets,
reloads, and connections that outlive them. What the model says is what the manual says; where weir does otherwise, the steps that led there are told.

Used by test_tls_policy.py, and by the script `policy` for minutes.
"""
import random

from weirtest import *

TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
# Certificates by their alternative names; a and fresh are for the same name, as before and after a renewal.
LEAVES = {'a': ['a.test'], 'fresh': ['a.test'], 'b': ['b.test'], 'both': ['a.test', 'b.test'], 'wild': ['*.wild.test'], 'exact': ['x.wild.test']}
NAMES = ['a.test', 'b.test', 'x.wild.test', 'y.wild.test', 'unknown.test', None]
AUTHORITIES = [('one',), ('two',), ('one', 'two')]
CLIENTS = [None, 'one', 'two']      # by the authority of their certificates
CIPHERS = ['ECDHE+AESGCM', 'ECDHE+CHACHA20']


class Rule:
    """What a listener says about its clients, and its certificates."""
    def __init__(self, choose):
        self.leaves = choose.sample(sorted(LEAVES), choose.randint(1, 4))
        self.auth = choose.choice(['off', 'off', 'optional', 'required'])
        self.authorities = choose.choice(AUTHORITIES)
        self.strict_sni = choose.random() < 0.25
        self.authority = choose.choice(['any', 'any', 'covered'])
        self.versions = choose.choice([(2, 3), (2, 3), (2, 3), (3, 3), (2, 2)])
        self.ciphers = choose.choice(CIPHERS)

    def changed(self, choose):
        """Another one, which differs in one thing."""
        other, fresh = Rule(choose), Rule(choose)
        other.__dict__.update(self.__dict__)
        what = choose.choice(sorted(self.__dict__) + ['leaves'] * 3)
        setattr(other, what, getattr(fresh, what))
        return other

    def digest(self):
        return (self.auth, self.authorities if self.auth != 'off' else None, self.strict_sni, self.authority, self.versions, self.ciphers)

    def entry(self, name):
        """Who serves a name: the leaf and by what."""
        if name is None:
            return None
        wild = '*.' + name.partition('.')[2]
        for pattern in (name, wild):
            for leaf in self.leaves:
                if pattern in LEAVES[leaf]:
                    return leaf, pattern
        return None

    def shown(self, name):
        entry = self.entry(name)
        return entry[0] if entry else None if self.strict_sni else self.leaves[0]

    def admits(self, client):
        """A full handshake of a client with that certificate."""
        if self.auth == 'off' or (self.auth == 'optional' and client is None):
            return True
        return client in self.authorities

    def serves(self, name, shown, host):
        """A request for that host, on a connection made for that name."""
        if host == name:
            return True
        if self.auth != 'off' and self.entry(name) != self.entry(host):
            return False
        covered = host in LEAVES[shown] or '*.' + host.partition('.')[2] in LEAVES[shown]
        return covered or not (self.strict_sni or self.authority == 'covered')


class Ticket:
    """A session, and what it was given for."""
    def __init__(self, session, digest, name, shown, identity):
        self.session, self.digest, self.name, self.shown, self.identity = session, digest, name, shown, identity

    def opens(self, rule, name):
        return self.digest == rule.digest() and self.name == name and self.shown == rule.shown(name)


class Open:
    """A connection that is kept."""
    def __init__(self, sock, listener, rule, name, shown, identity):
        self.sock, self.reader, self.listener, self.rule, self.name, self.shown, self.identity = sock, Reader(sock), listener, rule, name, shown, identity


class World:
    def __init__(self, t, seed):
        self.t, self.seed, self.choose, self.steps = t, seed, random.Random(seed), []
        self.folder = t.folder('policy')
        for authority in ('server', 'one', 'two'):
            make_authority(self.folder, authority)
        for leaf, names in LEAVES.items():
            make_leaf(self.folder, leaf, 'server', ','.join('DNS:' + n for n in names))
        for client in CLIENTS[1:]:
            make_leaf(self.folder, 'client-' + client, client, 'DNS:client')
        self.of_bytes = {ssl.PEM_cert_to_DER_cert(open(f'{self.folder}/{leaf}.crt').read()): leaf for leaf in LEAVES}
        self.ports = [t.port()]
        while len(self.ports) < 2 or self.ports[1] == self.ports[0]:
            self.ports[1:] = [t.port()]
        self.rules = [Rule(self.choose), Rule(self.choose)]
        self.visitors = [(client, version, self.context(client, version), []) for client in CLIENTS for version in (TLS_1_2, TLS_1_3)]
        self.open, self.seen = [], collections.Counter()
        self.weir = t.weir(self.text())

    def context(self, client, version):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
        if client:
            context.load_cert_chain(f'{self.folder}/client-{client}.crt', f'{self.folder}/client-{client}.key')
        return context

    def text(self):
        """The file; the authorities of each listener lie under one path, whatever they are."""
        lines = ['workers: 2', 'drain_timeout: 5s', 'routes: [ { respond: 204 } ]', 'listeners:']
        for i, rule in enumerate(self.rules):
            with open(f'{self.folder}/ca{i}.new', 'w') as f:
                for authority in rule.authorities:
                    f.write(open(f'{self.folder}/{authority}.crt').read())
            os.rename(f'{self.folder}/ca{i}.new', f'{self.folder}/ca{i}.crt')
            certificates = ', '.join(f'{{ cert: {self.folder}/{leaf}.crt, key: {self.folder}/{leaf}.key }}' for leaf in rule.leaves)
            auth = f'client_auth: {rule.auth}' + (f', client_ca: {self.folder}/ca{i}.crt' if rule.auth != 'off' else '')
            lines.append(f'  - {{ address: "127.0.0.1:{self.ports[i]}", tls: {{ certificates: [{certificates}], {auth}, strict_sni: {str(rule.strict_sni).lower()}, authority: {rule.authority}, '
                         f'min_version: "1.{rule.versions[0]}", max_version: "1.{rule.versions[1]}", ciphers: {rule.ciphers} }} }}')
        return '\n'.join(lines) + '\n'

    def fail(self, text):
        rules = '\n'.join(str(r.__dict__) for r in self.rules)
        fail(f'seed {self.seed}, step {len(self.steps)}: {text}\nrules:\n{rules}\nsteps:\n' + '\n'.join(self.steps[-25:]))

    def check(self, got, wanted, text):
        self.seen[wanted if isinstance(wanted, (str, int)) else str(wanted)] += 1
        if got != wanted:
            self.fail(f'{text}: got {got!r}, wanted {wanted!r}')

    # ---- steps ----

    def reload(self):
        i = self.choose.randrange(len(self.rules))
        before = self.rules[i]
        self.rules[i] = before.changed(self.choose) if self.choose.random() < 0.8 else Rule(self.choose)
        self.steps.append(f'reload of listener {i}: {self.rules[i].__dict__}')
        self.weir.reload(self.text())
        time.sleep(0.05 * SLOW)

    def handshake(self, context, port, name, session):
        """The socket, and how it went: the end of a handshake in TLS 1.3 is known by the first answer alone."""
        sock = socket.create_connection(('127.0.0.1', port), 10 * SLOW)
        try:
            sock = context.wrap_socket(sock, server_hostname=name, session=session)
        except (ssl.SSLError, ConnectionError):
            sock.close()
            return None
        return sock

    def visit(self):
        i = self.choose.randrange(len(self.rules))
        rule, name = self.rules[i], self.choose.choice(NAMES)
        client, version, context, tickets = self.choose.choice(self.visitors)
        ticket = self.choose.choice(tickets) if tickets and self.choose.random() < 0.7 else None
        if ticket and self.choose.random() < 0.7:
            name = ticket.name
        number = 2 if version == TLS_1_2 else 3
        host = self.choose.choice([n for n in NAMES if n] + [name or 'a.test'] * 3)
        self.steps.append(f'visit of listener {i} by {client} over 1.{number}, name {name}, host {host}, ticket {ticket and (ticket.name, ticket.shown, ticket.digest)}')
        speaks = rule.versions[0] <= number <= rule.versions[1]
        known = rule.shown(name) is not None
        resumed = bool(ticket) and speaks and known and ticket.opens(rule, name)
        let_in = speaks and known and (resumed or rule.admits(client))
        sock = self.handshake(context, self.ports[i], name, ticket and ticket.session)
        status = self.asked(Reader(sock), sock, host)[0] if sock else None
        wanted = (204 if rule.serves(name, rule.shown(name), host) else 421) if let_in else None
        self.check(status, wanted, 'a new connection')
        if status is None:
            return
        self.check('resumed' if sock.session_reused else 'full', 'resumed' if resumed else 'full', 'the handshake')
        shown, identity = rule.shown(name), ticket.identity if resumed else client if rule.auth != 'off' else None
        if not resumed:
            self.check(self.of_bytes.get(sock.getpeercert(True)), shown, 'the certificate shown')
        if sock.session and sock.session.has_ticket:
            tickets.append(Ticket(sock.session, rule.digest(), name, shown, identity))
            del tickets[:-8]
        if self.choose.random() < 0.4:
            self.open.append(Open(sock, i, rule, name, shown, identity))
        else:
            sock.close()

    def asked(self, reader, sock, host):
        """Status of a request, and whether its connection goes on."""
        sock.settimeout(10 * SLOW)
        try:
            sock.sendall(f'GET / HTTP/1.1\r\nHost: {host}\r\n\r\n'.encode())
            head = reader.until(b'\r\n\r\n').decode().lower()
            length = re.search(r'content-length: (\d+)', head)
            reader.exactly(int(length[1]) if length else 0)
        except (ssl.SSLError, ConnectionError, Closed):
            return None, False
        return int(head.split()[1]), 'connection: close' not in head

    def ask(self):
        """On a connection that may have seen reloads."""
        if not self.open:
            return
        c = self.open.pop(self.choose.randrange(len(self.open)))
        now, host = self.rules[c.listener], self.choose.choice([n for n in NAMES if n] + [c.name or 'a.test'] * 3)
        outdated = getattr(c, 'outdated', None)
        self.steps.append(f'request for {host} on a connection to listener {c.listener} for {c.name}, made under {c.rule.digest()} by {c.identity}, outdated {outdated}')
        wanted = 204 if c.rule.serves(c.name, c.shown, host) else 421
        if outdated:
            wanted = 421 if outdated == 'refused' else wanted
        status, goes_on = self.asked(c.reader, c.sock, host)
        if outdated and status is None:
            self.seen['closed'] += 1        # it was quiet for a second
            c.sock.close()
            return
        self.check(status, wanted, 'a kept connection')
        self.check('goes on' if goes_on else 'closes', 'closes' if outdated else 'goes on', 'a kept connection')
        if goes_on:
            self.open.append(c)
        else:
            c.sock.close()

    def outdate(self):
        """After a reload: which of the open connections began under another rule, the first change counting."""
        for c in self.open:
            now = self.rules[c.listener]
            if getattr(c, 'outdated', None) or c.rule.digest() == now.digest():
                continue
            met = now.auth != 'required' or (c.identity is not None and c.rule.authorities == now.authorities)
            c.outdated = 'drained' if met else 'refused'

    def run(self, steps):
        for _ in range(steps):
            what = self.choose.choices((self.visit, self.ask, self.reload), (10, 6, 2))[0]
            what()
            if what == self.reload:
                self.outdate()
            while len(self.open) > 12:
                self.open.pop(0).sock.close()
        for c in self.open:
            c.sock.close()
        return self.seen

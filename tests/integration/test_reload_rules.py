"""What a reload of a listener's rules means for connections that are open."""
from weirtest import *

TLS_1_2 = ssl.TLSVersion.TLSv1_2


class Site:
    """A weir with one listener whose rules change. One worker, so that who sees the new answer sees the new rules."""
    def __init__(self, t, rule='', handler=tell, tls=True, drain='5s', more=''):
        self.t, self.tls, self.drain, self.number = t, tls, drain, 0
        self.origin, self.port = t.origin(handler), t.port()
        self.weir = t.weir(self.text(rule, more))

    def text(self, rule, more='', certificate='localhost'):
        tls = f'tls: {{ certificates: [{self.t.cert(certificate)}]{", " + rule if rule else ""} }}' if self.tls else rule
        return f'''workers: 1
drain_timeout: {self.drain}
{more}
listeners: [ {{ address: "127.0.0.1:{self.port}"{", " + tls if tls else ""} }} ]
routes: [ {{ match: {{ path: /number }}, respond: {{ body: "{self.number}" }} }}, {{ match: {{ host: other.test }}, respond: 204 }}, {{ pool: p }} ]
pools: {{ p: {{ servers: ["{self.origin.address}"] }} }}
'''

    def reload(self, rule='', more='', **change):
        """Returns once the worker goes by the new file."""
        self.number += 1
        self.weir.reload(self.text(rule, more, **change))
        time.sleep(0.1 * SLOW)

    def client(self, certificate=None, **more):
        return self.t.client(self.port, tls=self.context(certificate, **more) if self.tls else None, name='localhost' if self.tls else None)

    def context(self, certificate=None, **more):
        context = self.t.tls_client(**more)
        if certificate:
            context.load_cert_chain(f'{self.t.certificates}/{certificate}.crt', f'{self.t.certificates}/{certificate}.key')
        return context


def auth(t, mode, ca='ca'):
    return f'client_auth: {mode}, client_ca: {t.certificates}/{ca}.crt'


def next_of(c):
    """What comes of the next request, and whether the connection goes on."""
    c.request(host='localhost')
    response = c.response()
    if response.fields.get('connection', '').lower() != 'close':
        equal(c.get(host='localhost').status, response.status)
        return response.status, 'kept'
    ok(c.ended(), 'told to be closed, and was not')
    return response.status, 'closed'


def test_rules_of_tls(t):
    """A connection goes on only under the rule that it began with; what the new one would not have let in is not served."""
    off, ca, other = '', 'ca', 'other-ca'
    rows = (
        (off, off, None, (200, 'kept')),
        (off, auth(t, 'required'), None, (421, 'closed')),
        (off, auth(t, 'optional'), None, (200, 'closed')),
        (auth(t, 'optional'), auth(t, 'required'), None, (421, 'closed')),
        (auth(t, 'optional'), auth(t, 'required'), 'client', (200, 'closed')),
        (auth(t, 'required'), auth(t, 'required', other), 'client', (421, 'closed')),
        (auth(t, 'required'), auth(t, 'required'), 'client', (200, 'kept')),
        (auth(t, 'required'), off, 'client', (200, 'closed')),
        (off, 'min_version: "1.3"', None, (200, 'closed')),
        (off, 'max_version: "1.2"', None, (200, 'closed')),
        (off, 'ciphers: ECDHE+AESGCM', None, (200, 'closed')),
        (off, 'ciphersuites: TLS_AES_128_GCM_SHA256', None, (200, 'closed')),
        (off, 'strict_sni: true', None, (200, 'closed')),
        (off, 'authority: covered', None, (200, 'closed')),
    )
    site = Site(t)
    for before, after, certificate, wanted in rows:
        site.reload(before)
        version = {'maximum_version': TLS_1_2} if 'version' in after else {}
        used, fresh = site.client(certificate, **version), site.client(certificate, **version)
        equal(used.get(host='localhost').status, 200)
        site.reload(after)
        equal(next_of(used), wanted, f'{before} -> {after}')
        equal(next_of(fresh), wanted, f'not used before: {before} -> {after}')
    quiet = site.client()
    site.reload('')
    ok(quiet.ended(), 'a quiet connection is let go')


def test_what_is_no_rule(t):
    """Renewed certificates, other routes, limits and timeouts reach open connections, and end none."""
    site = Site(t)
    c = site.client()
    equal(c.get('/number').body, b'0')
    for change in (dict(certificate='a'), dict(more='limits: { fields: 50 }'), dict(more='timeouts: { keep_alive: 50s }'), dict(more='trusted_proxies: ["127.0.0.1"]')):
        site.reload(**change)
        r = c.get('/number')
        equal((r.body, r.fields.get('connection')), (str(site.number).encode(), None), str(change))


def test_authorities_replaced(t):
    """The file is another one by the same name."""
    folder = t.folder('authority')
    os.symlink(t.certificates + '/ca.crt', folder + '/ca.crt')
    rule = f'client_auth: required, client_ca: {folder}/ca.crt'
    site = Site(t, rule)
    c = site.client('client')
    equal(next_of(c), (200, 'kept'))
    os.unlink(folder + '/ca.crt')
    os.symlink(t.certificates + '/other-ca.crt', folder + '/ca.crt')
    site.reload(rule)
    equal(next_of(c), (421, 'closed'))
    equal(site.weir.access_line(status=421)['failure'], 'misdirected')


def test_request_in_progress(t):
    """It is answered whole, and its connection ends with it."""
    gate = threading.Event()

    def handler(link, request):
        if request.path == '/begun':
            link.begin()
            link.piece(b'first ')
        gate.wait(20 * SLOW)
        if request.path == '/begun':
            link.piece(b'last')
            link.end()
        else:
            tell(link, request)
    site = Site(t, handler=handler)
    waiting, begun = site.client(), site.client()
    waiting.request('GET', '/waiting')
    begun.request('GET', '/begun')
    head = begun.head()
    eventually(lambda: site.origin.count() == 2)
    site.reload(auth(t, 'required'))
    gate.set()
    response = waiting.response()
    equal((response.status, response.fields.get('connection')), (200, 'close'))
    equal(b''.join(begun.reader.chunks()), b'first last')
    ok(waiting.ended() and begun.ended())


def test_handshake_in_progress(t):
    """It began under the old rule: it may end, and nothing is served on it that the new one would not have let in."""
    site = Site(t)
    raw = [socket.create_connection(('127.0.0.1', site.port), 10 * SLOW) for _ in range(2)]
    site.t.client(site.port, tls=site.context(), name='localhost').get('/number')
    site.reload(auth(t, 'required'))
    for sock, certificate in zip(raw, (None, 'client')):
        try:
            sock = site.context(certificate).wrap_socket(sock, server_hostname='localhost')
            sock.sendall(b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
            got = sock.recv(65536)
        except (ssl.SSLError, ConnectionError):
            got = b''
        ok(got == b'' or got.startswith(b'HTTP/1.1 421'), got)
    equal(site.origin.count(), 0)


def test_http2(t):
    """GOAWAY; a request that is on its way is answered, one that comes after it gets what the new rule says."""
    if not has_http2():
        raise Skipped('this weir is built without HTTP/2')
    import h2test
    gate = threading.Event()

    def handler(link, request):
        gate.wait(20 * SLOW)
        tell(link, request)
    for after, wanted in ((auth(t, 'required'), 421), ('ciphersuites: TLS_AES_128_GCM_SHA256', 200)):
        gate.clear()
        site = Site(t, handler=handler)
        c = h2test.h2_client(t, site.port, tls=site.context())
        begun = c.request(host='localhost')
        eventually(lambda: site.origin.count() == 1)
        site.reload(after)
        c.wait(lambda: c.goaways)
        equal(c.goaways[0], (2 ** 31 - 1, 0))
        late = c.request('GET', '/number', host='localhost')
        gate.set()
        equal(begun.response().status, 200)
        eventually(lambda: c.over)
        equal(c.goaways[-1][0] in (1, 3), True, str(c.goaways))
        if c.goaways[-1][0] == 3:   # else it came after the last that is served, and the client tries elsewhere
            equal(late.response().status, wanted)
        site.weir.stop()


def test_protocols(t):
    if not has_http2():
        raise Skipped('this weir is built without HTTP/2')
    import h2test
    for tls in (True, False):
        two, one, both = ('h2', 'http/1.1', 'h2, http/1.1') if tls else ('h2c', 'http/1.1', 'h2c, http/1.1')
        site = Site(t, tls=tls)
        text = site.text

        def speaking(protocols):
            return lambda rule, more='', **change: text(rule, more, **change).replace('listeners: [ { ', f'listeners: [ {{ protocols: [{protocols}], ')
        site.text = speaking(both)
        site.reload()
        old, new = site.client(), h2test.h2_client(t, site.port, tls=site.context() if tls else None)
        equal((old.get().status, new.get().status), (200, 200))
        site.text = speaking(one)
        site.reload()
        new.wait(lambda: new.goaways)
        equal(next_of(old), (200, 'kept'))
        site.text = speaking(both)
        site.reload()
        new = h2test.h2_client(t, site.port, tls=site.context() if tls else None)
        equal((old.get().status, new.get().status), (200, 200))
        site.text = speaking(two)
        site.reload()
        equal(next_of(old), (200, 'closed'))
        equal(new.get().status, 200)
        equal(new.goaways, [])
        site.weir.stop()


def test_proxy_protocol(t):
    """Whose address a connection has was settled when it began."""
    trusted = 'trusted_proxies: ["127.0.0.1"]'
    rows = (('', 'proxy_protocol: required', '', ''), ('proxy_protocol: required', '', '', ''), ('proxy_protocol: optional', 'proxy_protocol: required', trusted, trusted),
            ('proxy_protocol: optional', 'proxy_protocol: optional', trusted, 'trusted_proxies: ["127.0.0.2"]'), ('proxy_protocol: optional', 'proxy_protocol: optional', trusted, trusted),
            ('proxy_protocol: required', 'proxy_protocol: required', '', trusted))
    for before, after, more_before, more_after in rows:
        site = Site(t, before, tls=False, more=more_before)
        c = t.client(site.port, first=proxy_v2(('192.0.2.7', 1), ('192.0.2.8', 2)) if before else b'')
        equal(Fields(c.get().json()['fields']).get('x-forwarded-for'), '192.0.2.7' if before else '127.0.0.1')
        site.reload(after, more_after)
        wanted = 'kept' if before == after and more_after != 'trusted_proxies: ["127.0.0.2"]' else 'closed'
        equal(next_of(c), (200, wanted), f'{before} {more_before} -> {after} {more_after}')
        c.close()       # or weir waits for it
        site.weir.stop()


def upgraded(link, request):
    link.send(f'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {Websocket.accept(request.fields.get("sec-websocket-key"))}\r\n\r\n')
    while link.open:
        piece = link.sock.recv(65536)
        if not piece:
            break
        link.sock.sendall(piece)


def test_tunnels(t):
    """They outlive a reload, unless the rules of TLS have changed: then they end, each at its time, within drain_timeout."""
    site = Site(t, handler=upgraded, drain='2s')
    tunnels = [t.websocket(site.port, tls=site.context(), name='localhost') for _ in range(6)]
    for w in tunnels:
        equal(w.upgrade().status, 101)
    site.reload(more='limits: { fields: 50 }', certificate='a')
    time.sleep(2.3)

    def lives(w):
        try:
            w.send(b'hello')
            return w.reader.exactly(5) == b'hello'
        except (Closed, OSError):
            return False
    ok(all(lives(w) for w in tunnels), 'a tunnel ended with a reload that changed nothing of it')
    site.reload(auth(t, 'optional'), certificate='a')
    began, ends = time.monotonic(), []
    left = list(tunnels)
    while left and time.monotonic() - began < 3 + 10 * SLOW:
        for w in [w for w in left if not lives(w)]:
            left.remove(w)
            ends.append(time.monotonic() - began)
        time.sleep(0.02)
    equal(len(ends), 6, f'{ends} s')
    ok(ends[-1] - ends[0] > 0.1, f'all at once: {ends}')
    eventually(lambda: [line['failure'] for line in site.weir.access() if line.get('failure')] == ['rules_changed'] * 6)


def test_tunnels_end_under_no_rule(t):
    """A listener that goes leaves its tunnels, as does one that only speaks other versions."""
    site = Site(t, handler=upgraded, drain='1s')
    w = t.websocket(site.port, tls=site.context(), name='localhost')
    equal(w.upgrade().status, 101)
    site.weir.reload(site.text('').replace(f':{site.port}"', f':{t.port()}"'))
    time.sleep(1.4)
    w.send(b'hello')
    equal(w.reader.exactly(5), b'hello')

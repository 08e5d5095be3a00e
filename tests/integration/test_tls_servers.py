"""TLS towards servers: whose certificate is taken for whose."""
from weirtest import *

# alternative names, common name, server_name, whether the server at 127.0.0.1 is taken
ROWS = (
    ('IP:127.0.0.1', 'x', None, True),
    ('IP:127.0.0.2', 'x', None, False),
    ('DNS:127.0.0.1', 'x', None, False),
    (None, 'partner', None, False),
    (None, '127.0.0.1', None, False),
    ('DNS:partner.test', '127.0.0.1', None, False),
    ('DNS:app.test', 'x', None, False),
    ('IP:127.0.0.2', 'x', '127.0.0.2', True),
    ('DNS:127.0.0.2', '127.0.0.2', '127.0.0.2', False),
    ('DNS:app.test', 'x', 'app.test', True),
    ('DNS:app.test', 'x', 'APP.test.', True),
    ('DNS:b.test', 'app.test', 'app.test', False),
    (None, 'app.test', 'app.test', False),
    ('email:app@app.test', 'app.test', 'app.test', False),
    ('DNS:*.app.test', 'x', 'a.app.test', True),
    ('DNS:*.app.test', 'x', 'a.app.test.', True),
    ('DNS:*.app.test', 'x', 'b.a.app.test', False),
    ('DNS:*.app.test', 'x', 'app.test', False),
    ('DNS:a*.app.test', 'x', 'ab.app.test', False),
    ('DNS:*b.app.test', 'x', 'ab.app.test', False),
)


class Peers:
    """Origins with a certificate each."""
    def __init__(self, t):
        self.t, self.made = t, 0

    def origin(self, names, subject='x', kind=None, **more):
        self.made += 1
        tls = self.t.tls_server(self.t.leaf(f'server{self.made}', names, subject=subject))
        if kind == 'h2':
            import h2test
            tls.set_alpn_protocols(['h2'])
            origin = h2test.H2Origin(tls=tls, **more)
            self.t.later(origin.close)
            return origin
        return self.t.origin(tls=tls, **more)


def pools_of(t, pools, first=''):
    """A weir with a pool for each of the texts, by the path of its number."""
    port = t.port()
    weir = t.weir(f'''listeners: [ "127.0.0.1:{port}" ]
{first}
routes: [{", ".join(f"{{ match: {{ path: /{i} }}, pool: p{i} }}" for i in range(len(pools)))}]
pools:
''' + '\n'.join(f'  p{i}: {{ {text} }}' for i, text in enumerate(pools)) + '\n', env={'SSL_CERT_FILE': f'{t.certificates}/ca.crt'})
    return weir, port


def tls_of(t, name=None, verify=None):
    return f'tls: {{ ca: {t.certificates}/ca.crt' + (f', server_name: "{name}"' if name else '') + (f', verify: {verify}' if verify else '') + ' }'


def test_names(t):
    peers = Peers(t)
    origins = [peers.origin(names, subject) for names, subject, _, _ in ROWS]
    weir, port = pools_of(t, [f'servers: ["{o.address}"], {tls_of(t, row[2])}' for o, row in zip(origins, ROWS)])
    for i, (row, origin) in enumerate(zip(ROWS, origins)):
        equal(t.client(port).get(f'/{i}').status, 200 if row[3] else 502, str(row))
        equal(origin.count(), int(row[3]), str(row))
        if not row[3]:
            equal(weir.access_line(path=f'/{i}')['failure'], 'tls_unverified', str(row))


def test_other_addresses(t):
    """IPv6, a name that is resolved, unix sockets, and each version of HTTP."""
    peers = Peers(t)
    right, wrong = 'IP:127.0.0.1,IP:::1,DNS:localhost,DNS:app.test', 'DNS:partner.test'
    rows, pools = [], []

    def row(origin, address, wanted, name=None, more=''):
        rows.append((address, name, more, wanted))
        pools.append(f'servers: ["{address}"], {tls_of(t, name)}{more}')
    for names, wanted in ((right, 200), (wrong, 502)):
        for version, kind in (('http/1.1', None), ('h2', 'h2'), ('auto', None), ('auto', 'h2')):
            if kind == 'h2' and not has_http2():
                continue
            o = peers.origin(names, subject='localhost', kind=kind)
            more = f', protocol: {version}'
            row(o, o.address, wanted, more=more)
            row(o, f'localhost:{o.port}', wanted, more=more)
        path = os.path.join(t.work, f's{wanted}')
        row(peers.origin(names, subject='app.test', path=path), f'unix:{path}', wanted, 'app.test')
        six = peers.origin(names, subject='::1')
        relay = socket.create_server(('::1', 0), family=socket.AF_INET6)
        t.later(relay.close)
        threading.Thread(target=forward, args=(relay, six.port), daemon=True).start()
        row(six, f'[::1]:{relay.getsockname()[1]}', wanted)
    weir, port = pools_of(t, pools)
    for i, wanted in enumerate(rows):
        equal(t.client(port).get(f'/{i}').status, wanted[3], str(wanted))


def forward(listener, port):
    """Connections to an IPv6 address go on to a port of 127.0.0.1."""
    def pump(one, other):
        try:
            while piece := one.recv(65536):
                other.sendall(piece)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass
    while True:
        try:
            one = listener.accept()[0]
        except OSError:
            return
        other = socket.create_connection(('127.0.0.1', port))
        for pair in ((one, other), (other, one)):
            threading.Thread(target=pump, args=pair, daemon=True).start()


def test_verify(t):
    """Chain and name; the chain alone; nothing."""
    peers = Peers(t)
    path = os.path.join(t.work, 'socket')
    named, other = peers.origin('IP:127.0.0.1'), peers.origin('DNS:other.test')
    stranger = t.origin(tls=t.tls_server('stranger'))
    unix = peers.origin('DNS:other.test', path=path)
    rows = [(named, None, 200), (named, 'true', 200), (named, 'full', 200), (other, 'full', 502), (other, 'true', 502), (other, 'ca', 200), (unix, 'ca', 200), (unix, 'none', 200),
            (stranger, 'ca', 502), (stranger, 'full', 502), (stranger, 'none', 200), (stranger, 'false', 200)]
    weir, port = pools_of(t, [f'servers: ["{o.address}"], {tls_of(t, verify=verify)}' for o, verify, _ in rows])
    for i, (o, verify, wanted) in enumerate(rows):
        equal(t.client(port).get(f'/{i}').status, wanted, f'{o.address} {verify}')
    contains(t.run('config', '-c', weir.file).stdout, 'verify: full')


def test_probes(t):
    """Health is asked of no server whose name is not verified: over HTTPS with the pool's settings or with the defaults, and over gRPC."""
    peers = Peers(t)
    right, wrong = peers.origin('IP:127.0.0.1'), peers.origin('DNS:partner.test', subject='127.0.0.1')
    plain = t.origin()
    fast = 'interval: 500ms, fast_interval: 50ms, fall: 1, rise: 1'
    pools = [f'servers: ["{o.address}"], {tls_of(t)}, health: {{ type: {kind}, {fast} }}' for o in (right, wrong) for kind in ('https', 'grpc' if has_http2() else 'https')]
    pools += [f'servers: ["{plain.address}"], health: {{ type: https, port: {o.port}, {fast} }}' for o in (right, wrong)]
    weir, port = pools_of(t, pools)
    for number, address in ((2, wrong), (3, wrong), (5, plain)):
        line = weir.log_line(f'pool=p{number}')
        contains(line, 'mismatch')
        contains(line, address.address)
    equal(t.client(port).get('/0').status, 200)
    equal(t.client(port).get('/4').status, 200)
    equal(wrong.count(), 0)


def test_mirror(t):
    peers = Peers(t)
    main, shadow = t.origin(), peers.origin('DNS:partner.test', subject='127.0.0.1')
    port = t.port()
    weir = t.weir(f'''listeners: [ "127.0.0.1:{port}" ]
routes: [ {{ pool: main, mirror: {{ pool: shadow }} }} ]
pools:
  main: {{ servers: ["{main.address}"] }}
  shadow: {{ servers: ["{shadow.address}"], {tls_of(t)} }}
''')
    equal(t.client(port).get('/').status, 200)
    contains(weir.log_line('cannot connect to server'), 'pool=shadow')
    equal(shadow.count(), 0)


def test_unix_needs_a_name(t):
    text = '''listeners: [ ":8080" ]
routes: [ { pool: app } ]
pools:
  app: { servers: [ "unix:/run/app.sock" ], %s }
'''
    for keys, said in (('tls: {}', 'give tls a server_name'), ('tls: { verify: full }, health: {}', 'give tls a server_name'), ('health: { type: https }', 'write type: http'),
                       ('tls: { server_name: app.test }', None), ('tls: { verify: ca }', None), ('tls: { verify: none }, health: { type: https }', None), ('health: {}', None)):
        done = t.run('check', '-c', t.file('unix.yaml', text % keys))
        equal(done.returncode, int(said is not None), keys + done.stderr)
        if said:
            contains(done.stderr, 'unix.yaml:4:')
            contains(done.stderr, said)

"""Servers that are spoken to in HTTP/2: connections shared, given up and refused."""
from weirtest import *

try:
    import h2.config, h2.connection, h2.events, h2.settings
except ImportError:
    h2 = None


class H2Server:
    """Answers with what it saw. rules: streams (its limit), delay, goaway (after so many requests on a connection), refuse (every so many-th stream of a
    connection)."""
    def __init__(self, t, tls=None, alpn=('h2',), port=None, **rules):
        if h2 is None:
            if os.environ.get('CI'):
                fail('python3-h2 is not installed')
            raise Skipped('python3-h2 is not installed')
        self.rules, self.tls, self.lock = rules, tls, threading.Lock()
        self.connections, self.refused, self.goaways, self.most, self.paths = [], 0, 0, 0, collections.Counter()
        if tls:
            tls.set_alpn_protocols(list(alpn))
        self.listener = socket.create_server(('127.0.0.1', port or free_port()), backlog=1024)
        self.address = '127.0.0.1:%d' % self.listener.getsockname()[1]
        t.later(self.listener.close)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            Served(self, sock).run()
        except (OSError, h2.exceptions.ProtocolError):
            pass
        finally:
            sock.close()


class Served:
    def __init__(self, server, sock):
        self.server, self.sock, self.due = server, sock, []
        self.streams, self.bodies, self.requests, self.going, self.last = {}, collections.Counter(), 0, False, 0
        self.conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding='utf-8'))
        if server.rules.get('streams'):
            self.conn.local_settings = h2.settings.Settings(client=False, initial_values={
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: server.rules['streams']})
        with server.lock:
            server.connections.append(self)

    def run(self):
        self.conn.initiate_connection()
        while not (self.going and not self.streams):
            self.sock.sendall(self.conn.data_to_send())
            wait = max(0, self.due[0][0] - time.monotonic()) if self.due else 5
            if select.select([self.sock], [], [], wait)[0]:
                data = self.sock.recv(65536)
                if not data:
                    return
                for event in self.conn.receive_data(data):
                    self.take(event)
            while self.due and self.due[0][0] <= time.monotonic():
                self.answer(self.due.pop(0)[1])
        self.sock.sendall(self.conn.data_to_send())
        self.sock.shutdown(socket.SHUT_WR)
        while self.sock.recv(65536):
            pass

    def take(self, event):
        stream = getattr(event, 'stream_id', None)
        if isinstance(event, h2.events.RequestReceived):
            self.begin(stream, dict(event.headers))
        elif isinstance(event, h2.events.DataReceived):
            if stream in self.streams:
                self.bodies[stream] += len(event.data)
            self.conn.acknowledge_received_data(event.flow_controlled_length, stream)
        elif isinstance(event, h2.events.StreamReset):
            self.streams.pop(stream, None)
        if isinstance(event, h2.events.StreamEnded) and stream in self.streams:
            self.due.append((time.monotonic() + self.server.rules.get('delay', 0), stream))

    def begin(self, stream, fields):
        rules, server = self.server.rules, self.server
        if self.going:
            return      # above what the GOAWAY has told: never looked at
        self.requests += 1
        if rules.get('refuse') and self.requests % rules['refuse'] == 0:
            self.conn.reset_stream(stream, 7)
            with server.lock:
                server.refused += 1
            return
        self.streams[stream], self.last = fields, stream
        with server.lock:
            server.paths[fields[':path']] += 1
            server.most = max(server.most, len(self.streams))
        if self.requests == rules.get('goaway'):
            with server.lock:
                server.goaways += 1
            self.going = True
            # As frames, not by the library: it would take no more of the streams that are open.
            self.sock.sendall(self.conn.data_to_send() + struct.pack('>I', 8)[1:] + b'\7\0' + struct.pack('>III', 0, self.last, 0))

    def answer(self, stream):
        fields = self.streams.pop(stream, None)
        if fields is None:
            return
        body = json.dumps({'path': fields[':path'], 'scheme': fields[':scheme'], 'body': self.bodies[stream],
                           'connection': self.server.connections.index(self)}).encode()
        self.conn.send_headers(stream, [(':status', '200'), ('content-type', 'application/json'), ('content-length', str(len(body)))])
        self.conn.send_data(stream, body, end_stream=True)


def at_once(t, port, count, target='/', **more):
    """So many requests at the same time, each on a client connection of its own: what came of them."""
    clients = [t.client(port) for _ in range(count)]
    for client in clients:
        client.request(target=target, **more)
    return [client.response() for client in clients]


def test_a_burst_shares_a_connection(t):
    server = H2Server(t, delay=0.2)
    weir, port = t.simple(server, pool='protocol: h2c', more='workers: 1')
    equal({r.status for r in at_once(t, port, 80)}, {200})
    equal(len(server.connections), 1)
    equal(server.most, 80)
    line = weir.access_line(path='/')
    equal((line['server_protocol'], line['protocol']), ('HTTP/2', 'HTTP/1.1'))


def test_the_servers_limit_is_not_passed(t):
    server = H2Server(t, delay=0.3, streams=4)
    weir, port = t.simple(server, pool='protocol: h2c', more='workers: 1')
    began = Since()
    equal({r.status for r in at_once(t, port, 20)}, {200})
    began.took(0.3, 1.4, 'nobody waits for a stream of another')
    equal((server.most, server.refused), (4, 0))
    between(len(server.connections), 5, 6)
    equal({r.status for r in at_once(t, port, 20)}, {200})
    between(len(server.connections), 5, 8, 'connections are kept')


class LateServer:
    """Counts the requests on one connection, and says its SETTINGS when it is told to."""
    def __init__(self, t):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.address = f'127.0.0.1:{self.listener.getsockname()[1]}'
        self.heads, self.resets, self.most, self.sock = 0, 0, 0, None
        t.later(self.close)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        self.sock, _ = self.listener.accept()
        reader = Reader(self.sock)
        try:
            reader.exactly(len(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'))
            while True:
                head = reader.exactly(9)
                reader.exactly(int.from_bytes(head[:3], 'big'))
                self.heads += head[3] == 1
                self.resets += head[3] == 3
                self.most = max(self.most, self.heads - self.resets)
        except (Closed, OSError):
            pass

    def settings(self, streams):
        self.sock.sendall(struct.pack('>HBBBIHI', 0, 6, 4, 0, 0, 3, streams))

    def close(self):
        self.listener.close()
        if self.sock:
            self.sock.close()


def test_a_request_given_up_before_the_settings_lets_one_other_go(t):
    """The others go on waiting for the number of streams that the server takes."""
    server = LateServer(t)
    weir, port = t.simple(server, pool='protocol: h2c, connect_timeout: 10s', more='workers: 1')
    clients = [t.client(port) for _ in range(6)]
    clients[0].request(target='/0')
    eventually(lambda: server.heads == 1)
    for i, client in enumerate(clients[1:], 1):
        client.request(target=f'/{i}')
    time.sleep(0.2)
    equal(server.heads, 1)
    clients[0].reset()
    eventually(lambda: (server.heads, server.resets) == (2, 1))
    time.sleep(0.2)
    equal((server.heads, server.most), (2, 1))
    server.settings(3)
    eventually(lambda: server.heads == 4)
    time.sleep(0.2)
    equal(server.most, 3)


def test_goaway_fails_no_request(t):
    server = H2Server(t, goaway=40, delay=0.005)
    weir, port = t.simple(server, pool='protocol: h2c', more='workers: 1')
    loads = [t.load(port, rate=400, threads=8), t.load(port, rate=200, threads=8, method='POST', body=b'x' * 5000)]
    eventually(lambda: server.goaways >= 30, 20)
    eventually(lambda: any(line['attempts'] > 1 for line in weir.access()), 60)  # one has crossed a GOAWAY
    for load in loads:
        load.check(250)
    equal([line for line in weir.access() if line['status'] != 200], [])


def test_refused_streams_go_elsewhere(t):
    server = H2Server(t, refuse=5)
    weir, port = t.simple(server, pool='protocol: h2c, retry: { attempts: 0 }', more='workers: 1')
    client = t.client(port)
    equal([client.request(method='POST', body=b'x' * 100) or client.response().json()['body'] for _ in range(40)], [100] * 40)
    between(server.refused, 8, 12)
    equal(len(server.connections), 2)
    everything = H2Server(t, refuse=1)
    weir, port = t.simple(everything, pool='protocol: h2c', more='workers: 1')
    equal(t.client(port).get().status, 502)
    equal(weir.access_line(path='/')['failure'], 'stream_refused')
    equal(everything.refused, 3)


def test_alpn_decides(t):
    two = H2Server(t, tls=t.tls_server(), alpn=('h2', 'http/1.1'))
    one = t.origin(tls=t.tls_server())
    port = t.port()
    tls = f'tls: {{ ca: {t.certificates}/ca.crt, server_name: localhost }}'
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes:
  - {{ match: {{ path: /two }}, pool: two }}
  - {{ match: {{ path: /one }}, pool: one }}
  - {{ match: {{ path: /only }}, pool: only }}
  - {{ match: {{ path: /not }}, pool: not }}
pools:
  two: {{ servers: ["{two.address}"], protocol: auto, {tls} }}
  one: {{ servers: ["{one.address}"], protocol: auto, {tls} }}
  only: {{ servers: ["{two.address}"], protocol: h2, {tls} }}
  not: {{ servers: ["{one.address}"], protocol: h2, {tls} }}
''')
    got = {path: t.client(port).get(path).status for path in ('/two', '/one', '/only', '/not')}
    equal(got, {'/two': 200, '/one': 200, '/only': 200, '/not': 502})
    equal([weir.access_line(path=p)['server_protocol'] for p in ('/two', '/one', '/only')], ['HTTP/2', 'HTTP/1.1', 'HTTP/2'])
    equal(weir.access_line(path='/not')['failure'], 'tls_failed')
    weir.log_line('server does not choose h2 by ALPN')


def test_a_restart_is_outlived(t):
    """All connections of a server end while they carry nothing, then it is back."""
    port = t.port()
    server = H2Server(t, port=port)
    weir, at = t.simple(server, pool='protocol: h2c', more='workers: 1')
    equal({r.status for r in at_once(t, at, 10)}, {200})
    for connection in server.connections:
        connection.sock.shutdown(socket.SHUT_RDWR)
    equal({r.status for r in at_once(t, at, 10)}, {200})


def test_reload_to_another_protocol(t):
    server, old = H2Server(t, delay=0.5), t.origin()
    text = '''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["{address}"], protocol: {protocol} }} }}
'''
    port = t.port()
    weir = t.weir(text.format(port=port, address=server.address, protocol='h2c'))
    clients = [t.client(port) for _ in range(10)]
    for client in clients:
        client.request(target='/before')
    eventually(lambda: server.paths['/before'] == 10)
    weir.reload(text.format(port=port, address=old.address, protocol='http/1.1'))
    equal(t.client(port).get('/after').json()['origin'], 'origin')
    equal({client.response().status for client in clients}, {200})
    eventually(lambda: all(c.sock.fileno() < 0 for c in server.connections), PATIENCE, 'a connection of before stays')


def grpc_server(t, answers, tls=False):
    """A server of grpcio whose health service answers with bytes, or fails with a code, by the name of the service."""
    try:
        import grpc
        from concurrent.futures import ThreadPoolExecutor
    except ImportError:
        if os.environ.get('CI'):
            fail('python3-grpcio is not installed')
        raise Skipped('python3-grpcio is not installed')
    asked = collections.Counter()

    def check(message, context):
        service = message[2:].decode()
        asked[service] += 1
        answer = answers.get(service, 'NOT_FOUND')
        if isinstance(answer, str):
            context.abort(grpc.StatusCode[answer], 'as asked')
        return answer
    server = grpc.server(ThreadPoolExecutor(4))
    if answers is not None:
        handler = grpc.unary_unary_rpc_method_handler(check)
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler('grpc.health.v1.Health', {'Check': handler})])
    if tls:
        read = lambda name: open(f'{t.certificates}/localhost.{name}', 'rb').read()
        port = server.add_secure_port('127.0.0.1:0', grpc.ssl_server_credentials([(read('key'), read('crt'))]))
    else:
        port = server.add_insecure_port('127.0.0.1:0')
    server.start()
    t.later(lambda: server.stop(0).wait())
    return f'127.0.0.1:{port}', asked


def test_grpc_health_probes(t):
    answers = {'': b'\x08\x01', 'shop.Orders': b'\x08\x01', 'shop.Stock': b'\x08\x02'}
    (plain, asked), (secure, asked_securely), (without, _) = grpc_server(t, answers), grpc_server(t, answers, tls=True), grpc_server(t, None)
    health = 'interval: 500ms, fast_interval: 50ms, timeout: 500ms'
    tls = f'tls: {{ ca: {t.certificates}/ca.crt, server_name: localhost }}'
    port = t.port()
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes:
  - {{ match: {{ path: /whole }}, pool: whole }}
  - {{ match: {{ path: /orders }}, pool: orders }}
  - {{ match: {{ path: /stock }}, pool: stock }}
  - {{ match: {{ path: /unknown }}, pool: unknown }}
  - {{ match: {{ path: /without }}, pool: without }}
  - {{ match: {{ path: /secure }}, pool: secure }}
pools:
  whole: {{ servers: [ {{ address: "{plain}", name: whole }} ], protocol: h2c, health: {{ type: grpc, {health} }} }}
  orders: {{ servers: [ {{ address: "{plain}", name: orders }} ], protocol: h2c, health: {{ type: grpc, service: shop.Orders, {health} }} }}
  stock: {{ servers: [ {{ address: "{plain}", name: stock }} ], protocol: h2c, health: {{ type: grpc, service: shop.Stock, {health} }} }}
  unknown: {{ servers: [ {{ address: "{plain}", name: unknown }} ], protocol: h2c, health: {{ type: grpc, service: shop.Nothing, {health} }} }}
  without: {{ servers: [ {{ address: "{without}", name: without }} ], protocol: h2c, health: {{ type: grpc, {health} }} }}
  secure: {{ servers: [ {{ address: "{secure}", name: secure }} ], protocol: h2, {tls}, health: {{ type: grpc, {health} }} }}
''')
    for name, why in (('stock', 'service is NOT_SERVING'), ('unknown', 'grpc status NOT_FOUND'), ('without', 'grpc status UNIMPLEMENTED')):
        contains(weir.log_line(f'server={name} '), why)
    for name, status in (('stock', 503), ('unknown', 503), ('without', 503), ('whole', 404), ('orders', 404), ('secure', 404)):
        got = t.client(port).get('/' + name).status
        ok((got == 503) == (status == 503), f'{name}: {got}')
    eventually(lambda: min(asked[''], asked['shop.Orders'], asked_securely['']) > 3)
    equal({weir.stderr().count(f'server={name} ') for name in ('whole', 'orders', 'secure')}, {0})
    answers['shop.Stock'] = b'\x08\x01'
    eventually(lambda: t.client(port).get('/stock').status != 503)
    contains(weir.log_line('server is up'), 'stock')


def test_probes_speak_the_pools_protocol(t):
    server = H2Server(t)
    weir, port = t.simple(server, pool='protocol: h2c, health: { path: /health, interval: 1s, fast_interval: 100ms, timeout: 1s }', more='workers: 1')
    eventually(lambda: server.paths['/health'] > 3)
    equal(t.client(port).get().status, 200)
    ok('server is down' not in weir.stderr())

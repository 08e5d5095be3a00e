"""Clients that take what waits for them too slowly are let go, however they do it; slow lines and quiet conversations are not."""
import threading, time

from h2test import *

BULK = 16 << 20
PIECE, WHOLE = b'b' * (1 << 18), b'b' * BULK    # no copies of what nobody takes
QUICK = 'timeouts: { write: 1s }'
NAMES = ('h1', 'tls', 'h2c', 'h2')


def bulk(link, request):
    """Sends until nobody takes it; where it is asked for, into a tunnel."""
    try:
        if 'sec-websocket-version' in request.fields:
            tunnel(link, request)
            for _ in range(BULK >> 16):
                link.stream.data(b'b' * 65536) if isinstance(link, H2Link) else link.send(b'b' * 65536)
        else:
            size = {'/bulk': BULK, '/some': BULK >> 4}.get(request.path, 3)
            if size <= len(PIECE) or isinstance(link, H2Link):
                return link.answer(200, PIECE[:size] if size <= len(PIECE) else WHOLE)
            link.send(f'HTTP/1.1 200 Fine\r\nContent-Length: {size}\r\n\r\n')
            for _ in range(size // len(PIECE)):
                link.send(PIECE)
    except (Closed, OSError):
        pass


def tunnel(link, request):
    accept = Websocket.accept(request.fields.get('sec-websocket-key'))
    link.send(f'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n')


def door(t, handler=bulk, more=QUICK, pool='', route='upgrades: [websocket]'):
    """A weir with a plain and a TLS listener, each for both versions."""
    origin, plain, tls = t.origin(handler), t.port(), t.port()
    weir = t.weir(f'''listeners:
  - {{ address: "127.0.0.1:{plain}", protocols: [h2c, http/1.1] }}
  - {{ address: "127.0.0.1:{tls}", tls: {{ certificates: [{t.cert("localhost")}] }} }}
routes: [ {{ pool: p, {route} }} ]
pools: {{ p: {{ servers: ["{origin.address}"], {pool} }} }}
{more}
''')
    return weir, {'h1': plain, 'h2c': plain, 'tls': tls, 'h2': tls}, origin


class Thin:
    """A line between client and weir that carries so many bytes a second to the client, and buffers next to nothing; 0: it is stopped."""
    def __init__(self, t, port, rate):
        self.rate, self.port, self.open = rate, t.port(), True
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(('127.0.0.1', self.port))
        self.listener.listen(16)
        self.ends = [self.listener]
        t.later(self.close)
        threading.Thread(target=self.accept, args=(port,), daemon=True).start()

    def accept(self, port):
        while self.open:
            try:
                client, _ = self.listener.accept()
                server = socket.socket()
                server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                server.connect(('127.0.0.1', port))
            except OSError:
                return
            self.ends += [client, server]
            threading.Thread(target=self.carry, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self.carry, args=(server, client, True), daemon=True).start()

    def carry(self, source, to, thin):
        try:
            while True:
                while thin and self.rate == 0:
                    time.sleep(0.01)
                got = source.recv(256 if thin else 65536)
                if not got:
                    break
                to.sendall(got)
                if thin:
                    time.sleep(len(got) / self.rate if self.rate else 0)
        except OSError:
            pass
        for end in (source, to):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.open = False
        for end in self.ends:
            end.close()


def ask(t, name, port, path, **more):
    """A request over that version; the client holds back by itself only over HTTP/2, with `hold`."""
    if name in ('h2', 'h2c'):
        c = t.h2_client(port, tls=t.tls_client() if name == 'h2' else None, **more)
        return c.request('GET', path, hold=bool(more))
    c = t.client(port, tls=t.tls_client() if name == 'tls' else None, name='localhost')
    c.request('GET', path)
    return c


def test_who_dribbles_its_windows_holds_no_pool(t):
    """Each stream lets a byte through now and then; the pool has no place for others until they are let go."""
    for name in ('h2c', 'h2'):
        weir, ports, origin = door(t, pool='max_connections: 40, queue: { size: 0 }')
        c = t.h2_client(ports[name], tls=t.tls_client() if name == 'h2' else None, settings={INITIAL_WINDOW_SIZE: 300})
        began = time.monotonic()
        streams = [c.request('GET', '/some', hold=True) for _ in range(40)]
        for s in streams:
            s.wait(lambda: len(s.body) == 300)
        status = t.client(ports['h1']).get('/').status
        ok(status == 503 or time.monotonic() - began > 0.9, f'{status}: the pool has a place, though none has been let go yet')
        while any(s.reset is None for s in streams):
            ok(time.monotonic() - began < 10 * SLOW, f'{sum(s.reset is None for s in streams)} are still held')
            for s in streams:
                if s.reset is None:
                    c.credit(s.number, 1)
            time.sleep(0.3)
        ok(time.monotonic() - began > 0.9, 'not before the time is over')
        eventually(lambda: origin.in_progress == 0)
        equal(t.client(ports['h1']).get('/').status, 200)
        equal(len([a for a in weir.access() if a.get('failure') == 'client_stalled']), 40)
        weir.stop()


def test_who_keeps_the_connections_window_narrow(t):
    weir, ports, origin = door(t)
    c = t.h2_client(ports['h2c'], window=1)
    streams = [c.request('GET', '/bulk', hold=True) for _ in range(5)]
    began = time.monotonic()
    while any(s.reset is None for s in streams):
        ok(time.monotonic() - began < 10 * SLOW, 'it is held for ever')
        c.credit(0, 1)
        time.sleep(0.2)
    eventually(lambda: origin.in_progress == 0)


def test_who_takes_next_to_nothing_from_its_socket(t):
    weir, ports, origin = door(t)
    for name in NAMES:
        line = Thin(t, ports[name], 1 << 20)
        ask(t, name, line.port, '/bulk')
        line.rate = 100
    eventually(lambda: len(weir.access()) == 4, 20, lambda: f'{origin.in_progress} are still held')
    equal(collections.Counter(a['failure'] for a in weir.access()), {'client_stalled': 4})
    eventually(lambda: origin.in_progress == 0)


def test_who_takes_a_byte_now_and_then_from_a_tunnel(t):
    weir, ports, origin = door(t)
    line = Thin(t, ports['h1'], 1 << 20)
    c = t.websocket(line.port)
    line.rate = 50
    c.upgrade('/bulk')
    c2 = t.h2_client(ports['h2c'], settings={INITIAL_WINDOW_SIZE: 300})
    s = c2.request('CONNECT', '/bulk', [('sec-websocket-version', '13')], open=True, pseudo=[(':protocol', 'websocket')], hold=True)
    end = time.monotonic() + 10 * SLOW
    while s.reset is None and time.monotonic() < end:
        c2.credit(s.number, 1)
        time.sleep(0.2)
    ok(s.reset is not None, 'the tunnel of HTTP/2 is held for ever')
    eventually(lambda: len(weir.access()) == 2, 10, 'the tunnel of HTTP/1 is held for ever')
    eventually(lambda: origin.in_progress == 0)
    equal([a['failure'] for a in weir.access()], ['client_stalled'] * 2)


def test_none_lets_readers_be_slow(t):
    """As long as they take a byte at all."""
    weir, ports, origin = door(t, more='limits: { least_read_rate: none }\n' + QUICK)
    c = t.h2_client(ports['h2c'], settings={INITIAL_WINDOW_SIZE: 300})
    s = c.request('GET', '/bulk', hold=True)
    for _ in range(16):
        s.wait(lambda: len(s.body) >= 300)
        c.credit(s.number, 1)
        time.sleep(0.25)
    equal(s.reset, None)
    s.wait(lambda: s.reset is not None, 10, 'but one that takes nothing goes')


def slow_for(t, name, line, seconds=7):
    """Reads over a line of 2 KiB/s; how many bytes came."""
    asked = ask(t, name, line.port, '/bulk')
    line.rate = 2048
    time.sleep(seconds)
    if name in ('h1', 'tls'):
        asked.sock.settimeout(5)
        return len(asked.sock.recv(1 << 20))
    ok(asked.reset is None and not asked.conn.over, f'{name}: reset {asked.reset}')
    return asked.conn.got


def test_a_phone_of_2_kib_a_second_is_served(t):
    """Also when the kernel holds so much for it that weir's socket does not move for many seconds."""
    weir, ports, origin = door(t, more='timeouts: { write: 2s }')
    got = {}
    lines = {name: Thin(t, ports[name], 1 << 20) for name in NAMES}
    threads = [threading.Thread(target=lambda n=n: got.__setitem__(n, slow_for(t, n, lines[n]))) for n in NAMES]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    equal(sorted(got), sorted(NAMES))
    ok(all(got.values()), str(got))
    equal([a for a in weir.access() if a.get('failure') == 'client_stalled'], [])


def test_many_streams_over_a_thin_line_are_served(t):
    """Each gets less than the least rate, and its window is shut for long: it is the line that is slow, not the client."""
    weir, ports, origin = door(t)
    line = Thin(t, ports['h2c'], 1 << 20)
    c = t.h2_client(line.port, settings={INITIAL_WINDOW_SIZE: 8192})
    line.rate = 3000
    streams = [c.request('GET', '/bulk') for _ in range(20)]
    time.sleep(4)
    equal([s.reset for s in streams], [None] * 20)
    ok(not c.over)


def test_quiet_conversations_go_on(t):
    """Streams of events and tunnels in which little is said take what there is at once."""
    def handler(link, request):
        try:
            if 'sec-websocket-version' in request.fields:
                tunnel(link, request)
            else:
                link.begin(200, [('Content-Type', 'text/event-stream')])
            for i in range(10):
                said = f'data: {i}\n\n'.encode()
                link.send(said) if 'sec-websocket-version' in request.fields else link.piece(said)
                time.sleep(0.3)
            link.end() if 'sec-websocket-version' not in request.fields else link.close()
        except (Closed, OSError):
            pass
    weir, ports, origin = door(t, handler)
    asked = {name: ask(t, name, ports[name], '/events') for name in NAMES}
    narrow = t.h2_client(ports['h2c'], settings={INITIAL_WINDOW_SIZE: 20}).request('GET', '/events')
    ws = t.websocket(ports['h1'])
    equal(ws.upgrade('/ws').status, 101)
    wanted = b''.join(f'data: {i}\n\n'.encode() for i in range(10))
    for name, a in asked.items():
        equal(a.response().body, wanted, name)
    equal(narrow.response().body, wanted)
    equal(ws.reader.rest(), wanted)


def test_messages_of_grpc_go_on(t):
    """As a stream of gRPC: little now and then, both ways, for longer than the time that is averaged over."""
    def handler(link, request):
        link.begin(200, [('content-type', 'application/grpc')])
        for piece in request.pieces():
            link.piece(piece)
        link.end([('grpc-status', '0')])
    origin, port = t.h2_origin(handler), t.port()
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}", protocols: [h2c] }} ]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["{origin.address}"], protocol: h2c }} }}
{QUICK}
''')
    s = t.h2_client(port).request('POST', '/chat', [('content-type', 'application/grpc'), ('te', 'trailers')], open=True)
    for i in range(8):
        s.data(b'\0\0\0\0\3abc')
        s.wait(lambda: len(s.body) == 8 * (i + 1))
        time.sleep(0.3)
    s.end()
    equal(s.response().trailers.get('grpc-status'), '0')


def test_slow_downloads_hold_up_no_other_of_one_connection(t):
    """All requests to a server of HTTP/2 share a connection: what some clients are slow to read must not shut it for the rest."""
    if not has_http2():
        raise Skipped('HTTP/2 is not built in')
    large = b'f' * 12000000
    origin = t.origin(lambda link, request: link.answer(200, large if request.path == '/large' else b'small'))
    server, port = t.port(), t.port()
    t.weir(f'''workers: 1
listeners: [ {{ address: "127.0.0.1:{server}", protocols: [h2c] }} ]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["{origin.address}"] }} }}
''')
    t.weir(f'''workers: 1
listeners: [ "127.0.0.1:{port}" ]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["127.0.0.1:{server}"], protocol: h2c }} }}
''')
    slow = []
    for _ in range(24):
        s = socket.socket()
        t.later(s.close)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        s.connect(('127.0.0.1', port))
        s.sendall(b'GET /large HTTP/1.1\r\nHost: a\r\n\r\n')
        slow.append(s)
    took = 0
    for i in range(40):     # they go on taking a little
        for s in slow:
            took += len(s.recv(20000))
        c = t.client(port)
        equal(c.get('/small').body, b'small')
        c.close()
        if i % 10 == 9:     # an ordinary download beside them
            equal(len(t.client(port).get('/large').body), len(large))
    print(took, 'bytes by the slow ones')
    ok(took < len(slow) * len(large) // 4, 'they are not slow')

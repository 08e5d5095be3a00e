"""A server's places under max_connections: clients that hold them by being slow give them to those who wait, and nobody else does."""
import threading, time

from h2test import *
from test_slow_readers import Thin, bulk, door, tunnel

PLACES = 20
PATIENT = 'queue: { max_wait: 60s }'    # who is served at all is served long before: a slow machine turns nobody away


def handler(link, request):
    """What was asked for; a body is read to its end first."""
    try:
        if request.path == '/upload':
            request.body()
        if request.path == '/small':
            link.answer(200, b's' * 20000)
        else:
            bulk(link, request)
    except (Closed, OSError):
        pass


class Attack:
    """Holds all places in one way, and takes each that it loses anew."""
    def __init__(self, t, weir, ports, way):
        self.t, self.weir, self.ports, self.stopped, self.lost, self.clients, self.links = t, weir, ports, False, 0, [], []
        getattr(self, way)()
        eventually(lambda: weir.counted()['requests_active'] >= PLACES)
        self.thread = threading.Thread(target=self.go_on, daemon=True)
        self.thread.start()
        t.later(self.stop)

    def stop(self):
        self.stopped = True
        self.thread.join()
        for link in self.clients + self.links:
            link.close()

    def go_on(self):
        while not self.stopped:
            try:
                self.turn()
            except (Closed, OSError, AssertionError):
                pass
            time.sleep(0.1)

    # ---- HTTP/2 ----

    def over_h2(self, name, path='/bulk', byte_to=None, **more):
        self.clients = [self.t.h2_client(self.ports[name], tls=self.t.tls_client() if name == 'h2' else None, **more) for _ in range(2)]
        self.ask = lambda c: c.request('GET', path, hold=True)
        self.streams = [(c, self.ask(c)) for c in self.clients for _ in range(PLACES // 2)]
        self.byte_to, self.turn = byte_to, self.turn_h2

    def turn_h2(self):
        for i, (c, s) in enumerate(self.streams):
            if s.reset is not None or s.ended:
                self.lost += 1
                self.streams[i] = c, self.ask(c)
            elif self.byte_to is not None:
                c.credit(self.byte_to(s), 1)

    def narrow_streams(self):
        self.over_h2('h2c', byte_to=lambda s: s.number, settings={INITIAL_WINDOW_SIZE: 300})

    def narrow_streams_over_tls(self):
        self.over_h2('h2', byte_to=lambda s: s.number, settings={INITIAL_WINDOW_SIZE: 300})

    def usual_windows_that_stay_shut(self):
        self.over_h2('h2c')

    def a_narrow_connection(self):
        self.over_h2('h2c', byte_to=lambda s: 0, window=1)

    # ---- HTTP/1 ----

    def over_h1(self, name, send):
        self.send, self.name, self.turn = send, name, self.turn_h1
        self.links = [self.connect() for _ in range(PLACES)]

    def connect(self):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.settimeout(10 * SLOW)
        sock.connect(('127.0.0.1', self.ports[self.name]))
        self.t.later(sock.close)
        sock.sendall(self.send)
        return sock

    def turn_h1(self):
        """The end may be behind what a client has not read yet: weir's log tells it."""
        for sock in list(self.links):
            try:
                self.step(sock)
            except OSError:
                self.links.remove(sock)
        gone = sum(a.get('failure') in ('client_stalled', 'body_timeout') for a in self.weir.access())
        self.links += [self.connect() for _ in range(gone - self.lost)]
        self.lost = gone

    def step(self, sock):
        if select.select([sock], [], [], 0)[0] and sock.recv(1) == b'':
            raise OSError('closed')

    def unread_sockets(self):
        self.over_h1('h1', b'GET /bulk HTTP/1.1\r\nHost: t\r\n\r\n')

    def unread_tunnels(self):
        self.over_h1('h1', b'GET /bulk HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')

    def bodies_by_the_byte(self):
        self.step = lambda sock: sock.send(b'x')
        self.over_h1('h1', b'POST /upload HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\nx')

    def bodies_over_h2(self):
        self.over_h2('h2c')
        for _, s in self.streams:
            s.rst()
        self.ask = lambda c: c.request('POST', '/upload', open=True, length=False)
        self.streams = [(c, self.ask(c)) for c in self.clients for _ in range(PLACES // 2)]


WAYS = ('narrow_streams', 'narrow_streams_over_tls', 'usual_windows_that_stay_shut', 'a_narrow_connection', 'unread_sockets', 'unread_tunnels', 'bodies_by_the_byte', 'bodies_over_h2')


def served_beside(t, way, server=None):
    if server is None:
        weir, ports, _ = door(t, handler, more='', pool=f'max_connections: {PLACES}, {PATIENT}')
    else:
        weir, ports = server
    attack = Attack(t, weir, ports, way)
    got = []
    for _ in range(6):
        got.append(t.client(ports['h1'], timeout=30).get('/').status)
    equal(collections.Counter(got), {200: 6}, way)
    eventually(lambda: attack.lost > 0, text=f'{way}: nobody has lost a place')
    attack.stop()
    back = weir.counted()['places_taken_back']
    ok(back >= attack.lost, f'{way}: {attack.lost} are lost, and {back} places were taken back')
    failures = {a.get('failure') for a in weir.access() if a['path'] != '/'} - {None, 'client_closed', 'queue_timeout'}
    equal(failures, {'body_timeout'} if way.startswith('bodies') else {'client_stalled'}, way)
    weir.stop()


def test_who_waits_gets_the_place_of_who_is_slow(t):
    """While all places are held by clients that take or send next to nothing, and come back at once, all others are served."""
    for way in WAYS[:4]:
        served_beside(t, way)


def test_who_waits_gets_the_place_of_who_is_slow_over_http1(t):
    for way in WAYS[4:]:
        served_beside(t, way)


test_who_waits_gets_the_place_of_who_is_slow.seconds = test_who_waits_gets_the_place_of_who_is_slow_over_http1.seconds = 180


def test_places_at_servers_of_http2(t):
    origin, plain, tls = h2_origin(t, handler), t.port(), t.port()
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{plain}", protocols: [h2c, http/1.1] }} ]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["{origin.address}"], protocol: h2c, max_connections: {PLACES}, {PATIENT} }} }}
''')
    served_beside(t, 'narrow_streams', (weir, {'h1': plain, 'h2c': plain}))


def test_who_is_turned_away_at_once_makes_room_too(t):
    """Without a queue nobody waits; that they are turned away is enough."""
    weir, ports, origin = door(t, handler, more='', pool=f'max_connections: {PLACES}, queue: {{ size: 0 }}')
    Attack(t, weir, ports, 'narrow_streams')
    eventually(lambda: t.client(ports['h1']).get('/').status == 200, 10)


def test_nobody_waits_and_nobody_goes(t):
    """A slow client keeps its place for as long as the least rate lets it."""
    weir, ports, origin = door(t, handler, more='', pool=f'max_connections: {PLACES + 1}')
    attack = Attack(t, weir, ports, 'narrow_streams')
    began = time.monotonic()
    while time.monotonic() - began < 3:
        equal(t.client(ports['h1']).get('/').status, 200)
        time.sleep(0.1)
    equal((attack.lost, weir.counted()['places_taken_back']), (0, 0))


def test_who_is_not_slow_keeps_its_place(t):
    """A phone at 2 KiB/s, a WebSocket and an event stream in which nothing is said, an upload at 1 KiB/s, and who waits for its server: while others wait, none is cut."""
    release = threading.Event()
    t.later(release.set)

    def handler(link, request):
        if request.path == '/events':
            link.begin(200, [('Content-Type', 'text/event-stream')])
            link.piece(b'data: 1\n\n')
        if request.path == '/chat':
            tunnel(link, request)
        if request.path in ('/events', '/late', '/chat'):
            release.wait(60 * SLOW)
        if request.path == '/upload':
            request.body()
        try:
            if request.path == '/events':
                link.end()
            elif request.path != '/chat':
                bulk(link, request)
        except (Closed, OSError):
            pass
    weir, ports, origin = door(t, handler, more='', pool='max_connections: 5, queue: { max_wait: 400ms }')
    line = Thin(t, ports['h1'], 2048)
    phone = t.client(line.port)
    phone.request('GET', '/bulk')
    chat = t.websocket(ports['h1'])
    equal(chat.upgrade('/chat').status, 101)
    events = t.client(ports['h1'])
    events.request('GET', '/events')
    late = t.client(ports['h1'])
    late.request('GET', '/late')
    upload = t.client(ports['h1'])
    upload.send(b'POST /upload HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n')
    eventually(lambda: weir.counted()['requests_active'] == 5)
    stop = threading.Event()
    t.later(stop.set)

    def feed():
        while not stop.is_set():
            upload.send(b'u' * 200)
            time.sleep(0.2)
    threading.Thread(target=feed, daemon=True).start()
    began, got = time.monotonic(), collections.Counter()
    while time.monotonic() - began < 5:
        got[t.client(ports['h1']).get('/').status] += 1
    equal(set(got), {503})
    eventually(lambda: weir.counted()['requests_active'] == 5)      # the last 503 was read before its request had ended
    equal(weir.counted()['places_taken_back'], 0)


def test_what_weir_has_whole_holds_no_place(t):
    """Answers that fit into weir's window are the client's affair alone."""
    weir, ports, origin = door(t, handler, more='', pool=f'max_connections: {PLACES}, queue: {{ size: 0 }}')
    for name in ('h2c', 'h2'):
        c = t.h2_client(ports[name], tls=t.tls_client() if name == 'h2' else None, settings={INITIAL_WINDOW_SIZE: 5000})
        for _ in range(4):
            for s in [c.request('GET', '/small', hold=True) for _ in range(PLACES)]:
                s.wait(lambda s=s: len(s.body) == 5000)
            eventually(lambda: origin.in_progress == 0)
            equal(t.client(ports['h1']).get('/').status, 200)


def test_an_answer_before_the_request_is_whole_holds_no_place(t):
    """The server's part is over; what the client still sends nobody waits for."""
    def early(link, request):
        if request.path == '/early':
            link.answer(200, 'early')
            request.body()
        else:
            bulk(link, request)
    for make in (t.origin, lambda handler: h2_origin(t, handler)):
        origin, port = make(early), t.port()
        protocol = 'protocol: h2c, ' if isinstance(origin, H2Origin) else ''
        weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}", protocols: [h2c, http/1.1] }} ]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["{origin.address}"], {protocol}max_connections: 2, queue: {{ size: 0 }} }} }}
''')
        plain = [t.client(port) for _ in range(2)]
        for c in plain:
            c.send(b'POST /early HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\nx')
            equal(c.response().status, 200)
        eventually(lambda: t.client(port).get('/').status == 200)
        c = t.h2_client(port)
        for _ in range(2):
            s = c.request('POST', '/early', open=True, length=False)
            equal(s.head().status, 200)
        eventually(lambda: t.client(port).get('/').status == 200)

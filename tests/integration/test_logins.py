"""Connections to servers that a client has logged in on (NTLM, Negotiate): they are that client's alone, whatever else goes on."""
import threading

from h2test import *


def seat(link):
    """What a server that authenticates connections remembers of one."""
    return link.conn if isinstance(link, H2Link) else link


def ntlm(link, request):
    """Three steps on one connection; from then on whoever asks there is that user. A step elsewhere fails, as a wrong password does."""
    place, word = seat(link), request.fields.get('authorization', '')
    request.body()
    place.user, place.asked = getattr(place, 'user', None), getattr(place, 'asked', None)
    if word == 'NTLM one':
        place.asked = f'two-{request.link.origin.name}-{place.number}'
        link.answer(401, b'', [('WWW-Authenticate', f'NTLM {place.asked}')])
        return
    if word.startswith('NTLM three '):
        user, answer = word.split(' ')[2:]
        place.user, place.asked = (user if answer == place.asked else None), None
        if not place.user:
            link.answer(403, b'not the challenge of this connection')
            return
    elif word.startswith('Negotiate '):
        place.user = word.split(' ')[1]
    if place.user:
        link.answer(200, place.user.encode(), [('X-Place', str(place.number))])
    else:
        link.answer(401, b'who?', [('WWW-Authenticate', 'Basic realm="a, b"'), ('WWW-Authenticate', 'Negotiate, NTLM')])


def step(x, client, word=None, path='/', method='GET', body=None):
    return x.ask(method, path, [('Authorization', word)] if word else [], body, client=client)


def log_in(x, client, user, between=lambda: None):
    equal(step(x, client).status, 401, x.name)
    between()
    asked = step(x, client, 'NTLM one')
    equal(asked.status, 401, x.name)
    between()
    answer = asked.fields.get('www-authenticate').split(' ')[1]
    got = step(x, client, f'NTLM three {user} {answer}')
    equal((got.status, got.body), (200, user.encode()), x.name)
    between()


IN = (('h1', 'h1'), ('h2c', 'h1'), ('h1s', 'h2'), ('h2c', 'h2c'))


def test_it_is_the_clients_alone(t):
    """Others ask between the steps and after them, and are never taken for the client; the client is known until it goes."""
    for x in crossings(t, ntlm, pairs=IN, more='workers: 1'):
        first, second, others = x.connect(), x.connect(), [x.connect() for _ in range(3)]

        def ask_between():
            for other in [*others, x.connect()]:
                equal(step(x, other).status, 401, f'{x}: somebody else is taken for a client that logged in')
        log_in(x, first, 'anna', ask_between)
        log_in(x, second, 'bert', ask_between)
        for _ in range(3):
            equal(step(x, first).body, b'anna', x.name)
            equal(step(x, second).body, b'bert', x.name)
            equal(step(x, first, method='POST', body=b'form').body, b'anna', x.name)
            ask_between()
        place = step(x, first).fields.get('x-place')
        first.close()
        eventually(lambda: sum(c.user == 'anna' for c in open_links(x.origin)) == 0, text=f'{x}: its connection outlives the client')
        ask_between()
        equal(step(x, second).body, b'bert', x.name)
        ok(place not in [r.fields.get('x-place') for r in x.origin.requests])


def open_links(origin):
    with origin.lock:
        links = list(origin.links)
    return [c for c in links if hasattr(c, 'user') and (not c.over if isinstance(c, H2Conn) else is_open(c))]


def is_open(link):
    try:
        return bool(link.sock.fileno() >= 0 and (not select.select([link.sock], [], [], 0)[0] or link.sock.recv(1, socket.MSG_PEEK)))
    except (OSError, ValueError):
        return False


def test_credentials_alone_suffice(t):
    """A ticket of Kerberos goes with the first request, and no challenge tells of it."""
    for x in crossings(t, ntlm, pairs=IN, more='workers: 1'):
        equal(step(x, x.connect()).status, 401, x.name)
        one = x.connect()
        equal(step(x, one, 'Negotiate anna').body, b'anna', x.name)
        for _ in range(5):
            equal(step(x, x.connect()).status, 401, x.name)
        equal(step(x, one).body, b'anna', x.name)


def test_others_in_flight(t):
    """While the client that logs in waits for its answer, others do not join it, nor wait for it, over HTTP/2 either."""
    gate = threading.Event()

    def handler(link, request):
        if request.path == '/slow':
            gate.wait(10 * SLOW)
        ntlm(link, request)
    for x in crossings(t, handler, pairs=(('h1', 'h1'), ('h2c', 'h2c')), more='workers: 1'):
        gate.clear()
        one = x.connect()
        held = x.request('GET', '/slow', [('Authorization', 'Negotiate anna')], client=one)
        eventually(lambda: x.origin.count('/slow'))
        equal([step(x, x.connect()).status for _ in range(5)], [401] * 5, x.name)
        gate.set()
        equal(held.response().body, b'anna', x.name)
        equal(step(x, x.connect()).status, 401, x.name)
        x.origin.requests.clear()


def test_the_steps_stay_at_their_server(t):
    """Of several servers and pools, each step goes to the one that asked; what comes after, too."""
    origins = [t.origin(ntlm, name=f'o{i}') for i in range(4)]
    port = t.port()
    servers = [f'"{o.address}"' for o in origins]
    t.weir(f'''workers: 1
listeners: [ {{ address: "127.0.0.1:{port}", protocols: [http/1.1, h2c] }} ]
routes: [ {{ pool: [ {{ name: a, weight: 50 }}, {{ name: b, weight: 50 }} ], hedge: {{ after: 1ms, budget: 5% }} }} ]
pools:
  a: {{ servers: [{servers[0]}, {servers[1]}], balance: round_robin }}
  b: {{ servers: [{servers[2]}, {servers[3]}], balance: round_robin }}
''')
    for two in False, True:
        for i in range(6):
            c = t.h2_client(port) if two else t.client(port)
            x = Crossing(t, 'h2c' if two else 'h1', 'h1', None, (port, port), None)
            log_in(x, c, f'u{i}')
            equal({step(x, c).body for _ in range(8)}, {f'u{i}'.encode()})


def before_two(t, handler):
    """Two servers that take turns, weir's port before them, the crossing, and a client of it."""
    origins = [t.origin(handler, name=f'o{i}') for i in range(2)]
    port = t.port()
    t.weir(f'''workers: 1
listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ pool: a }} ]
pools: {{ a: {{ servers: [{", ".join(f'"{o.address}"' for o in origins)}], balance: round_robin }} }}
''')
    x = Crossing(t, 'h1', 'h1', None, (port, port), None)
    c = t.client(port)
    return origins, port, x, c


def test_a_step_is_not_sent_elsewhere(t):
    """Where the server ends the connection instead of answering, another connection or server could only take it for a wrong password."""
    def handler(link, request):
        if 'three' in request.fields.get('authorization', ''):
            link.close()
        else:
            ntlm(link, request)
    origins, _, x, c = before_two(t, handler)
    equal(step(x, c).status, 401)
    answer = step(x, c, 'NTLM one').fields.get('www-authenticate').split(' ')[1]
    equal(step(x, c, f'NTLM three anna {answer}').status, 502)
    equal(sum('three' in r.fields.get('authorization', '') for o in origins for r in o.requests), 1)


def test_an_error_of_its_server_is_its_answer(t):
    """Another server does not know the client, and would ask it to log in again."""
    def handler(link, request):
        if request.path == '/bad':
            link.answer(503, b'mine')
        else:
            ntlm(link, request)
    origins, port, x, c = before_two(t, handler)
    log_in(x, c, 'anna')
    got = step(x, c, path='/bad')
    equal((got.status, got.body, sum(o.count('/bad') for o in origins)), (503, b'mine', 1))
    equal(step(x, c).body, b'anna')
    equal(step(x, t.client(port), path='/bad').status, 503)
    equal(sum(o.count('/bad') for o in origins), 3, 'of others it is tried at both')


def test_no_copies_of_credentials(t):
    """A shadow server would know its connection, which others share, as that client."""
    shadow, origin, port = t.origin(ntlm, name='shadow'), t.origin(ntlm), t.port()
    t.weir(f'''workers: 1
listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ pool: a, mirror: {{ pool: s }} }} ]
pools:
  a: {{ servers: ["{origin.address}"] }}
  s: {{ servers: ["{shadow.address}"] }}
''')
    c = t.client(port)
    c.request('GET', '/one', [('Authorization', 'Negotiate anna')])
    equal(c.response().status, 200)
    equal(c.get('/two').status, 200)
    eventually(lambda: shadow.count('/two'))
    equal([r.path for r in shadow.requests], ['/two'])


class Either(H2Origin):
    """Speaks what is chosen by ALPN; over HTTP/2 it wants HTTP/1.1 for everything."""
    def __init__(self, context):
        self.context = context
        context.set_alpn_protocols(['h2', 'http/1.1'])
        super().__init__()

    def begin(self, sock):
        try:
            sock.settimeout(10)
            sock = self.context.wrap_socket(sock, server_side=True)
        except OSError:
            return
        if sock.selected_alpn_protocol() != 'h2':
            Origin.begin(self, sock)
            return
        with self.lock:
            conn = H2Conn(sock, False, opened=lambda stream: stream.rst(13))
            self.links.append(conn)


def test_http_1_1_required(t):
    """A server that speaks both may want HTTP/1.1 for some requests; one that is spoken to by HTTP/2 only can't be helped."""
    origin = Either(t.tls_server())
    t.later(origin.close)
    port = t.port()
    weir = t.weir(f'''workers: 1
listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ match: {{ path: /h2 }}, pool: h2 }}, {{ pool: both }} ]
pools:
  both: {{ servers: ["{origin.address}"], protocol: auto, tls: {{ ca: {t.certificates}/ca.crt, server_name: localhost }} }}
  h2: {{ servers: ["{origin.address}"], protocol: h2, tls: {{ ca: {t.certificates}/ca.crt, server_name: localhost }} }}
''')
    c = t.client(port)
    c.request('POST', '/x', body=b'form')
    got = c.response()
    equal((got.status, got.json()['length']), (200, 4))
    equal(c.get('/h2').status, 502)
    equal(weir.access_line(path='/h2')['failure'], 'http1_required')

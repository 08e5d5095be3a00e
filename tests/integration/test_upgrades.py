"""Protocols other than WebSocket that a route lets tunnel, as the clients of Docker and Kubernetes ask for them."""
from h2test import *

ROUTE = 'upgrades: [websocket, tcp, "SPDY/3.1"]'


def ask(c, protocol='tcp', method='POST', fields=(), body=b'', length=True, more=b''):
    head = [f'{method} /x HTTP/1.1', 'Host: test', 'Connection: Upgrade', f'Upgrade: {protocol}', *fields]
    if length:
        head.append(f'Content-Length: {len(body)}')
    c.send('\r\n'.join(head), '\r\n\r\n', body, more)
    return c.head()


def grant(link, request, protocol=None):
    link.send(f'HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: {protocol or request.fields.get("upgrade")}\r\n\r\n')


def echo(link, request):
    """Reads the body, grants, and sends back what comes until the end."""
    body = request.body()
    grant(link, request)
    link.send(b'body:' + body + b';')
    while True:
        if not link.reader.bytes:
            try:
                link.reader.more()
            except Closed:
                break
        piece, link.reader.bytes = link.reader.bytes, b''
        link.send(piece)
    link.close()


def test_tunnels(t):
    """docker attach (no body), docker exec (a body with a length, and then the tunnel), kubectl's SPDY; either end closes."""
    origin = t.origin(echo)
    weir, port = t.simple(origin, route=ROUTE)
    for protocol, method, body in ('tcp', 'POST', b''), ('tcp', 'POST', b'{"Tty":true}'), ('SPDY/3.1', 'POST', b''), ('SPDY/3.1', 'GET', b''), ('spdy/3.1', 'POST', b'x' * 100000):
        c = t.client(port)
        got = ask(c, protocol, method, ['X-Stream-Protocol-Version: v4.channel.k8s.io'], body, length=bool(body) or method == 'POST', more=b'early')
        equal((got.status, got.fields.get('upgrade'), got.fields.get('content-type')), (101, protocol, 'application/vnd.docker.raw-stream'))
        request = origin.requests[-1]
        equal((request.method, request.fields.get('upgrade'), request.fields.get('connection').lower(), request.body()), (method, protocol, 'upgrade', body))
        equal(c.reader.exactly(len(body) + 6 + 5), b'body:' + body + b';early')
        data = os.urandom(200000)
        c.send(data)
        equal(c.reader.exactly(len(data)), data)
        c.finish()
        equal(c.reader.rest(), b'')
        weir.access_line(path='/x', status=101, method=method)


def test_the_first_that_passes_is_asked_for(t):
    origin = t.origin(echo)
    weir, port = t.simple(origin, route=ROUTE)
    for asked, sent in ('foo, tcp, websocket', 'tcp'), ('SPDY/3, SPDY/3.1', 'SPDY/3.1'), (',tcp', 'tcp'):
        c = t.client(port)
        equal(ask(c, asked).fields.get('upgrade'), sent)
        equal(origin.requests[-1].fields.get('upgrade'), sent)


def test_what_the_route_does_not_name(t):
    """Goes on as a plain request, whose connection is kept."""
    for route, protocol in ('', 'tcp'), (ROUTE, 'h2c'), (ROUTE, 'SPDY/3'), (ROUTE, 'SPDY'), (ROUTE, 'tcp/1'), ('upgrades: none', 'none'), ('upgrades: NONE', 'None'), ('upgrades: tcp', 'websocket'):
        origin = t.origin()
        weir, port = t.simple(origin, route=route)
        c = t.client(port)
        c.request('POST', '/x', [('Connection', 'Upgrade'), ('Upgrade', protocol)], b'abc')
        got = c.response()
        equal((got.status, got.json()['length']), (200, 3), f'{route} {protocol}')
        ok('upgrade' not in origin.last().fields, f'{route} {protocol}')
        equal(c.get('/after').status, 200)


def test_refusals(t):
    """A body in chunks is malformed; an answer other than 101 is an answer, and costs the server's connection when a body was promised."""
    def handler(link, request):
        request.body()
        link.answer(409, b'no')
    origin = t.origin(handler)
    weir, port = t.simple(origin, route=ROUTE, more='workers: 1')
    c = t.client(port)
    c.send('POST /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n')
    equal(c.response().status, 400)
    equal(weir.access_line(status=400)['failure'], 'upgrade_refused')
    equal(origin.count(), 0)
    for body, kept in (b'', True), (b'abc', False), (b'', False), (b'', True):
        c = t.client(port)
        c.request('POST', '/x', [('Connection', 'Upgrade'), ('Upgrade', 'tcp')], body)
        got = c.response()
        equal((got.status, got.body), (409, b'no'))
        equal(c.get('/after').status, 409)
    numbers = [r.link.number for r in origin.requests]
    equal(numbers[:3] + [numbers[3] != numbers[2]], [numbers[0]] * 3 + [True])


def test_wrong_answers(t):
    """101 for another protocol, unasked, or before the request is whole: nothing tunnels."""
    def handler(link, request):
        if request.path == '/early' or 'early' in request.fields:
            grant(link, request)
            link.sock.settimeout(5)
            request._body = b''
            try:
                link.reader.rest()
            except OSError:
                pass
            return
        request.body()
        grant(link, request, request.fields.get('answer'))
        request._body = b''
    origin = t.origin(handler)
    weir, port = t.simple(origin, route=ROUTE, pool='retry: { attempts: 0 }')
    for answer in 'websocket', 'SPDY/3.1', 'tcp/1', 'tcp, foo':
        equal(ask(t.client(port), 'tcp', fields=[f'Answer: {answer}']).status, 502, answer)
    c = t.client(port)
    c.send('POST /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nEarly: yes\r\nContent-Length: 10\r\n\r\nhalf')
    equal(c.response().status, 502)
    eventually(lambda: [line['failure'] for line in weir.access()] == ['upgrade_invalid'] * 5, text=lambda: weir.access())


def test_over_http_2(t):
    """Only a WebSocket can be asked for over HTTP/2, by clients and of servers."""
    origin = t.h2_origin()
    port = t.port()
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}", protocols: [http/1.1, h2c] }} ]
routes: [ {{ {ROUTE}, pool: p }} ]
pools: {{ p: {{ servers: ["{origin.address}"], protocol: h2c }} }}
''')
    contains(weir.stderr(), 'only websocket can be asked')
    c = t.client(port)
    c.request('POST', '/x', [('Connection', 'Upgrade'), ('Upgrade', 'tcp')], b'abc')
    got = c.response()
    equal((got.status, got.json()['length']), (200, 3))
    two = t.h2_client(port)
    two.wait(lambda: two.peer.get(ENABLE_CONNECT_PROTOCOL) == 1, 5)
    equal(two.request('CONNECT', '/x', open=True, pseudo=[(':protocol', 'tcp')]).response().status, 501)


def test_other_actions(t):
    """A route that answers by itself answers."""
    port = t.port()
    t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ {ROUTE}, respond: {{ status: 200, body: "fixed" }} }} ]
''')
    c = t.client(port)
    got = ask(c, 'tcp', body=b'abc')
    equal((got.status, c.reader.exactly(5)), (200, b'fixed'))
    equal(c.get('/').status, 200)

"""WebSockets between any two versions (RFC 6455, RFC 8441): the handshake as each side has it, and the tunnel's bytes, ends and resets."""
import threading, time

from h2test import *

CAN = {ENABLE_CONNECT_PROTOCOL: 1}


class Tunnel:
    """One end of an open tunnel over either version."""
    def __init__(self, h1=None, stream=None):
        self.h1, self.stream, self.at = h1, stream, 0

    def send(self, data):
        self.stream.data(data) if self.stream else self.h1.send(data)

    def exactly(self, count, seconds=WAITS):
        if not self.stream:
            return self.h1.reader.exactly(count)
        self.stream.wait(lambda: len(self.stream.body) >= self.at + count or self.stream.ended or self.stream.dead(), seconds)
        self.at += count
        return bytes(self.stream.body[self.at - count:self.at])

    def finish(self):
        self.stream.end() if self.stream else self.h1.sock.shutdown(socket.SHUT_WR)

    def ended(self, seconds=5):
        """A clean end of what the peer sends."""
        if not self.stream:
            return self.h1.reader.rest() == b''
        self.stream.wait(lambda: self.stream.ended or self.stream.dead(), seconds)
        return self.stream.ended and len(self.stream.body) == self.at

    def cut(self):
        self.stream.rst() if self.stream else self.h1.reset()

    def gone(self, seconds=5):
        """The peer is over, in whatever way."""
        if not self.stream:
            try:
                return self.h1.reader.rest() is not None
            except (Closed, ConnectionResetError):
                return True
        self.stream.wait(lambda: self.stream.ended or self.stream.dead(), seconds)
        return True

    def was_cut(self, seconds=5):
        """The peer is over, and no end was told: that would be taken for the other side's."""
        if self.stream:
            self.stream.wait(lambda: self.stream.ended or self.stream.dead(), seconds)
            return not self.stream.ended
        try:
            self.h1.reader.rest()
            return False
        except ConnectionResetError:
            return True


def take(link, request):
    """A server's side of the handshake; what each version must and must not have been given."""
    equal(request.fields.get('sec-websocket-version'), '13')
    if isinstance(link, H2Link):
        equal((request.method, request.pseudo.get(':protocol'), request.target), ('CONNECT', 'websocket', '/ws?a=b'))
        for name in ('sec-websocket-key', 'upgrade', 'connection'):
            ok(name not in request.fields, f'{name} went to a server of HTTP/2')
        link.stream.headers([(':status', '200'), ('sec-websocket-protocol', 'chat')])
        return Tunnel(stream=link.stream)
    equal((request.method, request.fields.get('upgrade').lower(), request.target), ('GET', 'websocket', '/ws?a=b'))
    key = request.fields.get('sec-websocket-key')
    equal(len(base64.b64decode(key, validate=True)), 16)
    link.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: chat\r\n'
              f'Sec-WebSocket-Accept: {Websocket.accept(key)}\r\n\r\n')
    request._body = b''
    return Tunnel(h1=link)


def ask(x, fields=(), client=None, **more):
    """A client's side: the tunnel, or the response that refuses it."""
    client = client or x.connect()
    if x.two_in:
        client.wait(lambda: client.peer.get(ENABLE_CONNECT_PROTOCOL) == 1, 5, 'extended CONNECT is not offered')
        stream = client.request('CONNECT', '/ws?a=b', [('sec-websocket-version', '13'), *fields], host=x.host, open=True,
                                pseudo=[(':protocol', more.get('protocol', 'websocket'))])
        head = stream.head()
        return head, Tunnel(stream=stream)
    client.send(f'GET /ws?a=b HTTP/1.1\r\nHost: {x.host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'
                f'Sec-WebSocket-Key: {Websocket.KEY}\r\n\r\n')
    return client.head(), Tunnel(h1=client)


def opened(x, **more):
    head, tunnel = ask(x, **more)
    equal((head.status, head.fields.get('sec-websocket-protocol')), (200 if x.two_in else 101, 'chat'), x.name)
    if x.two_in:
        for name in ('sec-websocket-accept', 'upgrade', 'connection'):
            ok(name not in head.fields, f'{name} came to a client of HTTP/2')
    else:
        equal((head.fields.get('sec-websocket-accept'), head.fields.get('upgrade').lower()), (Websocket.accept(Websocket.KEY), 'websocket'), x.name)
    return tunnel


def test_bytes_both_ways_and_log(t):
    def handler(link, request):
        tunnel = take(link, request)
        tunnel.send(b'welcome')
        for size in (1, 5000, 300000):
            tunnel.send(tunnel.exactly(size))
        tunnel.gone()
        tunnel.finish()
    for x in crossings(t, handler, settings=CAN):
        tunnel = opened(x)
        equal(tunnel.exactly(7), b'welcome', x.name)
        for size in (1, 5000, 300000):
            data = os.urandom(size)
            tunnel.send(data)       # not beside the reading: Python's TLS must not be used by two threads at a time
            equal(tunnel.exactly(size), data, x.name)
        if x.front != 'h1s':        # Python's TLS can't end one direction alone
            tunnel.finish()
            ok(tunnel.ended(), x.name)
    for x in crossings(t, handler, settings=CAN, pairs=FOUR):
        tunnel = opened(x)
        tunnel.cut()
        line = x.weir.access_line(path='/ws', protocol='HTTP/2' if x.two_in else 'HTTP/1.1', server_protocol='HTTP/2' if x.two_out else 'HTTP/1.1')
        equal((line['status'], line['method']), (101, 'GET'), x.name)


def test_client_ends_first(t):
    """The end of one direction leaves the other open."""
    def handler(link, request):
        tunnel = take(link, request)
        ok(tunnel.ended())
        tunnel.send(b'still here')
        tunnel.finish()
    for x in crossings(t, handler, settings=CAN, pairs=FOUR):
        tunnel = opened(x)
        tunnel.finish()
        equal(tunnel.exactly(10), b'still here', x.name)
        ok(tunnel.ended(), x.name)


def test_server_ends_first(t):
    def handler(link, request):
        tunnel = take(link, request)
        tunnel.send(b'bye')
        tunnel.finish()
        equal(tunnel.exactly(4), b'late')
        ok(tunnel.ended())
    for x in crossings(t, handler, settings=CAN, pairs=FOUR):
        tunnel = opened(x)
        equal(tunnel.exactly(3), b'bye', x.name)
        ok(tunnel.ended(), x.name)
        tunnel.send(b'late')
        tunnel.finish()
        eventually(lambda: x.weir.access())


def test_a_client_leaves_as_it_likes_once_the_server_has_ended(t):
    """Browsers reset the stream, or close the connection, of a WebSocket that its server has closed: that is no failure. Before the end it is one."""
    ends = threading.Event()
    ends.set()

    def handler(link, request):
        tunnel = take(link, request)
        tunnel.send(b'bye')
        if ends.is_set():
            tunnel.finish()
        ok(tunnel.gone(20))
    for before in False, True:
        if before:
            ends.clear()
        for x in crossings(t, handler, settings=CAN, pairs=FOUR):
            for how in 'reset', 'close':
                tunnel, lines = opened(x), len(x.weir.access())
                equal(tunnel.exactly(3), b'bye', x.name)
                ok(before or tunnel.ended(), x.name)
                if not x.two_in:
                    tunnel.h1.reset()
                elif how == 'reset':
                    tunnel.stream.rst(NO_ERROR if before else CANCEL)
                else:
                    tunnel.stream.conn.close()
                eventually(lambda: len(x.weir.access()) > lines, text=f'{x.name} {how}: no line')
                equal(x.weir.access()[-1].get('failure'), 'client_closed' if before else None, f'{x.name} {how} {before}')


def test_a_cut_server_is_told_as_cut(t):
    """Not as an answer that is malformed; over HTTP/2 by CANCEL (RFC 8441 5)."""
    def handler(link, request):
        tunnel = take(link, request)
        tunnel.exactly(1)
        tunnel.stream.rst(INTERNAL_ERROR) if tunnel.stream else tunnel.h1.reset()
    for x in crossings(t, handler, settings=CAN, pairs=FOUR):
        tunnel = opened(x)
        tunnel.send(b'x')
        ok(tunnel.was_cut(), x.name)
        if x.two_in:
            equal(tunnel.stream.reset, CANCEL, x.name)
        line = x.weir.access_line(path='/ws', protocol='HTTP/2' if x.two_in else 'HTTP/1.1', server_protocol='HTTP/2' if x.two_out else 'HTTP/1.1')
        equal((line['failure'], line['failure_of']), ('response_cut', 'server'), x.name)


def test_half_closed_for_too_long(t):
    def handler(link, request):
        tunnel = take(link, request)
        tunnel.finish()
        tunnel.gone(10)
    for x in crossings(t, handler, settings=CAN, pairs=FOUR, more='timeouts: { half_closed: 300ms }'):
        tunnel = opened(x)
        ok(tunnel.ended(), x.name)
        began = Since()
        equal(x.weir.access_line(server_protocol='HTTP/2' if x.two_out else 'HTTP/1.1', protocol='HTTP/2' if x.two_in else 'HTTP/1.1')['failure'], 'tunnel_idle', x.name)
        began.took(0, 3)


def test_a_slow_client_is_not_idle(t):
    """After the server's end the client takes what is left at its own pace, and not only for timeouts.half_closed."""
    sent = bytes(range(256)) * 200

    def handler(link, request):
        tunnel = take(link, request)
        tunnel.send(sent)
        tunnel.finish()
        tunnel.gone(20)
    for x in crossings(t, handler, settings=CAN, pairs=[p for p in FOUR if p[0] in ('h2', 'h2c')], more='timeouts: { half_closed: 1s }'):
        client = x.connect(settings={INITIAL_WINDOW_SIZE: 2000})
        client.wait(lambda: client.peer.get(ENABLE_CONNECT_PROTOCOL) == 1)
        stream = client.request('CONNECT', '/ws?a=b', [('sec-websocket-version', '13')], host=x.host, open=True, hold=True, pseudo=[(':protocol', 'websocket')])
        equal(stream.head().status, 200, x.name)
        while len(stream.body) < len(sent) and not stream.dead():
            before = len(stream.body)
            client.credit(stream.number, 2000)
            stream.wait(lambda: len(stream.body) > before or stream.dead())
            time.sleep(0.12)
        equal((len(stream.body), stream.reset), (len(sent), None), x.name)


def test_idle(t):
    def handler(link, request):
        take(link, request).gone(10)
    for x in crossings(t, handler, settings=CAN, pairs=FOUR, more='timeouts: { tunnel_idle: 400ms }'):
        tunnel = opened(x)
        began = Since()
        ok(tunnel.gone(), x.name)
        began.took(0.2, 3, x.name)


def test_reset_reaches_the_other_side(t):
    """As a reset, whichever side was cut: an end would be one that nobody has made."""
    cut, seen = threading.Event(), []

    def handler(link, request):
        tunnel = take(link, request)
        tunnel.send(b'x')
        if cut.is_set():
            tunnel.exactly(1)
            tunnel.cut()
        else:
            seen.append(tunnel.was_cut())
    for x in crossings(t, handler, settings=CAN, pairs=FOUR):
        tunnel = opened(x)
        equal(tunnel.exactly(1), b'x')
        tunnel.cut()
        eventually(lambda: seen, text=f'{x.name}: the server was not told')
        equal(seen.pop(), True, f'{x.name}: the client was cut, and the server saw an end')
    cut.set()
    for x in crossings(t, handler, settings=CAN, pairs=FOUR):
        tunnel = opened(x)
        equal(tunnel.exactly(1), b'x')
        tunnel.send(b'y')
        ok(tunnel.was_cut(), f'{x.name}: the server was cut, and the client saw an end')


def test_trailers_are_not_of_a_tunnel(t):
    """They end it on both sides, whoever sends them."""
    def handler(link, request):
        tunnel = take(link, request)
        if tunnel.exactly(1) == b's':
            tunnel.stream.headers([('x-after', 'all')], True)
        ok(tunnel.gone(), "the server's side")
    for x in crossings(t, handler, settings=CAN, pairs=FOUR):
        if x.two_in:
            tunnel = opened(x)
            tunnel.send(b'c')
            tunnel.stream.headers([('x-after', 'all')], True)
            tunnel.stream.wait(tunnel.stream.dead, 5, f'{x.name}: trailers are let be')
            equal(tunnel.stream.reset, PROTOCOL_ERROR, x.name)
            x.weir.access_line(path='/ws', failure='client_closed')
        if x.two_out:
            tunnel = opened(x)
            tunnel.send(b's')
            ok(tunnel.gone(), x.name)
            x.weir.access_line(path='/ws', failure='response_cut')


def test_refused_by_the_server(t):
    def handler(link, request):
        link.answer(403, b'no')
    for x in crossings(t, handler, settings=CAN, pairs=FOUR):
        client = x.connect()
        head, tunnel = ask(x, client=client)
        equal(head.status, 403, x.name)
        equal(tunnel.exactly(2), b'no', x.name)


def test_two_hundred_of_http1_is_no_tunnel(t):
    x, = crossings(t, lambda link, request: link.answer(200, b'page'), pairs=(('h2c', 'h1'),))
    head, _ = ask(x)
    equal(head.status, 502)
    equal(x.weir.access_line(path='/ws')['failure'], 'upgrade_invalid')


def test_wrong_accept_key(t):
    def handler(link, request):
        link.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n')
        link.gone()
    x, = crossings(t, handler, pairs=(('h2c', 'h1'),))
    head, _ = ask(x)
    equal(head.status, 502)


def test_server_that_knows_no_extended_connect(t):
    for x in crossings(t, pairs=(('h1', 'h2c'), ('h2c', 'h2c'))):
        head, _ = ask(x)
        equal(head.status, 502, x.name)
        equal(x.weir.access_line(path='/ws')['failure'], 'upgrade_unsupported', x.name)


def test_what_is_refused(t):
    x, = crossings(t, pairs=(('h2c', 'h1'),), route='upgrades: none')
    c = x.connect()
    equal(ask(x, client=c)[0].status, 405)
    equal(ask(x, client=c, protocol='connect-udp')[0].status, 501)
    equal(x.ask('GET', '/after', client=c).status, 200)
    line = x.weir.access_line(path='/ws', status=405)
    equal((line['method'], line['failure']), ('CONNECT', 'method_refused'))
    equal(x.weir.access_line(status=501)['failure'], 'protocol_unknown')


def test_many_on_one_connection(t):
    """Tunnels and requests side by side on one connection of each side."""
    def handler(link, request):
        if request.path != '/ws':
            tell(link, request)
            return
        tunnel = take(link, request)
        for _ in range(20):
            tunnel.send(tunnel.exactly(1000))
        ok(tunnel.ended())
        tunnel.finish()
    for x in crossings(t, handler, settings=CAN, pairs=(('h2c', 'h1'), ('h2c', 'h2c'))):
        c = x.connect()
        tunnels = [opened(x, client=c) for _ in range(20)]
        for i in range(20):
            for k, tunnel in enumerate(tunnels):
                tunnel.send(bytes([k]) * 1000)
            equal(x.ask('GET', '/plain', client=c).status, 200)
            for k, tunnel in enumerate(tunnels):
                equal(tunnel.exactly(1000), bytes([k]) * 1000)
        for tunnel in tunnels:
            tunnel.finish()
            ok(tunnel.ended())


def test_a_connect_with_a_length_reaches_nobody(t):
    """The length would be a body that never comes: a server waits for it, and takes the next client's request for it."""
    for x in crossings(t, settings=CAN, pairs=FOUR):
        for length in ('38', '0') if x.two_in else ('Content-Length: 38', 'Content-Length: 0', 'Transfer-Encoding: chunked'):
            c = x.connect()
            if x.two_in:
                head, _ = ask(x, [('content-length', length)], c)
                equal(head.status, 400, x.name)
            else:
                c.send(f'CONNECT {x.host}:443 HTTP/1.1\r\nHost: {x.host}\r\n{length}\r\n\r\n')
                equal(c.response().status, 400, x.name)
                ok(c.ended(), x.name)
            equal(x.weir.access_line(status=400)['failure'], 'bad_framing', x.name)
        got = x.ask('GET', '/p', [('x-aaa', 'GET /admin/x HTTP/1.0')])
        equal((got.status, got.json()['target']), (200, '/p'), x.name)
        equal([r.path for r in x.origin.requests if r.path != '/p'], [], x.name)


def test_a_refused_tunnel_of_wrong_length_is_no_answer(t):
    """What a server of HTTP/2 announces and does not send is not announced to the client."""
    def handler(link, request):
        link.begin(404, [('content-length', '38')], end=True)
    for x in crossings(t, handler, settings=CAN, pairs=(('h1', 'h2c'), ('h2c', 'h2c'))):
        client = x.connect()
        head, _ = ask(x, client=client)
        equal(head.status, 502, x.name)
        equal(x.weir.access_line(status=502, protocol='HTTP/2' if x.two_in else 'HTTP/1.1')['failure'], 'response_invalid', x.name)


def test_a_refused_tunnel_keeps_the_connection(t):
    """Its head has promised no body."""
    def handler(link, request):
        link.answer(404, b'no') if request.path == '/ws' else tell(link, request)
    for x in crossings(t, handler, pairs=(('h1', 'h1'), ('h2c', 'h1')), more='workers: 1'):
        equal(ask(x)[0].status, 404, x.name)
        equal(x.ask('GET', '/after').status, 200, x.name)
        equal(len({r.link.number for r in x.origin.requests}), 1, x.name)


def test_path_rules_hold_for_every_way_in(t):
    """GET over HTTP/2 and extended CONNECT, as over HTTP/1; what goes on is the normal form."""
    origin, port = t.origin(), t.port()
    t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}", protocols: [h2c, http/1.1] }} ]
routes: [ {{ match: {{ path: /admin/ }}, respond: 403 }}, {{ pool: p }} ]
pools: {{ p: {{ servers: ["{origin.address}"] }} }}
''')
    for target in ('//admin/x', '/admin%2fx', '/admin;a/x', '/x/..;/admin', '/x/..%2Fadmin', '/admin%252Fx', '/../x', '/a%5cb'):
        client = H2Client(port)
        equal(client.get(target).status, 400, target)
        client.close()
        client = H2Client(port)
        client.wait(lambda: client.peer.get(ENABLE_CONNECT_PROTOCOL) == 1, 5, 'extended CONNECT is not offered')
        stream = client.request('CONNECT', target, [('sec-websocket-version', '13')], host='a.test', open=True, pseudo=[(':protocol', 'websocket')])
        equal(stream.head().status, 400, target)
        client.close()
    client = H2Client(port)
    equal(client.get('/admin/%2e%2e/a%2fb;c').json()['target'], '/a%2Fb;c')
    equal(client.get('/x/%2e%2e/admin').status, 403)

"""Upgrades and the tunnels that follow."""
import threading, time

from weirtest import *


def switch(link, request, early=b''):
    link.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
              f'Sec-WebSocket-Accept: {Websocket.accept(request.fields.get("sec-websocket-key"))}\r\n\r\n', early)
    request._body = b''


def echo(link, request):
    switch(link, request)
    while True:
        opcode, payload = Websocket.read_frame(link.reader)
        link.send(Websocket.frame(payload, opcode, mask=False))
        if opcode == 8:
            link.close()
            return


def test_echo(t):
    weir, port = t.simple(t.origin(echo))
    ws = t.websocket(port)
    response = ws.upgrade()
    equal((response.status, response.fields.get('upgrade').lower(), response.fields.get('sec-websocket-accept')), (101, 'websocket', Websocket.accept(Websocket.KEY)))
    for size in (0, 1, 125, 126, 65535, 65536, 1000000):
        payload = b'p' * size
        sender = threading.Thread(target=ws.say, args=(payload, 2))
        sender.start()
        equal(ws.hear(), (2, payload))
        sender.join()
    ws.say(b'\x03\xe8', 8)
    equal(ws.hear(), (8, b'\x03\xe8'))
    ok(ws.ended())
    ws.close()
    equal(weir.access_line(path='/ws')['status'], 101)


def test_over_tls(t):
    weir, port = t.simple(t.origin(echo), f'tls: {{ certificates: [{t.cert("localhost")}] }}')
    ws = t.websocket(port, tls=t.tls_client(), name='localhost')
    equal(ws.upgrade().status, 101)
    ws.say(b'hello')
    equal(ws.hear(), (1, b'hello'))


class TlsByHand:
    """A TLS client whose close_notify is sent and seen apart from the end of TCP."""
    def __init__(self, port, context, name):
        self.sock = socket.create_connection(('127.0.0.1', port), 10 * SLOW)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        self.until(self.tls.do_handshake)

    def until(self, call):
        """What call() returns once enough has come; None: the connection ended first."""
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                self.flush()
            got = self.sock.recv(65536)
            if not got:
                return None
            self.incoming.write(got)

    def flush(self):
        self.sock.sendall(self.outgoing.read())

    def send(self, data):
        self.tls.write(data)
        self.flush()

    def say_end(self):
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            self.flush()

    def hears_end(self):
        """Whether weir says close_notify before it ends the connection."""
        try:
            return self.until(lambda: self.tls.read(100)) == b''
        except ssl.SSLZeroReturnError:
            return True


def test_both_ends_at_once_over_tls(t):
    """When both sides end in the same turn, the client is still told so by TLS: without close_notify it would take the tunnel for cut."""
    opened, ends = threading.Event(), threading.Event()

    def handler(link, request):
        switch(link, request)
        opened.set()
        ok(ends.wait(10 * SLOW))
        link.sock.shutdown(socket.SHUT_WR)
        link.gone()
    weir, port = t.simple(t.origin(handler), f'tls: {{ certificates: [{t.cert("localhost")}] }}')
    for client_first in (False, True):
        opened.clear()
        ends.clear()
        ws = TlsByHand(port, t.tls_client(), 'localhost')
        ws.send(b'GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'
                b'Sec-WebSocket-Key: ' + Websocket.KEY.encode() + b'\r\n\r\n')
        contains(ws.until(lambda: ws.tls.read(1000)), b'101')
        ok(opened.wait(10 * SLOW))
        weir.signal(signal.SIGSTOP)         # both ends lie at weir before it looks
        try:
            for end in (ws.say_end, ends.set) if client_first else (ends.set, ws.say_end):
                end()
                time.sleep(0.1)
        finally:
            weir.signal(signal.SIGCONT)
        ok(ws.hears_end(), f'no close_notify, client first: {client_first}')


def test_bytes_that_come_early(t):
    """Frames sent with the upgrade, and frames in the same segment as the 101."""
    def handler(link, request):
        switch(link, request, Websocket.frame(b'welcome', mask=False))
        equal(Websocket.read_frame(link.reader), (1, b'early'))
        link.send(Websocket.frame(b'got it', mask=False))
        link.gone()
    weir, port = t.simple(t.origin(handler))
    ws = t.websocket(port)
    equal(ws.upgrade(early=Websocket.frame(b'early')).status, 101)
    equal((ws.hear(), ws.hear()), ((1, b'welcome'), (1, b'got it')))


def test_refused_by_the_server(t):
    def handler(link, request):
        request._body = b''
        link.answer(403, 'no')
    weir, port = t.simple(t.origin(handler))
    ws = t.websocket(port)
    response = ws.upgrade()
    equal((response.status, response.body), (403, b'no'))
    equal(ws.get('/after').status, 403, 'the connection goes on as HTTP')


def test_route_that_does_not_allow_it(t):
    origin = t.origin()
    weir, port = t.simple(origin, route='upgrades: none')
    ws = t.websocket(port)
    equal(ws.upgrade().status, 200)
    ok('upgrade' not in origin.last().fields and 'sec-websocket-accept' not in origin.last().fields, origin.last().fields)


def test_wrong_accept_key(t):
    def handler(link, request):
        request._body = b''
        link.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: d3Jvbmcga2V5IGZvciB0aGlz\r\n\r\n')
    weir, port = t.simple(t.origin(handler), pool='retry: { attempts: 0 }')
    equal(t.websocket(port).upgrade().status, 502)
    equal(weir.access_line(path='/ws')['failure'], 'upgrade_invalid')


def test_malformed_upgrades(t):
    origin = t.origin()
    weir, port = t.simple(origin)
    base = 'Host: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'
    for text in (f'POST / HTTP/1.1\r\n{base}Sec-WebSocket-Key: {Websocket.KEY}\r\nContent-Length: 2\r\n\r\nab', f'GET / HTTP/1.1\r\n{base}Sec-WebSocket-Key: short\r\n\r\n',
                 f'GET / HTTP/1.1\r\n{base}\r\n'):
        c = t.client(port)
        c.send(text)
        response = c.response()
        ok(response.status in (400, 200), response)
        if response.status == 200:
            ok('upgrade' not in origin.last().fields, 'a malformed upgrade was passed on')


def test_h2c_is_never_passed(t):
    origin = t.origin()
    weir, port = t.simple(origin)
    c = t.client(port)
    equal(c.get('/', [('Connection', 'Upgrade, HTTP2-Settings'), ('Upgrade', 'h2c'), ('HTTP2-Settings', 'AAMAAABkAARAAAAAAAIAAAAA')]).status, 200)
    ok('upgrade' not in origin.last().fields and 'http2-settings' not in origin.last().fields, origin.last().fields)


def test_server_ends_first(t):
    def handler(link, request):
        switch(link, request)
        link.send(Websocket.frame(b'bye', mask=False))
        link.sock.shutdown(socket.SHUT_WR)
        equal(Websocket.read_frame(link.reader), (1, b'late'))
        link.close()
    origin = t.origin(handler)
    weir, port = t.simple(origin)
    ws = t.websocket(port)
    ws.upgrade()
    equal(ws.hear(), (1, b'bye'))
    equal(ws.sock.recv(10), b'', 'the end of the server reached the client')
    ws.say(b'late')
    eventually(lambda: origin.in_progress == 0)


def test_client_ends_first(t):
    def handler(link, request):
        switch(link, request)
        equal(link.reader.rest(), b'last words')
        link.send(b'answer after the end')
        link.close()
    weir, port = t.simple(t.origin(handler))
    ws = t.websocket(port)
    ws.upgrade()
    ws.send('last words')
    ws.finish()
    equal(ws.reader.rest(), b'answer after the end')


def test_half_closed_for_too_long(t):
    def handler(link, request):
        switch(link, request)
        link.reader.rest()
        link.origin.waited = link.gone(10)
        link.close()
    origin = t.origin(handler)
    weir, port = t.simple(origin, more='timeouts: { half_closed: 400ms }')
    ws = t.websocket(port)
    ws.upgrade()
    ws.finish()
    eventually(lambda: origin.in_progress == 0)
    ok(ws.ended())


def test_idle_tunnel(t):
    weir, port = t.simple(t.origin(echo), more='timeouts: { tunnel_idle: 500ms }')
    ws = t.websocket(port)
    ws.upgrade()
    for _ in range(4):
        ws.say(b'still here')
        ws.hear()
        time.sleep(0.25)
    ok(ws.ended(5))
    equal(weir.access_line(path='/ws')['failure'], 'tunnel_idle')


def test_a_tunnel_is_not_idle_while_its_client_takes_what_was_sent(t):
    """All is in the kernel's hands long before the client has it. One that takes nothing is not waited for."""
    def handler(link, request):
        switch(link, request, b'z' * LENGTH)
        link.origin.waited = link.gone(20)
        link.close()

    LENGTH = 400000
    weir, port = t.simple(t.origin(handler), more='timeouts: { tunnel_idle: 3s }')     # a busy kernel asks a closed window again after up to 1.6 s
    for reads in True, False:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(('127.0.0.1', port))
            sock.settimeout(5)
            sock.sendall(f'GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {Websocket.KEY}\r\n\r\n'.encode())
            got, began = 0, time.monotonic()
            while reads and got < LENGTH:       # for four seconds and more
                piece = sock.recv(10000)
                ok(piece, f'ended after {got} bytes')
                got += piece.count(b'z')
                time.sleep(0.1)
            eventually(lambda: len([x for x in weir.access() if x.get('failure') == 'tunnel_idle']) == 2 - reads, 10)
            if not reads:
                between(time.monotonic() - began, 2.9, 10)


def test_server_dies_in_the_tunnel(t):
    def handler(link, request):
        switch(link, request)
        Websocket.read_frame(link.reader)
        link.reset()
    weir, port = t.simple(t.origin(handler))
    ws = t.websocket(port)
    ws.upgrade()
    ws.say(b'die')
    ok(ws.ended())


def test_many_tunnels(t):
    weir, port = t.simple(t.origin(echo))
    tunnels = [t.websocket(port) for _ in range(50)]
    for i, ws in enumerate(tunnels):
        equal(ws.upgrade().status, 101)
    for i, ws in enumerate(tunnels):
        ws.say(str(i).encode())
    for i, ws in enumerate(tunnels):
        equal(ws.hear(), (1, str(i).encode()))


def test_client_that_ended_before_the_tunnel(t):
    """All it has to say, and its end, came with the request: the server is told both."""
    said = []

    def handler(link, request):
        time.sleep(0.2 * SLOW)      # the end is here before the answer
        link.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
                  f'Sec-WebSocket-Accept: {Websocket.accept(request.fields.get("sec-websocket-key"))}\r\n\r\n')
        request._body = b''
        said.append(link.reader.rest())
        link.send(b'heard')
        link.close()
    weir, port = t.simple(t.origin(handler))
    for early in (b'all', b''):
        ws = t.websocket(port)
        ws.send('GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'
                f'Sec-WebSocket-Key: {Websocket.KEY}\r\n\r\n', early)
        ws.finish()
        equal(ws.head().status, 101)
        equal(ws.reader.rest(), b'heard')
        equal(said.pop(), early)

"""How a client's connection finds its version of HTTP, and what a connection of HTTP/2 takes from a reload."""
import threading, time

from h2test import *

GET = b'GET / HTTP/1.1\r\nHost: test\r\n\r\n'


def both(t, more=''):
    port = t.port()
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}", protocols: [http/1.1, h2c]{more} }} ]
trusted_proxies: ["127.0.0.1"]
timeouts: {{ request_head: 1s }}
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["{t.origin().address}"] }} }}
''')
    return weir, port


def slowly(sock, data):
    for i in range(len(data)):
        sock.send(data[i:i + 1])
        time.sleep(0.001)


def preface_of(sock):
    """A connection of HTTP/2 whose first bytes have been sent already."""
    conn = H2Client.__new__(H2Client)
    conn.tls = False
    sock.send(settings_frame({}))
    H2Conn.__init__(conn, sock, True, hello=False)
    return conn


def test_first_bytes_one_at_a_time(t):
    weir, port = both(t)
    for data in (GET, b'POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\nx', b'PRI /x HTTP/1.1\r\nHost: test\r\n\r\n', b'PROPFIND / HTTP/1.1\r\nHost: test\r\n\r\n'):
        c = t.client(port)
        c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        slowly(c.sock, data)
        equal(c.response().status, 200, data)
        equal(c.get('/again').status, 200)
    sock = t.client(port).sock
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    slowly(sock, PREFACE)
    equal(preface_of(sock).get('/two').status, 200)
    equal(weir.access_line(path='/two')['protocol'], 'HTTP/2')


def test_first_bytes_behind_a_proxy_preface(t):
    for mode in ('optional', 'required'):
        weir, port = both(t, f', proxy_protocol: {mode}')
        preface = b'PROXY TCP4 192.0.2.7 127.0.0.1 1234 80\r\n'
        c = t.client(port, first=preface + GET)
        equal(c.response().status, 200)
        sock = t.client(port, first=preface + PREFACE).sock
        equal(preface_of(sock).get('/two').status, 200)
        line = weir.access_line(path='/two')
        equal((line['protocol'], line['client']), ('HTTP/2', '192.0.2.7'))
    weir, port = both(t, ', proxy_protocol: optional')
    for data in (GET, PREFACE):     # bytes that might have begun a preface of that protocol too
        c = t.client(port)
        c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        slowly(c.sock, data)
        equal(c.response().status if data is GET else preface_of(c.sock).get('/x').status, 200)


def test_a_client_that_never_shows_its_version(t):
    weir, port = both(t)
    for first in (b'', b'PRI * HT'):
        c = t.client(port, first=first)
        began = Since()
        ok(c.ended())
        began.took(0.5, 2.5)


def test_drain_before_the_version_is_known(t):
    weir, port = both(t, '')
    c = t.client(port, first=b'P')
    began = Since()
    time.sleep(0.1)
    weir.stop()
    began.took(0, 3)


def test_h2c_alone(t):
    port, secure = t.port(), t.port()
    weir = t.weir(f'''listeners:
  - {{ address: "127.0.0.1:{port}", protocols: [h2c] }}
  - {{ address: "127.0.0.1:{secure}", protocols: [h2], tls: {{ certificates: [{t.cert("localhost")}] }} }}
routes: [ {{ respond: 204 }} ]
log: {{ level: debug }}
''')
    equal(t.h2_client(port).get().status, 204)
    for c in (t.client(port), t.client(secure, tls=t.tls_client(), name='localhost')):
        slowly(c.sock, GET)
        response = c.response()
        equal((response.status, response.body), (505, b'505 HTTP Version Not Supported\nThis port speaks HTTP/2 only.\n'))
        ok(c.ended())
    eventually(lambda: weir.stderr().count('where only HTTP/2 is spoken') == 2)
    for garbage in (b'INVALID CONNECTION PREFACE\r\n\r\n', bytes(30)):
        try:
            ok(not t.client(port, first=garbage).reader.rest().startswith(b'HTTP'))
        except ConnectionResetError:
            pass


def test_tls_to_a_plain_port(t):
    port = t.port()
    weir = t.weir(f'listeners: [ {{ address: "127.0.0.1:{port}" }} ]\nroutes: [ {{ respond: 204 }} ]\nlog: {{ level: debug }}\n')
    try:
        t.client(port, tls=t.tls_client(), name='localhost')
        fail('TLS in the clear')
    except (ssl.SSLError, ConnectionResetError):
        pass
    eventually(lambda: 'TLS was sent to a plain port' in weir.stderr())


def test_alpn(t):
    """The server's order; an alert where nothing fits; without ALPN what the listener speaks by itself."""
    cases = (('[h2, http/1.1]', ['http/1.1', 'h2'], 'h2'), ('[h2, http/1.1]', ['http/1.1'], 'http/1.1'), ('[http/1.1]', ['h2', 'http/1.1'], 'http/1.1'),
             ('[h2]', ['h2', 'http/1.1'], 'h2'), ('[h2]', ['http/1.1'], ssl.SSLError), ('[http/1.1]', ['h2'], ssl.SSLError), ('[h2, http/1.1]', ['spdy/3'], ssl.SSLError),
             ('[h2, http/1.1]', [], None))
    for protocols, offered, chosen in cases:
        port = t.port()
        weir = t.weir(f'listeners: [ {{ address: "127.0.0.1:{port}", protocols: {protocols}, tls: {{ certificates: [{t.cert("localhost")}] }} }} ]\nroutes: [ {{ respond: 204 }} ]\n')
        context = t.tls_client()
        if offered:
            context.set_alpn_protocols(offered)
        try:
            sock = context.wrap_socket(socket.create_connection(('127.0.0.1', port)), server_hostname='localhost')
        except ssl.SSLError as error:
            equal(chosen, ssl.SSLError, f'{protocols} {offered} {error}')
            contains(str(error).lower().replace('_', ' '), 'no application protocol')
            continue
        equal(sock.selected_alpn_protocol(), chosen, f'{protocols} {offered}')
        if chosen == 'h2':
            conn = H2Client.__new__(H2Client)
            conn.tls = True
            H2Conn.__init__(conn, sock, True)
            equal(conn.get().status, 204)
        else:
            sock.send(GET)
            contains(sock.recv(100).decode(), 'HTTP/1.1 204')
        sock.close()
        weir.stop()


def test_another_host_on_a_connection_with_client_certificates(t):
    """421 for a name that the handshake did not cover, on that stream alone."""
    port = t.port()
    t.weir(f'''listeners:
  - address: "127.0.0.1:{port}"
    tls: {{ certificates: [{t.cert("localhost")}, {t.cert("a")}], client_auth: optional, client_ca: {t.certificates}/ca.crt }}
routes: [ {{ respond: 204 }} ]
''')
    c = t.h2_client(port, t.tls_client())
    equal([c.get(host=host).status for host in ('localhost', 'a.test', 'localhost')], [204, 421, 204])


def test_reload_reaches_a_connection_that_is_never_idle(t):
    """New streams take the new file, those in progress keep theirs."""
    def handler(link, request):
        if request.path == '/long':
            link.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n')
            link.origin.wait.wait(10)
            link.send('0\r\n\r\n')
        else:
            tell(link, request)
    origin = t.origin(handler)
    origin.wait = threading.Event()
    port, other = t.port(), t.port()
    text = f'''listeners:
  - {{ address: "127.0.0.1:{port}", protocols: [h2c] }}
  - {{ address: "127.0.0.1:{other}", protocols: [h2c] }}
routes: [ {{ match: {{ path: /new }}, respond: 404 }}, {{ pool: p }} ]
pools: {{ p: {{ servers: ["{origin.address}"] }} }}
'''
    weir = t.weir(text)
    c, gone = t.h2_client(port), t.h2_client(other)
    long, longer = c.request(target='/long'), gone.request(target='/long')
    equal((long.head().status, longer.head().status, c.get('/new').status), (200, 200, 404))
    weir.reload(text.replace('respond: 404', 'respond: 201').replace(f'  - {{ address: "127.0.0.1:{other}", protocols: [h2c] }}\n', ''))
    equal(c.get('/new').status, 201)
    eventually(lambda: gone.goaways, text='a listener that went away does not drain')
    origin.wait.set()
    equal((long.response().body, longer.response().body), (b'x', b'x'))
    equal(c.get('/new').status, 201)
    eventually(lambda: gone.over)


def test_streams_that_were_reset_make_no_room(t):
    """Twice the limit may be on their way out; more are refused until they have ended."""
    port = t.port()
    origin = t.origin(lambda link, request: link.gone(10))
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}", protocols: [h2c] }} ]
limits: {{ streams: 5 }}
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["{origin.address}"] }} }}
''')
    c = t.h2_client(port)
    streams = [c.request() for _ in range(5)]
    eventually(lambda: origin.count() == 5)
    for stream in streams:
        stream.rst()
    more = [c.request() for _ in range(5)]
    eventually(lambda: origin.count() == 10)
    for stream in more:
        stream.rst()
    ok(not c.over)
    eventually(lambda: len(weir.access()) == 10)
    equal({a['failure'] for a in weir.access()}, {'client_closed'})


def test_servers_of_another_version(t):
    """Told by a word of their own, in the access log and where a probe fails."""
    for origin, protocol in ((t.origin(), 'h2c'), (t.h2_origin(), 'http/1.1')):
        port = t.port()
        weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}", protocols: [http/1.1, h2c] }} ]
routes: [ {{ match: {{ path: /probed }}, pool: probed }}, {{ pool: asked }} ]
pools:
  asked: {{ servers: ["{origin.address}"], protocol: {protocol} }}
  probed: {{ servers: ["{origin.address}"], protocol: {protocol}, health: {{ fast_interval: 50ms }} }}
''')
        equal(t.client(port).get().status, 502)
        equal(weir.access_line(status=502)['failure'], 'response_version')
        contains(weir.log_line('server is down'), 'server speaks another version of HTTP')


def greeter(t, pieces, at_once):
    """Says something as soon as it is connected to, or once it is asked, and then nothing more."""
    listening = socket.create_server(('127.0.0.1', 0))
    t.later(listening.close)
    held = []

    def talk(sock):
        try:
            if not at_once:
                sock.recv(65536)
            for piece in pieces:
                sock.sendall(piece)
                time.sleep(0.05)
        except OSError:
            pass

    def accept():
        while True:
            try:
                sock = listening.accept()[0]
            except OSError:
                return
            held.append(sock)
            threading.Thread(target=talk, args=(sock,), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    return f'127.0.0.1:{listening.getsockname()[1]}'


def test_servers_that_speak_no_http(t):
    """They fail at once, with what they are told by the first bytes; nobody waits for an end of what they say."""
    answer = [b'H', b'TT', b'P', b'/1.1 20', b'0 OK\r\nContent-Length: 2\r\n', b'\r\nok']
    settings = frame(SETTINGS, 0, 0, b'')
    cases = (([b'SSH-2.0-OpenSSH_9.2\r\n'], 'response_invalid', 'response_invalid'), ([b'220 mail.test ESMTP\r\n'], 'response_invalid', 'response_invalid'),
             ([b'+OK\r\n'], 'response_invalid', 'response_invalid'), ([b'-'], 'response_invalid', 'response_invalid'), ([b'H', b'TTX'], 'response_invalid', 'response_version'),
             ([b'\r\n', b'5'], 'response_invalid', 'response_invalid'), ([settings[:2], settings[2:5], settings[5:]], 'response_version', None), (answer, None, 'response_version'))
    for pieces, http_1, http_2 in cases:
        for at_once in (False, True):
            port = t.port()
            weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
timeouts: {{ response: 60s }}
routes: [ {{ match: {{ path: /h1 }}, pool: h1 }}, {{ pool: h2 }} ]
pools:
  h1: {{ servers: ["{greeter(t, pieces, at_once)}"], health: none }}
  h2: {{ servers: ["{greeter(t, pieces, at_once)}"], health: none, protocol: h2c }}
''')
            for path, failure in (('/h1', http_1), ('/h2', http_2)):
                if failure is None and (at_once or path == '/h2'):
                    continue
                said = f'{pieces} to {path}, {"at once" if at_once else "when asked"}'
                equal(t.client(port, timeout=8).get(path).status, 502 if failure else 200, said)
                told = weir.access_line(path=path)['failure'] if failure else None
                # before a request has left it was not of this server's making; what a kept connection is for is seen before
                ok(told == failure or (at_once and told in ('response_invalid', 'stream_refused', 'server_closed')), f'{said}: {told}')
            weir.stop()

"""A client that only sends until all is sent sees the answer to it, however much that is and however early the answer came."""
import threading, time

from h2test import *

MUCH = 5 << 20


def slow_upload(sock, head, pause=0.0):
    """As clients do that look at the answer when they have sent all: True when nothing kept it from that."""
    sock.sendall(head)
    piece = b'x' * 65536
    for _ in range(MUCH // len(piece)):
        sock.sendall(piece)
        if pause:
            time.sleep(pause)


def served(t, routes, more=''):
    origin, reader = t.origin(early), t.origin()
    ports = t.port(), t.port()
    t.weir(f'''listeners:
  - {{ address: "127.0.0.1:{ports[0]}", protocols: [http/1.1, h2c] }}
  - {{ address: "127.0.0.1:{ports[1]}", tls: {{ certificates: [{t.cert("localhost")}] }} }}
rate_limits: {{ none: {{ rate: 1/h, burst: 1, key: client.ip }} }}
{more}
routes:
{routes}
pools: {{ p: {{ servers: ["{origin.address}"] }}, reads: {{ servers: ["{reader.address}"] }} }}
''')
    return ports


def early(link, request):
    """Answers and closes without a look at the body."""
    link.answer(403, b'no', [('Connection', 'close')])
    link.sock.shutdown(socket.SHUT_WR)
    time.sleep(0.2)
    link.close()


ROUTES = '''  - { match: { path: /large }, body_limit: 1MiB, pool: reads }
  - { match: { path: /often }, rate_limit: none, respond: { status: 200, body: "x" } }
  - { match: { path: /moved }, redirect: { host: other.test, status: 308 } }
  - { match: { path: /denied }, access: { deny: ["127.0.0.0/8"] }, pool: p }
  - { match: { path: /early }, pool: p }'''
WANTED = {'/large': 413, '/often': 429, '/moved': 308, '/denied': 403, '/early': 403, '/none': 404}


def ask(t, port, path, tls, chunked, pause=0.0):
    c = t.client(port, tls=t.tls_client() if tls else None, name='localhost' if tls else None)
    framing = 'Transfer-Encoding: chunked' if chunked else f'Content-Length: {MUCH}'
    head = f'POST {path} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n' + (f'{MUCH:x}\r\n' if chunked else '')
    slow_upload(c.sock, head.encode(), pause)
    return c.response().status


def test_the_answer_is_seen(t):
    """Five megabytes to each kind of answer that comes before they have: every time, in the clear and in TLS, with a length or in chunks."""
    ports = served(t, ROUTES)
    t.client(ports[0]).get('/often')
    for tls in False, True:
        for chunked in False, True:
            for path, status in WANTED.items():
                for _ in range(3):
                    equal(ask(t, ports[tls], path, tls, chunked), status, f'{path} tls={tls} chunked={chunked}')


def test_the_answer_is_seen_by_who_sends_for_long(t):
    """Longer than the linger time, which is for silence only."""
    ports = served(t, ROUTES, 'timeouts: { linger: 300ms }')
    equal(ask(t, ports[0], '/large', False, False, 0.012), 413)
    equal(ask(t, ports[0], '/moved', False, True, 0.012), 308)


def test_no_linger_is_none(t):
    """0s closes at once."""
    ports = served(t, ROUTES, 'timeouts: { linger: 0s }')
    c = t.client(ports[0])
    c.send(f'POST /moved HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MUCH}\r\n\r\nbegin')
    equal(c.response().status, 308)
    ok(c.ended(2))


def test_http2(t):
    ports = served(t, ROUTES)
    t.client(ports[0]).get('/often')
    for path, status in WANTED.items():
        c = t.h2_client(ports[0])
        stream = c.request('POST', path, [('content-length', str(MUCH))], host='localhost', open=True)
        try:
            for _ in range(MUCH // 65536):
                stream.data(b'x' * 65536)
        except Closed:
            pass
        equal(stream.response().status, status, path)
        equal(c.get('/none', host='localhost').status, 404, path)       # the connection goes on

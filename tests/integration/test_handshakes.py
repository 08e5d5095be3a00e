"""Clients that do not end their handshakes: they keep nobody out, and the caps on them."""
from weirtest import *

HELLO = b'\x16\x03\x01\x02\x00\x01'     # a ClientHello that never comes whole


def site(t, more='', listener='', workers=1):
    port = t.port()
    weir = t.weir(f'workers: {workers}\ndrain_timeout: 300ms\nlisteners: [ {{ address: "127.0.0.1:{port}", tls: {{ certificates: [ {t.cert("localhost")} ] }}{listener} }} ]\nroutes: [ {{ respond: 200 }} ]\n{more}\n')
    return weir, port


def silent(t, port, count, source=None, first=b'', seconds=0.1):
    """Connections that say no more than that."""
    made = [t.client(port, source=source, first=first) for _ in range(count)]
    time.sleep(seconds * SLOW)
    return made


def left(clients):
    """Which of them are still open."""
    return [i for i, c in enumerate(clients) if c.quiet(0)]


def served(t, port, count=20, source=None, first=b''):
    context, got = t.tls_client(), collections.Counter()
    for _ in range(count):
        try:
            got[t.client(port, tls=context, name='localhost', source=source, first=first).get().status] += 1
        except (Closed, OSError) as error:
            got[type(error).__name__] += 1
    return got


def test_nobody_is_locked_out(t):
    """As many as there may be connections, from many addresses, in each stage before a request."""
    for more in ('', ', handshakes: none, handshakes_per_client: none'):
        for listener, first in (('', b''), ('', HELLO), (', proxy_protocol: required', b''), (', proxy_protocol: required', b'PROXY TCP4 ')):
            weir, port = site(t, f'limits: {{ connections: 40{more} }}', listener, workers=2)
            clients = [c for i in range(10) for c in silent(t, port, 6, f'127.0.1.{i + 1}', first, 0.01)]
            equal(served(t, port, first=b'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n' if listener else b''), {200: 20}, f'{listener} {first} {more}')
            weir.stop()
    weir, port = site(t, 'limits: { connections: 40 }', workers=2)
    context = t.tls_client()
    shaken = [t.client(port, tls=context, name='localhost', source=f'127.0.1.{i % 10 + 1}') for i in range(50)]
    equal(served(t, port), {200: 20}, 'handshakes that are over, and no request')


def test_one_client_ends_its_own(t):
    weir, port = site(t, 'limits: { handshakes_per_client: 5 }')
    other = silent(t, port, 5, '127.0.0.2')
    clients = silent(t, port, 20, '127.0.0.3', HELLO)
    eventually(lambda: left(clients) == list(range(15, 20)), text=lambda: f'{left(clients)}')
    equal(left(other), list(range(5)))
    equal(served(t, port, 5, '127.0.0.3'), {200: 5}, 'a client beside them')
    equal(served(t, port, 5, '127.0.0.2'), {200: 5})
    contains(weir.log_line('did not end its handshake'), 'limit=limits.handshakes_per_client')


def test_in_all(t):
    weir, port = site(t, 'limits: { handshakes: 10, handshakes_per_client: none }')
    clients = [c for i in range(20) for c in silent(t, port, 1, f'127.0.1.{i + 1}', seconds=0.02)]
    eventually(lambda: left(clients) == list(range(10, 20)), text=lambda: f'{left(clients)}')
    equal(served(t, port, 5), {200: 5})


def test_in_prefaces(t):
    """Before its PROXY header a connection counts for nobody; then for who it says it is, IPv6 by /64."""
    weir, port = site(t, 'limits: { handshakes: 12, handshakes_per_client: 3 }', ', proxy_protocol: required')
    balancer = silent(t, port, 10)
    equal(left(balancer), list(range(10)), 'the balancer is no client')
    [c.close() for c in balancer]
    one = [c for i in range(6) for c in silent(t, port, 1, first=proxy_v2((f'2001:db8:0:1::{i + 1}', 1), ('2001:db8::1', 2)))]
    other = silent(t, port, 3, first=proxy_v2(('2001:db8:0:2::1', 1), ('2001:db8::1', 2)))
    eventually(lambda: left(one) == [3, 4, 5], text=lambda: f'{left(one)}')
    equal(left(other), [0, 1, 2])
    equal(served(t, port, 5, first=proxy_v2(('2001:db8:0:1::9', 1), ('2001:db8::1', 2))), {200: 5})


def test_defaults_keep_other_clients(t):
    """Handshakes from many addresses leave half of the connections to who has shaken hands, those of one address more."""
    weir, port = site(t, 'limits: { connections: 60 }\ntls: { handshake_timeout: 5m }')       # none ends by itself, however slow the machine
    context = t.tls_client()
    kept = [t.client(port, tls=context, name='localhost', source='127.0.0.9') for _ in range(25)]
    equal([c.get().status for c in kept], [200] * 25)
    time.sleep(0.4)
    flood = [c for i in range(60) for c in silent(t, port, 1, f'127.0.1.{i + 1}', seconds=0)]
    eventually(lambda: len(left(flood)) <= 30)
    time.sleep(0.1 * SLOW)
    equal(len(left(flood)), 30)
    equal([c.get().status for c in kept], [200] * 25, 'they were quiet longer than any of the flood')
    flood += silent(t, port, 60, '127.0.0.3', seconds=0)
    eventually(lambda: len(left(flood[60:])) <= 12)
    time.sleep(0.1 * SLOW)
    equal(len(left(flood[60:])), 12, 'of one address')
    equal([c.get().status for c in kept], [200] * 25)


def test_a_burst_ends_no_established_client(t):
    """All that come in one turn make room among themselves: who goes counts no more, though it is closed at the turn's end."""
    weir, port = site(t, 'limits: { connections: 60 }\ntls: { handshake_timeout: 5m }')
    context = t.tls_client()
    kept = [t.client(port, tls=context, name='localhost', source='127.0.0.9') for _ in range(25)]
    equal([c.get().status for c in kept], [200] * 25)
    time.sleep(0.4 * SLOW)          # they are quiet longer than any of the burst
    weir.signal(signal.SIGSTOP)
    flood = [c for i in range(60) for c in silent(t, port, 1, f'127.0.1.{i + 1}', seconds=0)]
    weir.signal(signal.SIGCONT)
    eventually(lambda: len(left(flood)) <= 30)
    equal([c.get().status for c in kept], [200] * 25)


def test_a_burst_of_honest_clients(t):
    """Many at once that end their handshakes are all served."""
    weir, port = site(t, 'tls: { handshake_timeout: 5m }', workers=2)
    socks = [socket.create_connection(('127.0.0.1', port), 10 * SLOW) for _ in range(300)]
    context, got = t.tls_client(), 0
    for sock in socks:
        with context.wrap_socket(sock, server_hostname='localhost') as c:
            c.sendall(b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
            got += c.recv(1000).startswith(b'HTTP/1.1 200')
    equal(got, 300)


def test_by_reload(t):
    """Those in progress count for a cap that comes or gets lower."""
    for more in ('limits: { window: 32KiB }', 'limits: { handshakes_per_client: none }'):
        weir, port = site(t, more)
        clients = silent(t, port, 10)
        text = open(weir.file).read()
        weir.reload(text.replace(more, 'limits: { handshakes_per_client: 2 }'))
        time.sleep(0.1 * SLOW)
        equal(left(clients), list(range(10)))
        clients += silent(t, port, 1)
        eventually(lambda: left(clients) == [9, 10], text=lambda: f'{more}: {left(clients)}')


def hello_of(length, piece=None):
    """The beginning of a ClientHello that says it is so long, in records of so many bytes."""
    said = b'\x01' + length.to_bytes(3, 'big') + b'\x03\x03' + b'r' * 40
    piece = piece or len(said)
    return b''.join(b'\x16\x03\x01' + struct.pack('>H', len(part)) + part for part in (said[i:i + piece] for i in range(0, len(said), piece)))


def test_a_hello_that_is_too_long(t):
    """It is ended for what it says, before that has come."""
    weir, port = site(t)
    for piece in (None, 1, 3):
        for length in (32769, 131000, 0xffffff):
            client = t.client(port, first=hello_of(length, piece))
            ok(client.ended(5), f'{length} bytes in pieces of {piece}')
        short = silent(t, port, 3, first=hello_of(32768, piece))
        equal(left(short), [0, 1, 2])
    contains(weir.log_line('handshake failed'), 'why="the ClientHello is longer than 32768 bytes"')
    slowly = t.client(port)
    for byte in hello_of(131000)[:8]:
        slowly.send(bytes([byte]))
        time.sleep(0.01)
    equal(left([slowly]), [0])
    slowly.send(hello_of(131000)[8:9])
    ok(slowly.ended(5))
    equal(served(t, port, 5), {200: 5})

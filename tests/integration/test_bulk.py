"""Large bodies that go from socket to socket without being looked at: they are what they were, and end as others do."""
import hashlib, random, threading, time

from weirtest import *

SIZE = 12 << 20
DATA = random.Random(5).randbytes(1 << 20)


def body(link, request):
    """/N: N bytes. ?cut: closes in the middle. ?dribble: in small pieces."""
    size, step = int(request.path[1:]), 700 if request.query == 'dribble' else len(DATA)
    link.send(f'HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n')
    for at in range(0, size, step):
        if request.query == 'cut' and at >= size // 2:
            link.close()
            return
        link.send(DATA[at % len(DATA):][:min(step, size - at, len(DATA) - at % len(DATA))])


def expected(size):
    return hashlib.sha256((DATA * (size // len(DATA) + 1))[:size]).hexdigest()


def test_bodies_are_whole_and_connections_kept(t):
    origin = t.origin(body)
    weir, port = t.simple(origin)
    c = t.client(port)
    for size in (1000, SIZE, 300000, 262144 + 17, 1 << 20, SIZE + 1, 5):
        equal(hashlib.sha256(c.get(f'/{size}').body).hexdigest(), expected(size), f'{size} bytes')
    equal({request.link.number for request in origin.requests}, {0}, 'connections to the server')


def test_bytes_behind_a_body_answer_nobody(t):
    """They lie in the socket, where no event tells of them, when the next request comes: its connection must be another one."""
    surplus = b'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen'

    def handler(link, request):
        size = int(request.path[1:])
        if size == 0:
            link.answer(200, 'own')
        else:
            link.send(f'HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n', DATA[:size], surplus)
    origin = t.origin(handler)
    weir, port = t.simple(origin, more='workers: 1')
    for size in 300000, 400000, 500000, 700000, 900000, 1 << 20:
        for _ in range(3):
            c = t.client(port)
            c.send(f'GET /{size} HTTP/1.1\r\nHost: a\r\n\r\nGET /0 HTTP/1.1\r\nHost: a\r\n\r\n')
            equal(c.response().body, DATA[:size])
            equal(c.response().body, b'own', f'behind {size} bytes')
            c.close()


def test_many_at_once(t):
    """More than there are pipes."""
    weir, port = t.simple(t.origin(body))
    wrong, size = [], 2 << 20

    def one():
        c = Client(port, timeout=40)
        for _ in range(2):
            if hashlib.sha256(c.get(f'/{size}').body).hexdigest() != expected(size):
                wrong.append(1)
        c.close()
    threads = [threading.Thread(target=one) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(wrong, [])


def test_slow_reader_of_small_pieces(t):
    """Small pieces fill the slots of a pipe long before its room."""
    def handler(link, request):
        link.send('HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n')
        for at in range(0, 9000000, 600):
            link.send((b'%08d' % at)[:6] * 100)
    weir, port = t.simple(t.origin(handler))
    c = t.client(port)
    c.request('GET', '/')
    time.sleep(1)
    got, wanted = c.response().body, b''.join((b'%08d' % at)[:6] * 100 for at in range(0, 9000000, 600))
    equal((len(got), hashlib.sha256(got).hexdigest()), (len(wanted), hashlib.sha256(wanted).hexdigest()))


def test_a_body_that_is_cut(t):
    weir, port = t.simple(t.origin(body))
    c = t.client(port)
    c.request('GET', f'/{SIZE}?cut')
    c.head()
    got = 0
    try:
        while piece := c.sock.recv(1 << 20):
            got += len(piece)
    except ConnectionResetError:
        pass
    ok(got < SIZE, 'a cut body looked whole')


def test_clients_that_go_away(t):
    """Each leaves bytes in a pipe; none of them may come to another."""
    weir, port = t.simple(t.origin(body))
    t.client(port).get(f'/{SIZE}')
    descriptors = weir.descriptors()
    for i in range(40):
        c = Client(port)
        c.request('GET', f'/{SIZE}')
        c.sock.recv(1000 + i)
        c.reset() if i % 2 else c.close()
    equal(hashlib.sha256(t.client(port).get(f'/{SIZE}').body).hexdigest(), expected(SIZE))
    eventually(lambda: weir.descriptors() < descriptors + 16, 10, 'descriptors are left')


def test_bytes_are_counted(t):
    weir, port = t.simple(t.origin(body))
    t.client(port).get(f'/{SIZE}')
    equal(weir.access_line(path=f'/{SIZE}')['bytes_out'], SIZE)


def test_tls_reader_that_stops(t):
    """Records that the socket did not take wait, and go before the next."""
    weir, port = t.simple(t.origin(body), f'tls: {{ certificates: [{t.cert("localhost")}] }}')
    c = t.client(port, tls=t.tls_client(), name='localhost')
    for _ in range(2):
        c.request('GET', f'/{SIZE}')
        c.head()
        got, left, stops = hashlib.sha256(), SIZE, 0
        while left:
            if SIZE - left > stops * (3 << 20):
                stops += 1
                time.sleep(0.2)
            piece = c.reader.bytes or c.sock.recv(1 << 16)
            ok(piece, 'cut short')
            c.reader.bytes = b''
            got.update(piece)
            left -= len(piece)
        equal(got.hexdigest(), expected(SIZE))
    eventually(lambda: len([a for a in weir.access() if a['bytes_out'] == SIZE]) == 2)

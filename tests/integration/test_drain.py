"""SIGTERM: no new connections, and what runs is brought to its end."""
import signal, threading, time

from weirtest import *


def test_request_in_progress_is_finished(t):
    gate = threading.Event()

    def handler(link, request):
        gate.wait(10 * SLOW)
        tell(link, request)
    origin = t.origin(handler)
    weir, port = t.simple(origin)
    c = t.client(port)
    c.request('GET', '/slow')
    eventually(lambda: origin.in_progress)
    weir.signal(signal.SIGTERM)
    weir.wait_message('STOPPING=1')

    def refused():
        try:
            socket.create_connection(('127.0.0.1', port), 1).close()
            return False
        except OSError:
            return True
    eventually(refused, PATIENCE, 'new connections are still taken')
    gate.set()
    response = c.response()
    equal((response.status, response.fields.get('connection')), (200, 'close'))
    ok(c.ended())
    equal(weir.process.wait(5 * SLOW), 0)


def test_idle_connections_do_not_hold_it(t):
    weir, port = t.simple()
    idle = [t.client(port) for _ in range(10)]
    for c in idle[:5]:
        c.get()
    began = Since()
    weir.signal(signal.SIGTERM)
    equal(weir.process.wait(5 * SLOW), 0)
    began.took(0, 3, 'it waited for idle connections')
    for c in idle:
        ok(c.ended())


def test_a_client_that_was_answered_does_not_hold_it(t):
    """Its answer's head had left, without a word of the connection's end, before weir was told."""
    gate = threading.Event()

    def handler(link, request):
        link.begin()
        link.piece(b'begun')
        gate.wait(20 * SLOW)
        link.end()
    weir, port = t.simple(t.origin(handler), more='drain_timeout: 30s')
    c = t.client(port)
    c.request()
    c.head()
    weir.signal(signal.SIGTERM)
    weir.wait_message('STOPPING=1')
    time.sleep(1.5)     # longer than a quiet connection is given
    gate.set()
    began = Since()
    equal(weir.process.wait(20 * SLOW), 0)
    began.took(0, 5, 'it waited for an idle connection')
    equal(b''.join(c.reader.chunks()), b'begun')
    ok(c.ended())


def test_timeout(t):
    def handler(link, request):
        link.gone(20)
        link.close()
    origin = t.origin(handler)
    weir, port = t.simple(origin, more='drain_timeout: 1s')
    c = t.client(port)
    c.request('GET', '/stuck')
    eventually(lambda: origin.in_progress)
    began = Since()
    weir.signal(signal.SIGTERM)
    equal(weir.process.wait(10 * SLOW), 0)
    began.took(0.8, 3)
    weir.log_line('drain timeout')


def test_second_signal(t):
    def handler(link, request):
        link.gone(20)
        link.close()
    origin = t.origin(handler)
    weir, port = t.simple(origin, more='drain_timeout: 30s')
    c = t.client(port)
    c.request('GET', '/stuck')
    eventually(lambda: origin.in_progress)
    weir.signal(signal.SIGTERM)
    weir.wait_message('STOPPING=1')
    time.sleep(0.7)     # the same word twice within half a second is one word
    began = Since()
    weir.signal(signal.SIGINT)
    equal(weir.process.wait(5 * SLOW), 0)
    began.took(0, 3)


def test_under_load(t):
    """Every request that was taken is answered; a connection ends only between two requests."""
    for kept in (True, False):
        weir, port = t.simple()
        load = t.load(port, rate=300 / SLOW, threads=6, kept=kept)
        eventually(lambda: load.count > 50)
        weir.signal(signal.SIGTERM)
        equal(weir.process.wait(10 * SLOW), 0)
        load.stop()
        real = [f for f in load.failures if 'refused' not in f.lower() and 'ConnectionResetError' not in f]
        equal(real, [], 'requests that were lost')


def test_tunnel_is_waited_for(t):
    def handler(link, request):
        link.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
                  f'Sec-WebSocket-Accept: {Websocket.accept(request.fields.get("sec-websocket-key"))}\r\n\r\n')
        request._body = b''
        Websocket.read_frame(link.reader)
        link.send(Websocket.frame(b'late', mask=False))
        link.close()
    weir, port = t.simple(t.origin(handler))
    ws = t.websocket(port)
    ws.upgrade()
    weir.signal(signal.SIGTERM)
    weir.wait_message('STOPPING=1')
    time.sleep(0.2)
    ws.say(b'still there')
    equal(ws.hear(), (1, b'late'))
    equal(weir.process.wait(5 * SLOW), 0)


def test_big_download_is_finished(t):
    size = 64 << 20

    def handler(link, request):
        link.send(f'HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n')
        for _ in range(size >> 20):
            link.send(b'z' * (1 << 20))
    weir, port = t.simple(t.origin(handler), more='drain_timeout: 40s')
    c = t.client(port)
    c.request()
    equal(c.head().status, 200)
    weir.signal(signal.SIGTERM)
    weir.wait_message('STOPPING=1')
    equal(len(c.reader.exactly(size)), size)
    equal(weir.process.wait(5 * SLOW), 0)


def extension(weir):
    """Seconds that the service manager was asked for when weir was told to end."""
    message = [m for m in weir.messages if 'STOPPING=1' in m][-1]
    return int(re.search(r'EXTEND_TIMEOUT_USEC=(\d+)', message)[1]) / 1e6


def again(weir, number=signal.SIGTERM):
    """Told to end once more: within half a second it would be the same word."""
    time.sleep(0.7)
    weir.signal(number)


def test_delay_serves_on(t):
    """Balancers in front of it have drain_delay to learn that it goes: nobody is refused, and each connection ends with its next answer."""
    gate = threading.Event()

    def handler(link, request):
        if request.path == '/slow':
            gate.wait(20 * SLOW)
        tell(link, request)
    origin = t.origin(handler)
    weir, port = t.simple(origin, more='drain_delay: 10m\ndrain_timeout: 30s')
    busy, kept, silent = t.client(port), t.client(port), t.client(port)
    equal(kept.get().fields.get('connection'), None)
    busy.request('GET', '/slow')
    eventually(lambda: origin.in_progress)
    weir.signal(signal.SIGTERM)
    weir.wait_message('STOPPING=1')
    between(extension(weir), 630, 660, 'drain_delay and drain_timeout')
    weir.log_line('serves on')
    time.sleep(1.5)     # longer than a quiet connection of one that drains is given
    ok(kept.quiet() and silent.quiet(), 'a quiet connection was closed')
    for c in (kept, silent, t.client(port)):
        response = c.get()
        equal((response.status, response.fields.get('connection')), (200, 'close'))
        ok(c.ended())
    gate.set()
    response = busy.response()
    equal((response.status, response.fields.get('connection')), (200, 'close'))
    ok(busy.ended())
    late = t.client(port)
    weir.signal(signal.SIGHUP)
    weir.log_line('told to end, so the file is not loaded anew')
    again(weir, signal.SIGINT)
    equal(weir.process.wait(10 * SLOW), 0)
    weir.log_line('the rest of drain_delay is left out')
    ok(late.ended())


def test_delay_passes(t):
    weir, port = t.simple(more='drain_delay: 1s\ndrain_timeout: 30s')
    load = t.load(port, rate=200 / SLOW, threads=4)
    eventually(lambda: load.count > 20)
    began = time.monotonic()
    weir.signal(signal.SIGTERM)
    weir.log_line('draining')
    ok(time.monotonic() - began > 0.8, 'it did not wait')
    equal(weir.process.wait(15 * SLOW), 0)
    load.stop()
    real = [f for f in load.failures if 'refused' not in f.lower() and 'ConnectionResetError' not in f]
    equal(real, [], 'requests that were lost')


def test_each_word_takes_the_next_step(t):
    def handler(link, request):
        link.gone(60)
        link.close()
    origin = t.origin(handler)
    weir, port = t.simple(origin, more='drain_delay: 10m\ndrain_timeout: 10m')
    c = t.client(port)
    c.request('GET', '/stuck')
    eventually(lambda: origin.in_progress)
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):      # the first two as one
        weir.signal(number)
    weir.log_line('serves on')
    ok('draining' not in weir.stderr(), 'it drains at the first word')
    again(weir)
    weir.log_line('draining')
    again(weir, signal.SIGQUIT)
    equal(weir.process.wait(10 * SLOW), 0)
    weir.log_line('what is left is cut')


def test_delay_of_a_tunnel(t):
    def handler(link, request):
        link.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
                  f'Sec-WebSocket-Accept: {Websocket.accept(request.fields.get("sec-websocket-key"))}\r\n\r\n')
        request._body = b''
        Websocket.read_frame(link.reader)
        link.send(Websocket.frame(b'late', mask=False))
        link.close()
    weir, port = t.simple(t.origin(handler), more='drain_delay: 10m')
    before = t.websocket(port)
    equal(before.upgrade().status, 101)
    weir.signal(signal.SIGTERM)
    weir.wait_message('STOPPING=1')
    weir.log_line('serves on')
    during = t.websocket(port)
    equal(during.upgrade().status, 101)
    again(weir)
    weir.log_line('draining')
    for ws in (before, during):
        ws.say(b'still there')
        equal(ws.hear(), (1, b'late'))
    equal(weir.process.wait(10 * SLOW), 0)

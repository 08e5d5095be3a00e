"""What a reload leaves behind: older files in use by tunnels and long requests are counted, ended in time, and never too many."""
import signal, threading, time

from h2test import *


def text_of(port, origin, top='', body='one', protocols='[http/1.1, h2c]'):
    return f'''workers: 2
{top}
listeners: [ {{ address: "127.0.0.1:{port}", protocols: {protocols} }} ]
routes:
  - {{ match: {{ path: /version }}, respond: {{ body: {body} }} }}
  - {{ match: {{ path: /long }}, respond: {{ body: "{'x' * 1000}" }} }}
  - {{ name: all, pool: p }}
pools: {{ p: {{ servers: ["{origin.address}"] }} }}
'''


def handler(gate):
    def handle(link, request):
        if request.path == '/large':
            link.send(f'HTTP/1.1 200 OK\r\nContent-Length: {64 << 20}\r\n\r\n')
            link.send(b'z' * (1 << 20))
            gate.wait(60 * SLOW)
        elif request.path == '/ws':
            link.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
                      f'Sec-WebSocket-Accept: {Websocket.accept(request.fields.get("sec-websocket-key"))}\r\n\r\n')
            request._body = b''
            while True:
                link.send(Websocket.frame(Websocket.read_frame(link.reader)[1], mask=False))
        elif request.path == '/begun':
            link.begin()
            link.piece(b'begun')
            gate.wait(60 * SLOW)
            link.end()
        elif request.path == '/silent':
            gate.wait(60 * SLOW)
            tell(link, request)
        else:
            tell(link, request)
    return handle


def told(weir):
    """What the log says of older files at each reload."""
    return [(int(a), int(b)) for a, b in re.findall(r'"configuration loaded".* older=(\d+) oldest_s=(\d+)', weir.stderr())]


def over(c, seconds=10):
    """The peer has ended the connection."""
    c.sock.settimeout(seconds * SLOW)
    try:
        while c.sock.recv(1 << 16):
            pass
        return True
    except ConnectionResetError:
        return True
    except (TimeoutError, socket.timeout):
        return False


def test_what_runs_under_an_older_file_is_ended(t):
    """In all its forms and both versions; what began under the new one is not, and the memory of the older one goes."""
    gate = threading.Event()
    origin, port = t.origin(handler(gate)), t.port()
    weir = t.weir(text_of(port, origin))
    ws = t.websocket(port)
    equal(ws.upgrade().status, 101)
    begun, silent, upload, head, slow = (t.client(port) for _ in range(5))
    begun.request('GET', '/begun')
    equal(begun.head().status, 200)
    silent.request('GET', '/silent')
    upload.send('POST /begun HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nsome')
    head.send('GET /version HTTP/1.1\r\nHo')
    large = t.client(port)      # spliced: nobody looks at its bytes
    large.request('GET', '/large')
    equal(large.head().status, 200)
    large.reader.exactly(1 << 20)
    both = t.h2_client(port)
    both.wait(lambda: both.peer.get(ENABLE_CONNECT_PROTOCOL) == 1, 5)
    tunnel = both.request('CONNECT', '/ws', [('sec-websocket-version', '13')], open=True, pseudo=[(':protocol', 'websocket')])
    equal(tunnel.head().status, 200)
    streams = [both.request('GET', path) for path in ('/begun', '/silent')]
    equal(streams[0].head().status, 200)
    eventually(lambda: origin.count('/silent') == 2)
    eventually(lambda: origin.count('/begun') == 3)
    equal(weir.counted()['configurations_old'], 0)
    # Without reload_drain they go on, and are told.
    weir.reload(text_of(port, origin, body='two'))
    ws.say(b'still')
    equal(ws.hear(), (1, b'still'))
    time.sleep(1.1)
    counted = weir.counted()
    equal(counted['configurations_old'], 1)
    ok(counted['configurations_oldest_s'] >= 1, counted)
    later = t.websocket(port)
    equal(later.upgrade().status, 101)
    # Nothing of a file that is refused holds, be that by the loader or by what it wants opened.
    for bad in ('reload_drain: 0s\nworkerz: 2', f'reload_drain: 0s\nlog: {t.work}/none/log', 'limits: { old_configurations: 1 }\nreload_drain: 5'):
        weir.reload(text_of(port, origin, top=bad), good=False)
    ws.say(b'still')
    equal(ws.hear(), (1, b'still'))
    # What a later file says holds for all older ones.
    weir.reload(text_of(port, origin, body='three', top='reload_drain: 1s'), good=False)
    eventually(lambda: len(told(weir)) == 2)
    equal(told(weir)[0], (0, 0))
    equal(told(weir)[1][0], 1)
    ok(told(weir)[1][1] >= 1, told(weir))
    latest = t.websocket(port)
    equal(latest.upgrade().status, 101)
    ok(over(ws) and over(later), 'a tunnel goes on')
    response = silent.response()
    equal(response.status, 503)
    ok(over(begun) and over(upload) and over(large), 'a request goes on')
    tunnel.wait(tunnel.dead, text='a tunnel over HTTP/2 goes on')
    head.send('st: test\r\n\r\n')
    equal(head.response().body, b'three', 'a head that was not whole belongs to no file yet')
    equal(streams[1].response().status, 503)
    streams[0].wait(streams[0].dead, text='a stream goes on')
    eventually(lambda: weir.counted()['configurations_old'] == 0, 20, 'an older file is kept')
    equal(both.request('GET', '/version').response().body, b'three')
    latest.say(b'mine')
    equal(latest.hear(), (1, b'mine'))
    failures = [line.get('failure') for line in weir.access() if line.get('failure')]
    equal(set(failures), {'reload_drained'})
    ok(len(failures) >= 9, weir.access())
    gate.set()


def test_answers_of_weir_to_slow_clients_are_ended(t):
    origin, port = t.origin(), t.port()
    weir = t.weir(text_of(port, origin))
    c = H2Client(port, settings={INITIAL_WINDOW_SIZE: 10})
    t.later(c.close)
    stream = c.request('GET', '/long', hold=True)
    equal(stream.head().status, 200)
    weir.reload(text_of(port, origin, top='reload_drain: 0s'))
    stream.wait(stream.dead, text='the stream goes on')
    weir.access_line(failure='reload_drained', path='/long')
    equal(c.request('GET', '/version').head().status, 200)


def test_requests_that_begin_late_are_ended_too(t):
    """A connection that takes its leave of an address that has gone may begin one more under the older file, after all others were ended."""
    gate = threading.Event()
    origin, port = t.origin(handler(gate)), t.port()
    weir = t.weir(text_of(port, origin))
    c = t.h2_client(port)
    first = c.request('GET', '/begun')
    equal(first.head().status, 200)
    weir.reload(text_of(t.port(), origin, top='reload_drain: 0s'))
    first.wait(first.dead, text='the stream goes on')
    late = c.request('GET', '/begun')
    late.wait(late.dead, 20, text='a stream that began late goes on')
    eventually(lambda: weir.counted()['configurations_old'] == 0, 10, 'the older file is kept')
    equal({line.get('failure') for line in weir.access()}, {'reload_drained'})
    gate.set()


def test_tunnels_end_one_by_one(t):
    """Each at a time of its own, so that not all clients come back at once; one that is begun late too."""
    origin, port = t.origin(handler(threading.Event())), t.port()
    weir = t.weir(text_of(port, origin))
    sockets = [t.websocket(port) for _ in range(24)]
    for ws in sockets:
        equal(ws.upgrade().status, 101)
    weir.reload(text_of(port, origin, top='reload_drain: 4s'))
    began, ends = time.monotonic(), []
    threads = [threading.Thread(target=lambda ws=ws: ends.append(over(ws, 20) and time.monotonic() - began)) for ws in sockets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30 * SLOW)
    ok(all(ends) and len(ends) == 24, f'{ends}')
    ok(max(ends) - min(ends) > 1, f'all at once: {ends}')


def test_older_files_are_never_too_many(t):
    """The oldest ends for a new one, and its tunnels alone."""
    origin, port = t.origin(handler(threading.Event())), t.port()
    weir = t.weir(text_of(port, origin, top='limits: { old_configurations: 2 }'))
    sockets = []
    for number in range(3):
        ws = t.websocket(port)
        equal(ws.upgrade().status, 101)
        sockets.append(ws)
        weir.reload(text_of(port, origin, body=f'file{number}', top='limits: { old_configurations: 2 }'))
        if number < 2:
            for ws in sockets:
                ws.say(b'on')
                equal(ws.hear(), (1, b'on'))
    ok(over(sockets[0]), 'the oldest is kept')
    for number in range(3, 6):  # nothing runs under these
        weir.reload(text_of(port, origin, body=f'file{number}', top='limits: { old_configurations: 2 }'))
        time.sleep(1.2 * SLOW)
    contains(weir.log_line('an older configuration is still in use'), 'limits.old_configurations=2')
    for ws in sockets[1:]:
        ws.say(b'on')
        equal(ws.hear(), (1, b'on'))
    weir.access_line(failure='reload_drained', path='/ws')
    weir.reload(text_of(port, origin, top='limits: { old_configurations: 1 }'))
    ok(over(sockets[1]), 'a lower number holds at once')
    sockets[2].say(b'on')
    equal(sockets[2].hear(), (1, b'on'), 'the file that was replaced is used by nothing, and does not count')


def test_it_ends_with_older_files_in_use(t):
    origin, port = t.origin(handler(threading.Event())), t.port()
    weir = t.weir(text_of(port, origin, top='drain_timeout: 1s\nreload_drain: 1h'))
    ws = t.websocket(port)
    equal(ws.upgrade().status, 101)
    for number in range(3):
        weir.reload(text_of(port, origin, body=f'file{number}', top='drain_timeout: 1s\nreload_drain: 1h'))
    weir.stop()
    ok(over(ws))

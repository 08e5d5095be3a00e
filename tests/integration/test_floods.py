"""Some of the attacks of `floods`, for a second each: the whole of them is a program of its own."""
import threading

from weirtest import *

NEEDS_HTTP2 = True


def flood(*names):
    """Time and memory are a quiet machine's and a plain build's: here they only bound what would be a collapse."""
    done = subprocess.run([os.path.join(HERE, 'floods'), '--weir', WEIR, '--seconds', '1.2', '--connections', '1', '--only', ','.join(names), '--any-rest',
                           '--p99', str(1000 * SLOW), '--growth', '10' if SLOW == 1 else '1000'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    equal(done.returncode, 0, done.stdout)


def test_requests_that_are_reset(t):
    flood('rapid-reset', 'made-reset-window-over', 'data-empty')


def test_heads_and_settings(t):
    flood('continuation', 'hpack-bomb', 'settings-unread')


# ---- who has flooded and goes on sending ----

def frame(kind, flags=0, stream=0, payload=b''):
    return struct.pack('>I', len(payload))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + payload


OPENING = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(4)
PINGS = OPENING + frame(6, 0, 0, b'x' * 8) * 5000


def capped(t, connections, more='', workers=2):
    port = t.port()
    weir = t.weir(f'''workers: {workers}
limits: {{ connections: {connections} }}
listeners: [ {{ address: "127.0.0.1:{port}", protocols: [h2c, http/1.1] }} ]
routes: [ {{ respond: 200 }} ]
{more}
''')
    return weir, port


class Crowd:
    """Connections that say something once, and then `more` again and again without reading; who is closed comes back, if it is to."""
    def __init__(self, t, port, count, first, more=b'', back=False):
        self.port, self.first, self.more, self.back, self.stopping = port, first, more, back, False
        self.socks = [self.open() for _ in range(count)]
        thread = threading.Thread(target=self.run, daemon=True)
        thread.start()
        t.later(lambda: (setattr(self, 'stopping', True), thread.join()))

    def open(self):
        s = socket.create_connection(('127.0.0.1', self.port), 10)
        try:
            s.sendall(self.first)
        except OSError:
            pass
        s.setblocking(False)
        return s

    def goes_on(self, s):
        try:
            if self.more:
                s.send(self.more)
            else:
                return s.recv(1) != b''
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def run(self):
        while not self.stopping:
            for s in list(self.socks):
                if self.goes_on(s):
                    continue
                s.close()
                self.socks.remove(s)
                if self.back:
                    self.socks.append(self.open())
            time.sleep(0.1)
        for s in self.socks:
            s.close()


def asked(t, port, count=30):
    got = collections.Counter()
    for _ in range(count):
        try:
            c = t.client(port)
            got[c.get().status] += 1
            c.close()
        except (OSError, Closed) as error:
            got[type(error).__name__] += 1
        time.sleep(0.05)
    return got


def test_who_has_flooded_keeps_nobody_out(t):
    """They are told GOAWAY, read nothing and go on sending, among many that say nothing."""
    weir, port = capped(t, 200)
    flooding = Crowd(t, port, 140, PINGS, b'b' * 300)
    silent = Crowd(t, port, 300, b'', back=True)
    equal(asked(t, port), {200: 30})
    eventually(lambda: not flooding.socks, text=lambda: f'{len(flooding.socks)} are still there')
    contains(weir.log_line('a client flooded its connection'), 'client=127.0.0.1')


def test_who_has_flooded_goes_first(t):
    weir, port = capped(t, 10, workers=1)
    kept = [t.client(port) for _ in range(9)]
    equal([c.get().status for c in kept], [200] * 9)
    time.sleep(0.4 * SLOW)      # each of them may go from now on
    for _ in range(5):
        flooding = socket.create_connection(('127.0.0.1', port), 10)
        t.later(flooding.close)
        before = weir.stderr().count('a client flooded')
        flooding.sendall(PINGS)
        eventually(lambda: weir.stderr().count('a client flooded') > before, text=weir.stderr)
        equal(asked(t, port, 1), {200: 1})
    equal([c.quiet(0) for c in kept], [True] * 9)
    equal([c.get().status for c in kept], [200] * 9)


def sockets(weir):
    files = f'/proc/{weir.pid}/fd'
    return sum(os.readlink(f'{files}/{number}').startswith('socket') for number in os.listdir(files))


def test_who_goes_for_another_is_gone(t):
    """The caps count what is open: whatever those that go are at, and though they send on."""
    more = 'timeouts: { keep_alive: 300ms, linger: 20s }'
    get = b'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
    kinds = {
        'lingering over HTTP/2': OPENING + frame(4, 1) + frame(1, 5, 1, b'\x82\x86\x84\x01\x01a'),
        'lingering over HTTP/1': b'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 9000000\r\n\r\n',
        'kept over HTTP/1': get + get}
    for kind, first in kinds.items():
        weir, port = capped(t, 20, more if 'lingering' in kind else 'timeouts: { linger: 20s }', workers=1)
        crowd = Crowd(t, port, 20, first, b'b' * 300 if 'lingering' in kind else b'')
        time.sleep(0.8 * SLOW)
        equal(weir.counted()['connections_open'], 20, kind)
        full = sockets(weir)
        clients = [t.client(port) for _ in range(20)]
        equal([c.get().status for c in clients], [200] * 20, kind)
        crowd.more = b'b' * 300
        eventually(lambda: sockets(weir) <= full, 3, lambda: f'{kind}: {sockets(weir)} sockets, {full} before')
        eventually(lambda: not crowd.socks, 3, lambda: f'{kind}: {len(crowd.socks)} are still there')
        crowd.stopping = True
        weir.stop()

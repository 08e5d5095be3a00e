"""A POST is never sent twice once a byte of it may have been processed, wherever its connection is cut: after each byte of the request that the server
reads, and after each byte of its answer, by FIN and by RST, on new and on kept connections, over both versions."""
import weirtest
from weirtest import *

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Origin: cutter\r\n\r\ndone'
H2_SETTINGS = b'\0\0\0\4\0\0\0\0\0'
H2_ANSWER = b'\0\0\1\1\4\0\0\0\1\x88' + b'\0\0\4\0\1\0\0\0\1done'
WHOLE = 1 << 20


class Cutter:
    """Reads `read` bytes of a request, or all of it, writes `write` bytes of its answer, and cuts. Connections on which a byte of a request was read are counted.
    One request is under way at a time. A first GET on a connection is answered in full when `kept` is set."""
    def __init__(self, t, http2=False):
        self.http2, self.read, self.write, self.reset, self.kept = http2, WHOLE, WHOLE, False, False
        self.touched, self.most = 0, 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(('127.0.0.1', free_port()))
        self.listener.settimeout(60 * weirtest.SLOW)
        self.address = f'127.0.0.1:{self.listener.getsockname()[1]}'
        threading.Thread(target=self.accept, daemon=True).start()
        t.later(self.listener.close)

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def whole(self, got):
        """All of a request is there; what it begins with, from where, and where it ends."""
        if not self.http2:
            head, mark, body = got.partition(b'\r\n\r\n')
            match = re.search(rb'\r\ncontent-length: (\d+)', head.lower())
            return bool(mark) and len(body) >= int(match[1] if match else 0)
        at = 24
        while len(got) >= at + 9:
            length, kind, flags = int.from_bytes(got[at:at + 3], 'big'), got[at + 3], got[at + 4]
            at += 9 + length
            if kind in (0, 1) and flags & 1 and len(got) >= at:
                return True
        return False

    def began(self, got):
        if not self.http2:
            return bool(got)
        at = 24
        while len(got) >= at + 9:
            if got[at + 3] == 1:
                return True
            at += 9 + int.from_bytes(got[at:at + 3], 'big')
        return False

    def serve(self, sock):
        sock.settimeout(20 * weirtest.SLOW)
        counted = False
        try:
            if self.http2:
                sock.sendall(H2_SETTINGS)
            elif self.kept:
                got = b''
                while not self.whole(got):
                    piece = sock.recv(4096)
                    if not piece:
                        return
                    got += piece
                if got.startswith(b'POST'):
                    with self.lock:
                        self.touched += 1
                sock.sendall(ANSWER)
            got, most = b'', self.read
            while len(got) < most and not self.whole(got):
                piece = sock.recv(min(4096, max(1, self.read - len(got))))
                if not piece:
                    return
                got += piece
                most = self.read
                if not counted and self.began(got):
                    counted = True
                    with self.lock:
                        self.touched += 1
                self.most = max(self.most, len(got))
            if self.whole(got):
                sock.sendall((H2_ANSWER if self.http2 else ANSWER)[:self.write])
            if self.reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        except OSError:
            pass
        finally:
            sock.close()


def between_them(t, http2):
    cutters = [Cutter(t, http2) for _ in range(3)]
    port = t.port()
    weir = t.weir(f'''workers: 1
access_log: false
listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ pool: p }} ]
pools:
  p:
    balance: round_robin
    protocol: {"h2c" if http2 else "http/1.1"}
    servers: [{", ".join('"' + c.address + '"' for c in cutters)}]
    retry: {{ attempts: 3, budget: 100%, on: [never_sent, sent_no_reply, "500", "502", "503", "504"] }}
    fast_down: 0
    outlier: {{ time: 0s }}
''')
    return weir, port, cutters


def ask(t, port, cutters, method, body=b'pay once, please', **plan):
    """How many servers a byte of the request came to, and the status of the answer (None: cut)."""
    for c in cutters:
        c.touched = 0
        for name, value in plan.items():
            setattr(c, name, value)
    client = Client(port)
    try:
        client.request(method, '/pay', (), body)
        status = client.response().status
    except (Closed, ConnectionResetError):
        status = None
    finally:
        client.close()
    return sum(c.touched for c in cutters), status


def every_cut(t, http2):
    weir, port, cutters = between_them(t, http2)
    equal(ask(t, port, cutters, 'POST', read=WHOLE, write=WHOLE), (1, 200), 'nothing is cut')
    length, answer = max(c.most for c in cutters), len(H2_ANSWER if http2 else ANSWER)
    ok(length > 100)
    statuses, again = collections.Counter(), 0
    for reset in (False, True):
        for read in range(length):
            touched, status = ask(t, port, cutters, 'POST', read=read, write=0, reset=reset)
            ok(touched <= 1, f'cut after {read} bytes of {length}: {touched} servers had a byte of the POST')
            statuses[status] += 1
        for write in range(answer):
            touched, status = ask(t, port, cutters, 'POST', read=WHOLE, write=write, reset=reset)
            ok(touched <= 1, f'cut after {write} bytes of the answer: {touched} servers had the POST')
            statuses[status] += 1
    ok(statuses[502] > length, f'{statuses}')
    # What may be sent again is, at the same cuts: so this would have seen it.
    for read in range(length // 2, length, 16):
        again += ask(t, port, cutters, 'PUT', read=read, write=0, reset=False)[0] > 1
    ok(again > 0, 'no PUT was sent again')


def test_every_cut_over_http1(t):
    every_cut(t, False)


def test_every_cut_over_http2(t):
    every_cut(t, True)


def test_every_cut_of_a_kept_connection(t):
    """The same on connections that have served a request: a server that closes then may have closed them for being idle."""
    weir, port, cutters = between_them(t, False)
    had, statuses = 0, collections.Counter()
    for read in range(1, 200, 3):
        for c in cutters:
            c.kept, c.read, c.write = True, WHOLE, WHOLE
        client = Client(port)
        equal(client.get('/warm').status, 200)
        touched, status = ask(t, port, cutters, 'POST', read=read, write=0, kept=True)
        ok(touched <= 1, f'cut after {read} bytes: {touched} servers had a byte of the POST')
        had, client = had + touched, client.close()
        statuses[status] += 1
    ok(had > 30 and statuses[502] > 30, f'{had} {statuses}')

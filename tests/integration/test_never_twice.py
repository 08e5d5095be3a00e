"""A POST is never sent twice once a byte of it may have been processed, wherever its connection is cut: after each byte of the request that the server
reads, and after each byte of its answer, by FIN and by RST, on new and on kept connections, over both versions; nor when the server is silent, says it is not
well, or takes the stream back. All that may send something again is on: retries, time-outs of an attempt, hedging, copies for a shadow pool."""
import h2test
import weirtest
from weirtest import *

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Origin: cutter\r\n\r\ndone'
H2_SETTINGS = b'\0\0\0\4\0\0\0\0\0'
H2_ANSWER = b'\0\0\1\1\4\0\0\0\1\x88' + b'\0\0\4\0\1\0\0\0\1done'    # of stream 1
WHOLE = 1 << 20


class Cutter:
    """Reads `read` bytes of a request, or all of it, writes `write` bytes of its answer, and cuts. Connections on which a byte of a request was read are counted.
    One request is under way at a time. A first GET on a connection is answered in full when `kept` is set."""
    def __init__(self, t, http2=False):
        self.http2, self.read, self.write, self.reset, self.kept = http2, WHOLE, WHOLE, False, False
        self.silent, self.instead = False, None      # keeps the connection and says nothing; another answer, a function of the stream
        self.touched, self.most = 0, 0
        self.served = []                             # the other end of each connection, and its thread
        self.lock = threading.Lock()
        self.listener = socket.create_server(('127.0.0.1', free_port()))
        self.listener.settimeout(60 * weirtest.SLOW)
        self.address = f'127.0.0.1:{self.listener.getsockname()[1]}'
        threading.Thread(target=self.accept, daemon=True).start()
        t.later(self.listener.close)

    def accept(self):
        while True:
            try:
                sock, peer = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self.serve, args=(sock,), daemon=True)
            thread.start()
            self.served.append((peer, thread))

    def settle(self):
        """All that was sent until now is read and counted. Connections are accepted in the order in which they were made, so the last of them is one of ours."""
        host, port = self.address.split(':')
        with socket.create_connection((host, int(port))) as last:
            name = last.getsockname()
        eventually(lambda: any(peer == name for peer, _ in self.served), text='the server did not get to the last connection')
        for _, thread in self.served:
            thread.join(60 * weirtest.SLOW)
            ok(not thread.is_alive(), 'a connection is still read')
        self.served.clear()

    def frames(self, got):
        at = 0 if got[:3] != b'PRI' else 24
        while len(got) >= at + 9:
            length, kind, flags, stream = int.from_bytes(got[at:at + 3], 'big'), got[at + 3], got[at + 4], int.from_bytes(got[at + 5:at + 9], 'big')
            at += 9 + length
            yield kind, flags, stream, len(got) >= at

    def whole(self, got):
        """All of a request is there."""
        if self.http2:
            return any(kind in (0, 1) and flags & 1 and there for kind, flags, _, there in self.frames(got))
        head, mark, body = got.partition(b'\r\n\r\n')
        match = re.search(rb'\r\ncontent-length: (\d+)', head.lower())
        return bool(mark) and len(body) >= int(match[1] if match else 0)

    def began(self, got):
        return any(kind == 1 for kind, *_ in self.frames(got)) if self.http2 else bool(got)

    def answer(self, got):
        if not self.http2:
            return ANSWER
        stream = bytes([next(stream for kind, _, stream, _ in self.frames(got) if kind == 1)])
        return self.instead(stream) if self.instead else H2_ANSWER[:8] + stream + H2_ANSWER[9:18] + stream + H2_ANSWER[19:]

    def touch(self):
        with self.lock:
            self.touched += 1

    def warm(self, sock):
        """The first request of a connection is answered in full. False: there was none."""
        got = b''
        while not self.whole(got):
            piece = sock.recv(4096)
            if not piece:
                return False
            got += piece
        if not self.http2 and got.startswith(b'POST'):
            self.touch()
        sock.sendall(self.answer(got))
        return True

    def request(self, sock):
        """Reads one, or a part of it. True: and goes on with the connection."""
        got, counted = b'', False
        while not self.whole(got) and (len(got) < self.read or self.kept and not self.began(got)):
            piece = sock.recv(1 if self.kept else min(4096, max(1, self.read - len(got))))
            if not piece:
                return False
            got += piece
            if self.kept and self.http2 and len(got) >= 9 and got[3] != 1 and len(got) == 9 + int.from_bytes(got[:3], 'big'):
                got = got[:0] if not counted else got       # what comes between two requests, such as an acknowledgement
            if not counted and self.began(got):
                counted = True
                self.touch()
            self.most = max(self.most, len(got))
        if self.silent:
            time.sleep(0.25 * weirtest.SLOW)
        elif self.whole(got):
            sock.sendall(self.answer(got)[:self.write])
            return self.instead is not None
        return False

    def serve(self, sock):
        sock.settimeout(20 * weirtest.SLOW)
        try:
            if self.http2:
                sock.sendall(H2_SETTINGS)
            if self.kept and not self.warm(sock):
                return
            while self.request(sock):
                pass
            if self.reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        except OSError:
            pass
        finally:
            sock.close()


def between_them(t, http2, try_timeout='none', idle_timeout='4s'):
    cutters = [Cutter(t, http2) for _ in range(3)]
    port = t.port()
    weir = t.weir(f'''workers: 1
access_log: false
listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes:
  - {{ match: {{ path: /warm }}, pool: p }}    # a copy of it might be read while the POST is under way
  - {{ pool: p, hedge: {{ after: 10ms, budget: 5% }}, mirror: {{ pool: shadow, share: 50% }} }}
pools:
  shadow: {{ servers: "{t.origin(name='shadow').address}" }}
  p:
    balance: round_robin
    protocol: {"h2c" if http2 else "http/1.1"}
    servers: [{", ".join('"' + c.address + '"' for c in cutters)}]
    retry: {{ attempts: 3, budget: 100%, on: [never_sent, sent_no_reply, "500", "502", "503", "504"], try_timeout: {try_timeout} }}
    idle_timeout: {idle_timeout}
    fast_down: none
    outlier: {{ time: 0s }}
''')
    return weir, port, cutters


def ask(t, port, cutters, method, body=b'pay once, please', settle=False, **plan):
    """How many servers a byte of the request came to, and the status of the answer (None: cut). settle: the client may have its answer while a server has not
    yet read what came to it. That is waited for, so that it is counted, and not as a part of the next request."""
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
    if settle:
        for c in cutters:
            c.settle()
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


def every_cut_of_a_kept_connection(t, http2):
    weir, port, cutters = between_them(t, http2)
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


def test_every_cut_of_a_kept_connection(t):
    """The same on connections that have served a request: a server that closes then may have closed them for being idle."""
    every_cut_of_a_kept_connection(t, False)


def test_every_cut_of_a_kept_connection_of_http2(t):
    every_cut_of_a_kept_connection(t, True)


def silence(t, http2):
    """A server that has some of it and says nothing, until the time for one attempt has passed."""
    weir, port, cutters = between_them(t, http2, '50ms', '0s')      # a connection that is kept by a silent server is not read, so not counted
    for _ in range(20):                                             # a busy machine may take longer than the time for one attempt
        if ask(t, port, cutters, 'POST', settle=True)[1] == 200:
            break
    length = max(c.most for c in cutters)
    ok(length > 100)
    statuses = collections.Counter()
    for read in [*range(1, length, length // 10), length]:
        touched, status = ask(t, port, cutters, 'POST', settle=True, read=read, silent=True)
        ok(touched <= 1, f'silent after {read} bytes of {length}: {touched} servers had a byte of the POST')
        statuses[status] += 1
    equal(set(statuses), {504}, 'what the client was told')
    ok(ask(t, port, cutters, 'PUT', settle=True, read=length, silent=True)[0] > 1, 'no PUT was sent again')


def test_silence_over_http1(t):
    silence(t, False)


def test_silence_over_http2(t):
    silence(t, True)


def test_streams_that_end_otherwise(t):
    """Whatever a server of HTTP/2 says instead of an answer: only REFUSED_STREAM, and a GOAWAY that leaves the stream out, say that nothing was done (RFC 9113 8.7)."""
    weir, port, cutters = between_them(t, True)
    def frame(kind, stream, payload):
        return len(payload).to_bytes(3, 'big') + bytes([kind, 0, 0, 0, 0]) + stream + payload
    def goaway(last, code):
        return frame(7, b'\0', last + code.to_bytes(4, 'big'))
    for code in [*range(14), 0x1234]:
        touched, status = ask(t, port, cutters, 'POST', instead=lambda stream: frame(3, stream, code.to_bytes(4, 'big')))
        if code == h2test.REFUSED_STREAM:
            ok(touched > 1, f'it was refused, and {touched} servers had it')
        else:
            equal((touched, status), (1, 502), f'reset with code {code}')
    for code in (0, 2, 11):
        touched, status = ask(t, port, cutters, 'POST', instead=lambda stream: goaway(b'\0\0\0' + stream, code) + frame(3, stream, b'\0\0\0\2'))
        equal((touched, status), (1, 502), f'GOAWAY that covers the stream, code {code}')
        touched, status = ask(t, port, cutters, 'POST', instead=lambda stream: goaway(bytes(4), code))
        ok(touched > 1, f'GOAWAY {code} left the stream out, and {touched} servers had it')


class Paid:
    """Servers of which one gets a request whose client sends the body only when the head is there."""
    def __init__(self, t, http2):
        self.heads = threading.Event()
        self.origins = [t.h2_origin(self.handle, name=n) if http2 else t.origin(self.handle, name=n) for n in 'abc']
        self.port = t.port()
        t.weir(f'''workers: 1
access_log: false
listeners: [ {{ address: "127.0.0.1:{self.port}" }} ]
routes: [ {{ pool: p, hedge: {{ after: 10ms, budget: 5% }} }} ]
pools:
  p:
    servers: [{", ".join('"' + o.address + '"' for o in self.origins)}]
    protocol: {"h2c" if http2 else "http/1.1"}
    retry: {{ attempts: 3, budget: 100%, buffer: 1MiB, on: [never_sent, sent_no_reply, "500", "502", "503", "504"] }}
    outlier: {{ time: 0s }}
''')

    def handle(self, link, request):
        self.heads.set()
        self.handler(link, request)

    def ask(self, method, handler):
        """How many servers had it, and its status."""
        before, self.handler, client, status = self.count(), handler, Client(self.port), None
        self.heads.clear()
        client.send(f'{method} /pay HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n')
        ok(self.heads.wait(5 * weirtest.SLOW))
        try:
            for _ in range(10):
                client.send(b'p' * 10000)
            status = client.response().status
        except (Closed, OSError):
            pass
        client.close()
        return self.count() - before, status

    def count(self):
        return sum(o.count() for o in self.origins)


def test_a_body_that_comes_later(t):
    """The head is there, and the body on its way; a server may act on that."""
    def answered(status):
        def handler(link, request):
            request.body()
            link.answer(status, 'no')
        return handler
    def late(link, request):
        request.body()
        time.sleep(0.1)
        link.answer(200, 'paid')
    for http2 in (False, True):
        paid = Paid(t, http2)
        for what, handler, statuses in [('cut at the head', lambda link, request: link.cut(), (502, None)),
                                        ('refused at the head', lambda link, request: link.answer(503, 'busy'), (503, None)),
                                        ('late', late, (200,)), *[(f'answered {s}', answered(s), (s,)) for s in (429, 500, 502, 503, 504)]]:
            had, status = paid.ask('POST', handler)
            ok(had == 1 and status in statuses, f'{what}, HTTP/{2 if http2 else 1}: {had} servers had it, and the client {status}')
        equal(paid.ask('PUT', answered(503)), (3, 503), 'servers that had a PUT, and its status')

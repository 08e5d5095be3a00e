"""HTTP/2 for the tests: connections in both roles whose frames a test sees and may make itself, and the four crossings of versions.

A connection has a thread that reads; what came is in its streams, and waiting is by condition. HPACK is python3-hpack's; frames are made here, so that
wrong ones can be made too. `crossings(t, handler)` is one weir between clients and servers of both versions, in the clear and in TLS, with one
way to ask and one way to answer for all of them.
"""
import hpack

from weirtest import *

NEEDS_HTTP2 = True      # of the files that import this one

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL,
 COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM) = range(12)
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)
ENABLE_CONNECT_PROTOCOL = 8
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 1, 1, 4, 8, 32
PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
WAITS = PATIENCE    # seconds, times SLOW


def frame(kind, flags=0, stream=0, payload=b''):
    return struct.pack('>I', len(payload))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + payload


def settings_frame(values, flags=0):
    return frame(SETTINGS, flags, 0, b''.join(struct.pack('>HI', k, v) for k, v in values.items()))


class Reset(Closed):
    """The peer reset the stream; .code says with what, .partial what had come before."""
    def __init__(self, code, partial):
        super().__init__(f'RST_STREAM {code} after {partial}')
        self.code, self.partial = code, partial


class H2Stream:
    def __init__(self, conn, number):
        self.conn, self.number, self.window = conn, number, conn.initial
        self.heads, self.body, self.ended, self.reset, self.hold = [], bytearray(), False, None, False
        self.ends, self.uncredited, self.at = 0, 0, time.monotonic()

    def wait(self, condition, seconds=WAITS, text='a stream waits in vain'):
        with self.conn.changed:
            if not self.conn.changed.wait_for(condition, seconds * SLOW):
                fail(f'{text}: stream {self.number} has {self.heads}, {len(self.body)} bytes, ended {self.ended}, reset {self.reset}, connection over {self.conn.over}')

    def dead(self):
        return self.reset is not None or self.conn.over

    # ---- sending ----

    def headers(self, fields, end=False):
        self.conn.headers(self.number, fields, end)

    def data(self, piece, end=False):
        """Sends with regard to both windows; a reset of the stream raises Closed."""
        piece = memoryview(piece)
        while True:
            with self.conn.changed:
                self.wait(lambda: self.dead() or not len(piece) or min(self.window, self.conn.window) > 0, 30, 'a window does not open')
                if self.dead():
                    raise Closed(f'stream {self.number}: reset {self.reset}')
                count = max(0, min(len(piece), self.window, self.conn.window, self.conn.frame_most))
                self.window, self.conn.window = self.window - count, self.conn.window - count
            self.conn.raw(frame(DATA, END_STREAM if end and count == len(piece) else 0, self.number, bytes(piece[:count])))
            piece = piece[count:]
            if not len(piece):
                return

    def end(self, trailers=()):
        if trailers:
            self.headers(trailers, True)
        else:
            self.data(b'', True)

    def rst(self, code=CANCEL):
        self.conn.raw(frame(RST_STREAM, 0, self.number, struct.pack('>I', code)))

    cancel = rst

    def release(self):
        """Credits what was held back, and from now on at once."""
        with self.conn.changed:
            self.hold, count, self.uncredited = False, self.uncredited, 0
        self.conn.credit(self.number, count)

    # ---- what a client reads ----

    def partial(self):
        response = Response()
        response.version = 'HTTP/2'
        for block in self.heads:
            if response.status >= 200:
                response.trailers = block
                continue
            if response.status:
                response.interim.append(response)
                interim = response.interim
                response = Response()
                response.version, response.interim = 'HTTP/2', interim
            response.status, response.fields = int(block.get(':status')), Fields((n, v) for n, v in block if not n.startswith(':'))
        response.body, response.whole = bytes(self.body), self.ended
        return response

    def head(self, seconds=WAITS):
        """The final head; what is missing of the body has not come yet."""
        self.wait(lambda: self.partial().status >= 200 or self.dead(), seconds, 'no head came')
        if self.partial().status < 200:
            raise Reset(self.reset, self.partial())
        return self.partial()

    def response(self, seconds=WAITS):
        self.wait(lambda: self.ended or self.dead(), seconds, 'no whole response came')
        if not self.ended:
            raise Reset(self.reset, self.partial())
        return self.partial()


class H2Conn:
    def __init__(self, sock, client, settings=None, window=1 << 24, opened=None, hello=True, acknowledge=True):
        sock.setblocking(False)
        self.sock, self.client, self.opened, self.acknowledge = sock, client, opened, acknowledge
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.decoder.max_header_list_size = 1 << 22
        # `changed` may be held when `writing` is taken, never the other way.
        self.io, self.writing, self.opening, self.changed = threading.Lock(), threading.RLock(), threading.Lock(), threading.Condition(threading.RLock())
        self.streams, self.frames, self.peer, self.goaways = {}, [], {}, []
        self.window = self.initial = 65535
        self.frame_most, self.next, self.over, self.paused, self.clean, self.got = 16384, 1, False, False, False, 0
        self.block = None
        values = {INITIAL_WINDOW_SIZE: 1 << 20, **({ENABLE_PUSH: 0} if client else {})}
        values.update(settings or {})
        if hello:
            self.raw((PREFACE if client else b'') + settings_frame(values) + frame(WINDOW_UPDATE, 0, 0, struct.pack('>I', window)))
        threading.Thread(target=self.run, daemon=True).start()

    # ---- sending ----

    def raw(self, data):
        data, waited = memoryview(data), 0
        with self.writing:
            while len(data):
                with self.io:
                    try:
                        count = self.sock.send(data)
                    except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                        count = 0
                    except (OSError, ValueError) as error:
                        raise Closed(f'sending: {error}')
                data = data[count:]
                if count:
                    waited = 0
                else:
                    waited += 1
                    if waited > 400 * SLOW:
                        fail('the peer takes no bytes for 20 s')
                    try:
                        select.select([], [self.sock], [], 0.05)
                    except (OSError, ValueError) as error:
                        raise Closed(f'sending: {error}')

    def headers(self, number, fields, end=False):
        pairs = [(n.encode('latin-1') if isinstance(n, str) else n, v.encode('latin-1') if isinstance(v, str) else v) for n, v in fields]
        with self.writing:
            block = self.encoder.encode(pairs)
            pieces = [block[i:i + 16384] for i in range(0, len(block), 16384)] or [b'']
            for i, piece in enumerate(pieces):
                flags = (END_HEADERS if i == len(pieces) - 1 else 0) | (END_STREAM if end and i == 0 else 0)
                self.raw(frame(CONTINUATION if i else HEADERS, flags, number, piece))

    def credit(self, number, count):
        if count:
            update = struct.pack('>I', count)
            try:
                self.raw(frame(WINDOW_UPDATE, 0, 0, update) + (frame(WINDOW_UPDATE, 0, number, update) if number else b''))
            except Closed:
                pass

    def goaway(self, last, code=NO_ERROR):
        self.raw(frame(GOAWAY, 0, 0, struct.pack('>II', last, code)))

    def ping(self, seconds=WAITS):
        """A round trip: what was sent before is dealt with."""
        self.pings = getattr(self, 'pings', 0) + 1
        payload = struct.pack('>Q', self.pings)
        self.raw(frame(PING, 0, 0, payload))
        self.wait(lambda: (PING, ACK, 0, payload) in self.frames or self.over, seconds, 'a PING is not answered')

    def wait(self, condition, seconds=WAITS, text='a connection waits in vain'):
        with self.changed:
            if not self.changed.wait_for(condition, seconds * SLOW):
                fail(f'{text}: the last frames are {self.frames[-10:]}, over {self.over}')

    # ---- receiving ----

    def run(self):
        got = bytearray()
        try:
            if not self.client:
                while len(got) < len(PREFACE):
                    got += self.receive()
                equal(bytes(got[:len(PREFACE)]), PREFACE, 'preface')
                del got[:len(PREFACE)]
            while True:
                while len(got) >= 9:
                    length = int.from_bytes(got[:3], 'big')
                    if len(got) < 9 + length:
                        break
                    kind, flags, number = got[3], got[4], int.from_bytes(got[5:9], 'big')
                    payload = bytes(got[9:9 + length])
                    del got[:9 + length]
                    with self.changed:
                        self.take(kind, flags, number, payload)
                        self.frames.append((kind, flags, number, payload if kind != DATA else length))
                        self.changed.notify_all()
                got += self.receive()
        except (Closed, OSError, ValueError, hpack.HPACKError) as error:
            self.error = error
        finally:
            with self.changed:
                self.over = True
                self.changed.notify_all()

    def receive(self):
        while True:
            if self.paused:
                time.sleep(0.01)
                continue
            with self.io:
                try:
                    piece = self.sock.recv(1 << 17)
                    if not piece:
                        self.clean = True
                        raise Closed('the peer closed')
                    self.got += len(piece)
                    return piece
                except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    pass
            select.select([self.sock], [], [], 0.1)

    def take(self, kind, flags, number, payload):
        stream = self.streams.get(number)
        if kind in (DATA, HEADERS) and flags & PADDED:
            payload = payload[1:len(payload) - payload[0]]
        if kind == SETTINGS and not flags & ACK:
            for i in range(0, len(payload), 6):
                key, value = struct.unpack('>HI', payload[i:i + 6])
                self.peer[key] = value
                if key == INITIAL_WINDOW_SIZE:
                    for each in self.streams.values():
                        each.window += value - self.initial
                    self.initial = value
                elif key == MAX_FRAME_SIZE:
                    self.frame_most = value
                elif key == HEADER_TABLE_SIZE:
                    with self.writing:
                        self.encoder.header_table_size = min(4096, value)
            if self.acknowledge:
                self.reply(frame(SETTINGS, ACK))
        elif kind == PING and not flags & ACK:
            self.reply(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self.goaways.append(struct.unpack('>II', payload[:8]))
        elif kind == WINDOW_UPDATE:
            if number == 0:
                self.window += int.from_bytes(payload, 'big')
            elif stream:
                stream.window += int.from_bytes(payload, 'big')
        elif kind == RST_STREAM and stream:
            stream.reset = int.from_bytes(payload, 'big')
        elif kind in (HEADERS, CONTINUATION):
            if kind == HEADERS:
                self.block = [payload[5:] if flags & WITH_PRIORITY else payload, flags & END_STREAM]
            else:
                self.block[0] += payload
            if flags & END_HEADERS:
                self.fields(number, Fields((n.decode('latin-1'), v.decode('latin-1')) for n, v in self.decoder.decode(self.block[0], raw=True)), self.block[1])
        elif kind == DATA and stream:
            stream.body += payload
            stream.ended = stream.ended or bool(flags & END_STREAM)
            if stream.hold:
                stream.uncredited += len(payload)
            elif payload:
                self.credit(number if not stream.ended else 0, len(payload))

    def reply(self, data):
        try:
            self.raw(data)
        except Closed:
            pass

    def fields(self, number, fields, end):
        stream, new = self.streams.get(number), number not in self.streams
        if new:
            stream = self.streams[number] = H2Stream(self, number)
        stream.heads.append(fields)
        stream.ended = stream.ended or bool(end)
        if new and self.opened:
            self.opened(stream)

    def close(self):
        self.paused = False
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def count(self, kind, flags=None):
        with self.changed:
            return sum(f[0] == kind and (flags is None or f[1] == flags) for f in self.frames)


class H2Client(H2Conn):
    """A client's connection; tls: a context, else by prior knowledge."""
    def __init__(self, port, tls=None, name='localhost', timeout=10, **more):
        sock = socket.create_connection(('127.0.0.1', port), timeout * SLOW)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            tls.set_alpn_protocols(['h2', 'http/1.1'])
            sock = tls.wrap_socket(sock, server_hostname=name)
            equal(sock.selected_alpn_protocol(), 'h2', 'ALPN')
        self.tls = bool(tls)
        super().__init__(sock, True, **more)

    def request(self, method='GET', target='/', fields=(), body=None, host='test', open=False, trailers=(), length=True, pseudo=(), hold=False):
        """Opens a stream; with open the body is to be sent by data() and end()."""
        head = [(':method', method), (':scheme', 'https' if self.tls else 'http'), (':path', target)] + ([(':authority', host)] if host else []) + list(pseudo)
        head += list(fields.items() if isinstance(fields, dict) else fields)
        if body is not None and length:
            head.append(('content-length', str(len(body))))
        with self.opening:
            with self.changed:
                stream = self.streams[self.next] = H2Stream(self, self.next)
                stream.hold = hold
                self.next += 2
            stream.headers(head, body is None and not open and not trailers)
        if body is not None:
            stream.data(body, not trailers and not open)
        if trailers:
            stream.headers(trailers, True)
        return stream

    def get(self, target='/', fields=(), **more):
        return self.request('GET', target, fields, **more).response()


# ---- servers ----

class H2Request:
    """What an origin got, as weirtest.Request has it."""
    def __init__(self, stream, link):
        head = stream.heads[0]
        self.stream, self.link = stream, link
        self.method, self.target, self.version = head.get(':method'), head.get(':path', ''), 'HTTP/2'
        self.pseudo = Fields((n, v) for n, v in head if n.startswith(':'))
        self.fields = Fields((n, v) for n, v in head if not n.startswith(':'))
        self.path, _, self.query = self.target.partition('?')
        self._body, self.at = None, time.monotonic()

    @property
    def trailers(self):
        return self.stream.heads[1] if len(self.stream.heads) > 1 else Fields()

    def pieces(self):
        at = 0
        while True:
            self.stream.wait(lambda: len(self.stream.body) > at or self.stream.ended or self.stream.dead(), 60, 'no body came')
            piece = bytes(self.stream.body[at:])
            if piece:
                at += len(piece)
                yield piece
            elif self.stream.ended:
                return
            else:
                raise Closed(f'the request was reset: {self.stream.reset}')

    def body(self):
        if self._body is None:
            self._body = b''.join(self.pieces())
        return self._body


class H2Link:
    """A stream as a server's handler sees it, with the calls of weirtest.Link."""
    def __init__(self, origin, conn, stream):
        self.origin, self.conn, self.stream, self.number, self.open = origin, conn, stream, conn.number, True
        self.served = sum(1 for n in conn.streams if n < stream.number)

    def answer(self, status=200, body=b'', fields=(), length=True):
        body = body.encode() if isinstance(body, str) else body
        head = [(':status', str(status)), ('x-origin', self.origin.name)] + [(n.lower(), v) for n, v in fields]
        if length:
            head.append(('content-length', str(len(body))))
        self.stream.headers(head, not body)
        if body:
            self.stream.data(body, True)

    def begin(self, status=200, fields=(), end=False):
        self.stream.headers([(':status', str(status)), ('x-origin', self.origin.name)] + [(n.lower(), v) for n, v in fields], end)

    def piece(self, piece):
        self.stream.data(piece)

    def end(self, trailers=()):
        self.stream.end([(n.lower(), v) for n, v in trailers])

    def chunked(self, pieces, trailers=(), status=200, fields=()):
        self.begin(status, fields)
        for piece in pieces:
            self.piece(piece)
        self.end(trailers)

    def interim(self, status, fields=()):
        self.stream.headers([(':status', str(status))] + [(n.lower(), v) for n, v in fields])

    def cut(self, code=INTERNAL_ERROR):
        self.stream.rst(code)

    def close(self):
        self.conn.close()

    def gone(self, seconds=5):
        """True once the peer has given the exchange up."""
        with self.conn.changed:
            return self.conn.changed.wait_for(self.stream.dead, seconds * SLOW)


class H2Origin(Origin):
    """A server of HTTP/2 with a thread for each request."""
    def __init__(self, handler=tell, name='origin', port=None, tls=None, settings=None, window=1 << 24):
        self.settings, self.first_window, self.early = settings, window, None
        super().__init__(handler, name, port, None, tls)

    def begin(self, sock):
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                sock.settimeout(10)
                sock = self.tls.wrap_socket(sock, server_side=True)
            with self.lock:
                conn = H2Conn.__new__(H2Conn)
                conn.number = len(self.links)
                self.links.append(conn)
            conn.alpn = sock.selected_alpn_protocol() if self.tls else None
            conn.__init__(sock, False, self.settings, self.first_window, lambda stream: self.opened(conn, stream))
        except (OSError, Closed):
            sock.close()

    def opened(self, conn, stream):
        """In the reading thread. `early` may deal with a stream here, in order, by returning True."""
        link = H2Link(self, conn, stream)
        request = H2Request(stream, link)
        with self.lock:
            self.requests.append(request)
        if self.early and self.early(link, request):
            return
        threading.Thread(target=self.serve, args=(link, request), daemon=True).start()

    def serve(self, link, request):
        with self.lock:
            self.in_progress += 1
            self.most_in_progress = max(self.most_in_progress, self.in_progress)
        try:
            self.handler(link, request)
        except (OSError, Closed, ValueError):
            pass
        except AssertionError as error:
            self.errors.append(str(error))
        finally:
            with self.lock:
                self.in_progress -= 1

    def connections(self):
        """Those that are open."""
        with self.lock:
            return [c for c in self.links if not getattr(c, 'over', True)]


# ---- crossings ----

class H1Ask:
    """A request on a connection of HTTP/1, with the calls of H2Stream."""
    def __init__(self, client, method, target, fields, body, host, open, trailers, length, hold):
        self.client, self.method, self.first = client, method, None
        fields = list(fields.items() if isinstance(fields, dict) else fields)
        self.chunked = open or bool(trailers) or (body is not None and not length)
        if self.chunked and not any(n.lower() == 'content-length' for n, v in fields):
            client.request(method, target, fields + [('Transfer-Encoding', 'chunked')], host=host)
        else:
            client.request(method, target, fields, body, host=host)
            self.chunked, body = False, None
        if body is not None:
            self.data(body)
        if self.chunked and not open:
            self.end(trailers)

    def data(self, piece, end=False):
        try:
            self.client.send(f'{len(piece):x}\r\n' if self.chunked else '', piece, '\r\n' if self.chunked else '')
        except OSError as error:
            raise Closed(f'sending: {error}')
        if end:
            self.end()

    def end(self, trailers=()):
        if self.chunked:
            self.client.send('0\r\n', ''.join(f'{n}: {v}\r\n' for n, v in trailers), '\r\n')

    def head(self, seconds=WAITS):
        self.first = self.client.head()
        return self.first

    def response(self, seconds=WAITS):
        self.client.sock.settimeout(seconds * SLOW)
        if self.first:      # its body
            client, first, self.first = self.client, self.first, None
            head, client.head = client.head, lambda: first
            try:
                return client.response(self.method)
            finally:
                client.head = head
        return self.client.response(self.method)

    def release(self):
        pass

    def cancel(self):
        self.client.reset()


class Crossing:
    """A client's way in and a server's version; .weir and .origin are between and behind."""
    def __init__(self, t, front, back, weir, ports, origin):
        self.t, self.front, self.back, self.weir, self.origin = t, front, back, weir, origin
        self.port, self.host = ports[front in ('h2', 'h1s')], f'{back}.back'
        self.two_in, self.two_out, self.name = front.startswith('h2'), back.startswith('h2'), f'{front} to {back}'

    def __repr__(self):
        return self.name

    def connect(self, **more):
        """A new connection; request() is then its `request`."""
        tls = self.t.tls_client() if self.front in ('h2', 'h1s') else None
        if self.two_in:
            client = H2Client(self.port, tls, **more)
        else:
            client = Client(self.port, tls, 'localhost' if tls else None)
        self.t.later(client.close)
        return client

    def request(self, method='GET', target='/', fields=(), body=None, open=False, trailers=(), length=True, hold=False, client=None):
        client = client or self.connect()
        if self.two_in:
            return client.request(method, target, [(n.lower(), v) for n, v in fields], body, self.host, open, trailers, length, hold=hold)
        return H1Ask(client, method, target, fields, body, self.host, open, trailers, length, hold)

    def ask(self, *arguments, **more):
        return self.request(*arguments, **more).response()


FOUR = (('h1', 'h1'), ('h1', 'h2c'), ('h2c', 'h1'), ('h2c', 'h2c'))
ALL = FOUR + (('h1s', 'h2'), ('h2', 'h1'), ('h2', 'h2'))
if os.environ.get('WEIRTEST_PAIRS'):      # h2c-h1,h2-h2: only those
    ALL = tuple(tuple(p.split('-')) for p in os.environ['WEIRTEST_PAIRS'].split(','))


def crossings(t, handler=tell, pairs=ALL, pool='', route='', more='', listener='', settings=None):
    """One weir with a listener in the clear and one in TLS, and a server of each version behind; yields a Crossing for each pair."""
    origins, ports = {}, (t.port(), t.port())
    for back in sorted({b for _, b in pairs}):
        if back == 'h1':
            origins[back] = t.origin(handler, name=back)
        else:
            origins[back] = t.h2_origin(handler, name=back, tls=back == 'h2', settings=settings)
    pools = '\n'.join(f"""  {b}: {{ servers: ["{o.address}"], protocol: {dict(h1="http/1.1").get(b, b)}{", tls: { ca: " + t.certificates + "/ca.crt, server_name: localhost }" if b == "h2" else ""}{", " + pool if pool else ""} }}"""
                      for b, o in origins.items())
    routes = '\n'.join(f'  - {{ name: {b}, match: {{ host: {b}.back }}, pool: {b}{", " + route if route else ""} }}' for b in origins)
    weir = t.weir(f"""listeners:
  - {{ address: "127.0.0.1:{ports[0]}", protocols: [http/1.1, h2c]{", " + listener if listener else ""} }}
  - {{ address: "127.0.0.1:{ports[1]}", tls: {{ certificates: [{t.cert("localhost")}] }}{", " + listener if listener else ""} }}
routes:
{routes}
pools:
{pools}
{more}
""")
    return [Crossing(t, front, back, weir, ports, origins[back]) for front, back in pairs]


def h2_origin(t, handler=tell, tls=False, **more):
    if tls:
        tls = t.tls_server()
        tls.set_alpn_protocols(['h2', 'http/1.1'])
    origin = H2Origin(handler, tls=tls or None, **more)
    t.later(origin.close)
    return origin


def h2_client(t, port, tls=None, **more):
    client = H2Client(port, tls, **more)
    t.later(client.close)
    return client


Case.h2_origin, Case.h2_client = h2_origin, h2_client

"""limits.memory holds whatever peers do: a row of weir.yaml(5), WHAT CAN GROW, is a test. Attackers do one thing as often as they can for some seconds
against a weir of 64 MiB, and what it holds is looked at every few milliseconds; beside them a client that means well asks on new and on kept
connections, and is served. Attackers and servers that do nothing are processes of their own, so that the clients' times are not theirs."""
import errno, mmap, resource, selectors, threading, traceback

from weirtest import *

NEEDS_HTTP2 = True
MIB = 1 << 20
LIMIT, MOST = 64 * MIB, 80 * MIB
SECONDS = 2.5
LEAST = 20          # requests that it makes at least, however slow the machine
WELL = 0.9          # of what the good client asks is answered with 200

PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
DATA, HEADERS, SETTINGS, PING, CONTINUATION = 0, 1, 4, 6, 9
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags=0, stream=0, payload=b''):
    return struct.pack('>I', len(payload))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + payload


def integer(value, bits, top):
    most = (1 << bits) - 1
    if value < most:
        return bytes([top | value])
    out, value = bytes([top | most]), value - most
    while value >= 128:
        out, value = out + bytes([value % 128 + 128]), value >> 7
    return out + bytes([value])


def field(name, value, indexed=False):
    return (b'\x40' if indexed else b'\x00') + integer(len(name), 7, 0) + name + integer(len(value), 7, 0) + value


def head(method=b'GET', path=b'/', more=b''):
    return field(b':method', method) + b'\x86' + field(b':path', path) + field(b':authority', b'attack') + more


def opening(window=None, more=b''):
    """What a connection says first; window: of each stream."""
    values = struct.pack('>HI', 4, window) if window is not None else b''
    return PREFACE + frame(SETTINGS, 0, 0, values) + frame(SETTINGS, 1) + more


def streams(block, behind=lambda number: b'', flags=END_STREAM, count=100, first=1):
    return b''.join(frame(HEADERS, END_HEADERS | flags, n, block) + behind(n) for n in range(first, first + 2 * count, 2))


# ---- peers in processes of their own ----

def apart(t, run):
    """run() in a process of its own, which ends with the test at the latest; returns what ends it."""
    pid = os.fork()
    if pid == 0:
        os.nice(15)     # weir and who means well are to be judged, not who gets the processor
        try:
            run()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    living = [pid]

    def end():
        if living:
            os.kill(living.pop(), signal.SIGKILL)
            os.waitpid(pid, 0)
    t.later(end)
    return end


class Server:
    """Takes connections and reads (or not) what comes; `answer` is sent for each piece that is read, as often as it is taken."""
    def __init__(self, t, reads=True, answer=b'', first=b''):
        self.listener = socket.socket()
        self.listener.bind(('127.0.0.1', t.port()))
        self.listener.listen(4096)
        self.address = f'127.0.0.1:{self.listener.getsockname()[1]}'
        self.reads, self.answer, self.first = reads, answer, first
        apart(t, self.run)

    def run(self):
        selector, self.listener = selectors.DefaultSelector(), self.listener
        self.listener.setblocking(False)
        selector.register(self.listener, selectors.EVENT_READ, None)
        owed = {}
        while True:
            for key, bits in selector.select():
                if key.data is None:
                    try:
                        s, _ = self.listener.accept()
                    except OSError:
                        continue
                    s.setblocking(False)
                    if self.reads:
                        selector.register(s, selectors.EVENT_READ, s)
                    else:
                        owed[s] = b''       # it is held
                    continue
                s = key.data
                try:
                    if bits & selectors.EVENT_READ:
                        got = s.recv(1 << 18)
                        if not got:
                            raise OSError
                        owed[s] = owed.get(s, self.first) + self.answer
                    if owed.get(s):
                        owed[s] = owed[s][s.send(owed[s]):]
                except BlockingIOError:
                    pass
                except OSError:
                    selector.unregister(s)
                    owed.pop(s, None)
                    s.close()
                    continue
                selector.modify(s, selectors.EVENT_READ | (selectors.EVENT_WRITE if owed.get(s) else 0), s)


class Horde:
    """So many connections at a time to a port, each of which sends what payload(number) gives, and reads what comes or not; who is closed comes again.
    more(number): what is sent besides, again and again, once that has left. pace: how many of the first come in a second; None: all at once."""
    def __init__(self, port, count, payload, reads=False, more=None, again=100, pace=None):
        self.port, self.count, self.payload, self.reads, self.more, self.again, self.pace = port, count, payload, reads, more, again, pace
        self.shared = mmap.mmap(-1, 8)

    def begun(self):
        """Whether each of the first `count` has sent what it could at once, or was turned away: of a busy machine that takes its time."""
        return struct.unpack('Q', self.shared[:])[0] >= self.count

    def open(self, selector):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.setblocking(False)
        error = s.connect_ex(('127.0.0.1', self.port))
        if error not in (0, errno.EINPROGRESS):
            s.close()
            return
        self.made += 1
        selector.register(s, selectors.EVENT_WRITE | (selectors.EVENT_READ if self.reads else 0), [self.payload(self.made), self.made])
        self.living += 1

    def due(self, passed):
        if self.made < self.count:
            return self.pace is None or self.made < passed * self.pace
        return passed > (self.made - self.count) / self.again

    def run(self):
        selector, spoken = selectors.DefaultSelector(), set()
        self.made = self.living = 0
        began = time.monotonic()
        while True:
            now = time.monotonic()
            while self.living < self.count and self.due(now - began):
                self.open(selector)
            for key, bits in selector.select(0.02):
                s, state = key.fileobj, key.data
                if state[1] not in spoken and len(spoken) < self.count:
                    spoken.add(state[1])
                    self.shared[:] = struct.pack('Q', len(spoken))
                try:
                    if bits & selectors.EVENT_READ and not s.recv(1 << 16):
                        raise OSError
                    if bits & selectors.EVENT_WRITE:
                        if not state[0] and self.more:
                            state[0] = self.more(state[1])
                        if state[0]:
                            state[0] = state[0][s.send(state[0][:1 << 18]):]
                        if not state[0] and not self.more:
                            selector.modify(s, selectors.EVENT_READ, state)     # to see its end
                except BlockingIOError:
                    pass
                except OSError:
                    selector.unregister(s)
                    s.close()
                    self.living -= 1
            if not self.reads:
                time.sleep(0.005)


class TlsHorde:
    """So many connections that have shaken hands, and say nothing or one thing; some more each time round, as long as there is room."""
    def __init__(self, port, count, payload=b'', alpn=('http/1.1',)):
        self.port, self.count, self.payload = port, count, payload
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        self.context.set_alpn_protocols(list(alpn))

    def begun(self):
        return True         # its count is never reached: handshakes are slow

    def run(self):
        held = []
        while True:
            try:
                s = self.context.wrap_socket(socket.create_connection(('127.0.0.1', self.port), 5))
                s.sendall(self.payload)
                held.append(s)
            except OSError:
                time.sleep(0.01)
            if len(held) > self.count:
                held.pop(0).close()


class OneByOne:
    """One more connection once the last is taken or turned away, so that they fill what is left to the brim; each says one thing, and stays."""
    COUNT = 100

    def __init__(self, port, payload, tls=None, most_held=300):
        self.port, self.payload, self.tls, self.most_held = port, payload, tls, most_held
        self.shared = mmap.mmap(-1, 8)

    def begun(self):
        return struct.unpack('Q', self.shared[:])[0] >= self.COUNT

    def stays(self):
        s = socket.create_connection(('127.0.0.1', self.port), 5)
        try:
            if self.tls is not None:
                s = self.tls.wrap_socket(s)
            s.sendall(self.payload)
            s.settimeout(0.005)
            while s.recv(4096):
                pass
        except TimeoutError:
            return s
        except OSError:
            pass
        s.close()
        return None

    def run(self):
        held, tried = [], 0
        while True:
            held.append(self.stays())
            if len(held) > self.most_held and (s := held.pop(0)) is not None:
                s.close()
            tried += 1
            self.shared[:] = struct.pack('Q', tried)


def client_hello():
    context, incoming, outgoing = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.MemoryBIO(), ssl.MemoryBIO()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        context.wrap_bio(incoming, outgoing).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


# ---- the client that means well, and the scale ----

class Good:
    """Asks every few milliseconds, in turn on a kept connection and on a new one; who is closed between two requests comes again once."""
    def __init__(self, port, tls=None):
        self.port, self.tls, self.statuses, self.stopping = port, tls, collections.Counter(), False
        self.threads = [threading.Thread(target=self.run, args=(kept,), daemon=True) for kept in (True, False)]
        for thread in self.threads:
            thread.start()

    def once(self, client, kept):
        client = client or Client(self.port, tls=self.tls, name='localhost' if self.tls else None, timeout=5)
        client.request('GET', '/good', [] if kept else [('Connection', 'close')])
        return client, client.response().status

    def run(self, kept):
        client = None
        while not self.stopping:
            had = client is not None
            try:
                client, status = self.once(client, kept)
            except (OSError, Closed):
                if client:
                    client.close()
                client = None
                if had:
                    continue
                status = 'closed'
            self.statuses[status] += 1
            if client and (not kept or status != 200):
                client.close()
                client = None
            time.sleep(0.02)

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(10 * SLOW)
        return self.statuses


def door(t, server, pool='', route='', more='', routes='', pools='', extra='', most='none', memory='64MiB', workers=2, handler=lambda link, request: link.answer(200, b'good')):
    good, port, tls = t.origin(handler), t.port(), t.port()
    weir = t.weir(f'''workers: {workers}
limits: {{ memory: {memory}, connections: 8000 }}
access_log: false
listeners:
  - {{ address: "127.0.0.1:{port}", protocols: [http/1.1, h2c] }}
  - {{ address: "127.0.0.1:{tls}", tls: {{ certificates: [{t.cert("localhost")}] }} }}
{extra}routes:
  - {{ match: {{ path: /good }}, pool: good }}
{routes}  - {{ pool: slow, {route} }}
pools:
  good: {{ servers: ["{good.address}"] }}
  slow: {{ servers: ["{server}"], max_connections: {most}, {pool} }}
{pools}{more}
''')
    return weir, port, tls


def faults(weir):
    """How often it wanted a page of the system's."""
    return int(open(f'/proc/{weir.pid}/stat').read().rpartition(')')[2].split()[7])


def attack(t, weir, port, hordes, seconds=SECONDS, well=WELL, most=MOST, first=False):
    """Runs them all, and judges: what weir held at most, and how the good client fared, who comes when all have begun if they are first."""
    before = weir.resident()
    ends = [apart(t, horde.run) for horde in hordes]    # first, since a process takes no threads along, but their locks
    if first:
        eventually(lambda: all(horde.begun() for horde in hordes), 30 * SLOW, 'attackers have not begun')
    good = Good(port)
    lasts = seconds * min(SLOW, 1.5)        # what is held is judged without sanitizers alone
    end, held, latest = time.monotonic() + lasts, 0, time.monotonic() + lasts + 12 * SLOW
    while time.monotonic() < end or (sum(good.statuses.values()) < LEAST and time.monotonic() < end + 10 * SLOW):
        held = max(held, weir.resident() or 0)
        if not all(horde.begun() for horde in hordes):
            end = min(time.monotonic() + lasts, latest)     # the time counts from there on
        time.sleep(0.004)
    statuses = good.stop()
    for stop in ends:
        stop()
    begun = all(horde.begun() for horde in hordes)
    told = f'{before / MIB:.1f} to {held / MIB:.1f} MiB; the good client: {dict(statuses)}'
    print(told)
    if SLOW == 1:
        ok(held <= most, f'it held {told}')
    ok(weir.process.poll() is None, 'weir ended')
    asked = sum(statuses.values())
    ok(asked >= LEAST and statuses[200] >= well * asked, f'not well served: {told}; {weir.stderr()[-1500:]}')
    eventually(lambda: t.client(port).get('/good').status == 200, 10, 'not served afterwards')
    if not begun:
        raise Skipped(f'the machine is too busy for an attack: {told}')
    return held


# ---- the rows ----

BIG = b'x' * 3900
FEW = field(b'x', BIG, True)          # in the table of the peer from then on, at index 62 ...
HEADS = FEW + b'\xbe' * 14      # ... so that a byte makes 3,900: 58 KB from 14


def test_heads_over_http2(t):
    """100 requests of 58 KB from 70 bytes each, on many connections, to a server that is silent."""
    weir, port, _ = door(t, Server(t).address)
    payload = opening() + frame(HEADERS, END_HEADERS | END_STREAM, 1, head(more=HEADS)) + streams(head(more=b'\xbe' * 15), count=99, first=3)
    attack(t, weir, port, [Horde(port, 400, lambda n: payload)])
    # what one leaves is the next one's: it does not go to the system and come back, which is dear
    wanted, shed = faults(weir), weir.counted()['memory_shed']
    print(f'{wanted} pages, {shed} went')
    ok(SLOW > 1 or wanted < MOST // mmap.PAGESIZE + 60 * shed, f'{wanted} pages for {shed} that went')


def test_heads_over_http1(t):
    weir, port, _ = door(t, Server(t).address)
    payload = b'GET / HTTP/1.1\r\nHost: a\r\n' + b''.join(b'X: ' + BIG[:3700] + b'\r\n' for _ in range(4)) + b'\r\n'
    attack(t, weir, port, [Horde(port, 3000, lambda n: payload)], well=0.6)


def test_heads_not_ended_over_http1(t):
    weir, port, _ = door(t, Server(t).address)
    attack(t, weir, port, [Horde(port, 6000, lambda n: b'GET / HTTP/1.1\r\nHost: a\r\nX: ' + BIG[:1000])])


def test_heads_not_ended_over_http2(t):
    weir, port, _ = door(t, Server(t).address)
    payload = opening() + frame(HEADERS, 0, 1, head(more=HEADS))
    attack(t, weir, port, [Horde(port, 3000, lambda n: payload)])


def test_bodies_over_http2(t):
    """A server that reads nothing; each stream's window is used up."""
    weir, port, _ = door(t, Server(t, reads=False).address)
    body = b''.join(frame(DATA, 0, 0, b'b' * 16000) for _ in range(4))
    payload = opening() + streams(head(b'POST'), lambda n: body.replace(struct.pack('>I', 0) + b'b', struct.pack('>I', n) + b'b'), flags=0, count=60)
    attack(t, weir, port, [Horde(port, 60, lambda n: payload)])


def test_bodies_over_http1(t):
    weir, port, _ = door(t, Server(t, reads=False).address)
    attack(t, weir, port, [Horde(port, 1000, lambda n: b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n' + b'b' * 300000)])


def test_requests_that_grow_together(t):
    """Nobody comes and nobody asks, for whom another would have to go: those who hold most go unasked."""
    weir, port, _ = door(t, Server(t, reads=False).address, handler=lambda link, request: link.answer(200, request.path[1:].encode()))
    equal(t.client(port).get('/good').body, b'good')
    growing = [socket.create_connection(('127.0.0.1', port), 10) for _ in range(600)]
    for s in growing:
        t.later(s.close)
        s.sendall(b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nb')
        s.setblocking(False)
    eventually(lambda: weir.counted()['requests'] == 601, 20, 'not all have come')
    ok('memory is short' not in weir.stderr(), 'it is short too early')

    def grown():
        """Each says more, a little at a time, so that they grow alike; those who are left, as long as weir listens to any."""
        taken = 0
        for s in list(growing):
            try:
                taken += s.send(b'b' * 8000)
            except BlockingIOError:
                pass
            except OSError:
                growing.remove(s)
        return taken == 0
    eventually(grown, 30, 'they grow for ever')
    gone = weir.stderr().count('a client that held much went for others')
    print(f'{weir.resident() / MIB:.1f} MiB, {600 - len(growing)} ended, {gone} lines', weir.counted())
    ok(gone > 0, 'nobody went')
    ok(SLOW > 1 or weir.resident() <= MOST, f'it holds {weir.resident() / MIB} MiB')
    equal(t.client(port).get('/good').body, b'good')


def test_what_the_process_itself_may_have(t):
    """limits.memory is auto, and follows RLIMIT_DATA: load is shed before the system says no, and afterwards all is as before."""
    if SLOW > 1:
        raise Skipped('a sanitizer needs the address space')
    weir, port, _ = door(t, Server(t).address, memory='auto')
    stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
    stacks = 4 * (stack if stack != resource.RLIM_INFINITY else 2 * MIB)    # of two workers, and two more
    resource.prlimit(weir.pid, resource.RLIMIT_DATA, (160 * MIB + stacks, -1))
    weir.reload(open(weir.file).read() + '# again\n')
    eventually(lambda: f'bytes={80 * MIB} from="half of what RLIMIT_DATA or RLIMIT_AS leaves beside' in weir.stderr(), 10, weir.stderr)
    payload = opening() + frame(HEADERS, END_HEADERS | END_STREAM, 1, head(more=HEADS)) + streams(head(more=b'\xbe' * 15), count=99, first=3)
    attack(t, weir, port, [Horde(port, 400, lambda n: payload)], most=100 * MIB)
    refused = weir.counted()['memory_refused']
    equal([t.client(port).get('/good').status for _ in range(50)], [200] * 50)
    equal(weir.counted()['memory_refused'], refused, 'somebody is refused after the attack')


def test_bodies_in_small_pieces(t):
    """Chunks and DATA frames of a byte, to a server that reads nothing."""
    weir, port, _ = door(t, Server(t, reads=False).address)
    chunks = b'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n' + b'1\r\nx\r\n' * 30000
    attack(t, weir, port, [Horde(port, 600, lambda n: chunks)])


def test_answers_not_read_over_http1(t):
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n' + b'a' * 1000000
    weir, port, _ = door(t, Server(t, answer=answer).address)
    attack(t, weir, port, [Horde(port, 1000, lambda n: b'GET / HTTP/1.1\r\nHost: a\r\n\r\n')])


def test_answers_not_read_over_http2(t):
    """Their streams have large windows, and the connection none."""
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n' + b'a' * 1000000
    weir, port, _ = door(t, Server(t, answer=answer).address)
    payload = opening(1 << 30) + streams(head())
    attack(t, weir, port, [Horde(port, 100, lambda n: payload)])


def own_answers(t, respond):
    """A weir whose other requests are answered by itself."""
    good, port = t.origin(lambda link, request: link.answer(200, b'good')), t.port()
    weir = t.weir(f'''workers: 2
limits: {{ memory: 64MiB, connections: 8000 }}
access_log: false
listeners: [ {{ address: "127.0.0.1:{port}", protocols: [http/1.1, h2c] }} ]
routes:
  - {{ match: {{ path: /good }}, pool: good }}
  - {{ respond: {respond} }}
pools: {{ good: {{ servers: ["{good.address}"] }} }}
''')
    return weir, port


def test_files_not_read(t):
    """One file is the answer to all: what is asked for often is not held often, by whoever asks."""
    weir, port = own_answers(t, f'{{ file: {t.file("large", "f" * 1000000)} }}')
    payload = opening(10000) + streams(head())
    grown = attack(t, weir, port, [Horde(port, 200, lambda n: b'GET / HTTP/1.1\r\nHost: a\r\n\r\n')])
    if SLOW == 1:
        ok(grown < 24 * MIB, f'200 files of 1 MB that are the same: {grown / MIB} MiB')
    attack(t, weir, port, [Horde(port, 100, lambda n: payload)])


def test_many_who_ask_for_little(t):
    """Each has one request, whose answer it has no window for: none of them holds much, and together they hold all."""
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc'
    weir, port, tls = door(t, Server(t, answer=answer).address, memory='24MiB')
    attack(t, weir, port, [Horde(port, 700, lambda n: opening(0) + streams(head(), count=1))], most=40 * MIB)
    attack(t, weir, port, [TlsHorde(tls, 500, opening(0) + streams(head(), count=1), ['h2'])], seconds=4, most=40 * MIB)


def test_one_worker_full_of_little(t):
    """No other worker could be asked for room, and who comes is served though nobody holds more than 17 KiB."""
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc'
    weir, port, _ = door(t, Server(t, answer=answer).address, memory='24MiB', workers=1)
    attack(t, weir, port, [OneByOne(port, opening(0) + streams(head(), count=1)) for _ in range(8)], most=40 * MIB, first=True)


def test_one_worker_full_of_requests(t):
    """Likewise, of HTTP/1 over TLS and not: each has asked for one thing, of a server that is silent, and goes on waiting."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    for over, more, memory in ((tls, 0, '12MiB'), (None, 0, '6MiB'), (None, 3000, '8MiB')):
        weir, port, secure = door(t, Server(t).address, memory=memory, workers=1)
        asks = b'GET / HTTP/1.1\r\nHost: a\r\nX: ' + b'y' * more + b'\r\n\r\n'
        attack(t, weir, port, [OneByOne(port if over is None else secure, asks, over, 1000) for _ in range(4)], most=40 * MIB, first=True)
        weir.stop()


test_one_worker_full_of_requests.seconds = 150    # three attacks


def test_answers_of_weir_not_read(t):
    weir, port = own_answers(t, '{ status: 200, body: ' + 'c' * 30000 + ' }')
    attack(t, weir, port, [Horde(port, 100, lambda n: opening(300) + streams(head()))])
    attack(t, weir, port, [Horde(port, 100, lambda n: opening() + streams(head(b'TRACE')))])


test_files_not_read.seconds = test_answers_of_weir_not_read.seconds = test_many_who_ask_for_little.seconds = 100     # two attacks


def test_heads_of_answers_not_read(t):
    """30 KB each, which no window of a stream holds back."""
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n' + b''.join(b'X-%d: ' % i + b'y' * 3900 + b'\r\n' for i in range(7)) + b'\r\n'
    weir, port, _ = door(t, Server(t, answer=answer).address)
    attack(t, weir, port, [Horde(port, 100, lambda n: opening() + streams(head()), again=20)])


def test_connections_that_say_nothing(t):
    weir, port, _ = door(t, Server(t).address)
    attack(t, weir, port, [Horde(port, 7000, lambda n: b'')])


def test_proxy_headers_not_ended(t):
    """A listener of its own, since the good client sends none."""
    proxied = t.port()
    weir, port, _ = door(t, Server(t).address, extra=f'  - {{ address: "127.0.0.1:{proxied}", proxy_protocol: required }}\n')
    attack(t, weir, port, [Horde(proxied, 4000, lambda n: b'PROXY TCP4 192.0.2.1 192.')])


def test_handshakes_not_ended(t):
    weir, port, tls = door(t, Server(t).address)
    hello = client_hello()
    attack(t, weir, port, [Horde(tls, 3000, lambda n: hello, again=200)], well=0.75)


def test_handshakes_that_say_nothing_then(t):
    weir, port, tls = door(t, Server(t).address)
    attack(t, weir, port, [TlsHorde(tls, 4000), TlsHorde(tls, 4000)], seconds=4, well=0.8)


def test_requests_over_tls_that_wait(t):
    weir, port, tls = door(t, Server(t).address)
    payload = opening() + streams(head(more=HEADS), count=1) + streams(head(more=b'\xbe' * 15), count=30, first=3)
    attack(t, weir, port, [TlsHorde(tls, 4000, payload, ['h2'])], seconds=4)


def test_frames_that_want_answers(t):
    """PINGs and SETTINGS by the thousand; nobody reads what acknowledges them."""
    weir, port, _ = door(t, Server(t).address)
    pings = opening() + frame(PING, 0, 0, b'12345678') * 9000
    settings = opening() + frame(SETTINGS, 0, 0, struct.pack('>HI', 4, 1000)) * 9000
    attack(t, weir, port, [Horde(port, 200, lambda n: pings if n % 2 else settings, again=50)])


def test_tunnels_that_nobody_reads(t):
    """Both ways, over HTTP/1."""
    accept = Websocket.accept(Websocket.KEY).encode()
    first = b'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ' + accept + b'\r\n\r\n'
    weir, port, _ = door(t, Server(t, first=first, answer=b's' * 200000).address, route='upgrades: [websocket]')
    ask = (f'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {Websocket.KEY}\r\n\r\n').encode()
    attack(t, weir, port, [Horde(port, 1000, lambda n: ask + b'c' * 200000)])


def test_bodies_kept_for_another_try(t):
    """Whole requests to a server that reads and says nothing."""
    weir, port, _ = door(t, Server(t).address, pool='retry: { attempts: 1, on: [sent_no_reply], buffer: 1MiB }')
    payload = b'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n' + b'k' * 200000
    attack(t, weir, port, [Horde(port, 1000, lambda n: payload)])


def test_copies_for_a_shadow_pool(t):
    """The first pool answers, the shadow does not."""
    quick = Server(t, answer=b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    weir, port, _ = door(t, quick.address, route='mirror: { pool: shadow, max_in_flight: 10000 }', pools=f'  shadow: {{ servers: ["{Server(t).address}"], max_connections: none }}\n')
    payload = b'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n' + b'm' * 30000
    attack(t, weir, port, [Horde(port, 300, lambda n: payload, more=lambda n: payload, reads=True)])


def test_requests_that_wait_for_a_server(t):
    weir, port, _ = door(t, Server(t).address, pool='queue: { size: 100000, max_wait: 60s }', most='1')
    payload = b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n' + b'w' * 40000
    attack(t, weir, port, [Horde(port, 3000, lambda n: payload)])


def test_requests_one_behind_the_other(t):
    weir, port, _ = door(t, Server(t).address)
    attack(t, weir, port, [Horde(port, 1000, lambda n: b'GET / HTTP/1.1\r\nHost: a\r\n\r\n' * 8000)])


def test_trailers_not_ended(t):
    weir, port, _ = door(t, Server(t).address)
    payload = b'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: ' + b't' * 14000
    attack(t, weir, port, [Horde(port, 3000, lambda n: payload)])


def test_keys_of_limits(t):
    """A new one with each request; a table takes what its `keys` say, and its pages as they are needed."""
    limits = 'rate_limits:\n' + ''.join(f'  l{i}: {{ rate: 1/h, burst: 2, keys: 200000, key: "header:k" }}\n' for i in range(8))
    quick = Server(t, answer=b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    weir, port, _ = door(t, quick.address, route='rate_limit: [' + ', '.join(f'l{i}' for i in range(8)) + ']', more=limits)
    attack(t, weir, port, [Horde(port, 50, lambda n: b'', reads=True, more=lambda n: b''.join(b'GET / HTTP/1.1\r\nHost: a\r\nK: ' + os.urandom(8).hex().encode() + b'\r\n\r\n' for _ in range(50)))])


def test_snapshots_that_tunnels_hold(t):
    """Each tunnel keeps the file that it began with."""
    accept = Websocket.accept(Websocket.KEY).encode()
    first = b'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ' + accept + b'\r\n\r\n'
    many = ''.join(f'  - {{ match: {{ host: h{i}.test, path: /p{i} }}, pool: good }}\n' for i in range(3000))
    weir, port, _ = door(t, Server(t, first=first).address, route='upgrades: [websocket]', routes=many)
    text = open(weir.file).read()
    for i in range(12):
        c = t.client(port)
        c.send(f'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {Websocket.KEY}\r\n\r\n')
        equal(c.response().status, 101)
        weir.reload(text + f'# {i}\n')
    attack(t, weir, port, [Horde(port, 1000, lambda n: b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n' + b'b' * 300000)])


def converse(t, memory='64MiB', more=''):
    """A stream of events and a WebSocket of small messages, which hold little; what attackers ask waits for a server that reads nothing. Returns a function
    that asserts that they go on."""
    def talk(link, request):
        if request.path == '/talk/ws':
            link.send(f'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {Websocket.accept(Websocket.KEY)}\r\n\r\n')
            while True:
                link.send(Websocket.frame(Websocket.read_frame(link.reader)[1], mask=False))
        if request.path == '/talk/events':
            link.begin(200, [('Content-Type', 'text/event-stream')])
            for i in range(1000):
                link.piece(f'data: {i}\n\n'.encode())
                time.sleep(0.05)
        link.answer(200, b'good')
    weir, port, tls = door(t, Server(t, reads=False).address, handler=talk, memory=memory, more=more,
                           routes='  - { match: { path: /talk/ }, upgrades: [websocket], pool: good }\n')
    events, socket_, said = t.client(port), t.websocket(port), collections.Counter()
    events.request('GET', '/talk/events')
    equal(events.head().status, 200)
    equal(socket_.upgrade('/talk/ws').status, 101)

    def run():
        for piece in events.reader.chunks():
            socket_.say(piece)
            equal(socket_.hear()[1], piece)
            said[piece] += 1
    threading.Thread(target=run, daemon=True).start()

    def go_on():
        before = len(said)
        ok(before > 5, f'{before} events')
        eventually(lambda: len(said) > before + 3, 10, 'the conversations have ended')
    return weir, port, tls, go_on


def test_conversations_go_on(t):
    """Those that began before the attack, and hold little, are not touched by it."""
    weir, port, _, go_on = converse(t)
    attack(t, weir, port, [Horde(port, 1000, lambda n: b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n' + b'b' * 300000)])
    go_on()


def test_conversations_over_http2_go_on(t):
    """Each holds as much as one of many who wait for one answer, and a block more whenever something comes."""
    weir, port, _, go_on = converse(t, '24MiB', 'drain_timeout: 300ms\n')
    said = [0] * 4

    def listen(i):
        with socket.create_connection(('127.0.0.1', port)) as s:
            s.sendall(opening() + streams(head(path=b'/talk/events'), count=1))
            while s.recv(4096):
                said[i] += 1
    for i in range(len(said)):
        threading.Thread(target=listen, args=[i], daemon=True).start()
    eventually(lambda: min(said) > 5, 10, 'no events')
    attack(t, weir, port, [Horde(port, 700, lambda n: opening() + streams(head(), count=1))], seconds=4, most=40 * MIB)
    go_on()
    before = list(said)
    eventually(lambda: all(now > then + 3 for now, then in zip(said, before)), 5, 'streams of events have ended')


def test_who_waits_outlives_who_reads_a_little(t):
    """Attackers have 76 KB held each, and read a byte of it now and then; those who wait for one answer hold no more than that takes."""
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 45000\r\n\r\n' + b'a' * 45000
    weir, port, _ = door(t, Server(t, answer=answer).address, memory='16MiB', workers=1, pools=f'  quiet: {{ servers: ["{Server(t).address}"], max_connections: none }}\n',
                         routes='  - { match: { path: /quiet }, pool: quiet }\n')
    waiting = [socket.create_connection(('127.0.0.1', port)) for _ in range(10)]
    for s in waiting:
        s.sendall(opening() + streams(head(path=b'/quiet'), count=1))
    time.sleep(0.3)
    one_more = frame(8, 0, 1, struct.pack('>I', 1))
    attack(t, weir, port, [Horde(port, 300, lambda n: opening(300) + streams(head(), count=1), more=lambda n: one_more, again=8, pace=60)], seconds=2, most=40 * MIB)
    ok(weir.stderr().count('held much went') > 0, 'nobody had to go')
    for s in waiting:
        s.settimeout(0.1)
        got = b''
        try:
            while part := s.recv(4096):
                got += part
            ok(False, f'who waits was closed {got!r}')
        except TimeoutError:
            pass
        ok(b'\0\0\x08\x07\0\0\0\0\0' not in got, 'who waits was told to go')
        s.close()


def long_hello(length, sent):
    said = b'\x01' + length.to_bytes(3, 'big') + b'\x03\x03' + b'r' * 32 + b'\0\0\2\x13\1\1\0' + struct.pack('>H', 60000) + b'\0' * length
    return b''.join(b'\x16\x03\x01' + struct.pack('>H', len(part)) + part for part in (said[i:min(i + 16000, sent)] for i in range(0, sent, 16000)))


def test_conversations_outlive_who_never_asked(t):
    """Handshakes and heads that do not come on, and come again as soon as they are closed: they hold more than a conversation, and go before it."""
    partial = opening() + frame(HEADERS, 0, 1, head(more=HEADS))
    for name, payload, over_tls in (('long hellos', long_hello(131000, 126000), True), ('hellos', long_hello(32000, 31000), True), ('heads', partial, False)):
        weir, port, tls, go_on = converse(t, '32MiB', 'drain_timeout: 300ms\n')
        print(name)
        attack(t, weir, port, [Horde(tls if over_tls else port, 2000, lambda n: payload, again=2000)], well=0.6, most=48 * MIB)
        go_on()
        weir.stop()


test_conversations_outlive_who_never_asked.seconds = 150    # three attacks

"""What the integration tests stand on: the real binary, origins that do as they are told, and clients that send what no library would.

A test is a function `test_NAME(t)` in a file `test_THEME.py`; `t` is a Case. Whatever a Case starts it ends, last first: a weir that does
not end by itself with exit code 0, or whose stderr has a sanitizer's report or a failed assertion, fails its test. Python's library only.
"""
import base64, collections, hashlib, json, os, re, select, signal, socket, ssl, struct, subprocess, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
SLOW = float(os.environ.get('WEIRTEST_SLOW', '1'))
WEIR = os.path.abspath(os.environ.get('WEIR') or ('weir' if os.access('weir', os.X_OK) else os.path.join(HERE, '..', '..', 'weir')))
TERM = signal.SIGTERM
BAD_WORDS = re.compile(r'(ERROR: \w*Sanitizer|WARNING: ThreadSanitizer|runtime error:|Assertion .* failed|LeakSanitizer|stack smashing)')
REQUEST_HEAD_MOST = 1 << 20


class Skipped(Exception):
    pass


def fail(text):
    raise AssertionError(text)


def ok(condition, text='not so'):
    if not condition:
        fail(text() if callable(text) else text)


def equal(got, wanted, text=''):
    if got != wanted:
        fail(f'{text}: got {got!r}, wanted {wanted!r}' if text else f'got {got!r}, wanted {wanted!r}')


def between(got, least, most, text=''):
    if not least <= got <= most:
        fail(f'{text + ": " if text else ""}got {got!r}, wanted {least!r} to {most!r}')


def contains(text, part):
    if part not in text:
        fail(f'{part!r} is not in {text!r}')


PATIENCE = 20       # seconds, times SLOW, that anything may take on a machine that has others to serve; only what is broken takes them


def eventually(condition, seconds=PATIENCE, text='it did not happen in time'):
    """Waits until condition() is true and returns what it returned."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            fail(text() if callable(text) else text)
        time.sleep(0.01)


class Since:
    """A time from which others are held to a bound: by the clock to a least one; to a most one by ticks, which this process has fewer of in a second the
    longer a busy machine keeps its processes waiting. So what is late is late because it waits, and not because it was kept waiting."""
    TICK = 0.05
    ticks, thread = 0, None

    @classmethod
    def run(cls):
        while True:
            time.sleep(cls.TICK)
            cls.ticks += 1

    def __init__(self):
        if Since.thread is None:
            Since.thread = threading.Thread(target=Since.run, daemon=True)
            Since.thread.start()
        self.at, self.tick = time.monotonic(), Since.ticks

    def elapsed(self):
        return time.monotonic() - self.at

    def counted(self):
        return min(self.elapsed(), (Since.ticks - self.tick + 1) * self.TICK)

    def took(self, least, most, text=''):
        between(self.elapsed(), least, float('inf'), text)
        between(self.counted(), 0, most * SLOW, text)


def beside_root(said):
    """What `weir check` says beside its word on root, as which tests may run."""
    lines = said.split('\n')
    rest = [line for line in lines if 'serves as root' not in line]
    return said if rest == lines else '\n'.join(line for line in rest if line != 'no errors, 1 warning')


def has_http2():
    """Whether this weir was built with HTTP/2. Files of tests that import h2test, or set NEEDS_HTTP2, are skipped where it was not."""
    return json.loads(subprocess.run([WEIR, 'version', '--json'], stdout=subprocess.PIPE, check=True).stdout)['libraries']['nghttp2'] is not None


def free_port(kind=socket.SOCK_STREAM):
    """A port that is free now; below the ports that the kernel hands out for connections, so that it stays free."""
    while True:
        free_port.next += 1
        if free_port.next >= free_port.end:
            free_port.next = free_port.begin
        with socket.socket(socket.AF_INET, kind) as s:
            try:
                s.bind(('127.0.0.1', free_port.next))
                return free_port.next
            except OSError:
                pass


def ports_of(slot, base=int(os.environ.get('WEIRTEST_PORTS', '20000'))):
    """Tests that run side by side draw their ports from ranges of their own."""
    free_port.begin = base + slot % 16 * 30
    free_port.end = free_port.begin + 30
    free_port.next = free_port.begin


ports_of(0)


# ---- messages as bytes ----

class Fields(list):
    """Names and values in their order."""
    def get(self, name, default=None):
        for n, v in self:
            if n.lower() == name.lower():
                return v
        return default

    def all(self, name):
        return [v for n, v in self if n.lower() == name.lower()]

    def __contains__(self, name):
        return any(n.lower() == name.lower() for n, _ in self)


class Closed(Exception):
    """The peer ended the connection where a message should go on."""


class Reader:
    def __init__(self, sock):
        self.sock, self.bytes = sock, b''

    def more(self):
        got = self.sock.recv(1 << 16)
        if not got:
            raise Closed(f'the peer closed after {self.bytes[-200:]!r}')
        self.bytes += got

    def until(self, mark):
        while mark not in self.bytes:
            if len(self.bytes) > REQUEST_HEAD_MOST:
                fail('a head has no end')
            self.more()
        head, self.bytes = self.bytes.split(mark, 1)
        return head

    def exactly(self, count):
        pieces, have = [self.bytes], len(self.bytes)
        while have < count:
            got = self.sock.recv(min(1 << 18, max(1, count - have)))
            if not got:
                self.bytes = b''.join(pieces)
                raise Closed(f'the peer closed after {have} of {count} bytes')
            pieces.append(got)
            have += len(got)
        whole = b''.join(pieces)
        self.bytes = whole[count:]
        return whole[:count]

    def rest(self):
        pieces, self.bytes = [self.bytes], b''
        while True:
            got = self.sock.recv(1 << 16)
            if not got:
                return b''.join(pieces)
            pieces.append(got)

    def fields(self, text):
        fields = Fields()
        for line in text.split(b'\r\n'):
            if line:
                name, _, value = line.decode('latin-1').partition(':')
                fields.append((name, value.strip(' \t')))
        return fields

    def chunks(self):
        """Yields the chunks; then self.trailers is set."""
        while True:
            size = int(self.until(b'\r\n').split(b';')[0], 16)
            if size == 0:
                break
            yield self.exactly(size)
            equal(self.exactly(2), b'\r\n', 'end of a chunk')
        trailers = b''
        while True:
            line = self.until(b'\r\n')
            if not line:
                break
            trailers += line + b'\r\n'
        self.trailers = self.fields(trailers)


class Response:
    def __init__(self):
        self.status, self.version, self.reason, self.fields, self.trailers = 0, '', '', Fields(), Fields()
        self.body, self.interim, self.whole = b'', [], True

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f'<{self.status} {self.fields} {self.body[:100]!r}>'


# ---- clients ----

class Client:
    """A connection that sends bytes as given and reads answers strictly."""
    def __init__(self, to, tls=None, name=None, timeout=PATIENCE, first=b'', source=None):
        timeout *= SLOW
        if isinstance(to, str) and to.startswith('/'):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout)
            self.sock.connect(to)
        else:
            host, port = to if isinstance(to, tuple) else ('127.0.0.1', to)
            self.sock = socket.create_connection((host, port), timeout, source_address=(source, 0) if source else None)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if first:
            self.sock.sendall(first)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=name)
        self.reader = Reader(self.sock)

    def send(self, *pieces):
        self.sock.sendall(b''.join(p.encode('latin-1') if isinstance(p, str) else p for p in pieces))

    def request(self, method='GET', target='/', fields=(), body=None, host='test', version='1.1', length=True):
        lines = [f'{method} {target} HTTP/{version}']
        if host is not None:
            lines.append(f'Host: {host}')
        lines += [f'{n}: {v}' for n, v in (fields.items() if isinstance(fields, dict) else fields)]
        if body is not None and length:
            lines.append(f'Content-Length: {len(body)}')
        self.send('\r\n'.join(lines), '\r\n\r\n', body or b'')

    def head(self):
        r = Response()
        start, *lines = self.reader.until(b'\r\n\r\n').split(b'\r\n')
        match = re.fullmatch(rb'(HTTP/\d\.\d) (\d\d\d) ?(.*)', start)
        ok(match, f'not a status line: {start!r}')
        r.version, r.status, r.reason = match[1].decode(), int(match[2]), match[3].decode('latin-1')
        r.fields = self.reader.fields(b'\r\n'.join(lines))
        return r

    def response(self, method='GET'):
        """The next final response, with the 1xx before it in .interim."""
        interim = []
        r = self.head()
        while 100 <= r.status < 200 and r.status != 101:
            interim.append(r)
            r = self.head()
        r.interim = interim
        if method == 'HEAD' or r.status in (101, 204, 304):
            return r
        if 'transfer-encoding' in r.fields:
            equal(r.fields.get('transfer-encoding').lower(), 'chunked')
            ok('content-length' not in r.fields, 'length and transfer coding together')
            r.body = b''.join(self.reader.chunks())
            r.trailers = self.reader.trailers
        elif 'content-length' in r.fields:
            equal(len(r.fields.all('content-length')), 1, 'Content-Length')
            r.body = self.reader.exactly(int(r.fields.get('content-length')))
        else:
            r.body = self.reader.rest()
        return r

    def get(self, target='/', fields=(), **more):
        self.request('GET', target, fields, **more)
        return self.response()

    def ended(self, seconds=PATIENCE):
        """The peer has closed and sent nothing more."""
        self.sock.settimeout(seconds * SLOW)
        try:
            return self.reader.rest() == b''
        except ConnectionResetError:
            return True
        except (TimeoutError, socket.timeout):
            return False

    def quiet(self, seconds=0.2):
        """Nothing comes and the connection stays open."""
        return not self.reader.bytes and not select.select([self.sock], [], [], seconds)[0]

    def finish(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.sock.close()

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass


class Websocket(Client):
    KEY = base64.b64encode(b'sixteen bytes ok').decode()

    @staticmethod
    def accept(key):
        return base64.b64encode(hashlib.sha1((key + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').encode()).digest()).decode()

    @staticmethod
    def frame(payload, opcode=1, mask=True):
        head = bytes([0x80 | opcode])
        bit = 0x80 if mask else 0
        if len(payload) < 126:
            head += bytes([bit | len(payload)])
        elif len(payload) < 65536:
            head += bytes([bit | 126]) + struct.pack('>H', len(payload))
        else:
            head += bytes([bit | 127]) + struct.pack('>Q', len(payload))
        if not mask:
            return head + payload
        key = b'\x11\x22\x33\x44'
        return head + key + bytes(b ^ key[i % 4] for i, b in enumerate(payload))

    @staticmethod
    def read_frame(reader):
        first, second = reader.exactly(2)
        length = second & 0x7f
        if length == 126:
            length = struct.unpack('>H', reader.exactly(2))[0]
        elif length == 127:
            length = struct.unpack('>Q', reader.exactly(8))[0]
        key = reader.exactly(4) if second & 0x80 else None
        payload = reader.exactly(length)
        if key:
            payload = bytes(b ^ key[i % 4] for i, b in enumerate(payload))
        return first & 0x0f, payload

    def upgrade(self, target='/ws', fields=(), early=b''):
        self.send(f'GET {target} HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'
                  f'Sec-WebSocket-Key: {self.KEY}\r\n' + ''.join(f'{n}: {v}\r\n' for n, v in fields) + '\r\n', early)
        return self.response()

    def say(self, payload, opcode=1):
        self.send(self.frame(payload, opcode))

    def hear(self):
        return self.read_frame(self.reader)


# ---- origins ----

class Request:
    """What an origin got. The body is read when asked for, so that an origin may answer early or not read at all."""
    def __init__(self, link, start, fields):
        self.link, self.fields = link, fields
        self.method, self.target, self.version = start.decode('latin-1').split(' ')
        self.path, _, self.query = self.target.partition('?')
        self.trailers, self._body, self.at = Fields(), None, time.monotonic()

    def pieces(self):
        """The body in the pieces it comes in; trailers are set at the end."""
        reader = self.link.reader
        self._body = b''
        if self.fields.get('transfer-encoding', '').lower() == 'chunked':
            yield from reader.chunks()
            self.trailers = reader.trailers
        else:
            left = int(self.fields.get('content-length', '0'))
            while left:
                if not reader.bytes:
                    reader.more()
                piece, reader.bytes = reader.bytes[:left], reader.bytes[left:]
                left -= len(piece)
                yield piece

    def body(self):
        if self._body is None:
            whole = b''.join(self.pieces())
            self._body = whole
        return self._body


class Link:
    """A connection as an origin sees it."""
    def __init__(self, origin, sock, number):
        self.origin, self.sock, self.number, self.reader, self.open, self.served = origin, sock, number, Reader(sock), True, 0

    def send(self, *pieces):
        self.sock.sendall(b''.join(p.encode('latin-1') if isinstance(p, str) else p for p in pieces))

    def answer(self, status=200, body=b'', fields=(), length=True):
        body = body.encode() if isinstance(body, str) else body
        lines = [f'HTTP/1.1 {status} Fine', f'X-Origin: {self.origin.name}'] + [f'{n}: {v}' for n, v in fields]
        if length:
            lines.append(f'Content-Length: {len(body)}')
        self.send('\r\n'.join(lines), '\r\n\r\n', body)

    def begin(self, status=200, fields=(), end=False):
        self.send(f'HTTP/1.1 {status} Fine\r\n' + ('' if end else 'Transfer-Encoding: chunked\r\n') + ''.join(f'{n}: {v}\r\n' for n, v in fields) + '\r\n')

    def piece(self, piece):
        self.send(f'{len(piece):x}\r\n', piece, '\r\n')

    def end(self, trailers=()):
        self.send('0\r\n' + ''.join(f'{n}: {v}\r\n' for n, v in trailers) + '\r\n')

    def chunked(self, pieces, trailers=(), status=200, fields=()):
        self.begin(status, fields)
        for piece in pieces:
            self.piece(piece)
        self.end(trailers)

    def interim(self, status, fields=()):
        self.send(f'HTTP/1.1 {status} Wait\r\n' + ''.join(f'{n}: {v}\r\n' for n, v in fields) + '\r\n')

    def cut(self):
        self.close()

    def close(self):
        self.open = False
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def reset(self):
        self.open = False
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.sock.close()

    def gone(self, seconds=5):
        """True once the peer has closed."""
        self.sock.settimeout(seconds * SLOW)
        try:
            while self.sock.recv(1 << 16):
                pass
            return True
        except (ConnectionResetError, BrokenPipeError):
            return True
        except (TimeoutError, socket.timeout):
            return False


def tell(link, request):
    """The default: what was asked, as JSON."""
    body = request.body()
    link.answer(200, json.dumps({'origin': link.origin.name, 'method': request.method, 'target': request.target, 'fields': list(request.fields),
                                 'length': len(body), 'sha256': hashlib.sha256(body).hexdigest(), 'body': body[:1000].decode('latin-1'),
                                 'trailers': list(request.trailers), 'connection': link.number}),
                [('Content-Type', 'application/json')])


class Origin:
    """A server with a thread for each connection; handler(link, request) answers. Every request is kept in .requests."""
    def __init__(self, handler=tell, name='origin', port=None, path=None, tls=None):
        self.handler, self.name, self.tls, self.path = handler, name, tls, path
        self.requests, self.links, self.lock, self.stopped, self.errors = [], [], threading.Lock(), False, []
        self.in_progress = self.most_in_progress = 0
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            self.port, self.address = 0, 'unix:' + path
        else:
            self.listener = socket.socket()
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind(('127.0.0.1', port or free_port()))
            self.port = self.listener.getsockname()[1]
            self.address = f'127.0.0.1:{self.port}'
        self.listener.listen(1024)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while not self.stopped:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.begin, args=(sock,), daemon=True).start()

    def begin(self, sock):
        if not self.path:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            with self.lock:
                link = Link(self, sock, len(self.links))
                self.links.append(link)
            while link.open and not self.stopped:
                head = link.reader.until(b'\r\n\r\n')
                start, _, lines = head.partition(b'\r\n')
                request = Request(link, start, link.reader.fields(lines))
                with self.lock:
                    self.requests.append(request)
                    self.in_progress += 1
                    self.most_in_progress = max(self.most_in_progress, self.in_progress)
                try:
                    self.handler(link, request)
                    link.served += 1
                finally:
                    with self.lock:
                        self.in_progress -= 1
                if link.open and request._body is None:
                    request.body()
        except (OSError, Closed, ValueError):
            pass
        except AssertionError as error:
            self.errors.append(str(error))
        finally:
            try:
                sock.close()
            except OSError:
                pass

    def count(self, path=None):
        with self.lock:
            return sum(path is None or r.path == path for r in self.requests)

    def last(self, path=None):
        with self.lock:
            return [r for r in self.requests if path is None or r.path == path][-1]

    def close(self):
        self.stopped = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        with self.lock:
            for link in self.links:
                if hasattr(link, 'sock'):
                    link.close()
        if self.errors:
            fail(f'origin {self.name}: {self.errors[0]}')


# ---- processes ----

class Weir:
    def __init__(self, case, text, command=None, env=None, ready=True, check=True, files=()):
        self.case, self.check, self.messages, self.ended = case, check, [], False
        self.work = case.folder('weir')
        self.file = os.path.join(self.work, 'weir.yaml')
        if text is not None:
            self.write(text)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(os.path.join(self.work, 'notify'))
        self.notify.settimeout(10 * SLOW)
        os.chmod(os.path.join(self.work, 'notify'), 0o777)
        environment = {**os.environ, 'NOTIFY_SOCKET': os.path.join(self.work, 'notify'), 'NO_COLOR': '1',
                       'ASAN_OPTIONS': 'exitcode=99:detect_leaks=1:abort_on_error=0', 'UBSAN_OPTIONS': 'print_stacktrace=1',
                       'TSAN_OPTIONS': 'exitcode=66:second_deadlock_stack=1', **(env or {})}
        self.out, self.err = os.path.join(self.work, 'out'), os.path.join(self.work, 'err')
        self.process = subprocess.Popen(command or [WEIR, 'run', '-c', self.file], stdin=subprocess.DEVNULL, stdout=open(self.out, 'wb'),
                                        stderr=open(self.err, 'wb'), env=environment, cwd=self.work)
        self.pid = self.process.pid
        case.later(self.stop)
        if ready:
            self.wait_message('READY=1')

    def write(self, text):
        """A new file in the place of the old one, at once."""
        with open(self.file + '.new', 'w') as f:
            f.write(text)
        os.rename(self.file + '.new', self.file)

    def wait_message(self, wanted, seconds=2 * PATIENCE):
        end, heard = time.monotonic() + seconds * SLOW, len(self.messages)
        while not any(wanted in m for m in self.messages):
            if any('EXTEND_TIMEOUT_USEC' in m for m in self.messages[heard:]):      # it says itself that it goes on
                end, heard = time.monotonic() + seconds * SLOW, len(self.messages)
            if self.process.poll() is not None:
                fail(f'weir ended with exit code {self.process.returncode} before it said {wanted}: {self.stderr()[-3000:]}')
            if time.monotonic() > end:
                fail(f'weir did not say {wanted}; it said {self.messages}: {self.stderr()[-3000:]}')
            self.take_messages(0.05)

    def take_messages(self, seconds=0):
        while select.select([self.notify], [], [], seconds)[0]:
            self.messages.append(self.notify.recv(4096).decode())
            seconds = 0
        return self.messages

    def stderr(self):
        return open(self.err, errors='replace').read()

    def access(self):
        """The lines of the access log so far."""
        lines = open(self.out, 'rb').read().split(b'\n')[:-1]
        return [json.loads(line) for line in lines if line.startswith(b'{')]

    def access_line(self, seconds=PATIENCE, **wanted):
        """The line whose values are those; it is waited for."""
        def found():
            return [a for a in self.access() if all(a.get(k) == v for k, v in wanted.items())]
        return eventually(found, seconds, lambda: f'no access log line with {wanted} in {self.access()}')[-1]

    def log_line(self, part, seconds=PATIENCE):
        lines = eventually(lambda: [line for line in self.stderr().split('\n') if part in line], seconds,
                           lambda: f'{part!r} is not in the log: {self.stderr()[-3000:]}')
        return ([line for line in lines if 'repeated=' not in line] or lines)[-1]   # one that was folded has no fields

    def signal(self, number):
        self.process.send_signal(number)

    def counted(self):
        """What it has counted so far, by name."""
        while True:
            before = len(self.stderr())
            self.signal(signal.SIGUSR2)
            line = eventually(lambda: [line for line in self.stderr()[before:].split('\n') if 'counted so far' in line])[0]
            if 'repeated' not in line:      # the same line twice within a second is folded
                return collections.Counter({name: int(value) for name, value in re.findall(r'(\w+)"?[=:](\d+)\b', line)})

    def reload(self, text=None, good=True):
        """Has the file loaded again, and waits until it is."""
        if text is not None:
            self.write(text)
        self.take_messages()
        self.messages.clear()
        self.signal(signal.SIGHUP)
        self.wait_message('RELOADING=1')
        self.wait_message('READY=1')
        failed = 'reload failed' in self.stderr()
        if good and failed:
            fail(f'the reload failed: {self.stderr()[-2000:]}')

    def resident(self):
        for line in open(f'/proc/{self.pid}/status'):
            if line.startswith('VmRSS'):
                return int(line.split()[1]) << 10

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.pid}/fd'))

    def stop(self, number=TERM, seconds=2 * PATIENCE, code=0):
        """Ends it, and checks how it ended."""
        if self.ended:
            return
        self.ended = True
        started = time.monotonic()
        if self.process.poll() is None and number is not None:
            self.process.send_signal(number)
        try:
            self.process.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            if self.check:
                fail(f'weir did not end in {time.monotonic() - started:.1f} s: {self.stderr()[-3000:]}')
        self.take_messages()
        self.notify.close()
        bad = BAD_WORDS.search(self.stderr())
        if bad:
            at = bad.start()
            fail(f'weir reported: {self.stderr()[max(0, at - 500):at + 6000]}')
        if self.check:
            equal(self.process.returncode, code, f'exit code of weir; its log ends {self.stderr()[-1500:]}')


class Load:
    """Requests at a rate from a few threads, on kept connections or on new ones; whatever is not a 200 is a failure."""
    def __init__(self, to, rate=200, threads=4, kept=True, tls=None, method='GET', target='/', body=None, fields=(), accept=(200,), on_closed='new'):
        self.to, self.kept, self.tls, self.method, self.target, self.body, self.fields = to, kept, tls, method, target, body, fields
        self.accept, self.pace, self.on_closed = accept, threads / rate, on_closed
        self.count, self.failures, self.origins, self.stopping, self.lock = 0, [], collections.Counter(), False, threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self):
        client, due, served = None, time.monotonic(), 0
        while not self.stopping:
            due = max(due + self.pace, time.monotonic() - 1)
            time.sleep(max(0, due - time.monotonic()))
            why, origin = None, None
            try:
                for _ in range(2):
                    if client is None:
                        client, served = Client(self.to, self.tls, 'localhost' if self.tls else None), 0
                    try:
                        client.request(self.method, self.target, self.fields if self.kept else list(self.fields) + [('Connection', 'close')], self.body)
                        response = client.response(self.method)
                        break
                    except (Closed, ConnectionResetError, BrokenPipeError):
                        # A kept connection may end between two requests without a word lost: what every client does is done here, once.
                        if not served or client.reader.bytes:
                            raise
                        client.close()
                        client = None
                served += 1
                origin = response.fields.get('x-origin')
                if response.status not in self.accept:
                    why = f'{response.status} {response.body[:60]!r}'
                if not self.kept or response.fields.get('connection', '').lower() == 'close':
                    client.close()
                    client = None
            except (OSError, Closed, AssertionError) as error:
                why = f'{type(error).__name__}: {error}'
                if client:
                    client.close()
                client = None
            with self.lock:
                self.count += 1
                self.origins[origin] += 1
                if why:
                    self.failures.append(why)
        if client:
            client.close()

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(15 * SLOW)
        return self

    def check(self, least=1):
        self.stop()
        ok(self.count >= least, f'only {self.count} requests were made')
        equal(len(self.failures), 0, f'failed of {self.count}: {collections.Counter(self.failures).most_common(3)}')


# ---- certificates ----

def openssl(folder, *arguments):
    subprocess.run(['openssl', *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def make_key(folder, name, rsa=False):
    openssl(folder, *(['genrsa', '-out', name + '.key', '2048'] if rsa else ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', name + '.key']))


def make_authority(folder, name):
    make_key(folder, name)
    openssl(folder, 'req', '-x509', '-new', '-key', name + '.key', '-subj', f'/CN={name}', '-days', '30', '-out', name + '.crt',
            '-addext', 'keyUsage=critical,keyCertSign,cRLSign')


def make_leaf(folder, name, authority, names=None, subject=None, days=30, rsa=False):
    """names: of the alternative names, in OpenSSL's notation; subject: the common name."""
    make_key(folder, name, rsa)
    openssl(folder, 'req', '-new', '-key', name + '.key', '-subj', f'/CN={subject or os.path.basename(name)}', '-out', name + '.csr')
    with open(os.path.join(folder, name + '.ext'), 'w') as f:
        f.write((f'subjectAltName={names}\n' if names else '') + 'basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n')
    openssl(folder, 'x509', '-req', '-in', name + '.csr', '-CA', authority + '.crt', '-CAkey', authority + '.key', '-set_serial', str(int.from_bytes(os.urandom(8), 'big')),
            '-days', str(days), '-extfile', name + '.ext', '-out', name + '.crt')


def make_certificates(folder):
    """Two authorities and what the tests need of them; once a run."""
    for authority in ('ca', 'other-ca'):
        make_authority(folder, authority)
    names = {'localhost': ('ca', 'DNS:localhost,IP:127.0.0.1,IP:::1'), 'a': ('ca', 'DNS:a.test'), 'b': ('ca', 'DNS:b.test,DNS:also-b.test'),
             'wild': ('ca', 'DNS:*.wild.test'), 'client': ('ca', 'DNS:client.test'), 'stranger': ('other-ca', 'DNS:localhost,IP:127.0.0.1')}
    for name, (authority, alternative) in names.items():
        make_leaf(folder, name, authority, alternative)


# ---- a test ----

class Case:
    def __init__(self, work, certificates):
        self.work, self.certificates, self.endings, self.folders = work, certificates, [], 0
        self.weirs = []

    def later(self, end):
        self.endings.append(end)

    def end(self):
        """Ends all that was started; the first complaint counts."""
        complaint = None
        while self.endings:
            try:
                self.endings.pop()()
            except AssertionError as error:
                complaint = complaint or error
        if complaint:
            raise complaint

    def folder(self, name):
        self.folders += 1
        path = os.path.join(self.work, f'{name}{self.folders}')
        os.mkdir(path)
        return path

    def port(self):
        return free_port()

    def leaf(self, name, names=None, authority='ca', **more):
        """A certificate of this test alone, as NAME.crt and NAME.key; returns their path without the ending."""
        path = os.path.join(self.work, name)
        make_leaf(self.certificates, path, authority, names, **more)
        return path

    def cert(self, name):
        """`{ cert: ..., key: ... }` for the file."""
        return f'{{ cert: {self.certificates}/{name}.crt, key: {self.certificates}/{name}.key }}'

    def weir(self, text, **more):
        if text is not None and 'drain_timeout' not in text:
            text = 'drain_timeout: 5s\n' + text
        if text is not None and 'workers:' not in text:
            text = 'workers: 2\n' + text
        weir = Weir(self, text, **more)
        self.weirs.append(weir)
        return weir

    def simple(self, origin=None, listener='', pool='', route='', more=''):
        """A weir in front of one origin; returns weir and its port."""
        port = self.port()
        origin = origin or self.origin()
        weir = self.weir(f'''listeners:
  - {{ address: "127.0.0.1:{port}"{", " + listener if listener else ""} }}
routes:
  - {{ name: all, pool: main{", " + route if route else ""} }}
pools:
  main: {{ servers: ["{origin.address}"]{", " + pool if pool else ""} }}
{more}
''')
        return weir, port

    def origin(self, handler=tell, **more):
        origin = Origin(handler, **more)
        self.later(origin.close)
        return origin

    def client(self, to, **more):
        client = Client(to, **more)
        self.later(client.close)
        return client

    def websocket(self, to, **more):
        client = Websocket(to, **more)
        self.later(client.close)
        return client

    def load(self, to, **more):
        load = Load(to, **more)
        self.later(load.stop)
        return load

    def tls_client(self, ca='ca', **more):
        context = ssl.create_default_context(cafile=f'{self.certificates}/{ca}.crt')
        for name, value in more.items():
            setattr(context, name, value)
        return context

    def tls_server(self, name='localhost', client_ca=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        path = os.path.join(self.certificates, name)
        context.load_cert_chain(path + '.crt', path + '.key')
        if client_ca:
            context.load_verify_locations(f'{self.certificates}/{client_ca}.crt')
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def spawn(self, command, port=None, **more):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)

        def end():
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self.later(end)
        if port:
            def listens():
                try:
                    socket.create_connection(('127.0.0.1', port), 1).close()
                    return True
                except OSError:
                    return False
            eventually(listens, 10, f'{command[0]} does not listen')
        return process

    def nginx(self, location, port=None, h2=False, requests=1000000):
        """nginx with the text of one `location /`; h2: h2c by prior knowledge."""
        if not any(os.access(os.path.join(p, 'nginx'), os.X_OK) for p in os.environ['PATH'].split(':') + ['/usr/sbin']):
            if os.environ.get('CI'):
                fail('nginx is not installed')
            raise Skipped('nginx is not installed')
        port, work = port or free_port(), self.folder('nginx')
        temporary = ' '.join(f'{kind}_temp_path {work}/{kind};' for kind in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
        with open(f'{work}/nginx.conf', 'w') as f:
            f.write(f'''daemon off; master_process off; pid {work}/pid; error_log {work}/error;
events {{ worker_connections 1024; }}
http {{ access_log off; {temporary} keepalive_requests {requests};
server {{ listen 127.0.0.1:{port}{" http2" if h2 else ""}; location / {{ {location} }} }} }}
''')
        environment = dict(os.environ, PATH=os.environ['PATH'] + ':/usr/sbin')
        self.spawn(['nginx', '-c', f'{work}/nginx.conf', '-p', work], port, env=environment)
        return port

    @staticmethod
    def named(address):
        """A server that this does not run, as simple() wants it."""
        return collections.namedtuple('Named', 'address')(address)

    def python_server(self, files, port=None):
        """python's http.server over a folder with the given files."""
        port, work = port or free_port(), self.folder('python')
        for name, text in files.items():
            with open(f'{work}/{name}', 'w') as f:
                f.write(text)
        process = self.spawn(['/usr/bin/python3', '-m', 'http.server', '--bind', '127.0.0.1', '-d', work, str(port)], port)
        return port, process

    def run(self, *arguments, stdin='', env=None, seconds=2 * PATIENCE, cwd=None):
        """A command of weir that ends by itself."""
        done = subprocess.run([WEIR, *arguments], input=stdin.encode(), capture_output=True, timeout=seconds * SLOW, cwd=cwd or self.work,
                              env=dict(os.environ, **(env or {})))
        done.stdout, done.stderr = done.stdout.decode(errors='replace'), done.stderr.decode(errors='replace')
        if BAD_WORDS.search(done.stderr):
            fail(f'weir {arguments}: {done.stderr[-4000:]}')
        return done

    def file(self, name, text):
        path = os.path.join(self.work, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as f:
            f.write(text)
        return path


def proxy_v2(source, destination, command=1, more=b'', family=None):
    """A PROXY v2 preface: addresses as (ip, port)."""
    v6 = ':' in source[0]
    kind = socket.AF_INET6 if v6 else socket.AF_INET
    body = socket.inet_pton(kind, source[0]) + socket.inet_pton(kind, destination[0]) + struct.pack('>HH', source[1], destination[1]) + more
    if family is None:
        family = 0x21 if v6 else 0x11
    return b'\r\n\r\n\x00\r\nQUIT\n' + bytes([0x20 | command, family]) + struct.pack('>H', len(body)) + body

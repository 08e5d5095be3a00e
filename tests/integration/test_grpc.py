"""gRPC with a client and a server that others wrote (python3-grpcio), through weir: over TLS and in the clear on either side, and with HTTP/1 on one side.

Methods are given and take bytes, so that nothing has to be generated. The library starts threads: it is imported in a test's own process only.
"""
import struct, threading

from h2test import *
from test_grpc_web import frames, message

METHODS = {}
PAIRS = (('h2', 'h2c'), ('h2c', 'h2c'), ('h2', 'h2'), ('h2c', 'h2'))
MOST = 16 << 20


def library():
    try:
        import grpc
    except ImportError:
        if os.environ.get('CI'):
            fail('python3-grpcio is not installed')
        raise Skipped('python3-grpcio is not installed')
    return grpc


def method(kind):
    def take(function):
        METHODS[function.__name__] = (kind, function)
        return function
    return take


# ---- what the server does ----

class Told:
    """What a server has seen of its calls, to be waited for."""
    def __init__(self):
        self.ended, self.running, self.most, self.lock, self.gate = {}, 0, 0, threading.Condition(), threading.Event()

    def enter(self):
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
            self.lock.notify_all()

    def leave(self):
        with self.lock:
            self.running -= 1


@method('unary_unary')
def Echo(told, request, context):
    sent = dict(context.invocation_metadata())
    context.send_initial_metadata((('x-got', sent.get('x-sent', 'none')), ('x-got-bin', sent.get('x-sent-bin', b''))))
    context.set_trailing_metadata((('x-after', 'all'), ('x-after-bin', bytes(range(256)))))
    return request


@method('unary_stream')
def Count(told, request, context):
    count, size = struct.unpack('>II', request)
    for i in range(count):
        yield struct.pack('>I', i) + b'c' * size


@method('stream_unary')
def Sum(told, requests, context):
    whole = hashlib.sha256()
    for request in requests:
        whole.update(request)
    return whole.digest()


@method('stream_stream')
def Chat(told, requests, context):
    for request in requests:
        yield b'<' + request + b'>'


@method('unary_unary')
def Fail(told, request, context):
    context.set_trailing_metadata((('x-why', 'asked for'),))
    context.abort(list(library().StatusCode)[request[0]], request[1:].decode())


@method('unary_unary')
def Wait(told, request, context):
    """Never answers; tells when it was given up, and what time it had been given."""
    tell_end(told, request, context).wait(20 * SLOW)
    return b'late'


@method('unary_stream')
def Drip(told, request, context):
    over = tell_end(told, request, context)
    yield b'first'
    over.wait(20 * SLOW)


def tell_end(told, request, context):
    over, left = threading.Event(), context.time_remaining()

    def ended():
        with told.lock:
            told.ended[request] = left
            told.lock.notify_all()
        over.set()
    if not context.add_callback(ended):
        ended()
    return over


@method('unary_unary')
def Together(told, request, context):
    """Answers once a hundred are there."""
    told.enter()
    told.gate.wait(20 * SLOW)
    told.leave()
    return request


# ---- server, proxy, client ----

def serve(t, service, tls=False, port=None, health=None):
    """A server; .told, .port. health: a function of a service's name that gives a number of grpc.health.v1.HealthCheckResponse.ServingStatus."""
    grpc = library()
    from concurrent import futures
    told, port = Told(), port or free_port()

    class Handlers(grpc.GenericRpcHandler):
        def service(self, details):
            _, name, called = details.method.split('/')
            if health and (name, called) == ('grpc.health.v1.Health', 'Check'):
                return grpc.unary_unary_rpc_method_handler(lambda request, context: b'\x08' + bytes([health(request[2:].decode())]))
            if name != service or called not in METHODS:
                return None
            kind, function = METHODS[called]
            return getattr(grpc, kind + '_rpc_method_handler')(lambda request, context: function(told, request, context))
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=128), (Handlers(),), options=(('grpc.max_receive_message_length', MOST), ('grpc.so_reuseport', 0)))
    address = f'127.0.0.1:{port}'
    if tls:
        key, certificate = (open(f'{t.certificates}/localhost.{end}', 'rb').read() for end in ('key', 'crt'))
        server.add_secure_port(address, grpc.ssl_server_credentials(((key, certificate),)))
    else:
        server.add_insecure_port(address)
    server.start()
    server.told, server.port = told, port
    t.later(lambda: server.stop(None).wait(10))
    return server


class Caller:
    """A client's channel to a service, through weir; caller.Echo(b'...', timeout=...) calls its method."""
    def __init__(self, t, name, front, service, port):
        grpc = library()
        self.name, self.service = name, service
        options = (('grpc.max_receive_message_length', MOST), ('grpc.enable_http_proxy', 0), ('grpc.ssl_target_name_override', 'localhost'))
        if front == 'h2':
            self.channel = grpc.secure_channel(f'127.0.0.1:{port}', grpc.ssl_channel_credentials(open(f'{t.certificates}/ca.crt', 'rb').read()), options)
        else:
            self.channel = grpc.insecure_channel(f'127.0.0.1:{port}', options)
        t.later(self.channel.close)

    def __getattr__(self, called):
        return getattr(self.channel, METHODS[called][0])(f'/{self.service}/{called}')

    def code(self, call):
        """The error that a call ends with."""
        grpc = library()
        try:
            result = call()
            if hasattr(result, '__next__'):
                result = list(result)
        except grpc.RpcError as error:
            return error
        fail(f'{self.name}: it was answered {result!r}')


def calls(t):
    """One weir between clients and servers in the clear and in TLS; a Caller for each pair, with .weir and .told."""
    ports = {'h2': t.port(), 'h2c': t.port()}
    servers = {back: serve(t, f'{back}.S', back == 'h2') for back in ('h2', 'h2c')}
    pools = '\n'.join(f"""  {b}: {{ servers: ["127.0.0.1:{s.port}"], protocol: {b}{", tls: { ca: " + t.certificates + "/ca.crt, server_name: localhost }" if b == "h2" else ""} }}"""
                      for b, s in servers.items())
    weir = t.weir(f'''listeners:
  - {{ address: "127.0.0.1:{ports["h2c"]}", protocols: [http/1.1, h2c] }}
  - {{ address: "127.0.0.1:{ports["h2"]}", tls: {{ certificates: [{t.cert("localhost")}] }} }}
routes:
  - {{ match: {{ path: /h2.S/ }}, pool: h2 }}
  - {{ match: {{ path: /h2c.S/ }}, pool: h2c }}
pools:
{pools}
''')
    found = []
    for front, back in PAIRS:
        caller = Caller(t, f'{front} to {back}', front, f'{back}.S', ports[front])
        caller.weir, caller.told, caller.port = weir, servers[back].told, ports[front]
        found.append(caller)
    return found


def test_unary(t):
    """Bytes, metadata both ways in text and binary, and what the access log says of it."""
    for c in calls(t):
        for size in (0, 1, 5000, 100000):
            response, call = c.Echo.with_call(b'u' * size, timeout=20 * SLOW, metadata=(('x-sent', c.name), ('x-sent-bin', b'\0\xff')))
            equal(response, b'u' * size, c.name)
            first, last = dict(call.initial_metadata()), dict(call.trailing_metadata())
            equal((first.get('x-got'), first.get('x-got-bin')), (c.name, b'\0\xff'), c.name)
            equal((last.get('x-after'), last.get('x-after-bin')), ('all', bytes(range(256))), c.name)
        line = c.weir.access_line(path=f'/{c.service}/Echo')
        equal((line['status'], line['grpc_status'], line['protocol'], line['server_protocol']), (200, 0, 'HTTP/2', 'HTTP/2'), c.name)


def test_streams(t):
    """All three kinds; the pieces of a conversation come one for one."""
    for c in calls(t):
        got = list(c.Count(struct.pack('>II', 500, 100), timeout=20 * SLOW))
        equal(got, [struct.pack('>I', i) + b'c' * 100 for i in range(500)], c.name)
        equal(list(c.Count(struct.pack('>II', 0, 0), timeout=20 * SLOW)), [], c.name)
        pieces = [bytes([i]) * (i * 331) for i in range(200)]
        equal(c.Sum(iter(pieces), timeout=20 * SLOW), hashlib.sha256(b''.join(pieces)).digest(), c.name)
        equal(c.Sum(iter(()), timeout=20 * SLOW), hashlib.sha256().digest(), c.name)
        said, answers = threading.Semaphore(0), []

        def speak():
            for i in range(50):
                said.acquire()
                yield b'%d' % i
        said.release()
        for answer in c.Chat(speak(), timeout=20 * SLOW):      # each is said when the one before was answered
            answers.append(answer)
            said.release()
        equal(answers, [b'<%d>' % i for i in range(50)], c.name)


def test_large_messages(t):
    body = os.urandom(1 << 20) * 4
    for c in calls(t):
        equal(c.Echo(body, timeout=20 * SLOW), body, c.name)
        equal([hashlib.sha256(m[4:]).digest() for m in c.Count(struct.pack('>II', 3, 4 << 20), timeout=20 * SLOW)],
              [hashlib.sha256(b'c' * (4 << 20)).digest()] * 3, c.name)
        equal(c.Sum(iter([body] * 3), timeout=20 * SLOW), hashlib.sha256(body * 3).digest(), c.name)


def test_statuses(t):
    """Every status and its text, non-ASCII too, and the metadata beside it."""
    codes = list(library().StatusCode)
    for c in calls(t):
        for number, code in enumerate(codes):
            if code.value[0] == 0:
                continue
            error = c.code(lambda: c.Fail(bytes([number]) + f'why: {number} \u00e4 100 %'.encode(), timeout=20 * SLOW))
            equal((error.code(), error.details(), dict(error.trailing_metadata()).get('x-why')), (code, f'why: {number} \u00e4 100 %', 'asked for'), c.name)
        error = c.code(lambda: c.channel.unary_unary(f'/{c.service}/Nothing')(b'', timeout=20 * SLOW))
        equal(error.code().name, 'UNIMPLEMENTED', c.name)
        lines = eventually(lambda: [a for a in c.weir.access() if a['path'] == f'/{c.service}/Fail'])
        ok(all(line['status'] == 200 for line in lines), c.name)


def test_deadlines(t):
    """The server is told how long it has, and that it is over."""
    for c in calls(t):
        error = c.code(lambda: c.Wait(c.name.encode(), timeout=0.5 * SLOW))
        equal(error.code().name, 'DEADLINE_EXCEEDED', c.name)
        left = given(c, c.name.encode())
        ok(left is not None and left < 0.5 * SLOW + 0.2, f'{c.name}: the server had {left}')     # it rounds up


def given(c, request):
    with c.told.lock:
        ok(c.told.lock.wait_for(lambda: request in c.told.ended, 10 * SLOW), f'{c.name}: the server was not told')
        return c.told.ended[request]


def test_cancels_reach_the_server(t):
    for c in calls(t):
        call = c.Wait.future(b'wait ' + c.name.encode(), timeout=60 * SLOW)
        eventually(lambda: not call.done())
        stream = c.Drip(b'drip ' + c.name.encode(), timeout=60 * SLOW)
        equal(next(stream), b'first', c.name)
        stream.cancel()
        left = given(c, b'drip ' + c.name.encode())
        ok(left > 20 * SLOW, f'{c.name}: it was its own deadline')
        call.cancel()
        equal(c.Echo(b'goes on', timeout=20 * SLOW), b'goes on', c.name)
    for c in calls(t):
        request = b'wait2 ' + c.name.encode()
        call = c.Drip(request, timeout=60 * SLOW)
        equal(next(call), b'first')
        c.channel.close()
        given(c, request)


def test_hundred_at_a_time(t):
    for c in calls(t):
        told = c.told
        told.gate.clear()
        futures = [c.Together.future(b'%d' % i, timeout=40 * SLOW) for i in range(100)]
        with told.lock:
            ok(told.lock.wait_for(lambda: told.running == 100, 20 * SLOW), f'{c.name}: only {told.running} at a time')
        told.gate.set()
        equal([f.result(timeout=40 * SLOW) for f in futures], [b'%d' % i for i in range(100)], c.name)


def test_nobody_there(t):
    """A server that is down is UNAVAILABLE; one that ends in the middle of a stream is no clean end."""
    port, dead = t.port(), t.port()
    server = serve(t, 's.S')
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}", protocols: [http/1.1, h2c] }} ]
routes:
  - {{ match: {{ path: /dead.S/ }}, pool: dead }}
  - {{ match: {{ path: /s.S/ }}, pool: live }}
pools:
  dead: {{ servers: ["127.0.0.1:{dead}"], protocol: h2c }}
  live: {{ servers: ["127.0.0.1:{server.port}"], protocol: h2c }}
''')
    c = Caller(t, 'dead', 'h2c', 'dead.S', port)
    error = c.code(lambda: c.Echo(b'', timeout=20 * SLOW))
    equal(error.code().name, 'UNAVAILABLE')
    contains(error.details(), 'request id')
    c = Caller(t, 'live', 'h2c', 's.S', port)
    stream = c.Drip(b'cut', timeout=20 * SLOW)
    equal(next(stream), b'first')
    server.stop(0)
    ok(c.code(lambda: next(stream)).code().name in ('UNAVAILABLE', 'CANCELLED', 'INTERNAL', 'UNKNOWN'), 'a stream that was cut')


def test_health(t):
    """Probes of kind grpc, answered by grpc.health.v1 as such: by what it says of the service, in the clear and in TLS."""
    serving, asked = {'s.S': 1}, []

    def health(service):
        asked.append(service)
        return serving.get(service, 3)
    port = t.port()
    plain, secure = serve(t, 's.S', health=health), serve(t, 't.S', tls=True, health=lambda service: 1 if service == '' else 2)
    probes = 'type: grpc, interval: 500ms, fast_interval: 50ms, rise: 2, fall: 2, trust_traffic: false'
    t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}", protocols: [h2c] }} ]
routes:
  - {{ match: {{ path: /s.S/ }}, pool: plain }}
  - {{ match: {{ path: /t.S/ }}, pool: secure }}
pools:
  plain: {{ servers: ["127.0.0.1:{plain.port}"], protocol: h2c, health: {{ {probes}, service: s.S }} }}
  secure: {{ servers: ["127.0.0.1:{secure.port}"], protocol: h2, tls: {{ ca: {t.certificates}/ca.crt, server_name: localhost }}, health: {{ {probes} }} }}
''')
    c, other = Caller(t, 'plain', 'h2c', 's.S', port), Caller(t, 'secure', 'h2c', 't.S', port)

    def code():
        try:
            return c.Echo(b'x', timeout=20 * SLOW) and 'OK'
        except library().RpcError as error:
            return error.code().name
    eventually(lambda: code() == 'OK', 10)
    equal(other.Echo(b'x', timeout=20 * SLOW), b'x')
    for state in (2, 0):
        serving['s.S'] = state
        eventually(lambda: code() == 'UNAVAILABLE', 10, f'a service that says {state} is asked')
        equal(other.Echo(b'x', timeout=20 * SLOW), b'x')
        serving['s.S'] = 1
        eventually(lambda: code() == 'OK', 10, 'a service that is back is not asked')
    equal(set(asked), {'s.S'})


# ---- with HTTP/1 on one side ----

def test_web_client(t):
    """gRPC-Web over HTTP/1.1 to a gRPC server."""
    server = serve(t, 's.S')
    port = t.port()
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ grpc_web: true, pool: p }} ]
pools: {{ p: {{ servers: ["127.0.0.1:{server.port}"], protocol: h2c }} }}
''')
    c = t.client(port)

    def call(called, *messages):
        c.request('POST', f'/s.S/{called}', [('Content-Type', 'application/grpc-web'), ('X-Grpc-Web', '1'), ('X-Sent', 'web')], b''.join(message(m) for m in messages))
        response = c.response('POST')
        equal((response.status, response.fields.get('content-type')), (200, 'application/grpc-web'))
        found = frames(response.body)
        status = found.pop()[1].decode() if found else ''.join(f'{n}: {v}\r\n' for n, v in response.fields)
        return [m for _, m in found], status, response.fields
    for size in (0, 1, 70000, 1 << 20):
        messages, status, fields = call('Echo', b'w' * size)
        equal((messages, fields.get('x-got')), ([b'w' * size], 'web'))
        contains(status, 'grpc-status: 0\r\n')
        contains(status, 'x-after: all\r\n')
    messages, status, _ = call('Count', struct.pack('>II', 50, 1000))
    equal(messages, [struct.pack('>I', i) + b'c' * 1000 for i in range(50)])
    messages, status, _ = call('Fail', bytes([5]) + b'no such')
    equal(messages, [])
    contains(status.lower(), 'grpc-message: no such')
    weir.access_line(path='/s.S/Echo', protocol='HTTP/1.1', server_protocol='HTTP/2', grpc_status=0)


def test_client_of_http1(t):
    """gRPC in HTTP/1.1's words, chunks and trailers, to a gRPC server."""
    server = serve(t, 's.S')
    weir, port = t.simple(server_address(server), pool='protocol: h2c')
    c = t.client(port)
    for size in (0, 1, 70000, 1 << 20):
        c.request('POST', '/s.S/Echo', [('Content-Type', 'application/grpc'), ('TE', 'trailers'), ('Transfer-Encoding', 'chunked')])
        body = message(b'1' * size)
        for i in range(0, len(body), 50000):
            c.send(f'{len(body[i:i + 50000]):x}\r\n', body[i:i + 50000], '\r\n')
        c.send('0\r\n\r\n')
        response = c.response('POST')
        equal((response.status, response.body), (200, body))
        equal((response.trailers.get('grpc-status'), response.trailers.get('x-after')), ('0', 'all'))


def server_address(server):
    class Somewhere:
        address = f'127.0.0.1:{server.port}'
    return Somewhere


def test_server_of_http1(t):
    """A gRPC client to a server that has only chunks and trailers."""
    def handler(link, request):
        equal((request.fields.get('content-type'), request.fields.get('te')), ('application/grpc', 'trailers'))
        if request.path == '/s.S/Chat':
            link.begin(200, [('Content-Type', 'application/grpc')])
            got = b''
            for piece in request.pieces():
                got += piece
                while len(got) >= 5 and len(got) >= 5 + int.from_bytes(got[1:5], 'big'):
                    length = int.from_bytes(got[1:5], 'big')
                    link.piece(message(b'<' + got[5:5 + length] + b'>'))
                    got = got[5 + length:]
            link.end([('grpc-status', '0')])
            return
        body = request.body()
        fields = [('Content-Type', 'application/grpc'), ('X-Got', request.fields.get('x-sent') or 'none')]
        if request.path == '/s.S/Fail':
            link.chunked([], [('grpc-status', '9'), ('grpc-message', 'not%20now')], fields=fields)
        else:
            link.chunked([body[i:i + 60000] for i in range(0, len(body), 60000)], [('grpc-status', '0'), ('x-after', 'all')], fields=fields)
    weir, port = t.simple(t.origin(handler), listener='protocols: [h2c]')
    library()
    c = Caller(t, 'h2c to h1', 'h2c', 's.S', port)
    for size in (0, 1, 70000, 4 << 20):
        response, call = c.Echo.with_call(b'e' * size, timeout=20 * SLOW, metadata=(('x-sent', 'mine'),))
        equal((response, dict(call.initial_metadata()).get('x-got'), dict(call.trailing_metadata()).get('x-after')), (b'e' * size, 'mine', 'all'))
    error = c.code(lambda: c.Fail(b'', timeout=20 * SLOW))
    equal((error.code().name, error.details()), ('FAILED_PRECONDITION', 'not now'))
    equal(list(c.Chat(iter([b'a', b'b' * 70000]), timeout=20 * SLOW)), [b'<a>', b'<' + b'b' * 70000 + b'>'])
    weir.access_line(path='/s.S/Fail', protocol='HTTP/2', server_protocol='HTTP/1.1', grpc_status=9)

"""HTTP/2 as such: how it is found, its limits, its ends, and the clients and servers that others wrote."""
import shutil, signal, threading, time

from h2test import *


def tool(name):
    if not shutil.which(name):
        if os.environ.get('CI'):
            fail(f'{name} is not installed')
        raise Skipped(f'{name} is not installed')
    return name


def run(*command, seconds=20):
    done = subprocess.run(command, capture_output=True, timeout=seconds * SLOW)
    return done.returncode, done.stdout.decode(errors='replace'), done.stderr.decode(errors='replace')


def in_clear(t, origin=None, **more):
    return t.simple(origin, **dict(listener='protocols: [http/1.1, h2c]', **more))


# ---- how it is found ----

def test_alpn(t):
    """h2 before http/1.1 whatever the client's order; http/1.1 for those that do not know it."""
    weir, port = t.simple(listener=f'tls: {{ certificates: [{t.cert("localhost")}] }}')
    for offered, taken in ((['h2', 'http/1.1'], 'h2'), (['http/1.1', 'h2'], 'h2'), (['http/1.1'], 'http/1.1'), ([], None)):
        context = t.tls_client()
        if offered:
            context.set_alpn_protocols(offered)
        c = t.client(port, tls=context, name='localhost')
        equal(c.sock.selected_alpn_protocol(), taken, f'of {offered}')
        if taken != 'h2':
            equal(c.get().status, 200)
    weir, port = t.simple(listener=f'protocols: [http/1.1], tls: {{ certificates: [{t.cert("localhost")}] }}')
    context = t.tls_client()
    context.set_alpn_protocols(['h2', 'http/1.1'])
    equal(t.client(port, tls=context, name='localhost').sock.selected_alpn_protocol(), 'http/1.1')


def test_prior_knowledge(t):
    """On one port with HTTP/1, told by the preface however it is split; only where the listener says so."""
    weir, port = in_clear(t)
    equal(t.client(port).get().status, 200)
    equal(t.h2_client(port).get().status, 200)
    for split in range(1, len(PREFACE)):
        s = socket.create_connection(('127.0.0.1', port), 10)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.sendall(PREFACE[:split])
        time.sleep(0.002)
        s.sendall(PREFACE[split:] + settings_frame({}) + frame(PING, 0, 0, b'8 bytes!'))
        got, reader = b'', s.makefile('rb')
        while frame(PING, ACK, 0, b'8 bytes!') not in got:
            piece = reader.read1(1000)
            ok(piece, f'split at {split}: closed after {got}')
            got += piece
        s.close()
    weir, port = t.simple(listener='protocols: [h2c]')
    equal(t.h2_client(port).get().status, 200)
    c = t.client(port)
    c.request()
    ok(b' 200 ' not in c.reader.rest(), 'HTTP/1 was served where only h2c is')
    weir, port = t.simple()
    equal(t.client(port, first=PREFACE).head().status, 505)


def test_much_behind_the_preface(t):
    """A preface with more behind it than one read takes: all of it is taken, in its order."""
    weir, port = in_clear(t)
    body = bytes(range(256)) * 250
    head = hpack.Encoder().encode([(':method', 'POST'), (':scheme', 'http'), (':path', '/'), (':authority', 'test')])
    frames = PREFACE + settings_frame({}) + frame(HEADERS, END_HEADERS, 1, head)
    frames += b''.join(frame(DATA, END_STREAM if i + 16000 >= len(body) else 0, 1, body[i:i + 16000]) for i in range(0, len(body), 16000))
    for i in range(20):
        c = t.h2_client(port, hello=False)
        stream = c.streams[1] = H2Stream(c, 1)
        c.raw(frames)
        response = stream.response()
        equal((response.status, response.json()['sha256']), (200, hashlib.sha256(body).hexdigest()), f'connection {i}')


def test_preface_that_is_wrong(t):
    weir, port = t.simple(listener=f'tls: {{ certificates: [{t.cert("localhost")}] }}')
    context = t.tls_client()
    context.set_alpn_protocols(['h2'])
    for junk in (b'GET / HTTP/1.1\r\nHost: test\r\n\r\n', PREFACE[:-1] + b'x' + settings_frame({}), PREFACE + frame(PING, 0, 0, b'8 bytes!')):
        c = t.client(port, tls=context, name='localhost')
        c.send(junk)
        c.sock.settimeout(5 * SLOW)
        try:
            c.reader.rest()
        except (ConnectionResetError, ssl.SSLError):
            pass


def test_h2c_upgrade_is_not_taken(t):
    weir, port = in_clear(t)
    response = t.client(port).get('/', [('Connection', 'Upgrade, HTTP2-Settings'), ('Upgrade', 'h2c'), ('HTTP2-Settings', 'AAMAAABkAARAAAAAAAIAAAAA')])
    equal(response.status, 200)
    fields = Fields(response.json()['fields'])
    ok('upgrade' not in fields and 'http2-settings' not in fields, fields)


def test_auto_by_alpn(t):
    """protocol auto: what the server takes of the two."""
    def certificates(protocols):
        context = t.tls_server()
        context.set_alpn_protocols(protocols)
        return context
    two, one = t.h2_origin(tls=True, name='two'), t.origin(tls=certificates(['http/1.1']), name='one')
    for origin, name in ((two, 'HTTP/2'), (one, 'HTTP/1.1')):
        weir, port = t.simple(origin, pool=f'protocol: auto, tls: {{ ca: {t.certificates}/ca.crt, server_name: localhost }}')
        for _ in range(3):
            equal(t.client(port).get('/auto').json()['origin'], origin.name)
        equal(weir.access_line(path='/auto')['server_protocol'], name)


# ---- clients and servers that others wrote ----

def test_curl(t):
    tool('curl')
    origin = t.origin()
    weir, port = t.simple(origin, listener=f'tls: {{ certificates: [{t.cert("localhost")}] }}')
    code, out, err = run('curl', '-sS', '--http2', '--cacert', f'{t.certificates}/ca.crt', '-w', '\n%{http_version} %{http_code}', '-d', 'x' * 5000, f'https://localhost:{port}/curl')
    equal((code, out.split('\n')[-1]), (0, '2 200'), err)
    equal(json.loads(out.split('\n')[0])['length'], 5000)
    weir, port = in_clear(t, origin)
    upload = t.file('upload', 'u' * 3000000)
    code, out, err = run('curl', '-sS', '--http2-prior-knowledge', '-w', '\n%{http_version} %{http_code}', '-T', upload, f'http://127.0.0.1:{port}/curl')
    equal((code, out.split('\n')[-1]), (0, '2 200'), err)
    equal(json.loads(out.split('\n')[0])['length'], 3000000)
    urls = [w for i in range(50) for w in ('-o', '/dev/null', f'http://127.0.0.1:{port}/{i}')]
    code, out, err = run('curl', '-sS', '--http2-prior-knowledge', '--parallel', '--parallel-immediate', '-w', '%{http_code} ', *urls)
    equal((code, out.split()), (0, ['200'] * 50))


def test_nghttp(t):
    tool('nghttp')
    weir, port = in_clear(t)
    code, out, err = run('nghttp', '-v', '-H', 'x-a: b', f'http://127.0.0.1:{port}/nghttp')
    equal(code, 0)
    contains(out, ':status: 200')
    code, out, err = run('nghttp', '-n', '-m', '40', '-s', f'http://127.0.0.1:{port}/nghttp')
    equal(code, 0)
    equal(len([line for line in out.split('\n') if ' 200 ' in line]), 40)


def test_h2load(t):
    tool('h2load')
    port = t.nginx('return 200 "nginx";')
    listen = t.port()
    secure = t.port()
    t.weir(f'''listeners:
  - {{ address: "127.0.0.1:{listen}", protocols: [http/1.1, h2c] }}
  - {{ address: "127.0.0.1:{secure}", tls: {{ certificates: [{t.cert("localhost")}] }} }}
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["127.0.0.1:{port}"], max_connections: none }} }}
''')
    for url in (f'http://127.0.0.1:{listen}/', f'https://127.0.0.1:{secure}/'):
        code, out, err = run('h2load', '-n', '5000', '-c', '10', '-m', '32', url, seconds=40)
        contains(out, '5000 succeeded, 0 failed, 0 errored, 0 timeout')
        contains(out, 'status codes: 5000 2xx')


def test_nginx_as_server(t):
    """nginx takes h2c by prior knowledge and ends a connection by GOAWAY after keepalive_requests: no request is lost."""
    port = t.nginx('return 200 "nginx";', h2=True, requests=50)
    weir, listen = t.simple(t.named(f'127.0.0.1:{port}'), pool='protocol: h2c, retry: { budget: 100% }', listener='protocols: [http/1.1, h2c]')
    c = t.client(listen)
    for i in range(200):
        response = c.get()
        equal((response.status, response.body), (200, b'nginx'), str(i))
    c = t.h2_client(listen)
    for i in range(10):
        streams = [c.request() for _ in range(50)]
        equal({s.response().status for s in streams}, {200}, str(i))
    equal({a['server_protocol'] for a in weir.access()}, {'HTTP/2'})


# ---- limits ----

def test_streams_at_once(t):
    """No more than limits.streams at a time; nothing of what is above reaches a server. A client that could not know yet has it refused."""
    gate = threading.Event()

    def handler(link, request):
        gate.wait(20)
        tell(link, request)
    origin = t.origin(handler)
    weir, port = in_clear(t, origin, more='limits: { streams: 5 }')
    c = t.h2_client(port, acknowledge=False)
    c.ping()
    equal(c.peer[MAX_CONCURRENT_STREAMS], 5)
    streams = [c.request('GET', f'/{i}') for i in range(8)]
    for s in streams[5:]:
        s.wait(lambda: s.reset is not None)
        equal(s.reset, REFUSED_STREAM)
    eventually(lambda: origin.in_progress == 5)
    gate.set()
    equal([s.response().status for s in streams[:5]], [200] * 5)
    equal(origin.count(), 5)
    c.raw(settings_frame({}, ACK))
    equal(c.get('/after').status, 200)
    gate.clear()
    for i in range(6):
        c.request('GET', f'/{i}')
    c.wait(lambda: c.over or any(s.reset == REFUSED_STREAM for s in c.streams.values() if s not in streams), 5, 'a sixth is taken')


def test_large_heads(t):
    """Over limits.header_list: 431 on that stream, and the connection goes on."""
    weir, port = in_clear(t, more='limits: { header_list: 16KiB }')
    c = t.h2_client(port)
    response = c.get('/', [('x-large', 'l' * 20000)])
    equal(response.status, 431)
    response = c.get('/', [(f'x-{i}', 'l' * 30) for i in range(600)])
    equal(response.status, 431)
    equal(c.get('/', [('x-large', 'l' * 12000)]).status, 200)
    ok(not c.over)


def test_the_request_line_is_as_long_over_either_version(t):
    """Method and target count as HTTP/1 writes them: a long method is no way past the limit."""
    weir, port = in_clear(t, more='limits: { request_line: 256B }')
    for method, length, status in (('GET', 243, 200), ('GET', 244, 414), ('M' * 20, 226, 200), ('M' * 20, 227, 414), ('M' * 400, 1, 414), ('M' * 246, 1, 414), ('M' * 245, 1, 200)):
        path = '/' + 'a' * (length - 1)
        equal(t.h2_client(port).request(method, path).response().status, status, f'HTTP/2: a method of {len(method)}, a path of {length}')
        one = t.client(port)
        one.request(method, path)
        equal(one.response().status, status, f'HTTP/1: a method of {len(method)}, a path of {length}')


def test_target_too_long_and_no_route(t):
    weir, port = in_clear(t)
    c = t.h2_client(port)
    ok(c.get('/' + 'a' * 20000).status in (414, 431))
    equal(c.get('/%00').status, 400)
    equal(c.get('/').status, 200)


def test_body_limit(t):
    weir, port = in_clear(t, more='limits: { body: 10KiB }')
    c = t.h2_client(port)
    equal(c.request('POST', '/', (), b'x' * 20000).response().status, 413)
    s = c.request('POST', '/', open=True)
    try:
        for _ in range(4):
            s.data(b'x' * 5000)
    except Closed:
        pass
    equal(s.response().status, 413)
    equal(c.request('POST', '/', (), b'x' * 10000).response().status, 200)


def test_length_that_lies(t):
    """Content-Length and DATA that differ: RST_STREAM PROTOCOL_ERROR, upstream is aborted, others are not touched."""
    origin = t.origin()
    weir, port = in_clear(t, origin)
    c = t.h2_client(port)
    for sent in (b'x' * 9, b'x' * 11, b''):
        s = c.request('POST', f'/lie{len(sent)}', [('content-length', '10')], open=True)
        s.data(sent, True)
        s.wait(lambda: s.dead() or s.ended)
        ok(s.reset == PROTOCOL_ERROR or s.partial().status == 400, f'{len(sent)}: {s.reset} {s.partial()}')
    s = c.request('GET', '/lie', [('content-length', '10')])
    s.wait(lambda: s.dead() or s.ended)
    ok(s.reset == PROTOCOL_ERROR or s.partial().status == 400, f'{s.reset}')
    equal(c.get('/good').status, 200)


def test_response_length_that_lies(t):
    """The same of a server of HTTP/2: the client never gets it as whole."""
    def handler(link, request):
        request.body()
        link.begin(200, [('content-length', '10')])
        link.piece(b'x' * int(request.query))
        link.end()
    origin = t.h2_origin(handler)
    weir, port = in_clear(t, origin, pool='protocol: h2c')
    for count in (5, 15):
        for client in (t.client(port), t.h2_client(port)):
            try:
                got = client.get(f'/?{count}')
                equal(got.status, 502, f'{count}: it came whole')
            except (Closed, ConnectionResetError):
                pass


MALFORMED = {
    'upper case': [('X-Upper', '1')], 'connection': [('connection', 'keep-alive')], 'transfer-encoding': [('transfer-encoding', 'chunked')], 'te': [('te', 'gzip')],
    'keep-alive': [('keep-alive', '1')], 'proxy-connection': [('proxy-connection', 'x')], 'upgrade': [('upgrade', 'h2c')], 'empty name': [('', 'x')], 'blank in a name': [('a b', 'x')],
    'colon in a name': [('a:b', 'x')], 'cr in a value': [('a', 'x\ry')], 'lf in a value': [('a', 'x\nb: c')], 'nul in a value': [('a', 'x\0y')], 'late pseudo': [('a', 'b'), (':path', '/x')],
    'unknown pseudo': [(':extra', 'x')], 'status': [(':status', '200')], 'host differs': [('host', 'other')], 'two lengths': [('content-length', '1'), ('content-length', '2')],
    'length no number': [('content-length', '+1')], 'blank at the end': [('a', 'b ')], 'blank at the begin': [('a', ' b')],
}
HEADS = {
    'no method': [(':scheme', 'http'), (':path', '/'), (':authority', 'test')], 'no path': [(':method', 'GET'), (':scheme', 'http'), (':authority', 'test')],
    'no scheme': [(':method', 'GET'), (':path', '/'), (':authority', 'test')], 'empty path': [(':method', 'GET'), (':scheme', 'http'), (':path', ''), (':authority', 'test')],
    'two paths': [(':method', 'GET'), (':scheme', 'http'), (':path', '/'), (':path', '/b'), (':authority', 'test')],
    'two authorities': [(':method', 'GET'), (':scheme', 'http'), (':path', '/'), (':authority', 'test'), (':authority', 'b')],
    'relative path': [(':method', 'GET'), (':scheme', 'http'), (':path', 'x'), (':authority', 'test')],
    'method of two words': [(':method', 'GET /x HTTP/1.1\r\nHost: b\r\n\r\nGET'), (':scheme', 'http'), (':path', '/'), (':authority', 'test')],
    'line in the path': [(':method', 'GET'), (':scheme', 'http'), (':path', '/ HTTP/1.1\r\nX: y'), (':authority', 'test')],
    'line in the authority': [(':method', 'GET'), (':scheme', 'http'), (':path', '/'), (':authority', 'test\r\nx: y')],
    'userinfo': [(':method', 'GET'), (':scheme', 'http'), (':path', '/'), (':authority', 'me@test')],
    'strange scheme': [(':method', 'GET'), (':scheme', 'http://x/?'), (':path', '/'), (':authority', 'test')],
    'star for GET': [(':method', 'GET'), (':scheme', 'http'), (':path', '*'), (':authority', 'test')],
    'no authority': [(':method', 'GET'), (':scheme', 'http'), (':path', '/')],
    'plain CONNECT': [(':method', 'CONNECT'), (':authority', 'test:443')],
}


def test_malformed_heads(t):
    """RST_STREAM PROTOCOL_ERROR or 400 (405 for CONNECT), nothing reaches a server, and the connection's other streams live."""
    origin = t.origin()
    weir, port = in_clear(t, origin)
    good = [(':method', 'GET'), (':scheme', 'http'), (':path', '/bad'), (':authority', 'test')]
    c = t.h2_client(port)
    for name, head in [(n, good + e) for n, e in MALFORMED.items()] + list(HEADS.items()):
        with c.changed:
            s = c.streams[c.next] = H2Stream(c, c.next)
            c.next += 2
        s.headers(head, True)
        s.wait(lambda: s.dead() or s.ended, text=name)
        ok(s.reset == PROTOCOL_ERROR or s.partial().status in (400, 405), f'{name}: reset {s.reset}, {s.partial()}')
        ok(not c.over, f'{name}: the connection was closed: {c.goaways}')
    equal(c.get('/good').status, 200)
    equal([r.path for r in origin.requests], ['/good'])


def test_malformed_heads_leave_a_line(t):
    """What HTTP/1 answers with 400 is reset, and told in the log by the same words; of many on one connection a few are."""
    weir, port = in_clear(t)
    began = Since()
    upper = [(':method', 'GET'), (':scheme', 'http'), (':path', '/'), (':authority', 'test'), ('X-Upper', '1')]
    for failure, head in ('bad_host', HEADS['no authority']), ('bad_request', upper):
        c = t.h2_client(port)
        for _ in range(20):
            with c.changed:
                s = c.streams[c.next] = H2Stream(c, c.next)
                c.next += 2
            s.headers(head, True)
            s.wait(s.dead)
        equal(c.get('/good').status, 200)
        line = weir.access_line(failure=failure)
        equal((line['failure_of'], line.get('status'), line['client']), ('client', None, '127.0.0.1'))
    eventually(lambda: sum(line.get('status') == 200 for line in weir.access()) == 2)
    between(len(weir.access()), 4, 12 + 2 * began.elapsed())


def test_good_heads(t):
    origin = t.origin()
    weir, port = in_clear(t, origin)
    c = t.h2_client(port)
    equal(c.request('OPTIONS', '*').response().json()['target'], '*')
    for host in ('test', 'test:80', 'test:', 'Test.'):
        equal(c.get('/', [('host', host)]).status, 200, host)
    with c.changed:
        s = c.streams[c.next] = H2Stream(c, c.next)
        c.next += 2
    s.headers([(':method', 'GET'), (':scheme', 'http'), (':path', '/by-host'), ('host', 'by.host')], True)
    equal(Fields(s.response().json()['fields']).get('host'), 'by.host')
    equal(c.request('purge', '/', [('te', 'trailers')]).response().json()['method'], 'purge')


def test_errors_of_connections(t):
    """Each ends the connection with the code of RFC 9113."""
    weir, port = in_clear(t)
    wrong = {
        'DATA on stream 0': (frame(DATA, 0, 0, b'x'), {PROTOCOL_ERROR}), 'HEADERS on an even stream': (frame(HEADERS, 5, 2, b'\x82\x86\x84\x41\x01a'), {PROTOCOL_ERROR}),
        'DATA on an idle stream': (frame(DATA, 0, 9, b'x'), {PROTOCOL_ERROR}), 'PING of seven': (frame(PING, 0, 0, b'7 bytes'), {FRAME_SIZE_ERROR}),
        'SETTINGS of five': (frame(SETTINGS, 0, 0, b'12345'), {FRAME_SIZE_ERROR}), 'a frame too large': (frame(DATA, 0, 1, b'x' * 16385), {FRAME_SIZE_ERROR}),
        'window of 2^31': (settings_frame({INITIAL_WINDOW_SIZE: 1 << 31}), {FLOW_CONTROL_ERROR}), 'HPACK of nonsense': (frame(HEADERS, 5, 1, b'\xff\xff\xff\xff\xff'), {COMPRESSION_ERROR}),
        'window update of 0': (frame(WINDOW_UPDATE, 0, 0, b'\0\0\0\0'), {PROTOCOL_ERROR}), 'CONTINUATION alone': (frame(CONTINUATION, 4, 1, b''), {PROTOCOL_ERROR}),
        'PUSH_PROMISE': (frame(PUSH_PROMISE, 4, 1, b'\0\0\0\2'), {PROTOCOL_ERROR}), 'a frame inside a head': (frame(HEADERS, 1, 1, b'\x82') + frame(PING, 0, 0, b'8 bytes!'), {PROTOCOL_ERROR}),
    }
    for name, (bad, codes) in wrong.items():
        c = t.h2_client(port)
        c.ping()
        c.raw(bad)
        c.wait(lambda: c.over, 5, f'{name}: the connection lives')
        ok(c.goaways and c.goaways[-1][1] in codes, f'{name}: {c.goaways}')
    equal(t.h2_client(port).get().status, 200)


def test_errors_of_connections_reach_who_reads_late(t):
    """The answers that were whole, and GOAWAY behind them with the last stream and the reason, though much that nobody reads comes after the error."""
    body = bytes(range(256)) * 80
    origin = t.origin(lambda link, request: link.answer(200, body))
    weir, port = t.simple(origin, listener='protocols: [http/1.1, h2c]')
    secure, tls_port = t.simple(origin, listener=f'tls: {{ certificates: [{t.cert("localhost")}] }}')
    wrong = {'DATA on stream 0': (frame(DATA, 0, 0, b'x'), PROTOCOL_ERROR), 'HPACK of nonsense': (frame(HEADERS, 5, 7, b'\xff\xff\xff\xff\xff'), COMPRESSION_ERROR),
             'a frame too large': (frame(HEADERS, 5, 7, b'x' * 16385), FRAME_SIZE_ERROR), 'a flood of PINGs': (frame(PING, 0, 0, b'8 bytes!') * 20000, ENHANCE_YOUR_CALM),
             'a flood of SETTINGS': (settings_frame({}) * 20000, ENHANCE_YOUR_CALM), 'no frames at all': (b'GET / HTTP/1.1\r\nHost: test\r\n\r\n' * 100, FRAME_SIZE_ERROR)}
    for name, (bad, code) in wrong.items():
        for c in (t.h2_client(port), t.h2_client(tls_port, tls=t.tls_client())):
            c.ping()
            served = origin.count()
            c.paused = True
            streams = [c.request() for _ in range(3)]
            eventually(lambda: origin.count() == served + 3)
            time.sleep(0.3 * SLOW)
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
            try:
                c.raw(bad)
                for _ in range(30):
                    c.raw(frame(DATA, 0, 1, b'x' * 16384))
            except Closed:
                pass
            time.sleep(0.3)
            c.paused = False
            c.wait(lambda: c.over, 10, f'{name}: the connection lives')
            equal([(s.ended, len(s.body)) for s in streams], [(True, len(body))] * 3, f'{name}: what was answered, {c.error}')
            ok(c.goaways and c.goaways[-1] in ((5, code), (7, code)), f'{name}: {c.goaways}, {c.error}')
            ok(c.clean, f'{name}: {c.error}')


# ---- ends ----

def test_delay_serves_on(t):
    """drain_delay: a connection is sent GOAWAY with its next request, which is answered; quiet and new ones are left alone."""
    weir, port = t.simple(listener='protocols: [h2c]', more='drain_delay: 10m')
    quiet, kept = t.h2_client(port), t.h2_client(port)
    equal(kept.request().response().status, 200)
    quiet.ping()
    weir.signal(TERM)
    weir.wait_message('STOPPING=1')
    weir.log_line('serves on')
    fresh = t.h2_client(port)
    for c in (quiet, kept, fresh):
        c.ping()
    time.sleep(1.5)     # longer than the second step of a drain takes
    for c in (quiet, kept, fresh):
        ok(not c.goaways and not c.over, f'{c.goaways}, over {c.over}')
        equal(c.request().response().status, 200)
        c.wait(lambda: c.over, 5, 'it does not end')
        equal([last for last, _ in c.goaways], [0x7fffffff, max(c.streams)])
    weir.signal(TERM)
    equal(weir.process.wait(10 * SLOW), 0)


def test_drain(t):
    """SIGTERM: GOAWAY with 2^31-1, then with the last stream; what runs is finished, what comes between is served, and weir ends with 0."""
    gate = threading.Event()

    def handler(link, request):
        if request.path == '/slow':
            gate.wait(20)
        tell(link, request)
    origin = t.origin(handler)
    weir, port = in_clear(t, origin)
    busy, quiet = t.h2_client(port), t.h2_client(port)
    quiet.ping()
    slow = busy.request('GET', '/slow')
    eventually(lambda: origin.in_progress)
    weir.signal(TERM)
    for c in (busy, quiet):
        c.wait(lambda: c.goaways, 3, 'no GOAWAY')
        equal(c.goaways[0], (0x7fffffff, NO_ERROR))
    c = busy
    c.wait(lambda: len(c.goaways) > 1, 4, 'no second GOAWAY')
    equal(c.goaways[1], (slow.number, NO_ERROR))
    ok(slow.reset is None and not slow.ended and not busy.over)
    quiet.wait(lambda: quiet.over, 4, 'a quiet connection stays')
    gate.set()
    equal(slow.response().status, 200)
    busy.wait(lambda: busy.over, 3, 'it stays after its last stream')
    ok(busy.clean and quiet.clean, 'not ended cleanly')
    equal(weir.process.wait(5 * SLOW), 0)


def test_requests_of_a_connection(t):
    """limits.keep_alive_requests: with the last of them the client is told to go; what it sends before it knows is served; the limit follows a reload."""
    origin = t.origin()
    weir, port = in_clear(t, origin, more='limits: { keep_alive_requests: 3 }')
    one = t.h2_client(port)
    for i in range(3):
        equal(one.get('/').status, 200)
        one.ping()
        equal(one.goaways[:1], [(0x7fffffff, NO_ERROR)] if i == 2 else [], f'after request {i + 1}')
    one.wait(lambda: len(one.goaways) > 1, 4, 'no second GOAWAY')
    equal(one.goaways[1], (5, NO_ERROR))
    one.wait(lambda: one.over, 4, 'it stays after its last request')
    ok(one.clean, 'not ended cleanly')
    many = t.h2_client(port)
    many.wait(lambda: many.peer)
    many.paused = True      # all are sent before it knows
    asked = [many.request('GET', '/') for _ in range(20)]
    many.paused = False
    equal([s.response().status for s in asked], [200] * 20)
    many.wait(lambda: many.over and many.clean, 4, 'it stays after 20 requests')
    weir.reload(open(weir.file).read().replace('keep_alive_requests: 3', 'keep_alive_requests: none'))
    free = t.h2_client(port)
    for _ in range(10):
        equal(free.get('/').status, 200)
    equal(free.goaways, [])


def test_a_late_upload_does_not_end_a_drain(t):
    """A request begun before the last GOAWAY was seen is ignored with its body; what runs beside it goes on."""
    gate = threading.Event()

    def handler(link, request):
        gate.wait(20 * SLOW)
        tell(link, request)
    origin = t.origin(handler)
    weir, port = in_clear(t, origin)
    c = t.h2_client(port)
    slow = c.request('GET', '/slow')
    eventually(lambda: origin.in_progress)
    weir.signal(TERM)
    c.wait(lambda: len(c.goaways) > 1, 4, 'no second GOAWAY')
    for trailers in ((), [('x-after', 'all')]):
        late = c.request('POST', '/late', body=b'l' * 100, trailers=trailers)
    c.ping()
    ok(not late.ended and not c.over and len(c.goaways) == 2, f'{c.goaways}')
    gate.set()
    equal(slow.response().status, 200)
    c.wait(lambda: c.over, 3, 'it stays after its last stream')
    equal(origin.count('/late'), 0)
    equal(weir.process.wait(5 * SLOW), 0)


def test_drain_under_load(t):
    """Every stream that weir has taken is answered."""
    def handler(link, request):
        request.body()
        time.sleep(0.02)
        link.answer(200, 'x')
    weir, port = in_clear(t, t.origin(handler))
    clients, streams, stop = [t.h2_client(port) for _ in range(4)], [], threading.Event()

    def ask(c):
        while not stop.is_set() and not c.goaways:
            try:
                streams.append(c.request('GET', '/'))
            except Closed:
                return
            time.sleep(0.004)
    threads = [threading.Thread(target=ask, args=(c,), daemon=True) for c in clients]
    for thread in threads:
        thread.start()
    eventually(lambda: len(streams) > 100)
    weir.signal(TERM)
    equal(weir.process.wait(10 * SLOW), 0)
    stop.set()
    for thread in threads:
        thread.join(5)
    lost = [s for s in streams if not s.ended and s.reset != REFUSED_STREAM and s.number <= s.conn.goaways[-1][0]]
    equal(len(lost), 0, f'streams of {len(streams)} that were taken and not answered: {[(s.number, s.reset, s.conn.goaways) for s in lost[:3]]}')


def test_no_keep_alive(t):
    """keep_alive: 0s is no time at all, in either version, and not one without end."""
    weir, port = in_clear(t, more='timeouts: { keep_alive: 0s }')
    c = t.client(port)
    equal(c.get().fields.get('connection'), 'close')
    ok(c.ended())
    c = t.h2_client(port)
    equal(c.get().status, 200)
    c.wait(lambda: c.over, 3, 'it is kept')
    equal([code for _, code in c.goaways], [NO_ERROR])


def test_reload_keeps_connections(t):
    """Streams in progress and their connection go on; new streams on it follow the new file."""
    gate = threading.Event()

    def handler(link, request):
        if request.path == '/slow':
            gate.wait(20)
        tell(link, request)
    weir, port = in_clear(t, t.origin(handler))
    c = t.h2_client(port)
    slow = c.request('GET', '/slow')
    c.ping()
    weir.reload(open(weir.file).read().replace('routes:\n', 'routes:\n  - { match: { path: /new }, respond: 204 }\n'))
    equal(c.get('/new').status, 204)
    gate.set()
    equal(slow.response().status, 200)
    ok(not c.over and not c.goaways, f'{c.goaways}')
    weir.reload()
    equal(c.get('/').status, 200)


def test_client_that_leaves(t):
    """A connection that ends takes its streams with it, at the server too."""
    given_up = []

    def handler(link, request):
        given_up.append(link.gone(5))
    origin = t.origin(handler)
    weir, port = in_clear(t, origin)
    c = t.h2_client(port)
    for _ in range(10):
        c.request('GET', '/left')
    eventually(lambda: origin.in_progress == 10)
    c.close()
    eventually(lambda: given_up == [True] * 10, 10)
    eventually(lambda: [a.get('failure') for a in weir.access()] == ['client_closed'] * 10)


# ---- servers that give requests back ----

def test_refused_stream_is_retried(t):
    """Any method: it was not processed. On the other server, and the client does not see it."""
    for method in ('GET', 'POST'):
        def handler(link, request):
            link.cut(REFUSED_STREAM)
        bad, good = t.h2_origin(handler, name='bad'), t.h2_origin(name='good')
        weir, port = pair(t, bad, good)
        c = t.client(port)
        for i in range(6):
            c.request(method, f'/{i}', (), b'body' if method == 'POST' else None)
            equal(c.response().json()['origin'], 'good', f'{method} {i}')
        ok(bad.count() >= 1, 'never tried')
        line = eventually(lambda: [a for a in weir.access() if a.get('failed')])[0]
        equal(line['failed'][0]['failure'], 'stream_refused')


def pair(t, bad, good, retry='attempts: 2'):
    port = t.port()
    weir = t.weir(f'''workers: 1
listeners: [ {{ address: "127.0.0.1:{port}", protocols: [http/1.1, h2c] }} ]
routes: [ {{ pool: p }} ]
pools:
  p: {{ balance: round_robin, protocol: h2c, servers: ["{bad.address}", "{good.address}"], retry: {{ {retry}, budget: 100% }}, fast_down: none }}
''')
    return weir, port


def test_goaway_is_retried(t):
    """Streams above GOAWAY's last id were not processed: sent again, POST too. Those below are finished on the old connection."""
    held = []

    def early(link, request):
        if link.conn.number == 0 and request.path == '/below':
            held.append(link)
            return True
        if link.conn.number == 0:
            link.conn.goaway(held[0].stream.number)
            return True
    origin = t.h2_origin()
    origin.early = early
    weir, port = in_clear(t, origin, pool='protocol: h2c, retry: { budget: 100% }', more='workers: 1')
    c = t.h2_client(port)
    below = c.request('GET', '/below')
    eventually(lambda: held)
    above = c.request('POST', '/above', (), b'pay once')
    told = above.response().json()
    equal((told['connection'], told['length']), (1, 8))
    ok(not below.ended and below.reset is None)
    held[0].answer(200, 'from the old one')
    equal(below.response().body, b'from the old one')
    equal(c.get('/after').json()['connection'], 1)


def test_post_is_not_sent_twice(t):
    """A reset that is not REFUSED_STREAM, or a connection that dies: a POST may have been processed."""
    def reset(link, request):
        request.body()
        link.cut(INTERNAL_ERROR)

    def close(link, request):
        request.body()
        link.close()
    for handler in (reset, close):
        bad, good = t.h2_origin(handler, name='bad'), t.h2_origin(name='good')
        weir, port = pair(t, bad, good)
        seen = []
        for i in range(6):
            c = t.client(port)
            c.request('POST', f'/{i}', (), b'pay once')
            seen.append(c.response().status)
        total = collections.Counter(r.path for r in bad.requests + good.requests)
        equal((total.most_common(1)[0][1], len(total)), (1, 6), f'{total}')
        ok(502 in seen and 200 in seen, seen)


def test_server_limits_streams(t):
    """A server that takes three at a time gets three on a connection, and another connection for more."""
    gate = threading.Event()

    def handler(link, request):
        if request.path == '/slow':
            gate.wait(20)
        tell(link, request)
    origin = t.h2_origin(handler, settings={MAX_CONCURRENT_STREAMS: 3})
    weir, port = in_clear(t, origin, pool='protocol: h2c', more='workers: 1')
    c = t.h2_client(port)
    equal(c.get('/').status, 200)
    streams = [c.request('GET', '/slow') for _ in range(10)]
    eventually(lambda: origin.in_progress == 10, PATIENCE, lambda: f'{origin.in_progress} in progress')
    by = collections.Counter(r.link.number for r in origin.requests if r.path == '/slow')
    ok(max(by.values()) <= 3, f'{by}')
    gate.set()
    equal([s.response().status for s in streams], [200] * 10)


def test_one_connection_is_shared(t):
    """Requests of many clients go over one connection of a worker."""
    gate = threading.Event()

    def handler(link, request):
        gate.wait(20)
        tell(link, request)
    origin = t.h2_origin(handler)
    weir, port = in_clear(t, origin, pool='protocol: h2c', more='workers: 1')
    first = t.client(port)
    first.request()
    eventually(lambda: origin.in_progress == 1)
    clients = [t.client(port) for _ in range(20)]
    for c in clients:
        c.request()
    eventually(lambda: origin.in_progress == 21)
    between(len(origin.connections()), 1, 2, 'connections')
    gate.set()
    equal({c.response().status for c in clients + [first]}, {200})


def test_silent_server(t):
    """A server that does not answer PING is given up before the response's own timeout."""
    held = []

    def early(link, request):
        if link.conn.number == 0:
            held.append(link)
            link.conn.paused = True
            return True
    origin = t.h2_origin()
    origin.early = early
    weir, port = in_clear(t, origin, pool='protocol: h2c', more='timeouts: { ping: 300ms, ping_answer: 300ms }')
    began = Since()
    response = t.client(port).get('/silent')
    ok(response.status in (200, 502, 504), response)
    began.took(0, 5, 'it waited for more than PING')


def test_windows_of_a_server(t):
    """A server whose windows are small, and change in the middle, gets the whole body."""
    def handler(link, request):
        body = request.body()
        link.answer(200, hashlib.sha256(body).hexdigest())
    origin = t.h2_origin(handler, settings={INITIAL_WINDOW_SIZE: 100}, window=1)
    weir, port = in_clear(t, origin, pool='protocol: h2c')
    body = os.urandom(30000)
    c = t.client(port)
    c.request('POST', '/', (), body)
    equal(c.response().body.decode(), hashlib.sha256(body).hexdigest())


def test_windows_of_a_client(t):
    """Windows of a byte at a time, closed, and shrunk below zero in the middle."""
    def handler(link, request):
        request.body()
        link.answer(200, bytes(range(256)) * 400)
    weir, port = in_clear(t, t.origin(handler))
    c = t.h2_client(port, settings={INITIAL_WINDOW_SIZE: 10})
    s = c.request('GET', '/', hold=True)
    s.head()
    s.wait(lambda: len(s.body) == 10)
    c.raw(settings_frame({INITIAL_WINDOW_SIZE: 0}))
    for i in range(5):
        c.credit(s.number, 1)
    c.ping()
    equal(len(s.body), 10, 'sent past a window that was shrunk')
    c.raw(settings_frame({INITIAL_WINDOW_SIZE: 50}))
    s.wait(lambda: len(s.body) == 55)
    c.credit(s.number, 1 << 20)
    equal(s.response().body, bytes(range(256)) * 400)


def test_windows_left_shut(t):
    """Answers that the client leaves no window for: one at a time waits, the others are refused; those that were opened do not count; insisting is a flood."""
    origin = t.origin(lambda link, request: link.answer(200, b'a' * 200000))
    weir, port = in_clear(t, origin)
    c = t.h2_client(port, settings={INITIAL_WINDOW_SIZE: 0})
    streams = [c.request('GET', f'/{i}', hold=True) for i in range(5)]
    equal(streams[0].head().status, 200)
    for s in streams[1:]:
        s.wait(lambda: s.reset is not None)
        equal(s.reset, REFUSED_STREAM)
    equal(origin.count(), 1)
    c.credit(streams[0].number, 20000)
    streams[0].wait(lambda: len(streams[0].body) == 20000)
    c.credit(streams[0].number, 5000)
    streams[0].wait(lambda: len(streams[0].body) == 25000)
    second = c.request('GET', '/second', hold=True)
    equal(second.head().status, 200)
    c.raw(frame(WINDOW_UPDATE, 0, streams[0].number, struct.pack('>I', 1 << 20)))
    equal(len(streams[0].response().body), 200000)
    c.raw(frame(WINDOW_UPDATE, 0, second.number, struct.pack('>I', 1 << 20)))
    equal(len(second.response().body), 200000)
    again = c.request('GET', '/again', hold=True)
    equal(again.head().status, 200)
    c.raw(frame(WINDOW_UPDATE, 0, again.number, struct.pack('>I', 1 << 20)))
    equal(len(again.response().body), 200000)
    try:
        for i in range(400):
            c.request('GET', f'/{i}')
    except Closed:
        pass
    c.wait(lambda: c.over, 10, 'insisting is let go')
    equal([code for _, code in c.goaways], [11], 'ENHANCE_YOUR_CALM')


def test_an_end_that_is_left_no_window(t):
    """The end of an answer, behind bytes that fill the window to its last byte, waits no longer than they would."""
    gate = threading.Event()

    def handler(link, request):
        link.begin()
        link.piece(b'e' * 1000)
        gate.wait(10 * SLOW)
        link.end([('x-after', 'all')] if request.target == '/trailers' else ())
    weir, port = in_clear(t, t.origin(handler), more='timeouts: { write: 700ms }')
    c = t.h2_client(port, settings={INITIAL_WINDOW_SIZE: 1000})
    streams = [c.request('GET', target, hold=True) for target in ('/end', '/trailers')]
    for s in streams:
        s.wait(lambda: len(s.body) == 1000)
    time.sleep(1)       # nothing waits for a window yet
    gate.set()
    for s in streams:
        s.wait(lambda: s.dead() or s.ended, 5, 'it waits for ever')
        equal((s.ended, s.reset), (False, CANCEL))
    for path in ('/end', '/trailers'):
        equal(weir.access_line(path=path)['failure'], 'client_stalled')
    s = c.request('GET', '/end', hold=True)
    s.wait(lambda: len(s.body) == 1000)
    c.credit(s.number, 1)
    equal(len(s.response().body), 1000)


def test_upload_is_held_back(t):
    """A server of HTTP/1 that does not read: the client's window stays shut, weir's memory small; then all goes."""
    gate = threading.Event()

    def handler(link, request):
        gate.wait(20)
        link.answer(200, hashlib.sha256(request.body()).hexdigest())
    weir, port = in_clear(t, t.origin(handler))
    before = weir.resident()
    c, sent = t.h2_client(port), [0]
    s = c.request('POST', '/', open=True)
    piece = os.urandom(1 << 16)

    def send():
        for _ in range(512):
            s.data(piece)
            sent[0] += len(piece)
        s.end()
    threading.Thread(target=send, daemon=True).start()
    time.sleep(0.7)
    ok(sent[0] < 16 << 20, f'weir took {sent[0]} bytes that nobody reads')
    ok(SLOW > 1 or weir.resident() - before < 10 << 20, f'memory grew by {weir.resident() - before}')
    c.ping()
    gate.set()
    equal(s.response(60).body.decode(), hashlib.sha256(piece * 512).hexdigest())


def test_never_indexed_stays_so(t):
    """Who sends a field so wants it in no table of any hop (RFC 7541 6.2.3), in heads, crumbs of cookies and trailers, both ways."""
    noted = {}

    class Noting(hpack.Decoder):
        def decode(self, data, raw=False):
            fields = super().decode(data, raw)
            noted.update((bytes(f[0], 'latin-1') if isinstance(f[0], str) else f[0], type(f)) for f in fields)
            return fields
    plain, hpack.Decoder = hpack.Decoder, Noting
    t.later(lambda: setattr(hpack, 'Decoder', plain))
    never = [hpack.NeverIndexedHeaderTuple(b'x-hidden', b'1'), (b'x-open', b'1')]

    def send(conn, number, fields, end=False):
        with conn.writing:
            conn.raw(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), number, conn.encoder.encode(fields)))

    def handler(link, request):
        request.body()
        send(link.conn, link.stream.number, [(b':status', b'200'), hpack.NeverIndexedHeaderTuple(b'set-cookie', b'a=1')] + never)
        link.piece(b'x')
        send(link.conn, link.stream.number, [hpack.NeverIndexedHeaderTuple(b'x-hidden-end', b'1'), (b'x-open-end', b'1')], True)
    for x in crossings(t, handler, pairs=(('h2c', 'h2c'),)):
        client = x.connect()
        for _ in range(2):
            noted.clear()
            stream = client.request('GET', '/', host=x.host, hold=False, fields=[('x-warm', '1')])
            stream.response()
            with client.opening:
                number, client.next = client.next, client.next + 2
                stream = client.streams[number] = H2Stream(client, number)
            send(client, number, [(b':method', b'PUT'), (b':scheme', b'http'), (b':path', b'/'), (b':authority', x.host.encode()), (b'cookie', b'b=2; c=333333333333333333333'),
                                  hpack.NeverIndexedHeaderTuple(b'cookie', b'a=1')] + never)
            send(client, number, [hpack.NeverIndexedHeaderTuple(b'x-hidden-up', b'1'), (b'x-open-up', b'1')], True)
            equal(stream.response().status, 200)
            for name, hidden in (b'x-hidden', True), (b'x-open', False), (b'cookie', True), (b'set-cookie', True), (b'x-hidden-up', True), (b'x-open-up', False), \
                    (b'x-hidden-end', True), (b'x-open-end', False):
                equal(noted[name] is hpack.NeverIndexedHeaderTuple, hidden, f'{name}: {noted}')

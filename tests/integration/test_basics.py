"""HTTP/1.1 on both sides: what comes in at one end comes out at the other, and nothing else does."""
import hashlib, random, threading, time

from weirtest import *


def sent(response):
    """The fields that the origin got, of a `tell` answer."""
    return Fields((n, v) for n, v in response.json()['fields'])


def test_keep_alive(t):
    weir, port = t.simple()
    c = t.client(port)
    first, second = c.get('/1').json(), c.get('/2').json()
    equal((first['target'], second['target']), ('/1', '/2'))
    equal(first['connection'], second['connection'], 'the connection to the server')


def test_pipelining(t):
    def handler(link, request):
        time.sleep(0.1 if request.path == '/0' else 0)
        tell(link, request)
    weir, port = t.simple(t.origin(handler))
    c = t.client(port)
    c.send(*[f'GET /{i} HTTP/1.1\r\nHost: test\r\n\r\n' for i in range(5)])
    equal([c.response().json()['target'] for _ in range(5)], [f'/{i}' for i in range(5)])


def test_pipelined_bodies(t):
    weir, port = t.simple()
    c = t.client(port)
    c.send('POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc', 'POST /b HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n',
           'GET /c HTTP/1.1\r\nHost: test\r\n\r\n')
    equal([(r['target'], r['body']) for r in (c.response().json() for _ in range(3))], [('/a', 'abc'), ('/b', 'de'), ('/c', '')])


def test_a_request_in_single_bytes(t):
    weir, port = t.simple()
    c = t.client(port)
    for byte in b'POST /slow?q=1 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX-End: yes\r\n\r\n':
        c.send(bytes([byte]))
    told = c.response().json()
    equal((told['target'], told['body'], told['trailers']), ('/slow?q=1', 'abc', [['X-End', 'yes']]))


def test_chunked_up(t):
    origin = t.origin()
    weir, port = t.simple(origin)
    c = t.client(port)
    c.request('POST', '/', {'Transfer-Encoding': 'chunked'})
    data = random.Random(1).randbytes(100000)
    for i in range(0, len(data), 9999):
        piece = data[i:i + 9999]
        c.send(f'{len(piece):X}\r\n', piece, '\r\n')
    c.send('0\r\n\r\n')
    told = c.response().json()
    equal((told['length'], told['sha256']), (len(data), hashlib.sha256(data).hexdigest()))
    fields = origin.last().fields
    equal((fields.get('transfer-encoding'), 'content-length' in fields), ('chunked', False))


def test_chunked_down(t):
    pieces = [random.Random(i).randbytes(i * 321 + 1) for i in range(50)]
    weir, port = t.simple(t.origin(lambda link, request: link.chunked(pieces)))
    c = t.client(port)
    for _ in range(2):
        equal(c.get().body, b''.join(pieces))


def test_trailers(t):
    def handler(link, request):
        request.body()
        link.chunked([b'body'], [('X-Sum', request.trailers.get('x-up', 'none')), ('Set-Cookie', 'no=1'), ('Content-Length', '9')], fields=[('Trailer', 'X-Sum')])
    origin = t.origin(handler)
    weir, port = t.simple(origin)
    c = t.client(port)
    c.send('POST / HTTP/1.1\r\nHost: test\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Up: 42\r\nAuthorization: x\r\nHost: evil\r\n\r\n')
    response = c.response()
    equal((response.body, response.trailers.get('x-sum')), (b'body', '42'))
    ok('content-length' not in response.trailers, response.trailers)
    ok('authorization' not in origin.last().trailers and 'host' not in origin.last().trailers, origin.last().trailers)


def test_no_body_where_none_may_be(t):
    def handler(link, request):
        if request.method == 'HEAD':
            link.send('HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nX-A: b\r\n\r\n')
        elif request.path == '/204':
            link.send('HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n')
        elif request.path == '/304':
            link.send('HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 99\r\n\r\n')
        else:
            tell(link, request)
    weir, port = t.simple(t.origin(handler))
    c = t.client(port)
    c.request('HEAD')
    response = c.response('HEAD')
    equal((response.status, response.fields.get('content-length'), response.fields.get('x-a')), (200, '12345', 'b'))
    equal(c.get('/204').status, 204)
    equal(c.get('/304').fields.get('etag'), '"x"')
    equal(c.get('/after').json()['target'], '/after')


def test_until_close_from_the_server(t):
    def handler(link, request):
        link.send('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall that there is')
        link.close()
    weir, port = t.simple(t.origin(handler))
    c = t.client(port)
    response = c.get()
    equal(response.body, b'all that there is')
    equal(response.fields.get('transfer-encoding'), 'chunked')
    equal(c.get().body, b'all that there is')


def test_http_1_0_client(t):
    origin = t.origin(lambda link, request: link.chunked([b'one', b'two']))
    weir, port = t.simple(origin)
    c = t.client(port)
    c.request('GET', '/', version='1.0')
    response = c.head()
    ok('transfer-encoding' not in response.fields, response)
    equal(c.reader.rest(), b'onetwo')
    equal((response.version, origin.last().version), ('HTTP/1.1', 'HTTP/1.1'))


def test_http_1_0_without_host(t):
    weir, port = t.simple()
    c = t.client(port)
    c.request('GET', '/old', host=None, version='1.0')
    equal(c.response().json()['target'], '/old')
    ok(c.ended())


def test_http_1_0_keep_alive(t):
    weir, port = t.simple()
    c = t.client(port)
    c.request('GET', '/1', {'Connection': 'keep-alive'}, version='1.0')
    response = c.response()
    equal(response.status, 200)
    if response.fields.get('connection', '').lower() == 'keep-alive':
        c.request('GET', '/2', version='1.0')
        equal(c.response().json()['target'], '/2')
    ok(c.ended())


def test_connection_close(t):
    weir, port = t.simple()
    c = t.client(port)
    response = c.get('/', {'Connection': 'close'})
    equal((response.status, response.fields.get('connection')), (200, 'close'))
    ok(c.ended())


def test_continue_from_the_server(t):
    def handler(link, request):
        link.send('HTTP/1.1 100 Continue\r\n\r\n')
        tell(link, request)
    weir, port = t.simple(t.origin(handler))
    c = t.client(port)
    c.request('POST', '/', {'Expect': '100-continue', 'Content-Length': '5'})
    equal(c.head().status, 100)
    c.send('hello')
    response = c.response()
    equal((response.json()['body'], len(response.interim)), ('hello', 0))


def test_continue_refused(t):
    def handler(link, request):
        request._body = b''
        link.answer(403, 'no', [('Connection', 'close')])
        link.close()
    weir, port = t.simple(t.origin(handler))
    c = t.client(port)
    c.request('POST', '/', {'Expect': '100-continue', 'Content-Length': '5000'})
    response = c.response()
    equal((response.status, len(response.interim)), (403, 0))


def test_continue_never_to_1_0(t):
    def handler(link, request):
        link.send('HTTP/1.1 100 Continue\r\n\r\n')
        tell(link, request)
    weir, port = t.simple(t.origin(handler))
    c = t.client(port)
    c.request('POST', '/', {'Expect': '100-continue'}, b'hello', version='1.0')
    response = c.response()
    equal((response.status, len(response.interim)), (200, 0))


def test_expectation_unknown(t):
    weir, port = t.simple()
    for value in ('the unexpected', '100-continue, the unexpected'):
        c = t.client(port)
        c.request('PUT', '/', {'Expect': value, 'Content-Length': '5'})
        equal(c.response().status, 417, value)
        equal(weir.access_line(failure='expectation_unknown')['failure_of'], 'client')


def test_early_hints(t):
    def handler(link, request):
        link.send('HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n')
        tell(link, request)
    weir, port = t.simple(t.origin(handler))
    c = t.client(port)
    response = c.get()
    equal([(i.status, i.fields.get('link')) for i in response.interim], [(103, '</a.css>; rel=preload')])
    old = t.client(port)
    old.request('GET', '/', version='1.0')
    equal(old.response().interim, [])


def test_interim_responses_are_capped(t):
    def handler(link, request):
        link.send('HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n' * 50)
        tell(link, request)
    weir, port = t.simple(t.origin(handler))
    response = t.client(port).get()
    ok(len(response.interim) <= 8, len(response.interim))


def bodies(t, tls):
    size = (32 if SLOW > 1 else 128) << 20
    piece = random.Random(3).randbytes(1 << 20)
    sums = {}

    def handler(link, request):
        if request.method == 'GET':
            link.send(f'HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n')
            for _ in range(size >> 20):
                link.send(piece)
            return
        total, count = hashlib.sha256(), 0
        for part in request.pieces():
            total.update(part)
            count += len(part)
        link.answer(200, f'{count} {total.hexdigest()}')
    wanted = hashlib.sha256()
    for _ in range(size >> 20):
        wanted.update(piece)
    weir, port = t.simple(t.origin(handler), f'tls: {{ certificates: [{t.cert("localhost")}] }}' if tls else '')
    c = t.client(port, tls=t.tls_client() if tls else None, name='localhost' if tls else None, timeout=50)
    idle = weir.resident()
    c.request('GET')
    c.head()
    got, left = hashlib.sha256(), size
    while left:
        part = c.reader.bytes or c.sock.recv(1 << 18)
        c.reader.bytes = b''
        ok(part, 'cut short')
        got.update(part)
        left -= len(part)
    equal(got.hexdigest(), wanted.hexdigest(), 'download')
    c.request('POST', '/', {'Content-Length': size})
    for _ in range(size >> 20):
        c.send(piece)
    equal(c.response().body.decode(), f'{size} {wanted.hexdigest()}', 'upload')
    if SLOW == 1:
        ok(weir.resident() - idle < 20 << 20, f'resident memory rose by {(weir.resident() - idle) >> 10} KiB')


def test_big_bodies(t):
    bodies(t, False)


def test_big_bodies_tls(t):
    bodies(t, True)


def kernel_buffers():
    """What the kernel may hold of a body on its way: the largest send and receive buffers of two connections."""
    return 2 * sum(int(open(f'/proc/sys/net/ipv4/tcp_{way}mem').read().split()[2]) for way in 'rw')


def test_slow_reader_holds_back_the_server(t):
    sent = [0]

    def handler(link, request):
        link.sock.settimeout(2)
        link.send('HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n')
        try:
            while True:
                link.send(b'x' * 65536)
                sent[0] += 65536
        except TimeoutError:
            pass
        link.close()
    weir, port = t.simple(t.origin(handler))
    c = t.client(port)
    idle = weir.resident()
    c.request()

    def stands_still():
        before = sent[0]
        time.sleep(0.5)
        return before > 0 and sent[0] == before
    eventually(stands_still, PATIENCE, lambda: f'{sent[0]} bytes were taken from the server for a client that reads nothing')
    ok(sent[0] <= kernel_buffers() + (4 << 20), f'{sent[0]} bytes were taken from the server for a client that reads nothing')
    if SLOW == 1:
        ok(weir.resident() - idle < 4 << 20, f'resident memory rose by {(weir.resident() - idle) >> 10} KiB')


def test_early_response(t):
    def handler(link, request):
        link.answer(413, 'too much', [('Connection', 'close')])
        time.sleep(0.3)
        request._body = b''
        link.close()
    weir, port = t.simple(t.origin(handler))
    c = t.client(port)
    c.request('POST', '/', {'Content-Length': 100 << 20})
    c.send(b'x' * 100000)
    response = c.response()
    equal((response.status, response.body), (413, b'too much'))
    equal(response.fields.get('connection'), 'close')
    c = t.client(port)
    c.request('POST', '/', {'Transfer-Encoding': 'chunked'})
    c.send(b'1000\r\n' + b'x' * 0x1000 + b'\r\n')
    response = c.response()
    equal((response.status, response.body, response.fields.get('connection')), (413, b'too much', 'close'))


def test_half_closed_client_is_answered(t):
    def handler(link, request):
        time.sleep(0.3)
        tell(link, request)
    weir, port = t.simple(t.origin(handler))
    c = t.client(port)
    c.request('GET', '/late')
    c.finish()
    equal(c.response().json()['target'], '/late')
    ok(c.ended())


def test_client_abort_reaches_the_server(t):
    gone = []

    def handler(link, request):
        gone.append(link.gone())
        link.close()
    origin = t.origin(handler)
    weir, port = t.simple(origin)
    c = t.client(port)
    c.request('GET', '/long')
    eventually(lambda: origin.count())
    c.reset()
    eventually(lambda: gone)
    equal(gone, [True])
    line = weir.access_line(path='/long')
    equal((line.get('failure'), line.get('failure_of')), ('client_closed', 'client'))


def test_upload_aborted(t):
    state = []

    def handler(link, request):
        try:
            request.body()
            state.append('whole')
        except (Closed, ConnectionResetError):
            state.append('cut')
            raise
    weir, port = t.simple(t.origin(handler))
    for chunked in (False, True):
        c = t.client(port)
        if chunked:
            c.request('POST', '/', {'Transfer-Encoding': 'chunked'})
            c.send('5\r\nhello\r\n')
        else:
            c.request('POST', '/', {'Content-Length': '100'})
            c.send('hello')
        time.sleep(0.1)
        c.close()
        eventually(lambda: state)
        equal(state.pop(), 'cut', 'a body that the client did not end')


def test_hop_by_hop_fields_end_here(t):
    def handler(link, request):
        link.answer(200, '\n'.join(f'{n}: {v}' for n, v in request.fields), [('Connection', 'X-Hop'), ('X-Hop', '1'), ('Keep-Alive', 'timeout=9'), ('X-End', '1'),
                                                                            ('Proxy-Authenticate', 'x')])
    weir, port = t.simple(t.origin(handler))
    c = t.client(port)
    response = c.get('/', [('Connection', 'X-Secret, close, X-Forwarded-For, Host'), ('X-Secret', 'a'), ('Keep-Alive', 'b'), ('Proxy-Connection', 'c'), ('TE', 'gzip'),
                           ('Proxy-Authorization', 'd'), ('Upgrade', 'h2c'), ('HTTP2-Settings', 'e'), ('Proxy', 'http://evil'), ('X-Kept', 'f')])
    got = Fields(line.split(': ', 1) for line in response.body.decode().split('\n'))
    for name in ('x-secret', 'keep-alive', 'proxy-connection', 'te', 'proxy-authorization', 'upgrade', 'http2-settings', 'proxy'):
        ok(name not in got, f'{name} reached the server: {got}')
    equal((got.get('x-kept'), got.get('x-forwarded-for'), got.get('host')), ('f', '127.0.0.1', 'test'))
    for name in ('x-hop', 'keep-alive', 'proxy-authenticate'):
        ok(name not in response.fields, f'{name} reached the client: {response.fields}')
    equal(response.fields.get('x-end'), '1')


def test_forwarding_fields(t):
    weir, port = t.simple()
    response = t.client(port).get('/', [('X-Forwarded-For', '6.6.6.6'), ('X-Forwarded-Proto', 'https'), ('X-Forwarded-Host', 'evil'), ('X-Forwarded-Prefix', '/evil'),
                                       ('Forwarded', 'for=6.6.6.6'), ('X-Real-IP', '6.6.6.6'), ('Via', '1.1 before')], host='a.test:81')
    got = sent(response)
    equal((got.all('x-forwarded-for'), got.all('x-forwarded-proto'), got.all('x-forwarded-host')), (['127.0.0.1'], ['http'], ['a.test:81']))
    equal((got.all('x-forwarded-prefix'), got.all('x-real-ip'), len(got.all('forwarded'))), ([], [], 1))
    contains(got.get('forwarded'), 'for=127.0.0.1')
    ok('6.6.6.6' not in str(got), got)
    contains(', '.join(got.all('via')), '1.1 before')
    contains(', '.join(got.all('via')), '1.1 weir')
    contains(response.fields.get('via'), 'weir')
    ok(got.get('x-request-id'), 'no request id')


def test_trusted_proxies(t):
    weir, port = t.simple(more='trusted_proxies: ["127.0.0.0/8", "10.0.0.0/8"]')
    got = sent(t.client(port).get('/', [('X-Forwarded-For', '6.6.6.6, 203.0.113.7'), ('X-Forwarded-For', '10.1.2.3'), ('X-Forwarded-Proto', 'https')]))
    equal(', '.join(got.all('x-forwarded-for')), '6.6.6.6, 203.0.113.7, 10.1.2.3, 127.0.0.1')
    equal(got.all('x-forwarded-proto'), ['https'])
    equal(weir.access_line(path='/')['client'], '203.0.113.7', 'the first address from the right that is not trusted')


# `weir check` says that it means all of 127.0.0.0/8, and so it does at the start, at a reload and to explain.
def test_networks_with_bits_of_a_host(t):
    networks = '["127.0.0.9/8", "fd00::1/8"]'
    port, origin = t.port(), t.origin()
    text = f'''listeners: "127.0.0.1:{port}"
trusted_proxies: {networks}
routes:
  - {{ name: in, match: {{ path: /in, client: {networks} }}, access: {{ allow: {networks} }}, pool: app }}
  - {{ name: out, access: {{ deny: {networks} }}, pool: app }}
pools: {{ app: {{ servers: "{origin.address}" }} }}
'''
    weir = t.weir(text)
    for times in range(2):
        got = sent(t.client(port).get('/in', [('X-Forwarded-For', '203.0.113.7, 127.1.1.1'), ('X-Forwarded-Proto', 'https')]))
        equal(got.all('x-forwarded-proto'), ['https'])
        equal(t.client(port).get('/in').status, 200)
        equal(t.client(port).get('/').status, 403)
        weir.reload(text + '# again\n')


def test_trusted_forwarded(t):
    weir, port = t.simple(more='trusted_proxies: ["127.0.0.1"]')
    got = sent(t.client(port).get('/f', [('Forwarded', 'for="[2001:db8::7]:99";proto=https')]))
    contains(', '.join(got.all('forwarded')), '2001:db8::7')
    contains(', '.join(got.all('forwarded')), 'for=127.0.0.1')
    equal(weir.access_line(path='/f')['client'], '2001:db8::7')


def test_response_cut_short(t):
    def handler(link, request):
        if request.path == '/length':
            link.send('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')
        else:
            link.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n')
        time.sleep(0.1)
        link.close()
    weir, port = t.simple(t.origin(handler))
    for path in ('/length', '/chunked'):
        c = t.client(port)
        try:
            response = c.get(path)
            fail(f'{path}: a response that was cut short looked whole: {response}')
        except (Closed, ConnectionResetError):
            pass
        equal(weir.access_line(path=path)['failure'], 'response_cut')


def test_repetition_and_order_survive(t):
    def handler(link, request):
        link.answer(200, '\n'.join(f'{n}: {v}' for n, v in request.fields), [('Set-Cookie', 'a=1'), ('X', '1'), ('Set-Cookie', 'b=2'), ('X', '2'), ('Set-Cookie', 'c=3')])
    weir, port = t.simple(t.origin(handler))
    response = t.client(port).get('/', [('B', '1'), ('A', '2'), ('B', '3'), ('X-Latin', 'caf\xe9')])
    equal(response.fields.all('set-cookie'), ['a=1', 'b=2', 'c=3'])
    equal(response.fields.all('x'), ['1', '2'])
    lines = response.body.decode('latin-1').split('\n')
    equal([line for line in lines if line[:2] in ('A:', 'B:')], ['B: 1', 'A: 2', 'B: 3'])


def test_target_goes_in_its_normal_form(t):
    weir, port = t.simple()
    equal(t.client(port).get('/a%41/./b?x=%2f&y=/./').json()['target'], '/aA/b?x=%2f&y=/./')
    for target in ('/aA/b?x=%2F&y=', '/?', '/~user/;p=1?a=b%3Fc?%7E', "/!$&'()*+,;=:@-._~", '//double//'):
        equal(t.client(port).get(target).json()['target'], target)


def test_absolute_form(t):
    weir, port = t.simple()
    told = t.client(port).get('http://real.test/path?q', host='other.test').json()
    equal((told['target'], Fields(told['fields']).all('host')), ('/path?q', ['real.test']))


def test_options_asterisk(t):
    weir, port = t.simple()
    c = t.client(port)
    c.request('OPTIONS', '*')
    equal(c.response().json()['target'], '*')


def test_unknown_method_passes(t):
    weir, port = t.simple()
    c = t.client(port)
    c.request('bRew', '/pot')
    equal(c.response().json()['method'], 'bRew')


def test_surplus_bytes_are_no_response(t):
    def handler(link, request):
        link.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil')
    weir, port = t.simple(t.origin(handler))
    c = t.client(port)
    for _ in range(3):
        equal(c.get().body, b'ok')
        time.sleep(0.05)


def test_kept_connection_that_died(t):
    """A server that closes kept connections without a word: GET and POST both are answered, once."""
    def handler(link, request):
        tell(link, request)
        if request.path == '/last':
            link.close()
    origin = t.origin(handler)
    weir, port = t.simple(origin)
    c = t.client(port)
    for i in range(20):
        equal(c.get('/last').status, 200)
        if i % 2:
            time.sleep(0.02)
    c.request('POST', '/next', (), b'body')
    equal(c.response().json()['body'], 'body')
    equal(origin.count('/next'), 1)


def test_ids(t):
    weir, port = t.simple()
    c = t.client(port)
    ids = [sent(c.get(f'/{i}', [('X-Request-Id', 'forged')])).get('x-request-id') for i in range(3)]
    equal(len(set(ids)), 3)
    ok('forged' not in ids, ids)
    equal(weir.access_line(path='/0')['id'], ids[0])


def test_curl(t):
    weir, port = t.simple()
    done = subprocess.run(['curl', '-s', '--data-binary', '@-', f'http://127.0.0.1:{port}/up'], input=b'z' * 300000, capture_output=True, timeout=20)
    equal(json.loads(done.stdout)['length'], 300000)


def test_ipv6_and_unix_listener(t):
    path, port = os.path.join(t.work, 'in.sock'), t.port()
    origin = t.origin()
    t.weir(f'''listeners:
  - {{ address: "[::1]:{port}" }}
  - {{ address: "unix:{path}", mode: "0600" }}
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["{origin.address}"] }} }}
''')
    equal(sent(t.client(('::1', port)).get('/6')).get('x-forwarded-for'), '::1')
    equal(t.client(path).get('/u').json()['target'], '/u')
    equal(os.stat(path).st_mode & 0o777, 0o600)


def test_many_connections_at_once(t):
    weir, port = t.simple()
    clients = [t.client(port) for _ in range(300)]
    for i, c in enumerate(clients):
        c.request('GET', f'/{i}')
    for i, c in enumerate(clients):
        equal(c.response().json()['target'], f'/{i}')

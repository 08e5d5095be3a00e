"""What one version of HTTP carries, every pair of versions carries: from HTTP/1, h2c and h2 to HTTP/1, h2c and h2."""
import threading, time

from h2test import *


def digest(body):
    return hashlib.sha256(body).hexdigest()


def test_get_and_log(t):
    """The plain case, with the fields that weir writes and its access log, for every pair."""
    for x in crossings(t):
        path = f'/{x.front}-{x.back}'
        response = x.ask('GET', path + '?a=b', [('X-Mine', 'kept')])
        equal(response.status, 200, x.name)
        told = response.json()
        fields = Fields(told['fields'])
        equal((told['origin'], told['method'], told['target']), (x.back, 'GET', path + '?a=b'), x.name)
        equal(fields.get('x-mine'), 'kept')
        for name in ('x-forwarded-for', 'x-forwarded-proto', 'forwarded', 'via'):
            equal(len(fields.all(name)), 1, f'{x.name}: {name}')
        secure = x.front in ('h2', 'h1s')
        equal(fields.get('x-forwarded-proto'), 'https' if secure else 'http', x.name)
        contains(fields.get('via'), '2' if x.two_in else '1.1')
        ok('connection' not in fields or not x.two_out, fields)
        if x.two_out:
            head = x.origin.last(path).stream.heads[0]
            equal((head.get(':authority'), 'host' in head), (x.host, False), x.name)
            equal(head.get(':scheme'), 'https' if x.back == 'h2' else 'http', x.name)
            names = [n for n, _ in head]
            equal(names, sorted(names, key=lambda n: not n.startswith(':')), 'pseudo-fields first')
            ok(all(n == n.lower() for n in names), names)
        else:
            equal(fields.get('host'), x.host, x.name)
        line = x.weir.access_line(path=path)
        equal((line['protocol'], line['server_protocol'], line['status']), ('HTTP/2' if x.two_in else 'HTTP/1.1', 'HTTP/2' if x.two_out else 'HTTP/1.1', 200), x.name)


def test_without_a_body(t):
    """HEAD keeps Content-Length; 204 and 304 have nothing; the connection goes on."""
    def handler(link, request):
        request.body()
        status = int(request.query or 200)
        if status == 200:
            fields = [('Content-Length', '12345')]
        else:
            fields = [('ETag', '"x"')]
        link.begin(status, fields, end=True)
    for x in crossings(t, handler):
        c = x.connect()
        for _ in range(2):
            response = x.ask('HEAD', '/head', client=c)
            equal((response.status, response.fields.get('content-length'), response.body), (200, '12345', b''), x.name)
            for status in (204, 304):
                response = x.ask('GET', f'/?{status}', client=c)
                equal((response.status, response.fields.get('etag'), response.body), (status, '"x"', b''), x.name)


def test_trailers_both_ways(t):
    def handler(link, request):
        body = request.body()
        link.chunked([body[:3], body[3:]], [('X-Sum', digest(body)), ('X-Got', request.trailers.get('x-client') or 'none')])
    for x in crossings(t, handler):
        response = x.ask('POST', '/', [('TE', 'trailers'), ('Trailer', 'X-Client')], b'some body', trailers=[('x-client', 'told late'), ('authorization', 'late')], length=False)
        equal((response.status, response.body), (200, b'some body'), x.name)
        equal((response.trailers.get('x-sum'), response.trailers.get('x-got')), (digest(b'some body'), 'told late'), x.name)
        ok('authorization' not in x.origin.last().trailers, x.name)


def test_trailers_without_a_body(t):
    def handler(link, request):
        request.body()
        link.chunked([], [('x-end', '1')])
    for x in crossings(t, handler):
        response = x.ask('GET', '/', [('TE', 'trailers')])
        equal((response.status, response.body, response.trailers.get('x-end')), (200, b'', '1'), x.name)


def test_continue(t):
    """The backend's 100 comes through, once; what it refuses without is told without the body."""
    def handler(link, request):
        equal(request.fields.get('expect'), '100-continue')
        if request.path == '/no':
            link.answer(403, 'no')
            return
        link.interim(100)
        link.answer(200, digest(request.body()))
    for x in crossings(t, handler):
        body = b'after the hundred' * 100
        for path, fields in (('/yes', ['100-continue']), ('/list', ['100-continue, 100-Continue']), ('/lines', ['100-continue', '100-continue'])):
            s = x.request('PUT', path, [('Expect', value) for value in fields], open=True)
            eventually(lambda: x.origin.count(path), text=x.name)
            time.sleep(0.05)
            s.data(body)
            s.end()
            response = s.response()
            equal((response.status, response.body.decode(), [i.status for i in response.interim]), (200, digest(body), [100]), f'{x.name} {path}')
        s = x.request('PUT', '/never', [('Expect', '100-continue'), ('Expect', 'more')], open=True)
        equal((s.head().status, x.origin.count('/never')), (417, 0), x.name)
        s = x.request('PUT', '/no', [('Expect', '100-continue')], open=True)
        response = s.head()
        equal(response.status, 403, x.name)


def test_interim_responses(t):
    def handler(link, request):
        request.body()
        link.interim(103, [('Link', '</a.css>; rel=preload')])
        link.interim(103, [('Link', '</b.css>; rel=preload')])
        link.answer(200, 'done')
    for x in crossings(t, handler):
        response = x.ask()
        equal((response.status, response.body, [(i.status, i.fields.get('link')) for i in response.interim]),
              (200, b'done', [(103, '</a.css>; rel=preload'), (103, '</b.css>; rel=preload')]), x.name)


def test_early_response(t):
    """An answer before the request's end reaches the client at once, and whole."""
    def handler(link, request):
        link.answer(413, 'too much' * 1000)
        request._body = b''
        link.gone(3)
    for x in crossings(t, handler):
        s = x.request('POST', '/', open=True)
        s.data(b'x' * 1000)
        began = Since()
        response = s.response()
        equal((response.status, len(response.body)), (413, 8000), x.name)
        began.took(0, 2, x.name)


def test_bodies_with_checksums(t):
    """Up and down, with a length and without, empty, at the sizes of frames and windows, and large."""
    def handler(link, request):
        body = request.body()
        fields = [('X-Sum', digest(body)), ('X-Length', request.fields.get('content-length') or 'none')]
        if request.query == 'chunked':
            link.chunked([body[i:i + 50000] for i in range(0, len(body), 50000)], fields=fields)
        else:
            link.answer(200, body, fields)
    seed = b''.join(hashlib.sha256(struct.pack('>I', i)).digest() for i in range(32768))    # 1 MiB
    for x in crossings(t, handler):
        c = x.connect()
        for size, query in ((0, ''), (1, 'chunked'), (16383, ''), (16384, 'chunked'), (16385, ''), (65535, ''), (65536, 'chunked'), (700001, ''), (8 << 20, 'chunked')):
            body = (seed * (1 + size // len(seed)))[:size]
            length = query == ''
            response = x.ask('POST', f'/?{query}', (), body, length=length, client=c)
            equal((response.status, len(response.body)), (200, size), f'{x.name} {size}')
            equal((response.fields.get('x-sum'), digest(response.body)), (digest(body),) * 2, f'{x.name} {size}')
            if length:
                equal(response.fields.get('x-length'), str(size) if size or x.two_in or not x.two_out else response.fields.get('x-length'), x.name)
                equal(response.fields.get('content-length'), str(size), x.name)


def test_flushed_as_it_comes(t):
    """Nothing is kept back for more: each piece arrives before the next is sent, both ways."""
    def handler(link, request):
        link.begin()
        for piece in request.pieces():
            link.piece(b'<' + piece + b'>')
        link.end()
    for x in crossings(t, handler):
        s = x.request('POST', '/', open=True)
        s.head()
        chunks = s.client.reader.chunks() if not x.two_in else None
        for i in range(5):
            s.data(b'%d' % i)
            if x.two_in:
                s.wait(lambda: s.body.endswith(b'<%d>' % i), text=x.name)
            else:
                equal(next(chunks), b'<%d>' % i, x.name)
        s.end()
        if x.two_in:
            equal(s.response().body, b'<0><1><2><3><4>', x.name)
        else:
            equal(list(chunks), [], x.name)


def test_server_breaks(t):
    """A response that is cut is never a whole one."""
    for x in crossings(t, cut_handler):
        for target in ('/stream?length', '/stream?open', '/connection?length', '/connection?open'):
            s = x.request('GET', target)
            try:
                response = s.response()
                fail(f'{x.name} {target}: a cut response came as whole: {response}')
            except (Closed, ConnectionResetError) as error:
                if x.two_in:
                    ok(error.code not in (None, NO_ERROR), f'{x.name} {target}: {error}')
                    equal((error.partial.status, error.partial.body), (200, b'p' * 5000), f'{x.name} {target}')
        line = x.weir.access_line(path='/stream', host=x.host)
        equal(line.get('failure'), 'response_cut', x.name)


def cut_handler(link, request):
    request.body()
    one = isinstance(link, Link)
    if request.query == 'open':
        link.begin()
        link.piece(b'p' * 5000)
    elif one:
        link.send('HTTP/1.1 200 Fine\r\nContent-Length: 100000\r\n\r\n', b'p' * 5000)
    else:
        link.begin(200, [('Content-Length', '100000')])
        link.piece(b'p' * 5000)
    time.sleep(0.05)
    link.close() if 'connection' in request.path else link.cut()


def test_client_cancels(t):
    """Whoever leaves in the middle of an exchange has it ended at the server within a second, in every phase."""
    ended = set()

    def handler(link, request):
        if request.path != '/upload':
            request.body()
        if request.path == '/download':
            link.begin()
            link.piece(b'some')
        try:
            if request.path == '/upload':
                request.body()
        except Closed:
            pass
        ok(link.gone(5), f'{request.path} was not given up')
        ended.add(request.target)
    for x in crossings(t, handler):
        c = x.connect() if x.two_in else None
        for phase in ('upload', 'waiting', 'download'):
            target = f'/{phase}?{x.front}{x.back}'
            s = x.request('POST', target, open=phase == 'upload', client=c)
            if phase == 'upload':
                s.data(b'u' * 3000)
            eventually(lambda: x.origin.count(f'/{phase}'), text=x.name)
            if phase == 'download':
                s.head()
            time.sleep(0.05)
            left = Since()
            s.cancel()
            eventually(lambda: target in ended, 10, f'{x.name} {phase}: the server was not told')
            left.took(0, 1, f'{x.name} {phase}')
            line = x.weir.access_line(path=f'/{phase}', host=x.host, protocol='HTTP/2' if x.two_in else 'HTTP/1.1')
            equal(line.get('failure'), 'client_closed', x.name)
        with x.origin.lock:
            x.origin.requests.clear()
        ended.clear()
        if x.two_in:
            c.ping()
            ok(not c.over, 'the connection outlives its streams')


def test_slow_reader(t):
    """A client that takes nothing holds the server back, not weir's memory; when it goes on, all comes."""
    size = 24 << 20

    def handler(link, request):
        request.body()
        link.begin()
        for i in range(size >> 16):
            link.piece(bytes([i & 255]) * 65536)
        link.end()
    for x in crossings(t, handler, settings={}):
        before = x.weir.resident()
        if x.two_in:
            s = x.request('GET', '/', hold=True)
        else:
            c = x.connect()
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            s = x.request('GET', '/', client=c)
        s.head()
        time.sleep(0.3)
        grown = x.weir.resident() - before
        if SLOW == 1:
            ok(grown < 12 << 20, f'{x.name}: memory grew by {grown >> 10} KiB')
        s.release()
        response = s.response(20)
        equal(len(response.body), size, x.name)
        equal(digest(response.body), digest(b''.join(bytes([i & 255]) * 65536 for i in range(size >> 16))), x.name)


def test_cookie_crumbs(t):
    """Crumbs are one field to a server of HTTP/1; Set-Cookie stays apart."""
    def handler(link, request):
        link.answer(200, '|'.join(request.fields.all('cookie')), [('Set-Cookie', 'a=1'), ('Set-Cookie', 'b=2')])
    for x in crossings(t, handler):
        fields = [('Cookie', 'a=1'), ('X-Between', '1'), ('Cookie', 'b=2'), ('Cookie', 'c=3')] if x.two_in else [('Cookie', 'a=1; b=2; c=3')]
        response = x.ask('GET', '/', fields)
        equal(response.fields.all('set-cookie'), ['a=1', 'b=2'], x.name)
        equal('; '.join(response.body.decode().split('|')), 'a=1; b=2; c=3', x.name)
        if not x.two_out:
            ok('|' not in response.body.decode(), x.name)


def test_errors_of_weir(t):
    """A server that never answers: the failure table's answer in every version."""
    def handler(link, request):
        request.body()
        link.gone(5)
    for x in crossings(t, handler, more='timeouts: { response: 300ms }', pool='retry: { attempts: 0 }'):
        response = x.ask('GET', '/never')
        equal(response.status, 504, x.name)
        x.weir.access_line(path='/never', host=x.host, failure='response_timeout')


def test_many_at_once(t):
    """A hundred streams on one connection, each with its own answer, out of order."""
    def handler(link, request):
        body = request.body()
        time.sleep(0.001 * (int(request.query) * 37 % 50))
        link.answer(200, body + request.query.encode())
    for x in crossings(t, handler, pairs=[(f, b) for f, b in ALL if f.startswith('h2')]):
        c, before = x.connect(), len(x.origin.links)
        streams = [x.request('POST', f'/?{i}', (), b'q' * (i * 100), client=c) for i in range(100)]
        for i, s in enumerate(streams):
            equal(s.response().body, b'q' * (i * 100) + str(i).encode(), f'{x.name} {i}')
        between(len(x.origin.links) - before, 0, 110, f'{x.name}: connections')     # those of the pair before are idle

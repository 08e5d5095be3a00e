"""Where a body ends: only where its sender has ended it. What a reset takes is told as cut, and takes nothing else with it."""
from h2test import *

MUCH = 300_000


def until_close(link, request, then):
    """An answer before the request is whole, whose end is that of the connection; then the server goes, with bytes unread."""
    link.send('HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhalf of it')
    request._body = b''
    then.wait(10 * SLOW)


def at_once(weir, steps):
    """All of it lies at weir before it looks."""
    weir.signal(signal.SIGSTOP)
    try:
        for step in steps:
            step()
            time.sleep(0.1)
    finally:
        weir.signal(signal.SIGCONT)


def uploads(t, handler, clients=('1.1', '1.0', '2')):
    """A weir, and an upload in progress from a client of each version to a server of its own: (version, weir, client, more, link)."""
    links = []

    def first(link, request):
        links.append(link)
        handler(link, request)
    ports = [t.port(), t.port()]
    origin = t.origin(first)
    weir = t.weir(f'''workers: 1
listeners:
  - {{ address: "127.0.0.1:{ports[0]}", protocols: [http/1.1, h2c] }}
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["{origin.address}"] }} }}
''')
    for version in clients:
        if version == '2':
            client = H2Client(ports[0])
            t.later(client.close)
            stream = client.request('POST', '/', open=True)
            stream.data(b'x' * 1000)
            more, client = lambda s=stream: s.data(b'y' * 1000), stream
        else:
            client = t.client(ports[0])
            client.send(f'POST / HTTP/{version}\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n', b'x' * 1000)
            more = lambda c=client: c.send(b'y' * 1000)
        eventually(lambda: links, text='no request came')
        yield version, weir, client, more, links.pop()


def seen(version, client):
    """What a client makes of the answer: its body, and whether it was whole."""
    if version == '2':
        try:
            return client.response().body, True
        except Reset as error:
            return error.partial.body, False
    head = client.head()
    equal(head.status, 200)
    if version == '1.0':
        ok('content-length' not in head.fields and 'transfer-encoding' not in head.fields)
    body = b''
    try:
        if version == '1.0':
            while True:
                if not client.reader.bytes:
                    client.reader.more()
                body, client.reader.bytes = body + client.reader.bytes, b''
        for piece in client.reader.chunks():
            body += piece
        return body, True
    except ConnectionResetError:
        return body, False
    except Closed:
        return body, version == '1.0'


def test_a_reset_is_no_end(t):
    """Sending to the server fails before its reset is read: the kernel tells an end then. The answer is cut for clients of each version."""
    def handler(link, request):
        request._body = b''
        link.send('HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhalf ')
        time.sleep(3600)
    for version, weir, client, more, link in uploads(t, handler):
        at_once(weir, (more, lambda: link.send('of it'), link.reset))
        body, whole = seen(version, client)
        ok(b'half of it'.startswith(body), body)
        ok(not whole, f'HTTP/{version}: a body that was cut looks whole')
    eventually(lambda: len([a for a in weir.access() if a['failure'] == 'response_cut']) == 3)


def test_an_end_before_a_reset_is_one(t):
    """A server that has ended its answer and then goes, with bytes of the request unread, has not cut it."""
    def handler(link, request):
        request._body = b''
        link.send('HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall ')
        time.sleep(3600)

    def end(link):
        link.send('of it')
        link.sock.shutdown(socket.SHUT_WR)
    for version, weir, client, more, link in uploads(t, handler):
        at_once(weir, (more, lambda: end(link), link.reset))
        equal(seen(version, client), (b'all of it', True), version)


def bare(client, reset):
    """Ends a connection without a word of TLS."""
    sock = socket.socket(fileno=client.sock.detach()) if isinstance(client.sock, ssl.SSLSocket) else client.sock
    if reset:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    sock.close()


def how_it_ends(reader):
    if isinstance(reader.sock, ssl.SSLSocket):
        reader.sock.suppress_ragged_eofs = False        # Python's word for taking a cut for an end
    try:
        while True:
            reader.more()
    except (ConnectionResetError, ssl.SSLEOFError):
        return 'reset'
    except Closed:
        return 'end'


def test_a_cut_is_no_end_of_a_tunnel(t):
    """In both directions, in the clear and in TLS: who reads to the end of the connection must not take a cut for one. What came before arrives."""
    opened, links = threading.Event(), []

    def handler(link, request):
        link.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n')
        links.append(link)
        opened.set()
        time.sleep(3600)
    for tls in False, True:
        weir, port = t.simple(t.origin(handler, tls=t.tls_server() if tls else None), f'tls: {{ certificates: [{t.cert("localhost")}] }}' if tls else '',
                              f'tls: {{ ca: "{t.certificates}/ca.crt", server_name: localhost }}' if tls else '', route='upgrades: [tcp]', more='workers: 1')
        for cut_by, reset, failing in [('server', True, True), ('server', True, False), ('client', True, True), ('client', True, False)] + \
                [('server', False, False), ('client', False, False)] * tls:
            opened.clear()
            client = t.client(port, tls=t.tls_client() if tls else None, name='localhost' if tls else None)
            client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n')
            equal(client.response().status, 101)
            ok(opened.wait(10 * SLOW))
            link = links.pop()
            link.sock.settimeout(10 * SLOW)
            cut, other = (link, client) if cut_by == 'server' else (client, link)
            steps = [lambda: other.send('x')] * failing + [lambda: cut.send('some'), lambda: bare(cut, reset)]
            if failing:         # what the one that is cut is sent fails before its reset is read
                at_once(weir, steps)
            else:
                for step in steps:
                    step()
            what = f'tls={tls} cut by the {cut_by} reset={reset} failing={failing}'
            equal(how_it_ends(other.reader), 'reset', what)
            equal(other.reader.bytes, b'some', what)


def test_an_end_of_a_tunnel_is_one(t):
    """Said properly, it reaches the other side as one, whose own bytes still pass."""
    opened, links = threading.Event(), []

    def handler(link, request):
        link.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n')
        links.append(link)
        opened.set()
        time.sleep(3600)
    weir, port = t.simple(t.origin(handler), route='upgrades: [tcp]')
    for first in 'server', 'client':
        opened.clear()
        client = t.client(port)
        client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n')
        equal(client.response().status, 101)
        ok(opened.wait(10 * SLOW))
        link = links.pop()
        link.sock.settimeout(10 * SLOW)
        one, other = (link, client) if first == 'server' else (client, link)
        for sender, reader in (one, other), (other, one):
            sender.send('all')
            sender.sock.shutdown(socket.SHUT_WR)
            equal(how_it_ends(reader.reader), 'end', first)
            equal(reader.reader.bytes, b'all', first)


# ---- pipelined requests ----

def pipelined(t, second, version='1.1', more=''):
    """A client that takes nothing until it has sent a large request's, another one's, and more: what it then reads of the first answer, and of the second."""
    def handler(link, request):
        if request.path == '/first':
            link.answer(200, b'1' * MUCH)
        elif request.path == '/cut':
            link.begin()
            link.piece(b'begins')
            sent.wait(10 * SLOW)
            link.reset()
        else:
            sent.wait(10 * SLOW)
            link.answer(200, 'second')
    sent, port, origin = threading.Event(), t.port(), t.origin(handler)
    weir = t.weir(f'''workers: 1
listeners: ["127.0.0.1:{port}"]
routes:
  - {{ pool: p }}
pools: {{ p: {{ servers: ["{origin.address}"], retry: {{ attempts: 1 }} }} }}
{more}
''')
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(10 * SLOW)
    sock.connect(('127.0.0.1', port))
    client = t.client(port)
    client.close()
    client.sock, client.reader = sock, Reader(sock)
    kept = '' if version == '1.1' else 'Connection: keep-alive\r\n'
    client.send(f'GET /first HTTP/{version}\r\nHost: a\r\n{kept}\r\n')
    weir.access_line(path='/first')         # all of it has left for the socket
    client.send(second, b'GET /more HTTP/1.1\r\nHost: a\r\n\r\n' * 200)
    sent.set()
    return weir, client


def first_is_whole(client):
    equal(client.response().body, b'1' * MUCH)


def test_a_cut_answer_takes_none_before_it(t):
    """The answer behind it is cut by its server: the first one arrives whole, and so does what there was of the second."""
    weir, client = pipelined(t, 'GET /cut HTTP/1.1\r\nHost: a\r\n\r\n')
    weir.access_line(path='/cut', failure='response_cut')
    time.sleep(0.3)
    client.sock.send(b'GET /late HTTP/1.1\r\nHost: a\r\n\r\n')       # a closed socket answers this by a reset
    time.sleep(0.2)
    first_is_whole(client)
    equal(client.head().status, 200)
    equal(client.reader.rest(), b'6\r\nbegins\r\n', 'and no end')


def test_a_cut_answer_without_a_length_takes_none_before_it(t):
    """As to clients of HTTP/1.0: it must be seen as cut, and only once the first answer has arrived."""
    weir, client = pipelined(t, 'GET /cut HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', '1.0')
    weir.access_line(path='/cut', failure='response_cut')
    first_is_whole(client)
    equal(client.head().status, 200)
    try:
        client.reader.rest()
        fail('a body that was cut looks whole')
    except ConnectionResetError:
        pass


def test_a_refused_request_takes_no_answer_before_it(t):
    for second, status in ('GARBAGE\r\n\r\n', 400), ('GET / HTTP/1.1\r\nHost: a\r\nX: ' + 'x' * 100_000 + '\r\n\r\n', 431):
        weir, client = pipelined(t, second)
        weir.access_line(status=status)
        first_is_whole(client)
        equal(client.response().status, status)


def test_the_last_answer_is_not_taken_by_what_comes_behind(t):
    """weir ends the connection (`keep_alive_requests`), which the client can't know before it has read so."""
    weir, client = pipelined(t, 'GET /more HTTP/1.1\r\nHost: a\r\n\r\n', more='limits: { keep_alive_requests: 1 }')
    time.sleep(0.3)
    client.sock.send(b'GET /late HTTP/1.1\r\nHost: a\r\n\r\n')
    time.sleep(0.2)
    first_is_whole(client)
    ok(client.ended())


# ---- servers of HTTP/2 ----

def test_answered_and_reset_at_once(t):
    """Head, half a body and RST_STREAM in one piece, whatever its code: the client gets what there was, as cut; never an end without a byte."""
    def handler(link, request):
        code = int(request.query)
        request._body = b''
        with link.conn.writing:
            block = link.conn.encoder.encode([(':status', '200'), ('x-from', 'server')])
            link.conn.raw(frame(HEADERS, END_HEADERS, link.stream.number, block) + frame(DATA, 0, link.stream.number, b'half') +
                          frame(RST_STREAM, 0, link.stream.number, struct.pack('>I', code)))
    origin, port = t.h2_origin(handler), t.port()
    t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}", protocols: [http/1.1, h2c] }} ]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["{origin.address}"], protocol: h2c }} }}
''')
    for code in NO_ERROR, CANCEL, INTERNAL_ERROR, REFUSED_STREAM:
        for version in '1.1', '1.0':
            client = t.client(port)
            client.request('GET', f'/?{code}', version=version)
            equal(seen(version, client), (b'half', False), f'{version} {code}')
        client = H2Client(port)
        t.later(client.close)
        equal(seen('2', client.request('GET', f'/?{code}')), (b'half', False), f'2 {code}')


def test_said_in_a_tunnel_and_reset_at_once(t):
    """The last message of a WebSocket, and RST_STREAM in one piece, over HTTP/2 on both sides."""
    def handler(link, request):
        request._body = b''
        with link.conn.writing:
            block = link.conn.encoder.encode([(':status', '200')])
            link.conn.raw(frame(HEADERS, END_HEADERS, link.stream.number, block) + frame(DATA, 0, link.stream.number, b'last words') +
                          frame(RST_STREAM, 0, link.stream.number, struct.pack('>I', CANCEL)))
    origin, port = t.h2_origin(handler, settings={ENABLE_CONNECT_PROTOCOL: 1}), t.port()
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}", protocols: [h2c] }} ]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["{origin.address}"], protocol: h2c }} }}
''')
    client = H2Client(port)
    t.later(client.close)
    equal(seen('2', client.request('CONNECT', '/', [('sec-websocket-version', '13')], open=True, pseudo=[(':protocol', 'websocket')])), (b'last words', False))
    equal(weir.access_line(path='/')['failure'], 'response_cut')


def test_answered_whole_and_reset_at_once(t):
    """The whole answer, and a reset because the request is of no use any more (RFC 9113 8.1): nothing is cut."""
    def handler(link, request):
        request._body = b''
        with link.conn.writing:
            block = link.conn.encoder.encode([(':status', '403')])
            link.conn.raw(frame(HEADERS, END_HEADERS, link.stream.number, block) + frame(DATA, END_STREAM, link.stream.number, b'whole') +
                          frame(RST_STREAM, 0, link.stream.number, struct.pack('>I', NO_ERROR)))
    origin, port = t.h2_origin(handler), t.port()
    t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}", protocols: [http/1.1, h2c] }} ]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["{origin.address}"], protocol: h2c }} }}
''')
    for _ in range(20):
        client = t.client(port)
        client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nbegins')
        response = client.response()
        equal((response.status, response.body), (403, b'whole'))
        client = H2Client(port)
        t.later(client.close)
        stream = client.request('POST', '/', open=True)
        stream.data(b'begins')
        equal((stream.response().status, stream.response().body), (403, b'whole'))


def test_an_answer_that_is_its_head_ends_by_itself(t):
    """HEAD, 204 and 304, of which many servers say the end in a frame behind (RFC 9113 8.1): it is waited for. A reset for each would be taken for a flood."""
    streams = []

    def handler(link, request):
        streams.append(link.stream)
        request.body()
        link.begin(int(request.path[1:4]), [('etag', '"a"')])
        time.sleep(0.1)
        link.end([('x-sum', '1')] if 'trailers' in request.path else ())
    origin, port = t.h2_origin(handler), t.port()
    t.weir(f'''workers: 1
listeners: [ {{ address: "127.0.0.1:{port}", protocols: [http/1.1, h2c] }} ]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["{origin.address}"], protocol: h2c }} }}
''')
    one, two = t.client(port), H2Client(port)
    t.later(two.close)
    for method, path in ('HEAD', '/200'), ('HEAD', '/200-trailers'), ('HEAD', '/404'), ('GET', '/204'), ('GET', '/304'), ('POST', '/204-trailers'):
        for _ in range(3):
            one.request(method, path, body=b'abc' if method == 'POST' else None)
            got = one.response(method), two.request(method, path, body=b'abc' if method == 'POST' else None).response()
            equal([(r.status, r.body, r.fields.get('etag')) for r in got], [(int(path[1:4]), b'', '"a"')] * 2, f'{method} {path}')
    time.sleep(0.3)
    equal([s.reset for s in streams if s.reset is not None], [], 'the server was sent resets')
    equal(len(streams), 36)
    equal(len(origin.links), 1, 'connections: ')


def test_an_end_is_told_as_one(t):
    """A server that goes in the middle of a head, or after an interim response, has sent nothing malformed. Who speaks another protocol has."""
    def handler(link, request):
        request._body = b''
        what = request.path[1:]
        if isinstance(link, H2Link):
            link.interim(103, [('link', '</a>')])
            link.cut() if what == 'stream' else link.close()
            return
        link.send({'head': 'HTTP/1.1 200 OK\r\nContent-Le', 'start': 'HTT', 'interim': 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n',
                   'other': '220 mail.test ESMTP\r\n'}[what])
        time.sleep(0.1)
        link.close()
    for x in crossings(t, handler, pairs=FOUR):
        for what in ('stream', 'connection') if x.two_out else ('head', 'start', 'interim', 'other'):
            failure = 'response_invalid' if what == 'other' else 'response_cut'
            equal(x.ask('GET', '/' + what).status, 502, f'{x} {what}')
            line = x.weir.access_line(path='/' + what, protocol='HTTP/2' if x.two_in else 'HTTP/1.1')
            equal((line.get('failure'), line['failure_of'], line['attempts']), (failure, 'server', 1), f'{x} {what}')


def test_no_length_where_none_may_be(t):
    """204 and 1xx (RFC 9110 8.6), whatever was asked, whoever says it."""
    def old(link, request):
        request._body = b''
        link.interim(103, [('Link', '</a>'), ('Content-Length', '5')])
        link.send('HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\n')
    port, origin = t.port(), t.origin(old)
    t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}", protocols: [http/1.1, h2c] }} ]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["{origin.address}"] }} }}
''')
    for method in 'GET', 'HEAD', 'POST':
        client = H2Client(port)
        t.later(client.close)
        answers = [client.request(method, '/', body=b'' if method == 'POST' else None).response()]
        client = t.client(port)
        client.request(method, '/')
        answers.append(client.response(method))
        for response in answers:
            equal((response.status, [i.status for i in response.interim]), (204, [103]), method)
            for each in [response] + response.interim:
                ok('content-length' not in each.fields, f'{method}: {each.status} has a length')


# ---- what a server of HTTP/2 may say ----

WRONG = {
    'no status': [('x', 'y')],
    'two statuses': [(':status', '200'), (':status', '200')],
    'another pseudo-field': [(':status', '200'), (':path', '/')],
    'one behind a field': [('x', 'y'), (':status', '200')],
    'a short status': [(':status', '20')],
    'a long status': [(':status', '2000')],
    'a status of letters': [(':status', '2x0')],
    'a status below all': [(':status', '099')],
    '101': [(':status', '101')],
    'capitals': [(':status', '200'), ('X-Case', 'y')],
    'a blank in a name': [(':status', '200'), ('x y', 'y')],
    'no name': [(':status', '200'), ('', 'y')],
    'a line feed in a value': [(':status', '200'), ('x', 'a\nb')],
    'a NUL in a value': [(':status', '200'), ('x', 'a\0b')],
    'a blank before a value': [(':status', '200'), ('x', ' b')],
    'a field of the connection': [(':status', '200'), ('connection', 'close')],
    'a transfer coding': [(':status', '200'), ('transfer-encoding', 'chunked')],
    'an upgrade': [(':status', '200'), ('upgrade', 'websocket')],
    'a te': [(':status', '200'), ('te', 'gzip')],
    'two lengths': [(':status', '200'), ('content-length', '4'), ('content-length', '4')],
    'a list of lengths': [(':status', '200'), ('content-length', '4, 4')],
    'a signed length': [(':status', '200'), ('content-length', '+4')],
    'an empty length': [(':status', '200'), ('content-length', '')],
}


def of_http2(t, frames):
    """A client of HTTP/1.1 before a server of HTTP/2 that answers with what frames(conn, number, request) makes."""
    def handler(link, request):
        request._body = b''
        with link.conn.writing:
            link.conn.raw(frames(link.conn, link.stream.number, request))
    port, origin = t.port(), t.h2_origin(handler)
    weir = t.weir(f'''listeners: ["127.0.0.1:{port}"]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["{origin.address}"], protocol: h2c, retry: {{ attempts: 0 }}, outlier: false }} }}
''')
    return weir, t.client(port), port


def head(conn, number, fields, end=False):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), number, conn.encoder.encode(fields))


def test_malformed_answers_of_http2(t):
    """Each is 502 for who has seen nothing of it, and the connection serves others."""
    def frames(conn, number, request):
        name = list(WRONG)[int(request.query)]
        return head(conn, number, WRONG[name]) + frame(DATA, END_STREAM, number, b'body')
    weir, client, port = of_http2(t, frames)
    for i, name in enumerate(WRONG):
        response = client.get(f'/?{i}')
        equal((response.status, weir.access_line(query=str(i))['failure']), (502, 'response_invalid'), name)


def test_malformed_bodies_of_http2(t):
    """Bytes and ends where there may be none: 502 before a head was told, else a cut."""
    good = [(':status', '200')]
    cases = {
        'data before a head': lambda c, n: frame(DATA, END_STREAM, n, b'body'),
        'an end before a head': lambda c, n: frame(DATA, END_STREAM, n),
        'data behind a 103': lambda c, n: head(c, n, [(':status', '103')]) + frame(DATA, END_STREAM, n, b'body'),
        'a 103 that ends all': lambda c, n: head(c, n, [(':status', '103')], True),
        'less than the length': lambda c, n: head(c, n, good + [('content-length', '5')]) + frame(DATA, END_STREAM, n, b'body'),
        'more than the length': lambda c, n: head(c, n, good + [('content-length', '3')]) + frame(DATA, END_STREAM, n, b'body'),
        'a length and an end': lambda c, n: head(c, n, good + [('content-length', '3')], True),
        'trailers without an end': lambda c, n: head(c, n, good) + frame(DATA, 0, n, b'body') + head(c, n, [('x', 'y')]),
        'a status in trailers': lambda c, n: head(c, n, good) + frame(DATA, 0, n, b'body') + head(c, n, good, True),
        'capitals in trailers': lambda c, n: head(c, n, good) + frame(DATA, 0, n, b'body') + head(c, n, [('X', 'y')], True),
        'a second head': lambda c, n: head(c, n, good) + head(c, n, good) + frame(DATA, END_STREAM, n, b'body'),
    }
    weir, client, port = of_http2(t, lambda conn, number, request: list(cases.values())[int(request.query)](conn, number))
    for i, name in enumerate(cases):
        client = t.client(port)
        client.request('GET', f'/?{i}')
        try:
            response = client.response()
            equal(response.status, 502, name)
        except (Closed, ConnectionResetError):
            pass
        line = weir.access_line(query=str(i))
        ok(line['failure'] in ('response_invalid', 'response_cut'), f'{name}: {line}')
    for status in '204', '304':     # what stands behind their heads is nobody's
        weir, client, _ = of_http2(t, lambda conn, number, request: head(conn, number, [(':status', status), ('content-length', '0')]) + frame(DATA, END_STREAM, number, b'body'))
        for _ in range(2):
            equal(client.get('/').status, int(status))


def test_lengths_that_say_nothing(t):
    """Of 1xx and 204 they are left out, and harm nobody; of HEAD and 304 they tell what there would be."""
    def frames(conn, number, request):
        early = head(conn, number, [(':status', '103'), ('content-length', '7'), ('link', '</a>')])
        if request.path == '/204':
            return early + head(conn, number, [(':status', '204'), ('content-length', '5')], True)
        if request.path == '/304':
            return early + head(conn, number, [(':status', '304'), ('content-length', '5')], True)
        if request.method == 'HEAD':
            return early + head(conn, number, [(':status', '200'), ('content-length', '5')], True)
        return early + head(conn, number, [(':status', '200'), ('content-length', '4')]) + frame(DATA, END_STREAM, number, b'body')
    weir, client, port = of_http2(t, frames)
    for method, path, status, length in ('GET', '/', 200, '4'), ('HEAD', '/', 200, '5'), ('GET', '/204', 204, None), ('HEAD', '/204', 204, None), ('GET', '/304', 304, '5'):
        client.request(method, path)
        response = client.response(method)
        equal((response.status, response.fields.get('content-length')), (status, length), f'{method} {path}')
        equal([(i.status, i.fields.get('link'), 'content-length' in i.fields) for i in response.interim], [(103, '</a>', False)], f'{method} {path}')

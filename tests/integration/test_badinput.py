"""What each bad input gets: protocol.md's table, from clients and from servers."""
import threading, time

from weirtest import *

HOST = 'Host: test\r\n'
# name, bytes, status
BAD_REQUESTS = [
    ('no_request_line', 'hello\r\n\r\n', 400),
    ('http_0_9', 'GET /\r\n\r\n', 400),
    ('version_2', f'GET / HTTP/2.0\r\n{HOST}\r\n', 505),
    ('version_3', f'GET / HTTP/3.1\r\n{HOST}\r\n', 505),
    ('version_lower_case', f'GET / http/1.1\r\n{HOST}\r\n', 400),
    ('version_two_digits', f'GET / HTTP/1.10\r\n{HOST}\r\n', 400),
    ('two_spaces', f'GET  / HTTP/1.1\r\n{HOST}\r\n', 400),
    ('tab_for_space', f'GET\t/ HTTP/1.1\r\n{HOST}\r\n', 400),
    ('space_at_the_end', f'GET / HTTP/1.1 \r\n{HOST}\r\n', 400),
    ('bare_lf', f'GET / HTTP/1.1\n{HOST}\r\n', 400),
    ('bare_lf_in_field', 'GET / HTTP/1.1\r\nHost: test\nX: y\r\n\r\n', 400),
    ('bare_cr', 'GET / HTTP/1.1\r\nHost: te\rst\r\n\r\n', 400),
    ('nul', 'GET / HTTP/1.1\r\nHost: test\r\nX: a\0b\r\n\r\n', 400),
    ('control', 'GET / HTTP/1.1\r\nHost: test\r\nX: a\x01b\r\n\r\n', 400),
    ('folded', f'GET / HTTP/1.1\r\n{HOST}X: a\r\n b\r\n\r\n', 400),
    ('blank_before_first_field', f'GET / HTTP/1.1\r\n {HOST}\r\n', 400),
    ('blank_before_colon', f'GET / HTTP/1.1\r\n{HOST}X : y\r\n\r\n', 400),
    ('empty_name', f'GET / HTTP/1.1\r\n{HOST}: y\r\n\r\n', 400),
    ('name_not_a_token', f'GET / HTTP/1.1\r\n{HOST}X(y): z\r\n\r\n', 400),
    ('no_colon', f'GET / HTTP/1.1\r\n{HOST}Xyz\r\n\r\n', 400),
    ('no_host', 'GET / HTTP/1.1\r\n\r\n', 400),
    ('two_hosts', f'GET / HTTP/1.1\r\n{HOST}{HOST}\r\n', 400),
    ('bad_host', 'GET / HTTP/1.1\r\nHost: te st\r\n\r\n', 400),
    ('host_port', 'GET / HTTP/1.1\r\nHost: test:65536\r\n\r\n', 400),
    ('host_userinfo', 'GET / HTTP/1.1\r\nHost: me@test\r\n\r\n', 400),
    ('target_relative', f'GET a HTTP/1.1\r\n{HOST}\r\n', 400),
    ('target_fragment', f'GET /a#b HTTP/1.1\r\n{HOST}\r\n', 400),
    ('target_userinfo', f'GET http://me@test/ HTTP/1.1\r\n{HOST}\r\n', 400),
    ('target_scheme', f'GET ftp://test/ HTTP/1.1\r\n{HOST}\r\n', 400),
    ('target_asterisk', f'GET * HTTP/1.1\r\n{HOST}\r\n', 400),
    ('target_above_root', f'GET /a/../../b HTTP/1.1\r\n{HOST}\r\n', 400),
    ('target_encoded_above_root', f'GET /%2e%2e/b HTTP/1.1\r\n{HOST}\r\n', 400),
    ('target_encoded_slash_hides_dots', f'GET /a/..%2F..%2Fb HTTP/1.1\r\n{HOST}\r\n', 400),
    ('target_encoded_backslash', f'GET /a%5cb HTTP/1.1\r\n{HOST}\r\n', 400),
    ('target_encoded_nul', f'GET /a%00b HTTP/1.1\r\n{HOST}\r\n', 400),
    ('target_bad_percent', f'GET /a%zz HTTP/1.1\r\n{HOST}\r\n', 400),
    ('target_backslash', f'GET /a\\b HTTP/1.1\r\n{HOST}\r\n', 400),
    ('connect', 'CONNECT test:443 HTTP/1.1\r\nHost: test:443\r\n\r\n', 405),
    ('length_negative', f'POST / HTTP/1.1\r\n{HOST}Content-Length: -1\r\n\r\n', 400),
    ('length_plus', f'POST / HTTP/1.1\r\n{HOST}Content-Length: +1\r\n\r\nx', 400),
    ('length_empty', f'POST / HTTP/1.1\r\n{HOST}Content-Length:\r\n\r\n', 400),
    ('length_hex', f'POST / HTTP/1.1\r\n{HOST}Content-Length: 0x1\r\n\r\nx', 400),
    ('length_too_big', f'POST / HTTP/1.1\r\n{HOST}Content-Length: 9223372036854775808\r\n\r\n', 400),
    ('lengths_differ', f'POST / HTTP/1.1\r\n{HOST}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx', 400),
    ('length_list_differs', f'POST / HTTP/1.1\r\n{HOST}Content-Length: 1, 2\r\n\r\nxx', 400),
    ('length_and_chunked', f'POST / HTTP/1.1\r\n{HOST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400),
    ('coding_unknown', f'POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: gzip\r\n\r\n', 501),
    ('coding_list', f'POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n', 501),
    ('coding_twice', f'POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400),
    ('coding_chunked_chunked', f'POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n', 400),
    ('coding_empty', f'POST / HTTP/1.1\r\n{HOST}Transfer-Encoding:\r\n\r\n', 400),
    ('coding_in_1_0', f'POST / HTTP/1.0\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400),
    ('line_too_long', f'GET /{"a" * 9000} HTTP/1.1\r\n{HOST}\r\n', 414),
    ('field_too_long', f'GET / HTTP/1.1\r\n{HOST}X: {"a" * 17000}\r\n\r\n', 431),
    ('fields_too_many', f'GET / HTTP/1.1\r\n{HOST}' + 'X: y\r\n' * 101 + '\r\n', 431),
    ('two_empty_lines_first', f'\r\n\r\nGET / HTTP/1.1\r\n{HOST}\r\n', 400),
]
# bodies: the head is good, the body is not
BAD_BODIES = [
    ('chunk_size_empty', '\r\nabc\r\n0\r\n\r\n'), ('chunk_size_sign', '+3\r\nabc\r\n0\r\n\r\n'), ('chunk_size_0x', '0x3\r\nabc\r\n0\r\n\r\n'),
    ('chunk_size_blank', ' 3\r\nabc\r\n0\r\n\r\n'), ('chunk_size_long', '00000000000000003\r\nabc\r\n0\r\n\r\n'), ('chunk_size_overflow', 'FFFFFFFFFFFFFFFF\r\nabc'),
    ('chunk_bare_lf', '3\nabc\r\n0\r\n\r\n'), ('chunk_end', '3\r\nabcd\r\n0\r\n\r\n'), ('chunk_end_lf', '3\r\nabc\n0\r\n\r\n'),
    ('chunk_extension_control', '3;a\x01\r\nabc\r\n0\r\n\r\n'), ('chunk_extension_long', '3;' + 'a' * 20000 + '\r\nabc\r\n0\r\n\r\n'),
    ('trailer_bad', '3\r\nabc\r\n0\r\nX y\r\n\r\n'), ('trailer_bare_lf', '3\r\nabc\r\n0\r\nX: y\n\r\n'),
]


def test_requests(t):
    origin = t.origin()
    weir, port = t.simple(origin)
    wrong = []
    for name, text, status in BAD_REQUESTS:
        c = t.client(port)
        try:
            c.send(text)
            response = c.response()
            if response.status != status:
                wrong.append(f'{name}: {response.status} instead of {status}')
            elif not c.ended():
                wrong.append(f'{name}: {status}, but the connection stayed open')
            elif b'weir.yaml' in response.body or b'.c:' in response.body:
                wrong.append(f'{name}: the page tells too much: {response.body}')
        except (OSError, Closed, AssertionError) as error:
            wrong.append(f'{name}: {type(error).__name__} {error}')
        c.close()
    equal(wrong, [])
    equal(origin.count(), 0, 'requests that reached the server')
    expected = {'bad_request', 'bad_framing', 'bad_host', 'bad_target', 'method_refused', 'target_too_long', 'fields_too_large', 'coding_unknown', 'version_unknown'}
    eventually(lambda: expected <= {a.get('failure') for a in weir.access()})
    words = {a.get('failure') for a in weir.access()}
    ok(None not in words, f'a refusal without its name: {[a for a in weir.access() if not a.get("failure")]}')


def test_nothing_after_a_refusal_is_parsed(t):
    origin = t.origin()
    weir, port = t.simple(origin)
    for text in (f'GET / HTTP/1.1\r\n{HOST}X : y\r\n\r\n', f'POST / HTTP/1.1\r\n{HOST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'):
        c = t.client(port)
        c.send(text + f'GET /smuggled HTTP/1.1\r\n{HOST}\r\n')
        equal(c.response().status, 400)
        ok(c.ended())
    equal(origin.count(), 0)


def test_bodies(t):
    seen = []

    def handler(link, request):
        try:
            request.body()
            seen.append('whole')
        except (Closed, ConnectionResetError):
            seen.append('cut')
            raise
        link.answer(200, 'fine')
    origin = t.origin(handler)
    weir, port = t.simple(origin)
    wrong = []
    for name, text in BAD_BODIES:
        c = t.client(port)
        try:
            c.send(f'POST /{name} HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n', text)
            response = c.response()
            if response.status != 400:
                wrong.append(f'{name}: {response.status}')
            elif not c.ended():
                wrong.append(f'{name}: the connection stayed open')
        except (OSError, Closed, AssertionError) as error:
            wrong.append(f'{name}: {type(error).__name__} {error}')
        c.close()
    time.sleep(0.1)
    equal(wrong, [])
    ok('whole' not in seen, 'the server got a body whose end was made up')


def test_lenient_where_the_grammar_is(t):
    weir, port = t.simple()
    good = [f'\r\nGET / HTTP/1.1\r\n{HOST}\r\n', f'GET / HTTP/1.1\r\nhost:test\r\n\r\n', f'GET / HTTP/1.1\r\nHost: \t test \t\r\n\r\n', f'GET / HTTP/1.1\r\n{HOST}X:\r\n\r\n',
            f'POST / HTTP/1.1\r\n{HOST}Content-Length: 1\r\nContent-Length: 1\r\n\r\nx', f'POST / HTTP/1.1\r\n{HOST}Content-Length: 1, 1\r\n\r\nx',
            f'POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n', f'GET / HTTP/1.7\r\n{HOST}\r\n', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', f'GET /a%2Fb HTTP/1.1\r\n{HOST}\r\n']
    for text in good:
        c = t.client(port)
        c.send(text)
        equal(c.response().status, 200, repr(text))


def test_folded_names_are_dropped(t):
    weir, port = t.simple()
    told = t.client(port).get('/', [('X_Forwarded_For', '6.6.6.6'), ('Good-Name', 'y')]).json()
    names = {n.lower() for n, _ in told['fields']}
    ok('good-name' in names and 'x_forwarded_for' not in names, names)


def test_no_route(t):
    weir, port = t.simple(route='match: { path: /known/ }')
    c = t.client(port)
    response = c.get('/unknown')
    equal((response.status, weir.access_line(path='/unknown')['failure']), (404, 'no_route'))
    equal(c.get('/known/x').status, 200, 'the connection is kept')


def test_body_over_the_limit(t):
    origin = t.origin()
    weir, port = t.simple(origin, route='body_limit: 10KB')
    c = t.client(port)
    c.request('POST', '/', {'Content-Length': 10001})
    equal(c.response().status, 413)
    equal(origin.count(), 0)
    c = t.client(port)
    c.request('POST', '/', {'Transfer-Encoding': 'chunked'})
    c.send('8\r\n12345678\r\n' * 2000, '0\r\n\r\n')
    equal(c.response().status, 413)
    ok(c.ended())
    equal(weir.access_line(status=413)['failure'], 'body_too_large')
    c = t.client(port)
    c.request('POST', '/', (), b'x' * 10000)
    equal(c.response().status, 200, 'just as much as may be')


def test_slow_head(t):
    weir, port = t.simple(more='timeouts: { request_head: 500ms }')
    c = t.client(port)
    c.send('GET / HTTP/1.1\r\nHo')
    began = Since()
    equal(c.response().status, 408)
    began.took(0.3, 3)
    ok(c.ended())
    equal(weir.access_line(status=408)['failure'], 'head_timeout')


def test_slow_body(t):
    weir, port = t.simple(t.origin(lambda link, request: tell(link, request)), more='timeouts: { request_idle: 500ms }')
    c = t.client(port)
    c.request('POST', '/', {'Content-Length': 100})
    c.send('x')
    equal(c.response().status, 408)
    ok(c.ended())
    equal(weir.access_line(status=408)['failure'], 'body_timeout')


def test_idle_connection_ends_quietly(t):
    weir, port = t.simple(more='timeouts: { keep_alive: 400ms, request_head: 400ms }')
    c = t.client(port)
    c.get()
    ok(c.ended(3))
    fresh = t.client(port)
    ok(fresh.sock.recv(1000)[:12] in (b'', b'HTTP/1.1 408'))


def test_unreachable_server(t):
    gone = t.port()
    port = t.port()
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["127.0.0.1:{gone}"], fast_down: none }} }}
''')
    c = t.client(port)
    for path in ('/1', '/2'):
        response = c.get(path)
        equal(response.status, 502, path)
        line = weir.access_line(path=path)
        equal((line['failure'], line['failure_of']), ('connect_refused', 'server'))


def bad_response(t, text, failure='response_invalid', status=502, close=True):
    def handler(link, request):
        link.send(text)
        if close:
            time.sleep(0.05)
            link.close()
    weir, port = t.simple(t.origin(handler), pool='retry: { attempts: 0 }')
    c = t.client(port)
    response = c.get('/bad')
    equal((response.status, weir.access_line(path='/bad').get('failure')), (status, failure), repr(text[:60]))
    ok(c.quiet(), 'the connection of the client is kept')
    return response


def test_bad_responses(t):
    for text in ('garbage\r\n\r\n', 'HTTP/1.1 2x0 OK\r\n\r\n', 'HTTP/1.1 99 Low\r\n\r\n', 'HTTP/2 200\r\n\r\n', 'HTTP/1.1 200 OK\nX: y\n\n',
                 'HTTP/1.1 200 OK\r\nX y: z\r\nContent-Length: 0\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx',
                 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n',
                 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n', 'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n'):
        bad_response(t, text)


def test_response_head_too_large(t):
    bad_response(t, 'HTTP/1.1 200 OK\r\nX: ' + 'a' * 40000 + '\r\n\r\n', 'response_too_large')


def test_server_closes_without_an_answer(t):
    bad_response(t, '', 'server_closed')


def test_unasked_upgrade(t):
    bad_response(t, 'HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n', 'upgrade_invalid')


def test_server_too_slow(t):
    def handler(link, request):
        link.gone(5)
        link.close()
    weir, port = t.simple(t.origin(handler), pool='retry: { attempts: 0 }', more='timeouts: { response: 400ms }')
    c = t.client(port)
    response = c.get('/slow')
    equal((response.status, weir.access_line(path='/slow')['failure']), (504, 'response_timeout'))
    ok(c.quiet())


def test_hints_are_no_leave_to_send(t):
    """A client that waits for a 100 may leave its body out, whatever other interim response it got: its next bytes are not taken for one."""
    def handler(link, request):
        if request.method == 'POST':
            request._body = b''
            link.interim(103, [('Link', '</a>')])
            link.send('HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n')
            link.close()
        else:
            tell(link, request)
    weir, port = t.simple(t.origin(handler))
    c = t.client(port)
    c.send(f'POST /hints HTTP/1.1\r\n{HOST}Expect: 100-continue\r\nContent-Length: 500\r\n\r\n')
    equal(c.head().status, 103)
    response = c.response()
    equal((response.status, response.fields.get('connection')), (403, 'close'))
    ok(c.ended())


def test_no_linger(t):
    """linger: 0s is no time at all, and not one without end: who stays is closed on."""
    weir, port = t.simple(more='timeouts: { linger: 0s }')
    c = t.client(port)
    c.send('nonsense\r\n\r\n')
    equal(c.response().status, 400)

    def refused():
        try:
            c.send('more')
            return False
        except OSError:
            return True
    eventually(refused, PATIENCE, 'it is read on')


def test_server_takes_nothing_of_a_body(t):
    """It has the head and reads no further, so the client never comes to the end of its request."""
    over = threading.Event()
    t.later(over.set)
    weir, port = t.simple(t.origin(lambda link, request: over.wait(20 * SLOW)), more='timeouts: { response: 500ms }')
    size = 64 << 20
    c = t.client(port)

    def push():
        try:
            c.send(f'PUT /full HTTP/1.1\r\nHost: test\r\nContent-Length: {size}\r\n\r\n', b'y' * size)
        except OSError:
            pass
    threading.Thread(target=push, daemon=True).start()
    equal(c.response().status, 504)
    equal(weir.access_line(path='/full')['failure'], 'response_timeout')


def test_server_takes_a_body_slowly(t):
    """Each piece in time, all together not: it is not late."""
    def handler(link, request):
        for _ in range(24):
            link.reader.exactly(1 << 20)
            time.sleep(0.1)
        request._body = b''
        link.answer(200, b'all')
    weir, port = t.simple(t.origin(handler), more='timeouts: { response: 1s }')
    c = t.client(port, timeout=30)
    c.send(f'PUT /slow HTTP/1.1\r\nHost: test\r\nContent-Length: {24 << 20}\r\n\r\n', b'y' * (24 << 20))
    equal(c.response().status, 200)


def test_server_stalls_in_its_body(t):
    def handler(link, request):
        link.send('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')
        link.gone(5)
        link.close()
    weir, port = t.simple(t.origin(handler), more='timeouts: { response_idle: 400ms }')
    c = t.client(port)
    try:
        fail(f'it looked whole: {c.get("/stall")}')
    except (Closed, ConnectionResetError):
        pass
    equal(weir.access_line(path='/stall')['failure'], 'response_stalled')


def test_whole_request_too_long(t):
    def handler(link, request):
        link.send('HTTP/1.1 103 Early Hints\r\n\r\n')
        link.gone(5)
        link.close()
    weir, port = t.simple(t.origin(handler), route='timeout: 500ms')
    equal(t.client(port).get('/long').status, 504)
    equal(weir.access_line(path='/long')['failure'], 'request_timeout')


def test_error_page(t):
    port = t.port()
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ match: {{ path: /x }}, pool: p }} ]
pools: {{ p: {{ servers: ["127.0.0.1:{t.port()}"] }} }}
''')
    text = t.client(port).get('/nothing')
    identity = weir.access_line(path='/nothing')['id']
    contains(text.body.decode(), identity)
    contains(text.fields.get('content-type'), 'text/plain')
    page = t.client(port).get('/x', {'Accept': 'application/json'})
    equal((page.json()['status'], 'application/json' in page.fields.get('content-type')), (page.status, True))
    for accept, wanted in (('application/json;q=0', 'text'), ('text/html, application/json;q=0.0', 'text'), ('application/json;q=0.5, text/plain', 'text'), ('application/json;q=0.5, */*', 'text'),
                           ('*/*', 'text'), ('text/html,application/xhtml+xml,*/*;q=0.8', 'text'), ('application/json, text/plain, */*', 'application'), ('text/html, APPLICATION/JSON;q=0.9', 'application'),
                           ('text/plain;q=0.1, application/*', 'application'), ('application/json;q=0.2, */*;q=0.1', 'application')):
        page = t.client(port).get('/x', {'Accept': accept})
        equal(page.fields.get('content-type').split('/')[0], wanted, accept)
    ok('127.0.0.1' not in page.body.decode(), page.body)


def test_http_on_a_tls_port(t):
    weir, port = t.simple(listener=f'tls: {{ certificates: [{t.cert("localhost")}] }}')
    c = t.client(port)
    c.request()
    response = c.response()
    equal(response.status, 400)
    contains(response.body.decode().lower(), 'https')
    ok(c.ended())


def test_tls_on_a_plain_port(t):
    weir, port = t.simple()
    c = t.client(port)
    c.send(b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + bytes(range(64)))
    c.finish()
    ok(c.sock.recv(1000)[:5] in (b'', b'HTTP/'))


def test_lingering_close_lets_the_answer_through(t):
    weir, port = t.simple(route='body_limit: 1KB')
    for _ in range(5):
        c = t.client(port)
        c.request('POST', '/', {'Content-Length': 4000000})
        try:
            for _ in range(40):
                c.send(b'x' * 100000)
        except (BrokenPipeError, ConnectionResetError):
            pass
        equal(c.response().status, 413)

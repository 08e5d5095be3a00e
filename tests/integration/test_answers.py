"""What servers answer, as clients get it: what is missing is added, what harms nobody is borne with, and what a proxy has to tell is told."""
import datetime, email.utils, re

from h2test import *


def raw(t, answers, route='', more=''):
    """A server that sends the bytes of answers[path], and a weir before it."""
    def handler(link, request):
        request.body()
        link.send(answers[request.path])
    origin = t.origin(handler)
    weir, port = t.simple(origin, route=route, more=more)
    return weir, port, origin


def test_date(t):
    """RFC 9110 6.6.1: a response without a Date gets one when it comes; a server's own stays, and what the file removes is removed."""
    def handler(link, request):
        request.body()
        link.answer(int(request.path[1:4]), b'', [('Date', 'Sat, 01 Jan 2000 00:00:00 GMT')] if 'own' in request.path else [])
    for x in crossings(t, handler, pairs=FOUR):
        for status in 200, 204, 304, 404, 503:
            before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=2)
            dates = x.ask('GET', f'/{status}').fields.all('date')
            equal(len(dates), 1, f'{x} {status}')
            ok(re.fullmatch(r'(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT', dates[0]), dates)
            between(email.utils.parsedate_to_datetime(dates[0]), before, datetime.datetime.now(datetime.timezone.utc), f'{x} {status}')
            equal(x.ask('GET', f'/{status}-own').fields.all('date'), ['Sat, 01 Jan 2000 00:00:00 GMT'], f'{x} {status}')
    x, = crossings(t, handler, pairs=(('h1', 'h1'),), route='response: { headers: { remove: [Date] } }')
    equal(x.ask('GET', '/200').fields.all('date'), [])


def test_date_of_weirs_own_answers(t):
    port = t.port()
    t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ match: {{ path: /r }}, redirect: "https://a.test/" }}, {{ match: {{ path: /f }}, respond: 200 }} ]
''')
    for target in '/r', '/f', '/none', '/..':
        c = t.client(port)
        equal(len(c.get(target).fields.all('date')), 1, target)


def test_max_forwards(t):
    """RFC 9110 7.6.2: OPTIONS and TRACE are counted down, and answered here at 0; other methods' count goes on as it is."""
    for x in crossings(t, pairs=FOUR):
        for value, on in ('1', '0'), ('5', '4'), ('010', '9'), ('99999999999999999999', None):
            count = x.origin.count()
            got = x.ask('OPTIONS', '/', [('Max-Forwards', value)])
            equal((got.status, x.origin.count()), (200, count + 1), f'{x} {value}')
            arrived = x.origin.requests[-1].fields.all('max-forwards')
            ok(arrived == [on] or (on is None and len(arrived) == 1 and 0 < int(arrived[0]) < int(value)), f'{x} {value}: {arrived}')
        count = x.origin.count()
        got = x.ask('OPTIONS', '/', [('Max-Forwards', '0')])
        equal((got.status, got.body, 'OPTIONS' in got.fields.get('allow', '')), (204, b'', True), x.name)
        got = x.ask('TRACE', '/', [('Max-Forwards', '0'), ('Cookie', 'secret=1')])
        equal((got.status, b'secret' in got.body, 'allow' in got.fields), (405, False, True), x.name)
        for value in ['x'], ['-1'], ['1', '2'], ['']:
            equal(x.ask('OPTIONS', '/', [('Max-Forwards', v) for v in value]).status, 400, f'{x} {value}')
        equal(x.origin.count(), count, x.name)
        equal(x.ask('TRACE', '/', [('Max-Forwards', '3')]).status, 200)
        equal(x.origin.requests[-1].fields.get('max-forwards'), '2')
        for method in 'GET', 'POST':
            equal(x.ask(method, '/', [('Max-Forwards', '0')]).status, 200)
            equal(x.origin.requests[-1].fields.get('max-forwards'), '0')


def test_upgrade_required(t):
    """A 426 says to what; clients of HTTP/2 know no such field."""
    def handler(link, request):
        request.body()
        link.answer(426, b'no', [('Connection', 'Upgrade'), ('Upgrade', 'TLS/1.3, websocket')] if not isinstance(link, H2Link) else [])
    for x in crossings(t, handler, pairs=(('h1', 'h1'), ('h2c', 'h1'))):
        got = x.ask('GET', '/')
        equal((got.status, got.body), (426, b'no'))
        equal((got.fields.get('upgrade'), got.fields.get('connection')), (None, None) if x.two_in else ('TLS/1.3, websocket', 'upgrade'), x.name)
    x, = crossings(t, handler, pairs=(('h1', 'h1'),), more='timeouts: { keep_alive: 0s }')
    equal(sorted(v for n, v in x.ask('GET', '/').fields if n.lower() == 'connection'), ['close', 'upgrade'])


def test_what_old_servers_send(t):
    """An empty line before the status line, sizes of chunks filled up with blanks, a blank before a colon: borne with, and sent on as it should be."""
    big = 'x' * 4000
    answers = {
        '/line': '\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
        '/lines': '\r\nHTTP/1.1 103 Early\r\n\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
        '/chunks': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1   \r\no\r\n1\t; x\r\nk\r\n 0\r\n\r\n',
        '/many': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n' + 3000 * f'fa0           \r\n{big}\r\n' + '0  \r\n\r\n',
        '/colon': 'HTTP/1.1 200 OK\r\nContent-Length : 2\r\nX-A\t : 1\r\n\r\nok',
        '/coding': 'HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n2\r\nok\r\n0\r\nX-B : 2\r\n\r\n',
    }
    for x in crossings(t, lambda link, request: link.send(answers[request.path]), pairs=(('h1', 'h1'), ('h2c', 'h1')), more='workers: 1'):
        for path in answers:
            got = x.ask('GET', path)
            equal((got.status, len(got.body)), (200, 3000 * 4000 if path == '/many' else 2), f'{x} {path}')
            equal(got.fields.get('x-a'), '1' if path == '/colon' else None)
            equal(got.trailers.get('x-b'), '2' if path == '/coding' else None)
        equal(len({r.link.number for r in x.origin.requests}), 1, f'{x}: connections are kept')
        x.origin.requests.clear()


def test_statuses_nobody_knows(t):
    """Of three digits from 100 on, over both versions alike: some sites have their own (999)."""
    def handler(link, request):
        request.body()
        link.answer(int(request.path[1:]), b'body')
    for x in crossings(t, handler, pairs=FOUR):
        for status in 299, 499, 599, 600, 777, 999:
            got = x.ask('GET', f'/{status}')
            equal((got.status, got.body), (status, b'body'), f'{x} {status}')


def test_what_no_server_may_send(t):
    """Lines that end in LF alone, two empty lines, more blanks than padding, blanks inside a size: two readers could read them in two ways."""
    chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
    answers = {f'/{i}': a for i, a in enumerate([
        'HTTP/1.1 200 OK\nContent-Length: 2\n\nok', 'HTTP/1.1 200 OK\r\nX: y\nContent-Length: 2\r\n\r\nok', '\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
        '\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', 'HTTP/1.1 200 OK\r\n X: y\r\nContent-Length: 2\r\n\r\nok',
        'HTTP/1.1 200 OK\r\nContent Length: 2\r\n\r\nok', 'HTTP/1.1 200 OK\r\n: 2\r\n\r\nok', 'HTTP/1.1 200 OK\r\n \t: 2\r\n\r\nok'])}
    bodies = {f'/b{i}': chunked + a for i, a in enumerate(['2\nok\r\n0\r\n\r\n', '2' + 40 * ' ' + '\r\nok\r\n0\r\n\r\n', '0 2\r\nok\r\n0\r\n\r\n', '2\r\nok\n0\r\n\r\n'])}
    weir, port, origin = raw(t, {**answers, **bodies}, more='limits: {}')
    for path in answers:
        equal(t.client(port).get(path).status, 502, answers[path])
        equal(weir.access_line(path=path)['failure'], 'response_invalid')
    for path in bodies:
        c = t.client(port)
        try:
            ok(c.get(path).status == 502, bodies[path])
        except Closed:
            pass
        ok(weir.access_line(path=path)['failure'] in ('response_cut', 'response_invalid'), bodies[path])


def test_clients_are_not_borne_with(t):
    """The same of a client, who may mean it to be read in two ways, is refused."""
    origin = t.origin()
    weir, port = t.simple(origin)
    post = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'
    for text in ('GET / HTTP/1.1\r\nHost : a\r\n\r\n', 'GET / HTTP/1.1\r\nHost: a\r\nX\t: y\r\n\r\n', 'GET / HTTP/1.1\nHost: a\n\n', post + '2 \r\nok\r\n0\r\n\r\n',
                 post + ' 2\r\nok\r\n0\r\n\r\n', post + '0\r\nX : y\r\n\r\n'):
        c = t.client(port)
        c.send(text)
        equal(c.response().status, 400, text)


def test_trailers_only_of_grpc(t):
    """They are the server's, all of them: no Content-Length, Via or Date comes in; a head that a body follows gets its Via and Date."""
    def handler(link, request):
        request.body()
        if request.path == '/s.S/Fails':
            link.begin(200, [('content-type', 'application/grpc'), ('grpc-status', '5'), ('grpc-message', 'none')], end=True)
        else:
            link.begin(200, [('content-type', 'application/grpc')])
            link.piece(b'\0\0\0\0\0')
            link.end([('grpc-status', '0')])
    for x in crossings(t, handler, pairs=(('h2c', 'h2c'), ('h2', 'h2'))):
        grpc = [('content-type', 'application/grpc'), ('te', 'trailers')]
        got = x.ask('POST', '/s.S/Fails', grpc, b'\0\0\0\0\0', length=False)
        equal(sorted(n for n, _ in got.fields), ['content-type', 'grpc-message', 'grpc-status', 'x-origin'], x.name)
        got = x.ask('POST', '/s.S/Works', grpc, b'\0\0\0\0\0', length=False)
        equal(sorted(n for n, _ in got.fields), ['content-type', 'date', 'via', 'x-origin'], x.name)
        equal([n for n, _ in got.trailers], ['grpc-status'], x.name)


def test_heads_that_end_a_message_over_http_2(t):
    """END_STREAM says that nothing follows; a length is told where the server told one."""
    def handler(link, request):
        link.answer(404, b'', length=request.path == '/length') if isinstance(link, H2Link) else link.answer(404, b'')
    for x in crossings(t, handler, pairs=(('h2c', 'h2c'), ('h1', 'h2c'), ('h2c', 'h1'))):
        equal(x.ask('GET', '/length').fields.get('content-length'), '0', x.name)
        equal(x.ask('GET', '/none').fields.get('content-length'), '0' if 'h1' in x.name else None, x.name)


def test_edits_hold_for_every_head_of_an_answer(t):
    """What a route removes or sets comes in no 1xx either, and a 101 is an answer as any: with its edits, cookies, limits, Via and Date."""
    secret = [('X-Removed', 'secret'), ('X-Set', 'server'), ('Link', '</a>')]

    def handler(link, request):
        request._body = b''
        link.interim(103, secret)
        if 'sec-websocket-version' not in request.fields:
            link.answer(200, 'ok', secret)
        elif isinstance(link, H2Link):
            link.begin(200, secret)
        else:
            accept = Websocket.accept(request.fields.get('sec-websocket-key'))
            link.send('HTTP/1.1 101 On\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' f'Sec-WebSocket-Accept: {accept}\r\nX-Removed: secret\r\nX-Set: server\r\nLink: </a>\r\n\r\n')
    for x in crossings(t, handler, pairs=FOUR, settings={ENABLE_CONNECT_PROTOCOL: 1}, more='rate_limits: { many: { rate: 1000/s } }',
                       route='rate_limit: many, response: { headers: { remove: [X-Removed], set: { X-Set: weir }, add: { X-More: "of ${status}" } } }'):
        for websocket in False, True:
            client = x.connect()
            if not websocket:
                got = x.ask('GET', '/', client=client)
            elif x.two_in:
                stream = client.request('CONNECT', '/', [('sec-websocket-version', '13')], host=x.host, open=True, pseudo=[(':protocol', 'websocket')])
                got = stream.head()
            else:
                client.request('GET', '/', [('Connection', 'Upgrade'), ('Upgrade', 'websocket'), ('Sec-WebSocket-Key', Websocket.KEY), ('Sec-WebSocket-Version', '13')], host=x.host)
                got = client.response()
            case = f'{x} {"WebSocket" if websocket else "GET"}'
            early, = got.interim
            equal([(n.lower(), v) for n, v in early.fields if n.lower() in ('x-removed', 'x-set', 'link')], [('link', '</a>')], case)
            equal((got.fields.get('x-removed'), got.fields.all('x-set'), got.fields.get('link')), (None, ['weir'], '</a>'), case)
            equal(got.fields.get('x-more'), 'of 101' if websocket else 'of 200', case)
            ok('ratelimit' in got.fields and 'via' in got.fields and 'date' in got.fields, f'{case}: {got.fields}')
            (client.close if x.two_in else client.reset)()
            ok(x.weir.access_line(status=101 if websocket else 200, route=x.back, protocol='HTTP/2' if x.two_in else 'HTTP/1.1')['first_byte_ms'] >= 0)


def test_a_websocket_is_told_its_split(t):
    """Who begins with a WebSocket would else be drawn anew by the next request."""
    def handler(link, request):
        request._body = b''
        link.send('HTTP/1.1 101 On\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
                  f'Sec-WebSocket-Accept: {Websocket.accept(request.fields.get("sec-websocket-key"))}\r\n\r\n')
    one, port = t.origin(handler), t.port()
    t.weir(f'''listeners: ["127.0.0.1:{port}"]
routes: [ {{ pool: [a, b], split: {{ cookie: variant }} }} ]
pools: {{ a: {{ servers: "{one.address}" }}, b: {{ servers: "{one.address}" }} }}
''')
    ok(t.websocket(port).upgrade().fields.get('set-cookie', '').startswith('variant='))


def test_statuses_without_a_class(t):
    """600 to 999, which clients take for 5xx (RFC 9110 15), pass over either version."""
    for x in crossings(t, lambda link, request: link.answer(int(request.path[1:]), 'odd'), pairs=FOUR):
        for status in 600, 999:
            got = x.ask('GET', f'/{status}')
            equal((got.status, got.body), (status, b'odd'), x.name)

"""One reading of what comes: hosts, methods and fields that have one value, over both versions of HTTP; what is matched is what is sent and logged."""
import random, time

from h2test import *


def both(t, more='', routes='  - { name: all, pool: p }', handler=None, extra=''):
    """A weir for HTTP/1.1 and HTTP/2 before a server that tells, and what asks it: ask(method, target, fields, host) by version."""
    origin, port = t.origin(handler) if handler else t.origin(), t.port()
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}", protocols: [h2c, http/1.1] }} ]
{more}
routes:
{routes}
pools: {{ p: {{ servers: ["{origin.address}"]{extra} }} }}
''')

    def ask1(method='GET', target='/', fields=(), host='test', body=None):
        c = t.client(port)
        c.request(method, target, fields, body, host=host)
        return c.response(method)

    def ask2(method='GET', target='/', fields=(), host='test', body=None):
        c = H2Client(port)
        t.later(c.close)
        stream = c.request(method, target, fields, body, host=host)
        try:
            return stream.response()
        except Reset as reset:
            response = Response()
            response.status = 400 if reset.code == PROTOCOL_ERROR else reset.code
            return response
    return weir, origin, {'HTTP/1.1': ask1, 'HTTP/2': ask2}


def test_a_host_has_one_form(t):
    """Matched, sent, told to servers and logged alike."""
    weir, origin, asks = both(t, routes='''  - { name: six, match: { host: "[0:0::1]" }, response: { headers: { set: { X-Route: six } } }, pool: p }
  - { name: wild, match: { host: "*.a.test" }, response: { headers: { set: { X-Route: wild } } }, pool: p }
  - { name: a, match: { host: A.Test. }, response: { headers: { set: { X-Route: a } } }, pool: p }
  - { name: rest, response: { headers: { set: { X-Route: rest } } }, pool: p }''')
    for version, ask in asks.items():
        for number, (host, sent, route) in enumerate((('a.test', 'a.test', 'a'), ('A.TEST', 'a.test', 'a'), ('a.test.', 'a.test', 'a'), ('A.test.:080', 'a.test:80', 'a'), ('a.test:', 'a.test', 'a'),
                                  ('B.a.test', 'b.a.test', 'wild'), ('b_c.a.test.:1', 'b_c.a.test:1', 'wild'), ('[::1]', '[::1]', 'six'), ('[0:0:0:0:0:0:0:1]:8080', '[::1]:8080', 'six'),
                                  ('[::0001]', '[::1]', 'six'), ('[::2]', '[::2]', 'rest'), ('[::FFFF:1.2.3.4]', '[::ffff:1.2.3.4]', 'rest'))):
            response = ask(host=host, target=f'/{version[-1]}{number}')
            equal((response.status, response.fields.get('x-route')), (200, route), str((version, host)))
            got = Fields(response.json()['fields'])
            equal((got.get('host'), got.get('x-forwarded-host')), (sent, sent), str((version, host)))
            contains(got.get('forwarded'), f'host="{sent}"')
            name = sent.partition(']')[0][1:] if sent.startswith('[') else sent.partition(':')[0]
            equal(weir.access_line(path=f'/{version[-1]}{number}')['host'], name, f'{version} {host}')
        for host in ('a.test..', '.a.test', 'a..test', '.', '..', 'a..', '.:80', 'b..a.test:80', '[::1].', '[::1', '[fe80::1%25eth0]', '[]', 'a.test:65536', 'a.test:8a'):
            before = origin.count()
            equal(ask(host=host).status, 400, str((version, host)))
            equal(origin.count(), before, 'what reached the server')
    ok(weir.access_line(failure='bad_host'))
    c = t.client(weir_port(weir))
    equal(c.get('http://[0::1]:80/x', host='other').fields.get('x-route'), 'six', 'of an absolute target')
    equal(t.client(weir_port(weir)).get('http://a..test/x').status, 400)


def weir_port(weir):
    return int(open(weir.file).read().split('127.0.0.1:')[1].split('"')[0])


def test_a_known_method_is_in_capitals(t):
    """`delete` is another method than DELETE to HTTP, and the same to Werkzeug and others: no rule on DELETE is passed by with it."""
    routes = '  - { match: { methods: [DELETE, SYNC] }, respond: 403 }\n  - { name: all, pool: p }'
    weir, origin, asks = both(t, routes=routes)
    for version, ask in asks.items():
        for method in ('delete', 'Delete', 'dELETE', 'get', 'post', 'Head', 'propfind', 'Lock', 'connect', 'options', 'patch', 'trace'):
            equal(ask(method).status, 400, str((version, method)))
        equal(origin.count(), 0)
        for method, status in (('DELETE', 403), ('SYNC', 403), ('sync', 403), ('PURGE', 200), ('purge', 200), ('Odd', 200), ('x!y~', 200), ('DELETED', 200)):
            response = ask(method)
            equal(response.status, status, str((version, method)))
            equal(status != 200 or response.json()['method'], method if status == 200 else True)
        origin.requests.clear()
    equal(weir.access_line(failure='bad_method')['status'], 400)
    weir, origin, asks = both(t, routes=routes, more='limits: { lower_case_methods: true }')
    for version, ask in asks.items():
        equal([ask(method).status for method in ('delete', 'Delete', 'get', 'patch')], [403, 403, 200, 200], 'rules hold without case')
    done = t.run('check', '-c', t.file('m.yaml', 'listeners: ":1"\nroutes: [ { match: { methods: [sync, x-Y] }, respond: 200 } ]\n'))
    for part in ('methods are in capitals: SYNC', 'methods are in capitals: X-Y'):
        contains(done.stderr, part)


def test_what_has_one_value_comes_once(t):
    weir, origin, asks = both(t)
    for version, ask in asks.items():
        for name, values in (('Authorization', ('Basic YTph', 'Basic YjpI')), ('Content-Type', ('text/html', 'application/json')), ('Content-Type', ('a/b', 'a/b')), ('Range', ('bytes=0-1', 'bytes=2-')),
                             ('Content-Range', ('bytes 0-1/5', 'bytes 1-1/5')), ('Origin', ('https://a.test', 'https://b.test')), ('grpc-timeout', ('1S', '9H')),
                             ('Sec-WebSocket-Key', ('dGhlIHNhbXBsZSBub25jZQ==', 'AAAAAAAAAAAAAAAAAAAAAA==')), ('Sec-WebSocket-Version', ('13', '8'))):
            fields = [(name.lower(), values[0]), ('x-between', 'a'), (name.lower(), values[1])]
            equal(ask('GET', '/', fields).status, 400, str((version, name)))
            equal(origin.count(), 0, str((version, name)))
        for name in ('Accept', 'Cache-Control', 'Via', 'X-Own', 'If-None-Match', 'Accept-Encoding', 'Cookie'):
            equal(ask('GET', '/', [(name.lower(), 'a=b'), (name.lower(), 'c=d')]).status, 200, str((version, name)))
        origin.requests.clear()
    ok(weir.access_line(failure='field_repeated'))


def test_no_upgrade_has_two_keys(t):
    """Neither the request nor the answer: who reads the first key and who reads the last would not agree on the tunnel."""
    keys = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
    accept = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='

    def handler(link, request):
        link.send('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n' + ''.join(f'Sec-WebSocket-Accept: {v}\r\n' for v in request.fields.all('x-accept')) + '\r\n')
    origin = t.origin(handler)
    weir, port = t.simple(origin)
    for first, second, values, status in ((keys, '', [accept], 101), (keys, keys, [accept], 400), (keys, keys.replace('dGhl', 'AAAA'), [accept], 400), (keys, '', [accept, accept], 502),
                                          (keys, '', ['x', accept], 502), (keys, '', [accept, 'x'], 502)):
        c = t.client(port)
        c.send('GET / HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' + first + second
               + ''.join(f'X-Accept: {v}\r\n' for v in values) + '\r\n')
        equal(c.response().status, status, (first, second, values))
    equal(origin.count(), 4)


def test_trailer_goes_where_trailers_can(t):
    """Trailer announces what comes behind chunks: no other framing has a place for it."""
    def handler(link, request):
        request.body()
        if 'length' in request.target:
            link.answer(200, b'abc', [('Trailer', 'X-End'), ('X-Last', 'b')])
        else:
            link.begin(200, [('Trailer', 'X-End'), ('X-Last', 'b')])
            link.piece(b'abc')
            link.end([('X-End', 'c')])
    weir, origin, asks = both(t, handler=handler)
    port = weir_port(weir)
    for version, target, kept in (('1.1', '/', True), ('1.0', '/', False), ('1.1', '/length', False), ('1.0', '/length', False)):
        c = t.client(port)
        c.request('GET', target, [('TE', 'trailers'), ('Connection', 'TE, close')], version=version)
        response = c.response()
        equal((response.body, 'trailer' in response.fields, response.fields.get('x-last'), response.trailers.get('x-end')), (b'abc', kept, 'b', 'c' if kept else None), str((version, target)))
    response = asks['HTTP/2']()
    equal((response.fields.get('trailer'), response.trailers.get('x-end')), ('X-End', 'c'))
    c = t.client(port)
    c.send('POST /a HTTP/1.1\r\nHost: test\r\nTrailer: X-A\r\nX-B: 1\r\nContent-Length: 3\r\n\r\nabc')
    c.response()
    equal((origin.last('/a').fields.get('trailer'), origin.last('/a').fields.get('x-b')), (None, '1'))
    c.send('POST /b HTTP/1.1\r\nHost: test\r\nTrailer: X-A\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-A: d\r\n\r\n')
    c.response()
    equal(origin.last('/b').fields.get('trailer'), 'X-A')


def test_max_forwards_is_counted_down(t):
    weir, origin, asks = both(t)
    for version, ask in asks.items():
        for method in ('OPTIONS', 'TRACE'):
            response = ask(method, '/', [('max-forwards', '0')])
            equal((response.status, response.fields.get('allow')), (204 if method == 'OPTIONS' else 405, 'GET, HEAD, OPTIONS'), str((version, method)))
            equal(origin.count(), 0, str((version, method)))
            for value, sent in (('1', '0'), ('010', '9'), ('4', '3')):
                equal(Fields(ask(method, '/', [('max-forwards', value)]).json()['fields']).get('max-forwards'), sent, str((version, method, value)))
            origin.requests.clear()
            for values in (['-1'], ['+1'], ['1, 2'], [''], ['1', '1'], ['0x1'], ['a']):
                equal(ask(method, '/', [('max-forwards', v) for v in values]).status, 400, str((version, method, values)))
            equal(origin.count(), 0, str((version, method)))
        equal(Fields(ask('GET', '/', [('max-forwards', '0')]).json()['fields']).get('max-forwards'), '0', 'says nothing of other methods')
        origin.requests.clear()


def test_what_a_template_makes_is_what_it_is_meant_for(t):
    """No value of a request reaches out of its place: into the host of a redirect, or from a path to another host."""
    weir, origin, asks = both(t, more='log: { level: info }', routes='''  - { name: query-path, match: { path: /qp }, redirect: { path: "${request.query}" } }
  - { name: header-path, match: { path: /hp }, redirect: { path: "/x${request.header.x-p}" } }
  - { name: host-x, match: { path: /hx }, redirect: { host: "${request.host}.x" } }
  - { name: host-header, match: { path: /hh }, redirect: { host: "${request.header.x-h}", path: /y } }
  - { name: host-port, match: { path: /hq }, redirect: { host: "${request.header.x-h}", port: 81, path: /y } }
  - { name: to-any, match: { path: /ta }, redirect: "${request.header.x-t}" }
  - { name: to-path, match: { path: /tp }, redirect: "/${request.query}" }
  - { name: to-tenant, match: { path: /tt }, redirect: "https://${request.header.x-h}.a.test/z" }
  - { name: to-scheme, match: { path: /ts }, redirect: "${request.scheme}://www.${request.host}${request.uri}" }
  - { name: to-app, match: { path: /tx }, redirect: "myapp://login?from=${request.path}" }
  - { name: rewrite-path, match: { path: /rp }, rewrite: { path: "${request.header.x-p}" }, pool: p }
  - { name: rewrite-host, match: { path: /rh }, rewrite: { host: "${request.header.x-h}" }, pool: p }
  - { name: strip, match: { path: /api/ }, rewrite: { strip_prefix: /api }, pool: p }
  - { name: strip-as-is, match: { path: /raw/ }, paths: { slashes: as_is }, rewrite: { strip_prefix: /raw }, pool: p }
  - { name: regex, match: { path: "~^/re/" }, rewrite: { regex: "^/re", replacement: "" }, pool: p }
  - { name: regex-rest, match: { path: "~^/rx/" }, rewrite: { regex: "^/rx/(.*)$", replacement: "/$1" }, pool: p }
  - { name: regex-as-is, match: { path: /rw/ }, paths: { slashes: as_is }, rewrite: { regex: "^/rw/(.*)$", replacement: "/$1" }, pool: p }
  - { name: regex-merged, match: { path: /rm/ }, paths: { slashes: merged }, rewrite: { regex: "^/rm", replacement: "" }, pool: p }
  - { name: location, match: { path: /lo }, respond: { status: 302, headers: { Location: "/${request.header.x-p}" } } }
  - { name: location-set, match: { path: /ls }, response: { headers: { set: { Location: "${request.header.x-t}", X-Set: "1" } } }, pool: p }''')
    for version, ask in asks.items():
        for target, fields, wanted in (
                ('/qp?.evil.com/', {}, 500), ('/qp?@evil.com', {}, 500), ('/qp?:80/', {}, 500), ('/qp', {}, 'http://test/'), ('/qp?/a', {}, 'http://test/a'), ('/qp?//evil.com', {}, 'http://test//evil.com'),
                ('/qp?/\\evil.com', {}, 500), ('/hp', {'x-p': '\\evil'}, 500), ('/hp', {'x-p': 'a b'}, 500), ('/hp', {'x-p': '\xe9'}, 500), ('/hp', {'x-p': '?a#b'}, 'http://test/x?a#b'), ('/hp', {}, 'http://test/x'),
                ('/hx', {}, 'http://test.x/hx'), ('/hx', {'host': '[::1]'}, 500), ('/hx', {'host': 'test.'}, 'http://test.x/hx'),
                ('/hh', {'x-h': 'a.test:8443'}, 'http://a.test:8443/y'), ('/hh', {'x-h': '::1'}, 'http://[::1]/y'), ('/hh', {'x-h': '[::1]:1'}, 'http://[::1]:1/y'), ('/hh', {}, 500),
                ('/hh', {'x-h': 'a.test/evil'}, 500), ('/hh', {'x-h': 'me@evil.com'}, 500), ('/hh', {'x-h': 'a..b'}, 500), ('/hh', {'x-h': 'a?b'}, 500), ('/hh', {'x-h': 'a\\b'}, 500), ('/hq', {'x-h': 'a.test'}, 'http://a.test:81/y'),
                ('/hq', {'x-h': 'a.test:8443'}, 500),
                ('/ta', {'x-t': '/a?b'}, '/a?b'), ('/ta', {'x-t': '//evil.com'}, '/.//evil.com'), ('/ta', {'x-t': '/\\evil.com'}, 500), ('/ta', {'x-t': '/\t/evil.com'}, 500), ('/ta', {'x-t': '/a\\b'}, 500),
                ('/ta', {'x-t': 'javascript:alert(1)'}, 500), ('/ta', {'x-t': 'data://a/b'}, 500), ('/ta', {'x-t': 'evil.com'}, 500), ('/ta', {'x-t': '?a'}, 500), ('/ta', {}, 500),
                ('/ta', {'x-t': 'https://b.test/x?y#z'}, 'https://b.test/x?y#z'), ('/ta', {'x-t': 'HTTPS://b.test'}, 'HTTPS://b.test'), ('/ta', {'x-t': 'https://a@b.test/'}, 500), ('/ta', {'x-t': 'https:///a'}, 500),
                ('/ta', {'x-t': 'https://b.test:99999/'}, 500), ('/ta', {'x-t': 'https:\\\\b.test'}, 500), ('/ta', {'x-t': 'https://b.test\\@c.test/'}, 500),
                ('/tp?/evil.com', {}, '/.//evil.com'), ('/tp?\\evil.com', {}, 500), ('/tp?a', {}, '/a'),
                ('/tt', {'x-h': 'one'}, 'https://one.a.test/z'), ('/tt', {'x-h': 'evil.com/'}, 500), ('/tt', {'x-h': 'evil.com#'}, 500), ('/tt', {'x-h': 'evil.com\\'}, 500), ('/tt', {'x-h': 'a@evil.com:80#@'}, 500), ('/tt', {}, 500),
                ('/ts?a', {}, 'http://www.test/ts?a'), ('/ts', {'host': '[::1]'}, 500), ('/tx', {}, 'myapp://login?from=/tx'),
                ('/rp', {'x-p': '/a'}, ('/a', 'test')), ('/rp', {'x-p': 'a'}, 500), ('/rp', {'x-p': '//evil/x'}, ('/evil/x', 'test')), ('/rp', {'x-p': '//'}, ('/', 'test')), ('/rp', {'x-p': '/a b'}, 500), ('/rp', {'x-p': '/a?b'}, 500), ('/rp', {}, ('/', 'test')), ('/rp', {'x-p': '*'}, 500),
                ('/rh', {'x-h': 'B.test.:080'}, ('/rh', 'b.test:80')), ('/rh', {'x-h': '[0::1]'}, ('/rh', '[::1]')), ('/rh', {'x-h': 'a..b'}, 500), ('/rh', {'x-h': 'a, b'}, 500), ('/rh', {}, 500), ('/rh', {'x-h': '::1'}, 500),
                ('/api//evil/admin', {}, ('/evil/admin', 'test')), ('/api///a//b', {}, ('/a//b', 'test')), ('/api//', {}, ('/', 'test')), ('/raw//a', {}, ('//a', 'test')), ('/re//a', {}, ('/a', 'test')), ('/re///a//b', {}, ('/a//b', 'test')), ('/rx//admin', {}, ('/admin', 'test')), ('/rx/%2Fa', {}, ('/%2Fa', 'test')), ('/rw//a', {}, ('//a', 'test')),
                ('/rm//a', {}, ('/a', 'test')), ('/re/a', {}, ('/a', 'test')),
                ('/lo', {'x-p': 'a'}, '/a'), ('/lo', {'x-p': '/evil.com'}, '/.//evil.com'), ('/lo', {'x-p': '\\evil.com'}, 500),
                ('/ls', {'x-t': '/a'}, '/a'), ('/ls', {'x-t': 'javascript:a'}, None), ('/ls', {'x-t': '//evil.com/'}, '/.//evil.com/')):
            fields = dict(fields)
            host = fields.pop('host', 'test')
            if version == 'HTTP/2' and '\t' in str(fields):
                continue
            response = ask('GET', target, list(fields.items()), host)
            got = response.status if response.status == 500 else response.fields.get('location')
            if isinstance(wanted, tuple) and response.status == 200:
                got = response.json()
                got = (got['target'], Fields(got['fields']).get('host'))
            equal(got, wanted, f'{version} {target} {fields} {host}')
        equal(ask('OPTIONS', '*', host='a.test').status, 404, 'no route')
    line = weir.access_line(failure='rewrite_invalid', route='query-path')
    equal((line['status'], line['failure_of']), (500, 'weir'))
    contains(weir.log_line('can be sent', 5), 'route=')
    contains(weir.log_line('.evil.com/'), 'route=query-path')


def test_a_redirect_has_nothing_to_say_of_no_place(t):
    weir, origin, asks = both(t, routes='  - { redirect: { scheme: https } }')
    for version, ask in asks.items():
        equal(ask('OPTIONS', '*').status, 204, version)
        equal(ask('OPTIONS', '/').fields.get('location'), 'https://test/')


def test_check_knows_what_cannot_be_a_part_of_a_host(t):
    for route, part in (('redirect: "https://a.test${request.query}"', '${request.query} would be a part of the host'), ('redirect: "https://a.test${request.header.x}/"', None),
                        ('redirect: "https://a.test${request.header.x}"', 'would make another host'), ('redirect: "//a.test${request.query}"', 'would be a part of the host'),
                        ('redirect: "${request.scheme}://a.test${request.query}"', 'would be a part of the host'), ('redirect: "https://me@a.test/"', "it has the character '@'"),
                        ('redirect: { host: "a.test${request.query}" }', 'would be a part of the host'), ('rewrite: { host: "${request.path}" }, pool: p', 'would be a part of the host'),
                        ('redirect: "https://a.test${request.uri}"', ''), ('redirect: "https://${request.header.x}.a.test/"', ''), ('redirect: "https://www.${request.host}${request.uri}"', ''),
                        ('redirect: "https://[::1]:8443/x"', ''), ('redirect: "https://a.test:8443${request.path}"', ''), ('redirect: "/x?${request.query}"', '')):
        done = t.run('check', '-c', t.file('h.yaml', f'listeners: ":1"\nroutes: [ {{ {route} }} ]\n' + ('pools: { p: { servers: "10.0.0.1:1" } }\n' if 'pool:' in route else '')))
        if part is None:
            part = 'would make another host'
        equal((done.returncode, part in done.stderr), (1 if part else 0, True), (route, done.stderr))


def check_text(t, route, more=''):
    pools = 'pools: { p: { servers: "10.0.0.1:1" } }\n' if 'pool:' in route else ''
    return t.run('check', '-c', t.file('n.yaml', f'listeners: ":1"\nroutes: [ {{ {route} }} ]\n{pools}{more}'))


def test_a_name_that_never_comes_is_refused(t):
    """What belongs to a connection, stands elsewhere in a request or is dropped from it: a rule on it would never hold, silently."""
    uses = {'match': ('match: {{ header: {{ "{}": x }} }}, respond: 200', ''), 'in_flight': ('in_flight: {{ limit: 5, key: "header:{}" }}, respond: 200', ''),
            'rate': ('rate_limit: r, respond: 200', 'rate_limits: {{ r: {{ rate: 1/s, key: "header:{}" }} }}\n'), 'split': ('pool: [ {{ name: p }}, {{ name: q }} ], split: {{ key: "header:{}" }}', 'q'),
            'hash': ('pool: h', 'h'), 'body': ('respond: {{ body: "${{request.header.{}}}" }}', ''), 'set': ('request: {{ headers: {{ set: {{ X-A: "${{request.header.{}}}" }} }} }}, respond: 200', ''),
            'redirect': ('redirect: "/${{request.header.{}}}"', ''), 'rewrite': ('rewrite: {{ path: "/${{request.header.{}}}" }}, pool: p', '')}

    def check(use, name):
        route, more = uses[use]
        if more in ('q', 'h'):
            pools = 'p: { servers: "10.0.0.1:1" }, q: { servers: "10.0.0.2:1" }' if more == 'q' else f'h: {{ servers: ["10.0.0.1:1"], balance: hash, hash: {{ key: "header:{name}" }} }}'
            return t.run('check', '-c', t.file('n.yaml', f'listeners: ":1"\nroutes: [ {{ {route.format(name)} }} ]\npools: {{ {pools} }}\n'))
        return check_text(t, route.format(name), more.format(name))
    for use in uses:
        for name, part in (('Host', 'host'), ('Connection', 'one connection'), ('transfer-Encoding', 'one connection'), ('Keep-Alive', 'one connection'), ('Proxy-Connection', 'one connection'),
                           ('Proxy-Authorization', 'one connection'), ('HTTP2-Settings', 'one connection'), ('X_User', 'underscore_names'), ('x.user', 'underscore_names'), ('a b', 'header name')):
            done = check(use, name)
            equal(done.returncode, 1, f'{use} {name}: {done.stderr}')
            contains(done.stderr, part)
        for name in (':authority', ':path', ':method'):
            done = check(use, name)
            equal(done.returncode, 1, f'{use} {name}: {done.stderr}')
            contains(done.stderr, 'write')
        for name in ('X-User', 'Upgrade', 'Content-Length', 'TE', 'Expect', 'Trailer', 'Authorization', 'Cookie', 'Via'):
            done = check(use, name)
            equal(done.returncode, 0, f'{use} {name}: {done.stderr}')
    for name, part in (('Host', 'rewrite: { host'), ('Connection', 'belongs to the connection'), ('Content-Length', 'belongs to the connection'), ('Transfer-Encoding', 'belongs to'), ('TE', 'belongs to'), ('Trailer', 'belongs to'),
                       ('Upgrade', 'upgrades: ...'), ('Keep-Alive', 'belongs to'), ('Proxy-Connection', 'belongs to'), ('Expect', 'belongs to'), (':path', 'rewrite: { path'), ('Sec-WebSocket-Key', 'handshake')):
        for where in ('request', 'response'):
            for edit in ('set: {{ "{}": x }}', 'add: {{ "{}": x }}', 'remove: ["{}"]'):
                done = check_text(t, f'{where}: {{ headers: {{ {edit.format(name)} }} }}, respond: 200')
                equal(done.returncode, 1, f'{where} {edit} {name}: {done.stderr}')
                contains(done.stderr, part)
        equal(check_text(t, f'respond: {{ headers: {{ "{name}": x }} }}').returncode, 1, name)
    contains(check_text(t, 'request: { headers: { remove: [X_User] } }, respond: 200').stderr, 'underscore_names')
    equal(check_text(t, 'request: { headers: { set: { X_User: a } } }, response: { headers: { remove: [X_User] } }, respond: 200').returncode, 0)
    equal(check_text(t, 'match: { header: { X_User: a } }, request: { headers: { remove: [x.y] } }, respond: { body: "${request.header.x_z}" }', 'limits: { underscore_names: true }\n').returncode, 0)
    done = check_text(t, 'match: { header: { X-Forwarded-Proto: https } }, respond: 200')
    equal(done.returncode, 0)
    contains(done.stderr, 'trusted_proxies names none')
    ok('trusted' not in check_text(t, 'match: { header: { X-Forwarded-Proto: https } }, respond: 200', 'trusted_proxies: [10.0.0.1]\n').stderr)
    contains(check_text(t, 'match: { header: { Upgrade: WebSocket } }, respond: 200').stderr, 'lower case')


def test_what_the_head_keeps_can_be_matched(t):
    """Upgrade, Content-Length and TE are no fields inside weir; rules see of them what is forwarded."""
    weir, origin, asks = both(t, routes='''  - { name: socket, match: { path: /ws, header: { Upgrade: websocket } }, respond: 403 }
  - { name: spdy, match: { header: { upgrade: "~^spdy/" } }, response: { headers: { set: { X-Route: spdy } } }, upgrades: ["SPDY/3.1"], pool: p }
  - { name: empty, match: { header: { Content-Length: "0" } }, response: { headers: { set: { X-Route: empty } } }, pool: p }
  - { name: large, match: { header: { content-length: "~^[0-9]{4,}$" } }, respond: { status: 418, body: "${request.header.content-length}" } }
  - { name: trailers, match: { header: { TE: trailers } }, respond: { body: "te=${request.header.te}" } }
  - { name: keyed, match: { path: /key }, rate_limit: by-length, pool: p }
  - { name: rest, respond: { body: "rest [${request.header.upgrade}] [${request.header.content-length}] [${request.header.te}]" } }''',
                              more='rate_limits: { by-length: { rate: 1/h, burst: 1, key: "header:content-length" } }')
    port = weir_port(weir)
    key = [('Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='), ('Sec-WebSocket-Version', '13')]

    def ask(fields, target='/ws', body=None):
        c = t.client(port)
        c.request('GET' if body is None else 'POST', target, fields, body, length=not {'content-length', 'Transfer-Encoding'} & set(dict(fields)))
        return c.response()
    for value in ('websocket', 'WebSocket', 'foo, websocket', 'WEBSOCKET ,x'):
        equal(ask([('Connection', 'upgrade'), ('Upgrade', value)] + key).status, 403, value)
    equal(ask([('Upgrade', 'websocket')] + key).body, b'rest [] [] []', 'no upgrade, for Connection does not name it')
    equal(ask([('Connection', 'upgrade'), ('Upgrade', 'SPDY/3.1')], '/').fields.get('x-route'), 'spdy')
    equal(origin.last('/').fields.get('upgrade'), 'SPDY/3.1', 'goes on as it came')
    equal(ask([('Connection', 'upgrade'), ('Upgrade', 'other')]).body, b'rest [] [] []', 'does not go on')
    for value, route in (('0', 'empty'), ('000', 'empty'), ('0, 0', 'empty')):
        equal(ask([('content-length', value)], body=b'').fields.get('x-route'), route, value)
    equal(origin.last('/ws').fields.all('content-length'), ['0'])
    for value in ('1000', '0001000', '1000, 1000', '01000,001000'):
        response = ask([('content-length', value)], body=b'x' * 1000)
        equal((response.status, response.body), (418, b'1000'), value)
    equal(ask([('content-length', '0999')], body=b'x' * 999).body, b'rest [] [999] []')
    equal(ask([('Transfer-Encoding', 'chunked')], body=b'0\r\n\r\n').body, b'rest [] [] []')
    equal(ask([('TE', 'gzip, Trailers;q=1'), ('Connection', 'TE')]).body, b'rest [] [] []', 'a parameter is none that is passed on')
    equal(ask([('TE', 'gzip, Trailers'), ('Connection', 'TE')]).body, b'te=trailers')
    equal([ask([('content-length', v)], '/key', b'x' * 5).status for v in ('5', '05', '5, 5')], [200, 429, 429], 'one key')
    equal(ask([('content-length', '6')], '/key', b'x' * 6).status, 200)
    response = asks['HTTP/2']('POST', '/', [], body=b'y' * 2000)
    equal((response.status, response.body), (418, b'2000'))
    equal(asks['HTTP/2']('GET', '/', [('te', 'trailers')]).body, b'te=trailers')
    c = H2Client(port)
    t.later(c.close)
    for target, status in (('/ws', 403), ('/ws?x', 403)):
        stream = c.request('CONNECT', target, [('sec-websocket-version', '13')], pseudo=[(':protocol', 'WebSocket')], open=True)
        equal(stream.head().status, status, target)


def test_no_other_spelling_stands_beside_what_weir_says(t):
    """Servers that fold names together (CGI) take X_User for X-User: of a client neither goes on beside weir's."""
    for more, brings in ('', False), ('limits: { underscore_names: true }', True):
        weir, origin, asks = both(t, more=more, routes='''  - { match: { path: /plain }, request: { headers: { set: { X-User: me }, remove: [X-Role] } }, pool: p }
  - { match: { path: /folded }, request: { headers: { set: { X_User: me } } }, pool: p }
  - { match: { header: { X-Request-Id: "*" } }, respond: 418 }
  - { pool: p }''')
        for version, ask in asks.items():
            for target in ('/plain', '/folded'):
                for name in ('x-user', 'X_User', 'x.user', 'X-USER', 'x_user'):
                    got = Fields(ask('GET', target, [(name.lower(), 'you')]).json()['fields'])
                    equal([v for n, v in got if re.sub('[^a-z]', '-', n.lower()) == 'x-user'], ['me'], f'{version} {target} {name} {more}')
            got = Fields(ask('GET', '/plain', [('x_role', 'admin'), ('x-role', 'admin'), ('x_other', '1')]).json()['fields'])
            equal([n for n, v in got if 'role' in n.lower() or 'other' in n.lower()], ['x_other'] if brings else [], f'{version} {more}')
            for name in ('content_length', 'transfer_encoding', 'content.type', 'x_forwarded_for', 'user_agent', 'proxy_authorization', 'sec_websocket_key'):
                got = Fields(ask('GET', '/', [(name, 'chunked'), ('x_own', '1')]).json()['fields'])
                equal([n for n, v in got if v == 'chunked' or n == 'x_own'], ['x_own'] if brings else [], f'{version} {name} {more}')
            forged = [(n, '10.0.0.1') for n in ('x_forwarded_for', 'x-forwarded_proto', 'x.real.ip', 'x_real_ip', 'x_request_id', 'x-request-id', 'x_forwarded_user', 'x_attempt', 'x-forwarded', 'x-forwarded-')]
            got = Fields(ask('GET', '/', forged).json()['fields'])
            equal([(n, v) for n, v in got if v == '10.0.0.1'], [], f'{version} {more}')


def test_a_trusted_proxy_spells_its_claims_in_one_way(t):
    """Another spelling is a client's, that it let through: where such names pass, servers that fold them would take it for the proxy's word."""
    weir, origin, asks = both(t, more='limits: { underscore_names: true }\ntrusted_proxies: ["127.0.0.1"]', routes='  - { pool: p }')
    forged = [(n, '10.0.0.1') for n in ('x_forwarded_for', 'x-forwarded_proto', 'x.real.ip', 'x_real_ip', 'x_request_id', 'x_forwarded_user', 'x_attempt')]
    for version, ask in asks.items():
        got = Fields(ask('GET', '/', [('x-forwarded-for', '203.0.113.7'), ('x-forwarded-user', 'anna'), ('x_own', '1'), *forged]).json()['fields'])
        equal([(n, v) for n, v in got if v == '10.0.0.1'], [], version)
        equal([got.get(n) for n in ('x-forwarded-user', 'x_own')], ['anna', '1'], version)


def test_no_other_spelling_passes_a_query_by(t):
    """Servers decode names and values of parameters: a rule holds for what they make of them, by a condition and by the table of values."""
    many = ''.join(f'  - {{ name: t{i}, match: {{ query: {{ tenant: t{i} }} }}, respond: {{ body: t{i} }} }}\n' for i in range(40))
    weir, origin, asks = both(t, routes=f'''  - {{ match: {{ path: /a, query: {{ debug: "1" }} }}, respond: 403 }}
  - {{ match: {{ path: /b, query: {{ "user name": "*" }} }}, respond: 403 }}
  - {{ match: {{ path: /c, query: {{ file: "~^/etc/" }} }}, respond: 403 }}
{many}  - {{ pool: p }}''')
    long = '%2Fetc%2F' + 'x' * 3000
    for version, ask in asks.items():
        for target, status in (('/a?debug=1', 403), ('/a?d%65bug=1', 403), ('/a?debug=%31', 403), ('/a?%64%65%62%75%67=%31', 403), ('/a?x&debug=0&debug=%31', 403), ('/a?debug=2', 200), ('/a?debug=%2531', 200), ('/a?debug%3D1', 200),
                               ('/a?debug=1%26', 200), ('/b?user+name', 403), ('/b?user%20name=x', 403), ('/b?user%2Bname', 200), ('/c?file=/etc/passwd', 403), ('/c?file=%2Fetc/passwd', 403), ('/c?file=%2fe%74c%2f', 403),
                               (f'/c?file={long}', 403), ('/c?file=%zz', 200), ('/c?file=%', 200), ('/c?file=%252Fetc%252F', 200)):
            equal(ask('GET', target).status, status, f'{version} {target[:60]}')
        for target, body in (('/t?tenant=t7', b't7'), ('/t?tenant=%747', b't7'), ('/t?t%65nant=t%31%32', b't12'), ('/t?tenant=t39&tenant=t%31', b't1')):
            equal(ask('GET', target).body, body, f'{version} {target}')
    equal({r.target for r in origin.requests if '%26' in r.target}, {'/a?debug=1%26'}, 'goes on as it came')


def test_values_are_text_in_a_body(t):
    """Of HTML, XML and JSON: a client writes no elements and ends no string."""
    weir, origin, asks = both(t, routes='''  - { match: { path: "~^/html" }, respond: { body: "<p title='${request.header.x-a}'>${request.path}</p>", content_type: text/html; charset=utf-8 } }
  - { match: { path: "~^/svg" }, respond: { body: "<text>${request.path}</text>", content_type: image/svg+xml } }
  - { match: { path: "~^/json" }, respond: { body: '{"path": "${request.path}", "a": "${request.header.x-a}"}', headers: { Content-Type: application/problem+json } } }
  - { match: { path: "~^/text" }, respond: { body: "${request.path}" } }''')
    for version, ask in asks.items():
        response = ask('GET', '/html/<script>&"', [('x-a', "' onload='x<")])
        equal((response.body.decode(), response.fields.all('content-type')), ("<p title='&#39; onload=&#39;x&lt;'>/html/&lt;script&gt;&amp;&quot;</p>", ['text/html; charset=utf-8']), version)
        equal(ask('GET', '/svg/<a>').body, b'<text>/svg/&lt;a&gt;</text>')
        response = ask('GET', '/json/"}</script>', [('x-a', 'a\\b\tc"')])
        equal((response.json(), response.fields.all('content-type')), ({'path': '/json/"}</script>', 'a': 'a\\b\tc"'}, ['application/problem+json']), version)
        ok(b'<' not in response.body)
        equal(ask('GET', '/text/<a>&').body, b'/text/<a>&')


def test_a_value_is_no_attribute_of_a_cookie(t):
    weir, origin, asks = both(t, routes='''  - { match: { path: /a }, respond: { headers: { Set-Cookie: "last=${request.query}; Path=/; HttpOnly" } } }
  - { match: { path: /b }, response: { headers: { add: { Set-Cookie: "last=${request.header.x-a}; Path=/" } } }, pool: p }''')
    for version, ask in asks.items():
        equal(ask('GET', '/a?x;Domain=.test,b="\\\\').fields.all('set-cookie'), ['last=x%3BDomain=.test%2Cb=%22%5C%5C; Path=/; HttpOnly'], version)
        equal(ask('GET', '/b', [('x-a', 'a b; Secure')]).fields.all('set-cookie'), ['last=a%20b%3B%20Secure; Path=/'], version)


def test_the_file_has_the_last_word_on_what_a_response_has_one_of(t):
    weir, origin, asks = both(t, routes='''  - { match: { path: /a }, respond: { body: x, content_type: text/html, headers: { content-type: application/json, Date: "Mon, 01 Jan 2024 00:00:00 GMT" } } }
  - { match: { path: /b }, respond: { body: x, content_type: text/html } }''')
    for version, ask in asks.items():
        fields = ask('GET', '/a').fields
        equal((fields.all('content-type'), fields.all('date')), (['application/json'], ['Mon, 01 Jan 2024 00:00:00 GMT']), version)
        equal((ask('GET', '/b').fields.all('content-type'), len(ask('GET', '/b').fields.all('date'))), (['text/html'], 1), version)


def test_what_connection_names_away_decides_nothing(t):
    """A request is gRPC, and has gRPC's deadline, by what goes on of it."""
    def handler(link, request):
        time.sleep(1)
        link.answer(200, b'ok')
    weir, origin, asks = both(t, handler=handler)
    for named, status in (('', 'grpc-status'), ('content-type', 200)):
        c = t.client(weir_port(weir))
        c.request('POST', '/none', [('Content-Type', 'application/grpc'), ('grpc-timeout', '50m'), ('TE', 'trailers')] + ([('Connection', named)] if named else []), b'')
        response = c.response()
        equal('grpc-status' if 'grpc-status' in response.fields else response.status, status, named)


def test_no_value_drawn_at_random_reaches_out_of_its_place(t):
    """Queries, headers and paths of the signs that URLs are made of: a location stays of its host, a path a path, and of a chain each quote is closed."""
    weir, origin, asks = both(t, more='trusted_proxies: ["127.0.0.2"]', routes='''  - { match: { path: /r/ }, redirect: { path: "${request.query}" } }
  - { match: { path: /t/ }, redirect: "https://${request.header.x-h}.a.test/${request.query}" }
  - { match: { path: /u/ }, redirect: "/${request.query}" }
  - { match: { path: /w/ }, rewrite: { path: "/${request.header.x-h}" }, pool: p }
  - { match: { path: /s/ }, rewrite: { strip_prefix: /s }, pool: p }
  - { pool: p }''')
    port, rng, signs = weir_port(weir), random.Random(5), '/.;%25?#\\@:&=+ "<>[]{}|^`~!$\'()*,-_aZ09'

    def draw(most, without=''):
        return ''.join(rng.choice(signs) for _ in range(rng.randint(0, most))).translate({ord(c): None for c in without})
    places = {'/r/': r'http://(a\.test|\[::1\]|b_c:1)/', '/t/': r"https://[a-zA-Z0-9!$&'()*+;=_~.-]+\.a\.test/", '/u/': r'/(?![/\\])'}
    seen = collections.Counter()
    for _ in range(3000):
        place = rng.choice(['/r/', '/t/', '/u/', '/w/', '/s/', '/x'])
        path, query, value = place + ('' if place in places else draw(8, ' #?')), draw(12, ' #'), draw(10).strip()
        c = Client(port, source=rng.choice(['127.0.0.1', '127.0.0.2']))
        c.send(f'GET {path}?{query} HTTP/1.1\r\nHost: {rng.choice(["a.test", "[0::1]", "A.test.", "b_c:01"])}\r\nX-H: {value}\r\nForwarded: for=1.2.3.4;x={value}\r\nConnection: close\r\n\r\n')
        response = c.response()
        c.close()
        location = response.fields.get('location')
        ok(response.status in (200, 308, 400, 500), f'{response.status} {path}?{query} {value}')
        if location is not None:
            ok(re.match(places[place], location) and not re.search('[\x00- \x7f-\xff]', location), f'{path}?{query} {value}: {location}')
        seen[place, response.status] += 1
    ok(all(seen[place, status] for place, status in (('/r/', 308), ('/r/', 500), ('/t/', 308), ('/t/', 500), ('/u/', 308), ('/w/', 200), ('/w/', 500), ('/s/', 200))), str(seen))
    for request in origin.requests:
        path = request.target.partition('?')[0]
        ok(path.startswith('/') and not re.search(r'/\.\.?(/|$)', path), request.target)
        ok(request.fields.all('forwarded') == [request.fields.get('forwarded')] and request.fields.get('forwarded').count('"') % 2 == 0, str(request.fields))

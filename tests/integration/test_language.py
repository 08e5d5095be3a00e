"""What the words of the file mean once weir runs, and that nothing that cannot work is taken for good."""
import time

from weirtest import *
from h2test import h2_client

NEEDS_HTTP2 = True


def test_none_is_no_limit(t):
    """A route that says none has no limit though the file has one; a route that says nothing inherits."""
    def slow(link, request):
        request.body()
        time.sleep(0.6)
        link.begin()
        time.sleep(0.6)
        link.piece(b'late')
        link.end()
    port, origin = t.port(), t.origin(slow)
    weir = t.weir(f'''
listeners: [ {{ address: "127.0.0.1:{port}" }} ]
timeouts: {{ request: 400ms, response: 300ms, response_idle: 300ms }}
limits: {{ body: 1KiB }}
routes:
  - {{ match: {{ path: /none }}, timeout: none, response_timeout: none, idle_timeout: none, body_limit: none, pool: p }}
  - {{ match: {{ path: /response }}, timeout: none, idle_timeout: none, pool: p }}
  - {{ match: {{ path: /whole }}, response_timeout: none, idle_timeout: none, pool: p }}
  - {{ match: {{ path: /idle }}, timeout: none, response_timeout: none, pool: p }}
pools: {{ p: {{ servers: ["{origin.address}"], retry: {{ attempts: 0 }} }} }}
''')

    def status(target, size):
        c = t.client(port)
        try:
            c.request('POST', target, (), b'x' * size)
            return c.response().status
        except (Closed, ConnectionError):
            return 0
    equal([status(target, 1000) for target in ('/none', '/response', '/whole', '/idle')], [200, 504, 504, 0])
    equal([status(target, 2000) for target in ('/none', '/response')], [200, 413])
    for path, failure in (('/response', 'response_timeout'), ('/whole', 'request_timeout'), ('/idle', 'response_stalled')):
        weir.access_line(path=path, failure=failure)


def test_a_try_has_its_end_though_an_answer_has_none(t):
    origin = t.origin(lambda link, request: link.gone(10))
    weir, port = t.simple(origin, route='response_timeout: none', pool='retry: { attempts: 0, try_timeout: 400ms }')
    equal(t.client(port).get('/try').status, 504)
    equal(weir.access_line(path='/try')['failure'], 'response_timeout')


def test_a_server_that_takes_nothing_has_no_end_either(t):
    """The request waits for a server that takes none of it: for as long as an answer may take, which is for ever."""
    def handler(link, request):
        time.sleep(1.5)
        request.body()
        link.answer(200, b'all')
    weir, port = t.simple(t.origin(handler), route='response_timeout: none', more='timeouts: { response: 500ms }')
    c = t.client(port, timeout=30)
    c.send(f'PUT /slow HTTP/1.1\r\nHost: test\r\nContent-Length: {16 << 20}\r\n\r\n', b'y' * (16 << 20))
    equal(c.response().status, 200)


SECRET = 'another that is long enough'
NONES = '''
listeners: [ { address: "127.0.0.1:8080", max_connections: none, max_connections_per_client: none } ]
routes: [ { timeout: none, response_timeout: none, idle_timeout: none, body_limit: none, hedge: { budget: 1% }, rate_limit: r, pool: a },
          { match: { path: /b }, redirect: { scheme: https } } ]
pools:
  a:
    servers: [ { address: "10.0.0.1:80", max_connections: none }, "10.0.0.2:80" ]
    max_connections: none
    max_requests: none
    fast_down: none
    hash: { bounded_load: none }
    health: {}
    outlier: { errors: none }
    retry: { try_timeout: none, attempts: 0, budget: 0%, buffer: 0B }
    sticky: { secrets: "${env.WEIRTEST_SECRET:-kept where nobody looks}", cookie: { max_age: none } }
  b: { servers: "10.0.0.1:80", subset: { size: auto, index: 0, of: 3 } }
  c: { servers: "10.0.0.1:80", subset: {} }
rate_limits: { r: { rate: 1/s, burst: auto } }
timeouts: { request: none, ping: none, keep_alive: 0s, linger: 0s }
limits: { body: none, least_body_rate: none, keep_alive_requests: none, interim_responses: 0 }
tls: { ticket_lifetime: none }
'''


def test_none_is_printed_and_reads_back(t):
    """What was said is printed as it was said, and what was not said is not printed as if it had been."""
    printed = t.run('config', '-c', t.file('none.yaml', NONES))
    equal(printed.returncode, 0, printed.stderr)
    for key in ('timeout', 'response_timeout', 'idle_timeout', 'body_limit', 'max_connections', 'max_requests', 'fast_down', 'bounded_load', 'errors',
                'try_timeout', 'max_age', 'request', 'ping', 'body', 'least_body_rate', 'keep_alive_requests', 'ticket_lifetime', 'max_connections_per_client'):
        contains(printed.stdout, f' {key}: none\n')
    for said in ('burst: auto', 'keep_alive: 0s', 'attempts: 0', 'buffer: 0B', 'index: 0', 'of: 3'):
        contains(printed.stdout, f' {said}\n')
    for unsaid in (' port:', ' after:', ': 0\n  b'):
        ok(unsaid not in printed.stdout, printed.stdout)
    equal(printed.stdout.count(' timeout: '), 2, 'that of the first route and that of the probes')
    again = t.run('config', '-c', t.file('again.yaml', printed.stdout.replace('(a secret, not shown)', SECRET)))
    equal((again.returncode, again.stdout), (0, printed.stdout), again.stderr)


IMPOSSIBLE = '''
  - {{ match: {{ path: /path }}, rewrite: {{ path: "${{request.header.x-path}}" }}, pool: p }}
  - {{ match: {{ path: /query }}, rewrite: {{ path: "/x${{request.header.x-path}}" }}, pool: p }}
  - {{ match: {{ path: "~^/group" }}, rewrite: {{ regex: "^/group(.*)$", replacement: "$1" }}, pool: p }}
  - {{ match: {{ path: /host }}, rewrite: {{ host: "${{request.header.x-host}}" }}, pool: p }}
  - {{ match: {{ path: /goto }}, redirect: "${{request.header.x-goto}}" }}
  - {{ match: {{ path: /gone }}, redirect: {{ path: "${{request.header.x-path}}" }} }}
  - {{ match: {{ path: "~^/cut" }}, rewrite: {{ regex: "^/cut", replacement: "" }}, pool: p }}
'''


def test_what_a_rewrite_makes_impossible_is_not_the_clients_fault(t):
    """In either version, and explain says the same."""
    port, origin = t.port(), t.origin()
    weir = t.weir(f'''
listeners: [ {{ address: "127.0.0.1:{port}", protocols: [h2c, http/1.1] }} ]
routes:{IMPOSSIBLE.format()}
pools: {{ p: {{ servers: ["{origin.address}"] }} }}
''')
    for client in (t.client(port), h2_client(t, port)):
        for target, fields, wanted in (('/path', [], 200), ('/path', [('x-path', '/y')], 200), ('/path', [('x-path', 'y')], 500), ('/query', [('x-path', '?a=b')], 500),
                                       ('/group', [], 200), ('/group?q', [], 200), ('/groups', [], 500), ('/group/a', [], 200), ('/cut', [], 200), ('/cut/', [], 200), ('/cut/b', [], 200), ('/cute', [], 500), ('/host', [], 500), ('/host', [('x-host', 'a b')], 500), ('/host', [('x-host', 'a.test')], 200),
                                       ('/goto', [], 500), ('/goto', [('x-goto', 'https://b.test/')], 308), ('/gone', [], 308), ('/gone', [('x-path', 'y')], 500)):
            equal(client.get(target, fields).status, wanted, f'{target} {fields}')
        equal([v for n, v in client.get('/gone').fields if n.lower() == 'location'], ['http://test/'])
    equal(sorted({r.target for r in origin.requests}), ['/', '/?q', '/a', '/b', '/host', '/y'], 'what is empty is a slash')
    line = weir.access_line(path='/path', status=500)
    equal(line['failure'], 'rewrite_invalid')
    path = t.file('explain.yaml', f'''
listeners: ":8080"
routes:{IMPOSSIBLE.format()}
pools: {{ p: {{ servers: ["10.0.0.1:80"] }} }}
''')
    contains(t.run('explain', '-c', path, 'GET', 'http://a.test/path').stdout, 'path /,')
    contains(t.run('explain', '-c', path, 'GET', 'http://a.test/groups').stdout, '500')


def test_headers_of_defaults_add_up(t):
    """What a route says of a name holds for it, whatever the edit; all else of the defaults holds too."""
    def handler(link, request):
        link.answer(200, json.dumps(list(request.fields)), [('Server', 'secret/1.0'), ('X-Old', 'a'), ('X-Own', 'origin')])
    port, other, origin = t.port(), t.port(), t.origin(handler)
    text = f'''
listeners:
  - {{ address: "127.0.0.1:{port}", protocols: [h2c, http/1.1] }}
  - {{ address: "127.0.0.1:{other}", routes: [ {{ response: {{ headers: {{ set: {{ X-Frame-Options: SAMEORIGIN }} }} }}, pool: p }} ] }}
defaults:
  route:
    timeout: 10s
    request: {{ headers: {{ set: {{ X-Who: weir, X-Both: outer }}, remove: [Cookie, X-Gone] }} }}
    response: {{ headers: {{ set: {{ X-Frame-Options: DENY, X-Content-Type-Options: nosniff }}, add: {{ X-More: outer }}, remove: [Server, X-Old] }} }}
routes:
  - match: {{ path: /own }}
    request: {{ headers: {{ set: {{ x-both: inner, X-Gone: back }} }} }}
    response: {{ headers: {{ set: {{ x-frame-options: SAMEORIGIN }}, add: {{ X-MORE: inner, X-Extra: e }}, remove: [x-content-type-options] }} }}
    pool: p
  - {{ match: {{ path: /empty }}, response: {{}}, request: {{ headers: {{}} }}, pool: p }}
  - {{ match: {{ path: /one }}, response: {{ headers: {{ set: {{ X-Old: kept }} }} }}, pool: p }}
  - {{ pool: p }}
pools: {{ p: {{ servers: ["{origin.address}"] }} }}
'''
    t.weir(text)
    outer = {'x-frame-options': ['DENY'], 'x-content-type-options': ['nosniff'], 'x-more': ['outer'], 'server': [], 'x-old': [], 'x-extra': []}
    wanted = {'/': outer, '/empty': outer, '/one': dict(outer, **{'x-old': ['kept']}),
              '/own': {'x-frame-options': ['SAMEORIGIN'], 'x-content-type-options': [], 'x-more': ['inner'], 'server': [], 'x-old': [], 'x-extra': ['e']}}
    for client in (t.client(port), h2_client(t, port)):
        for path, fields in wanted.items():
            answer = client.get(path, [('cookie', 'a=b'), ('x-gone', '1')])
            equal({name: answer.fields.all(name) for name in fields}, fields, path)
            sent = Fields(answer.json())
            equal((sent.all('x-who'), sent.all('x-both'), sent.all('cookie'), sent.all('x-gone')),
                  (['weir'], ['inner' if path == '/own' else 'outer'], [], ['back'] if path == '/own' else []), path)
    equal(t.client(other).get('/').fields.all('x-frame-options'), ['SAMEORIGIN'])
    equal(t.client(other).get('/').fields.all('x-content-type-options'), ['nosniff'])
    printed = t.run('config', '-c', t.file('add.yaml', text))
    again = t.run('config', '-c', t.file('again.yaml', printed.stdout))
    equal((again.returncode, again.stdout), (0, printed.stdout), again.stderr)


def test_an_empty_value_is_no_field(t):
    """Neither weir's nor what the client sent under that name; in both versions and both directions."""
    def handler(link, request):
        link.answer(200, json.dumps(list(request.fields)), [('X-User', 'origin'), ('X-Added', 'origin')])
    port, origin = t.port(), t.origin(handler)
    t.weir(f'''
listeners: [ {{ address: "127.0.0.1:{port}", protocols: [h2c, http/1.1] }} ]
routes:
  - match: {{ path: /fixed }}
    respond: {{ body: x, headers: {{ X-User: "${{request.header.x-who}}", X-Is: "a${{request.header.x-who}}", X-Blank: " ${{request.header.x-who}} ", X-Edges: " b " }} }}
  - request: {{ headers: {{ set: {{ X-User: "${{request.header.x-who}}", X-Sni: "${{tls.sni}}", X-None: "" }}, add: {{ X-Added: "${{request.header.x-who}}" }} }} }}
    response: {{ headers: {{ set: {{ X-User: "${{request.header.x-who}}" }}, add: {{ X-Added: "${{request.header.x-who}}" }} }} }}
    pool: p
pools: {{ p: {{ servers: ["{origin.address}"] }} }}
''')
    forged = [('x-user', 'forged'), ('x-sni', 'forged'), ('x-none', 'forged'), ('x-added', 'forged')]
    for client in (t.client(port), h2_client(t, port)):
        answer = client.get('/', forged)
        sent = Fields(answer.json())
        equal([sent.all(name) for name in ('x-user', 'x-sni', 'x-none', 'x-added')], [[], [], [], []])
        equal((answer.fields.all('x-user'), answer.fields.all('x-added')), ([], ['origin']))
        answer = client.get('/', forged + [('x-who', 'me')])
        sent = Fields(answer.json())
        equal([sent.all(name) for name in ('x-user', 'x-sni', 'x-none', 'x-added')], [['me'], [], [], ['forged', 'me']])
        equal((answer.fields.all('x-user'), answer.fields.all('x-added')), (['me'], ['origin', 'me']))
        answer = client.get('/fixed')
        equal([answer.fields.all(name) for name in ('x-user', 'x-is', 'x-blank', 'x-edges')], [[], ['a'], [], ['b']])
        answer = client.get('/fixed', [('x-who', 'me')])
        equal([answer.fields.all(name) for name in ('x-user', 'x-is', 'x-blank', 'x-edges')], [['me'], ['ame'], ['me'], ['b']])

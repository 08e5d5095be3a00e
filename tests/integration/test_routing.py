"""Which way a request goes, and what is done to it on the way."""
import shutil

from weirtest import *


def routes(t, text, origin=None, more=''):
    port = t.port()
    origin = origin or t.origin()
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes:
{text}
pools:
  p: {{ servers: ["{origin.address}"] }}
{more}
''')
    return weir, port


def answers(t, port, cases):
    for target, host, fields, wanted in cases:
        c = t.client(port)
        response = c.get(target, fields, host=host)
        got = response.body.decode() if response.status == 200 else response.status
        equal(got, wanted, f'{host}{target} {fields}')
        c.close()


def test_matches(t):
    weir, port = routes(t, '''
  - { match: { host: a.test, path: /exact }, respond: { body: exact } }
  - { match: { host: a.test, path: /prefix/ }, respond: { body: prefix } }
  - { match: { host: a.test, path: "~^/r[0-9]+$" }, respond: { body: regex } }
  - { match: { host: "*.wild.test" }, respond: { body: wild } }
  - { match: { host: [b.test, c.test], path: [/x, /y/] }, respond: { body: lists } }
  - { match: { header: { x-canary: "1" } }, respond: { body: header } }
  - { match: { header: { x-any: "*" } }, respond: { body: present } }
  - { match: { header: { x-re: "~^v[0-9]" } }, respond: { body: matched } }
  - { match: { query: { debug: "yes" } }, respond: { body: query } }
  - { match: { methods: [DELETE, PURGE] }, respond: { body: method } }
  - { match: { client: 127.0.0.0/8, path: /client }, respond: { body: client } }
  - { match: { client: 10.0.0.0/8 }, respond: { body: never } }
  - { match: { path: /first }, respond: { body: first } }
  - { match: { path: /first }, respond: { body: second } }''')
    answers(t, port, [
        ('/exact', 'a.test', {}, 'exact'), ('/exact?q', 'a.test', {}, 'exact'), ('/exact', 'A.TEST', {}, 'exact'), ('/exact', 'a.test:8080', {}, 'exact'),
        ('/exact/', 'a.test', {}, 404), ('/exac', 'a.test', {}, 404), ('/exact', 'b.test', {}, 404), ('/./exact', 'a.test', {}, 'exact'),
        ('/%65xact', 'a.test', {}, 'exact'), ('/prefix/', 'a.test', {}, 'prefix'), ('/prefix', 'a.test', {}, 'prefix'), ('/prefix/deep/er', 'a.test', {}, 'prefix'),
        ('/prefixed', 'a.test', {}, 404), ('/prefix/../exact', 'a.test', {}, 'exact'), ('/r12', 'a.test', {}, 'regex'), ('/r12x', 'a.test', {}, 404),
        ('/', 'x.wild.test', {}, 'wild'), ('/', 'x.y.wild.test', {}, 'wild'), ('/', 'wild.test', {}, 404), ('/x', 'c.test', {}, 'lists'), ('/y/z', 'b.test', {}, 'lists'),
        ('/x/', 'b.test', {}, 404), ('/', 'z', {'X-Canary': '1'}, 'header'), ('/', 'z', {'X-Canary': '2'}, 404), ('/', 'z', {'X-Any': 'q'}, 'present'),
        ('/', 'z', {'X-Re': 'v9'}, 'matched'), ('/', 'z', {'X-Re': 'w9'}, 404), ('/?a=b&debug=yes', 'z', {}, 'query'), ('/?debug=yess', 'z', {}, 404),
        ('/client', 'z', {}, 'client'), ('/first', 'z', {}, 'first')])
    c = t.client(port)
    c.request('PURGE', '/')
    equal(c.response().body, b'method')


def test_listener_with_its_own_rules(t):
    first, second = t.port(), t.port()
    t.weir(f'''listeners:
  - {{ address: "127.0.0.1:{first}" }}
  - {{ address: "127.0.0.1:{second}", routes: [ {{ redirect: {{ scheme: https, status: 308 }} }} ] }}
routes: [ {{ respond: {{ body: top }} }} ]
''')
    equal(t.client(first).get().body, b'top')
    response = t.client(second).get('/a?b=c', host='a.test:81')
    equal((response.status, response.fields.get('location')), (308, 'https://a.test/a?b=c'))


def test_redirects(t):
    weir, port = routes(t, '''
  - { match: { path: /to }, redirect: "https://other.test${request.path}" }
  - { match: { path: /parts }, redirect: { host: new.test, path: /moved, status: 301 } }
  - { match: { path: /port }, redirect: { scheme: https, port: 8443, status: 302 } }
  - { match: { path: /back }, redirect: { to: "/here", status: 303 } }''')
    c = t.client(port)
    for path, status, location in (('/to', 308, 'https://other.test/to'), ('/parts', 301, 'http://new.test/moved'), ('/port', 302, 'https://a.test:8443/port'), ('/back', 303, '/here')):
        response = c.get(path, host='a.test')
        equal((response.status, response.fields.get('location')), (status, location), path)
    response = c.get('/to?x=%0d%0aSet-Cookie:%20a', host='a.test')
    ok('set-cookie' not in response.fields, response.fields)


def test_respond(t):
    page = t.file('page.html', '<p>closed</p>')
    weir, port = routes(t, f'''
  - {{ match: {{ path: /body }}, respond: {{ status: 418, body: "you are ${{client.ip}}\\n", headers: {{ X-Tea: pot }} }} }}
  - {{ match: {{ path: /file }}, respond: {{ status: 503, file: {page}, content_type: text/html }} }}
  - {{ match: {{ path: /short }}, respond: 204 }}''')
    c = t.client(port)
    response = c.get('/body')
    equal((response.status, response.body, response.fields.get('x-tea')), (418, b'you are 127.0.0.1\n', 'pot'))
    contains(response.fields.get('content-type'), 'text/plain')
    response = c.get('/file')
    equal((response.status, response.body, response.fields.get('content-type')), (503, b'<p>closed</p>', 'text/html'))
    equal(c.get('/short').status, 204)
    c.request('HEAD', '/body')
    equal((c.response('HEAD').fields.get('content-length')), '18')
    equal(c.get('/short').status, 204)


def test_respond_with_a_body_sent_to_it(t):
    weir, port = routes(t, '  - { respond: { body: fixed } }')
    c = t.client(port)
    c.request('POST', '/', (), b'x' * 1000)
    equal(c.response().body, b'fixed')
    equal(c.get().body, b'fixed')


def test_weighted_pools(t):
    blue, green = t.origin(name='blue'), t.origin(name='green')
    weir, port = routes(t, '  - { pool: [ { name: blue, weight: 90 }, { name: green, weight: 10 } ] }',
                        more=f'  blue: {{ servers: ["{blue.address}"] }}\n  green: {{ servers: ["{green.address}"] }}')
    c = t.client(port)
    got = collections.Counter(c.get().json()['origin'] for _ in range(1000))
    between(got['green'], 60, 150, 'of 1000 requests with weight 10 of 100')


def test_header_edits(t):
    def handler(link, request):
        link.answer(200, json.dumps(list(request.fields)), [('Server', 'secret/1.0'), ('X-Old', 'a'), ('X-Multi', '1')])
    weir, port = routes(t, '''
  - pool: p
    request: { headers: { set: { X-Id: "${request.id}", X-Who: "${client.ip}" }, add: { X-More: two }, remove: [Cookie, X-Gone] } }
    response: { headers: { set: { X-Old: b, X-Frame-Options: DENY }, add: { X-Multi: "2" }, remove: [Server] } }''', t.origin(handler))
    response = t.client(port).get('/', [('Cookie', 'a=b'), ('X-Gone', '1'), ('X-Who', 'forged'), ('X-More', 'one')])
    got = Fields(response.json())
    equal((got.all('cookie'), got.all('x-gone'), got.all('x-who'), got.all('x-more')), ([], [], ['127.0.0.1'], ['one', 'two']))
    equal(got.get('x-id'), got.get('x-request-id'))
    equal((response.fields.all('server'), response.fields.all('x-old'), response.fields.get('x-frame-options'), response.fields.all('x-multi')), ([], ['b'], 'DENY', ['1', '2']))


def test_rewrites(t):
    weir, port = routes(t, '''
  - { match: { path: /strip/ }, rewrite: { strip_prefix: /strip }, pool: p }
  - { match: { path: /swap/ }, rewrite: { strip_prefix: /swap, add_prefix: /new }, pool: p }
  - { match: { path: /add/ }, rewrite: { add_prefix: /v1 }, pool: p }
  - { match: { path: /whole }, rewrite: { path: "/to${request.path}" }, pool: p }
  - { match: { path: "~^/user/" }, rewrite: { regex: "^/user/([0-9]+)$", replacement: "/u/$1" }, pool: p }
  - { match: { path: "~^/item/" }, rewrite: { regex: "^/item/([a-z]+)/([0-9]+)$", replacement: "/i/$2/$1" }, pool: p }
  - { match: { path: /host }, rewrite: { host: internal.test }, pool: p }''')
    c = t.client(port)
    for target, wanted in (('/strip/a?b=c', '/a?b=c'), ('/strip/', '/'), ('/swap/a', '/new/a'), ('/add/x?y', '/v1/add/x?y'), ('/whole?q=1', '/to/whole?q=1'),
                           ('/item/ab/12?z', '/i/12/ab?z')):
        equal(c.get(target).json()['target'], wanted, target)
    equal(Fields(c.get('/host', host='outer.test').json()['fields']).all('host'), ['internal.test'])
    equal(Fields(c.get('/host', host='outer.test').json()['fields']).get('x-forwarded-host'), 'outer.test')


def test_access(t):
    weir, port = routes(t, '''
  - { match: { path: /deny }, access: { deny: 127.0.0.1 }, pool: p }
  - { match: { path: /allow }, access: { allow: [10.0.0.0/8, 127.0.0.0/8] }, pool: p }
  - { match: { path: /others }, access: { allow: 10.0.0.0/8, status: 404 }, pool: p }
  - { match: { path: /both }, access: { allow: 127.0.0.0/8, deny: 127.0.0.1 }, pool: p }''')
    c = t.client(port)
    equal([c.get(p).status for p in ('/deny', '/allow', '/others', '/both')], [403, 200, 404, 403])
    equal(weir.access_line(path='/deny')['failure'], 'access_denied')


def test_timeouts_of_a_route(t):
    def handler(link, request):
        if request.path != '/fast':
            link.gone(5)
            link.close()
        else:
            tell(link, request)
    weir, port = routes(t, '  - { match: { path: /a }, response_timeout: 300ms, pool: p }\n  - { match: { path: /b }, timeout: 300ms, pool: p }\n  - { pool: p }',
                        t.origin(handler))
    c = t.client(port)
    equal([c.get(p).status for p in ('/fast', '/a', '/b', '/fast')], [200, 504, 504, 200])


DEAD = ' above it matches all that it does'


def test_check_and_load_tell_of_dead_routes(t):
    for first, second, dead in (('path: /', 'path: /api/', True), ('host: "*.x.test"', 'host: a.x.test', True), ('path: /v1/', 'path: /v1/users/', True),
                                ('client: 10.0.0.0/8', 'client: 10.1.0.0/16', True), ('path: "~^/"', 'path: /z', True), ('header: { x-a: "*" }', 'header: { X-A: "1" }, methods: [GET]', True),
                                ('methods: [GET, POST], path: /', 'methods: POST, path: /x', True), ('path: /a/', 'path: /ab', False), ('path: /a', 'path: /a/', False),
                                ('methods: GET, path: /', 'path: /x', False), ('query: { q: "1" }', 'query: { q: "2" }', False), ('path: /', 'host: h.test', False)):
        file = t.file('weir.yaml', f'listeners: ["127.0.0.1:8080"]\nroutes: [ {{ match: {{ {first} }}, respond: 200 }}, {{ match: {{ {second} }}, respond: 201 }} ]\n')
        equal(DEAD in t.run('check', '-c', file).stderr, dead, f'{first} before {second}')
    weir, port = routes(t, '  - { name: twice, match: { path: /a/ }, respond: 200 }\n  - { name: twice, match: { path: /a/b }, respond: 201 }')
    contains(weir.stderr(), DEAD)
    contains(weir.stderr(), 'another route has the name "twice" too')
    done = t.run('check', '-c', t.file('weir.yaml', 'listeners: [ { address: "127.0.0.1:8080", routes: [ { respond: 200 } ] } ]\nroutes: [ { respond: 201 } ]\n'))
    contains(done.stderr, 'no listener serves the routes of the file')


def test_ten_thousand_routes_by_a_value(t):
    """Of a header and of a query parameter, with other conditions and before and behind other routes: the first of the file that matches serves."""
    text = '  - { match: { header: { x-tenant: t7 }, methods: [POST] }, respond: { body: post } }\n'
    text += '\n'.join(f'  - {{ match: {{ {kind}: {{ {name}: t{i}, {other} }} }}, respond: {{ body: "{kind[0]}{i}" }} }}'
                      for kind, name, other in (('header', 'X-Tenant', 'x-env: prod'), ('query', 'tenant', 'env: prod')) for i in range(5000))
    text += '\n  - { match: { header: { x-tenant: "*" } }, respond: { body: any } }\n  - { match: { header: { x-tenant: t9, x-env: test } }, respond: { body: never } }'
    weir, port = routes(t, text)
    c = t.client(port)
    for target, fields, wanted in (('/', [('x-tenant', 't4999'), ('X-Env', 'prod')], 'h4999'), ('/', [('X-TENANT', 't0'), ('x-env', 'prod')], 'h0'), ('/', [('x-tenant', 't0')], 'any'),
                                   ('/', [('x-tenant', 'T0'), ('x-env', 'prod')], 'any'), ('/?env=prod&tenant=t4999', [], 'q4999'), ('/?tenant=t3&env=prod', [('x-tenant', 't5'), ('x-env', 'prod')], 'h5'),
                                   ('/', [('x-tenant', 't9'), ('x-tenant', 't8'), ('x-env', 'prod')], 'h8'), ('/?tenant=t9&tenant=t8&env=prod', [], 'q8'), ('/', [('x-tenant', 't9'), ('x-env', 'test')], 'any'),
                                   ('/', [('x-tenant', 't7'), ('x-env', 'prod')], 'h7')):
        equal(c.get(target, fields).body.decode(), wanted, f'{target} {fields}')
    c.request('POST', '/', [('x-tenant', 't7'), ('x-env', 'prod')], b'')
    equal(c.response().body, b'post')
    equal(c.get('/', [('y', 't0')]).status, 404)


def test_ten_thousand_routes(t):
    text = '\n'.join(f'  - {{ match: {{ host: h{i}.test, path: /p{i}/ }}, respond: {{ body: "{i}" }} }}' for i in range(10000))
    weir, port = routes(t, text)
    c = t.client(port)
    for i in (0, 1, 5000, 9999):
        equal(c.get(f'/p{i}/x', host=f'h{i}.test').body.decode(), str(i))
    equal(c.get('/p1/x', host='h2.test').status, 404)


def test_redirects_without_a_host(t):
    """There is no other place to go to: the request is at fault. A balancer's check by OPTIONS is about weir itself, which is well."""
    port = t.port()
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes:
  - {{ match: {{ path: /scheme }}, redirect: {{ scheme: https, status: 308 }} }}
  - {{ match: {{ path: /path }}, redirect: {{ path: /new }} }}
  - {{ match: {{ path: /to }}, redirect: {{ to: "https://${{request.host}}/x" }} }}
  - {{ match: {{ path: /named }}, redirect: {{ host: "www.${{request.host}}" }} }}
  - {{ match: {{ path: /elsewhere }}, redirect: {{ to: "https://a.test/x" }} }}
  - {{ match: {{ path: /host }}, redirect: {{ host: a.test }} }}
''')
    for version, host in ('1.0', None), ('1.0', ''), ('1.1', ''):
        for method in 'GET', 'HEAD', 'POST', 'OPTIONS':
            for path in '/scheme', '/path', '/to', '/named':
                c = t.client(port)
                c.request(method, path, host=host, version=version)
                got = c.response(method)
                equal((got.status, got.fields.get('location')), (204 if method == 'OPTIONS' else 400, None), f'{method} {path} {version} {host!r}')
            for path in '/elsewhere', '/host':
                c = t.client(port)
                c.request(method, path, host=host, version=version)
                ok(c.response(method).fields.get('location').startswith('http'), path)
    equal(weir.access_line(path='/to', method='GET')['failure'], 'bad_host')
    equal(t.client(port).get('/scheme').fields.get('location'), 'https://test/scheme')


def test_haproxys_check_finds_weir_well(t):
    """option httpchk, whose default is OPTIONS / HTTP/1.0, against a listener that only redirects."""
    if not shutil.which('haproxy'):
        raise Skipped('there is no haproxy')
    port, front = t.port(), t.port()
    t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ redirect: {{ scheme: https, status: 308 }} }} ]
''')
    folder = t.folder('haproxy')
    with open(f'{folder}/haproxy.cfg', 'w') as f:
        f.write(f'''defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend f
  bind 127.0.0.1:{front}
  default_backend b
backend b
  option httpchk
  server weir 127.0.0.1:{port} check inter 100ms rise 1 fall 1
''')
    process = subprocess.Popen(['haproxy', '-f', f'{folder}/haproxy.cfg'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    t.later(lambda: (process.terminate(), process.wait(10)))

    def status():
        try:
            return t.client(front).get('/').status
        except OSError:
            return 0
    eventually(lambda: status() == 308)
    time.sleep(0.5)     # some checks
    equal([status() for _ in range(5)], [308] * 5)


def test_requests_without_a_host_go_on(t):
    """A server of HTTP/1.1 or HTTP/2 refuses an empty host: it gets its own address as one."""
    import h2test
    origins = {'http/1.1': t.origin(), **({'h2c': t.h2_origin()} if has_http2() else {})}
    for protocol, origin in origins.items():
        shadow = t.origin()
        port = t.port()
        t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ pool: p, mirror: {{ pool: s }} }} ]
pools: {{ p: {{ servers: ["{origin.address}"], protocol: {protocol} }}, s: {{ servers: ["{shadow.address}"] }} }}
''')
        for version, host in ('1.0', None), ('1.0', ''), ('1.1', ''):
            c = t.client(port)
            c.request('OPTIONS', '/', host=host, version=version)
            equal(c.response().status, 200, f'{protocol} {version}')
            request = origin.requests[-1]
            equal(request.pseudo.get(':authority') if protocol == 'h2c' else request.fields.get('host'), origin.address)
            equal([v for n, v in request.fields if n.lower() in ('x-forwarded-host', 'x-original-host')], [])
        eventually(lambda: shadow.count() == 3)
        equal({r.fields.get('host') for r in shadow.requests}, {shadow.address})

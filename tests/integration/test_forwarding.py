"""One notion of who the client is and how it came: believed, used and told the same everywhere."""
from weirtest import *

ROUTES = '''  - { match: { path: /redirect }, redirect: { path: /new } }
  - { match: { path: /say }, respond: { body: "${request.scheme} ${client.ip}" } }
  - { match: { path: /split }, pool: [ { name: main }, { name: other } ], split: { cookie: { name: s } } }
  - { match: { path: /upgrade/ }, redirect: { scheme: https } }
  - { match: { client: 203.0.113.0/24 }, request: { headers: { set: { X-Matched: "yes" } } }, pool: main }
  - { pool: main }
'''


def begin(t, more='trusted_proxies: ["127.0.0.0/8", "10.0.0.0/8"]', listener='', pool=''):
    origin, port = t.origin(), t.port()
    weir = t.weir(f'''listeners:
  - {{ address: "127.0.0.1:{port}"{", " if listener else ""}{listener} }}
{more}
routes:
{ROUTES}pools:
  main: {{ servers: ["{origin.address}"]{", " if pool else ""}{pool} }}
  other: {{ servers: ["{origin.address}"]{", " if pool else ""}{pool} }}
''')
    return weir, port


def told(response):
    return Fields(response.json()['fields'])


def test_the_scheme_is_one_everywhere(t):
    """Behind a trusted proxy that ended TLS: redirects, templates, cookies and both families of fields."""
    weir, port = begin(t)
    for fields, https in (([('X-Forwarded-For', '203.0.113.7'), ('X-Forwarded-Proto', 'https')], True), ([('Forwarded', 'for=203.0.113.7;proto=https;host=a.test')], True),
                          ([('Forwarded', 'For="203.0.113.7"; Proto="HTTPS"')], True), ([('X-Forwarded-For', '203.0.113.7'), ('X-Forwarded-Proto', 'wss')], True),
                          ([('X-Forwarded-For', '203.0.113.7'), ('X-Forwarded-Proto', 'gopher')], False), ([('X-Forwarded-For', '203.0.113.7'), ('X-Forwarded-Proto', 'http')], False),
                          ([('X-Forwarded-Proto', 'https')], True), ([], False)):
        scheme = 'https' if https else 'http'
        say = t.client(port).get('/say', fields).body.decode()
        equal(say, f'{scheme} ' + ('203.0.113.7' if len(fields) and 'or' in fields[0][0] and '203' in fields[0][1] else '127.0.0.1'), fields)
        contains(t.client(port).get('/redirect', fields, host='a.test').fields.get('location'), f'{scheme}://a.test/new')
        equal('Secure' in t.client(port).get('/split', fields).fields.get('set-cookie'), https, fields)
        got = told(t.client(port).get('/', fields))
        equal(got.all('x-forwarded-proto'), [scheme], fields)
        contains(', '.join(got.all('forwarded')).split(',')[0].lower().replace('"', ''), f'proto={scheme}')
        equal(t.client(port).get('/upgrade/x', fields).status, 200 if https else 308, 'a redirect to https ends')


def test_one_language_is_believed(t):
    """A proxy that sets X-Forwarded-* passes on what a stranger wrote in Forwarded: that counts for nothing, and is not passed on."""
    weir, port = begin(t)
    fields = [('X-Forwarded-For', '203.0.113.7'), ('X-Forwarded-Proto', 'http'), ('X-Forwarded-Host', 'front.test'), ('Forwarded', 'for=10.0.0.1;proto=https;host=evil')]
    equal(t.client(port).get('/say', fields).body, b'http 203.0.113.7')
    got = told(t.client(port).get('/', fields))
    equal((got.all('x-forwarded-for'), got.all('x-forwarded-host')), (['203.0.113.7, 127.0.0.1'], ['front.test']))
    equal(got.all('x-matched'), ['yes'], 'conditions see the same client')
    equal(len(got.all('forwarded')), 1)
    equal(got.get('forwarded').split(', ')[0], 'for=203.0.113.7;proto=http;host="front.test"')
    contains(got.get('forwarded').split(', ')[1], 'for=127.0.0.1;proto=http')
    fields = [('Forwarded', 'for="[2001:db8::7]:99";proto=https;host="front.test:8443", for=10.1.1.1;by="a,b;c\\"d"')]
    got = told(t.client(port).get('/', fields))
    equal(got.get('x-forwarded-for'), '2001:db8::7, 10.1.1.1, 127.0.0.1')
    equal((got.get('x-forwarded-proto'), got.get('x-forwarded-host')), ('https', 'front.test:8443'))
    contains(', '.join(got.all('forwarded')), 'by="a,b;c\\"d", for=127.0.0.1')
    equal(t.client(port).get('/say', fields).body, b'https 2001:db8::7')


def test_the_scheme_of_the_clients_hop(t):
    """Of a list the value of the client's hop counts, not what a stranger wrote before it."""
    weir, port = begin(t)
    for chain, proto, scheme in (('6.6.6.6, 203.0.113.7', 'https, http', 'http'), ('6.6.6.6, 203.0.113.7', 'http, https', 'https'), ('203.0.113.7, 10.0.0.9', 'https, http', 'https'),
                                 ('203.0.113.7, 10.0.0.9', 'https', 'https')):
        equal(t.client(port).get('/say', [('X-Forwarded-For', chain), ('X-Forwarded-Proto', proto)]).body, f'{scheme} 203.0.113.7'.encode(), (chain, proto))


def test_strangers_are_not_believed(t):
    weir, port = begin(t, more='trusted_proxies: [10.0.0.0/8]')
    fields = [('X-Forwarded-For', '203.0.113.7'), ('X-Forwarded-Proto', 'https'), ('Forwarded', 'for=203.0.113.7;proto=https')]
    equal(t.client(port).get('/say', fields).body, b'http 127.0.0.1')
    got = told(t.client(port).get('/', fields))
    equal((got.all('x-forwarded-for'), got.all('x-forwarded-proto'), len(got.all('forwarded'))), (['127.0.0.1'], ['http'], 1))


def test_conditions_see_what_servers_are_told(t):
    """A route that asks for a forwarding field is not reached by a stranger who writes it, nor does a template or a limit see it."""
    origin, port = t.origin(), t.port()
    text = f'''listeners: ["127.0.0.1:{port}"]
%s
routes:
  - {{ match: {{ header: {{ X-Real-IP: "~^10[.]" }} }}, respond: {{ body: inside }} }}
  - {{ match: {{ header: {{ x-forwarded-proto: https }} }}, respond: {{ body: secure }} }}
  - {{ match: {{ header: {{ Forwarded: "*" }} }}, respond: {{ body: told }} }}
  - {{ respond: {{ body: "outside [${{request.header.x-forwarded-for}}]" }} }}
'''
    t.weir(text % '')
    for field in (('X-Real-IP', '10.0.0.1'), ('X-Forwarded-Proto', 'https'), ('Forwarded', 'for=10.0.0.1'), ('X-Forwarded-For', '10.0.0.1')):
        equal(t.client(port).get('/', [field]).body, b'outside [127.0.0.1]', field[0])
    other = t.port()
    t.weir((text % 'trusted_proxies: ["127.0.0.1"]').replace(str(port), str(other)))
    equal(t.client(other).get('/', [('X-Real-IP', '10.0.0.1')]).body, b'inside', 'of a trusted proxy')


def test_a_file_in_the_place_of_a_socket_stays(t):
    """Only a socket that nobody answers on is taken away."""
    path, link = os.path.join(t.work, 'precious'), os.path.join(t.work, 'link')
    open(path, 'w').write('keep')
    os.symlink(path, link)
    for place in (path, link):
        done = t.run('run', '-c', t.file('s.yaml', f'listeners: "unix:{place}"\nroutes: [ {{ respond: {{ body: ok }} }} ]\n'))
        equal(done.returncode, 1)
        contains(done.stderr, 'File exists')
    equal(open(path).read(), 'keep')
    ok(os.path.islink(link))


def test_proxy_header_tells_of_tls(t):
    """PROXY v2 with PP2_TYPE_SSL: the client spoke TLS to who sent it."""
    weir, port = begin(t, more='', listener='proxy_protocol: required')
    for bits, scheme in ((1, 'https'), (0, 'http')):
        tlv = b'\x20\x00\x05' + bytes([bits]) + b'\x00\x00\x00\x00'
        first = proxy_v2(('203.0.113.9', 4000), ('192.0.2.1', 443), more=b'\x04\x00\x02ab' + tlv)
        equal(t.client(port, first=first).get('/say').body, f'{scheme} 203.0.113.9'.encode())
        equal(told(t.client(port, first=first).get('/')).get('x-forwarded-proto'), scheme)
    c = t.client(port, first=proxy_v2(('203.0.113.9', 4000), ('192.0.2.1', 443), more=b'\x20\x00\x50\x01'))
    ok(c.ended(), 'a part of the header that runs over its end')


def test_what_is_told_is_chosen(t):
    names = ('x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-port', 'forwarded', 'via', 'x-real-ip')
    for section, wanted in (('', {'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'forwarded', 'via'}),
                            ('forwarding: { x_forwarded: [for, port], forwarded: false, via: false, x_real_ip: true }', {'x-forwarded-for', 'x-forwarded-port', 'x-real-ip'}),
                            ('forwarding: { x_forwarded: [], forwarded: false, via: false }', set())):
        weir, port = begin(t, more=section)
        response = t.client(port).get('/', host='a.test:81')
        got = told(response)
        equal({n for n in names if got.all(n)}, wanted, section)
        equal(bool(response.fields.get('via')), 'via' in wanted)
        if 'x-real-ip' in wanted:
            equal((got.get('x-real-ip'), got.get('x-forwarded-port')), ('127.0.0.1', '81'))
    weir, port = begin(t, more='forwarding: { via: true }', pool='forwarding: { x_forwarded: [for], forwarded: false, via: false }')
    got = told(t.client(port).get('/', [('Via', '1.0 before')]))
    equal({n for n in names if got.all(n)}, {'x-forwarded-for', 'via'})
    equal(got.all('via'), ['1.0 before'], "others' stays")
    done = t.run('check', '-c', t.file('two.yaml', '''listeners: ":1"
routes: [ { pool: [ { name: a }, { name: b } ] } ]
pools: { a: { servers: "10.0.0.1:1" }, b: { servers: "10.0.0.2:1", forwarding: { via: false } } }
'''))
    equal(done.returncode, 1)
    contains(done.stderr, 'give "a" and "b" the same forwarding')


def test_cookies_for_other_sites_are_secure(t):
    """Browsers drop SameSite=None without Secure."""
    origin, port = t.origin(), t.port()
    t.weir(f'''listeners: ["127.0.0.1:{port}"]
routes: [ {{ pool: [ {{ name: p }}, {{ name: q }} ], split: {{ cookie: {{ name: s, same_site: none }} }} }} ]
pools: {{ p: {{ servers: ["{origin.address}"] }}, q: {{ servers: ["{origin.address}"] }} }}
''')
    cookie = t.client(port).get('/').fields.get('set-cookie')
    contains(cookie, 'SameSite=None')
    contains(cookie, 'Secure')

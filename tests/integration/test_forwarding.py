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


def test_what_cannot_be_read_of_a_chain_does_not_go_on(t):
    """An open quote of a stranger would swallow what the proxies behind it wrote, weir's own element among it."""
    weir, port = begin(t)
    for chain, client, kept in ((['for=6.6.6.6;x=", for=203.0.113.7'], '203.0.113.7', 'for=203.0.113.7, '), (['for=6.6.6.6;x="', 'for=203.0.113.7;proto=https'], '203.0.113.7', 'for=203.0.113.7;proto=https, '),
                                (['for=6.6.6.6;x="\\, for="[2001:db8::7]"'], '2001:db8::7', 'for="[2001:db8::7]", '), (['for=6.6.6.6", for="203.0.113.7"'], '203.0.113.7', 'for="203.0.113.7", '),
                                (['for=6.6.6.6 for=7.7.7.7, for=203.0.113.7'], '203.0.113.7', 'for=203.0.113.7, '), (['for=6.6.6.6;for=10.0.0.1, for=203.0.113.7'], '203.0.113.7', 'for=203.0.113.7, '),
                                (['for=6.6.6.6', 'for=203.0.113.7, for', 'for=10.1.1.1'], '10.1.1.1', 'for=10.1.1.1, '), (['for=6.6.6.6;x="a'], '127.0.0.1', ''), (['"for=6.6.6.6, for=9.9.9.9"'], '127.0.0.1', ''),
                                (['=6.6.6.6'], '127.0.0.1', ''), (['for="6.6.6.6"x, for=203.0.113.7'], '203.0.113.7', 'for=203.0.113.7, '), (['for=', 'for=203.0.113.7'], '203.0.113.7', 'for=203.0.113.7, ')):
        response = t.client(port).get('/', [('Forwarded', line) for line in chain])
        got = told(response)
        equal(len(got.all('forwarded')), 1, chain)
        ok(got.get('forwarded').startswith(kept + 'for=127.0.0.1;proto=http;host="test"'), (chain, got.get('forwarded')))
        equal(t.client(port).get('/say', [('Forwarded', line) for line in chain]).body.decode().split()[1], client, chain)
    for chain, client in ((['6.6.6.6, <b>, 203.0.113.7'], '203.0.113.7'), (['6.6.6.6', '"', '203.0.113.7'], '203.0.113.7'), (['6.6.6.6;x=", 203.0.113.7'], '203.0.113.7')):
        got = told(t.client(port).get('/', [('X-Forwarded-For', line) for line in chain]))
        equal(got.all('x-forwarded-for'), ['203.0.113.7, 127.0.0.1'], chain)
        equal(got.get('forwarded'), 'for=203.0.113.7;proto=http;host="test", for=127.0.0.1;proto=http;host="test"', chain)
    ok(weir.log_line('cannot be read'))
    weir.signal(signal.SIGUSR2)
    ok(weir.log_line('chains_cut'))
    for chain in ('for=203.0.113.7;proto=https;by="a,b;c\\"d";ext=x', 'For=unknown, for=_hidden.1, for="203.0.113.7:80"', 'for=203.0.113.7 ; proto=http, for=10.1.1.1', 'for=[2001:db8::7]:80'):
        ok(told(t.client(port).get('/', [('Forwarded', chain)])).get('forwarded').startswith(chain + ', for=127.0.0.1'), chain)
    equal(told(t.client(port).get('/', [('X-Forwarded-For', 'unknown, _x, 203.0.113.7:80')])).get('x-forwarded-for'), 'unknown, _x, 203.0.113.7:80, 127.0.0.1')


def test_empty_elements_are_nobody(t):
    weir, port = begin(t)
    for chain, wanted in ((['203.0.113.7,'], '203.0.113.7, 127.0.0.1'), (['203.0.113.7,,10.1.1.1'], '203.0.113.7, 10.1.1.1, 127.0.0.1'), ([', ,203.0.113.7,, ,10.1.1.1,'], '203.0.113.7, 10.1.1.1, 127.0.0.1'),
                          (['203.0.113.7', ''], '203.0.113.7, 127.0.0.1')):
        fields = [('X-Forwarded-For', line) for line in chain]
        equal(t.client(port).get('/say', fields).body, b'http 203.0.113.7', chain)
        equal(told(t.client(port).get('/', fields)).all('x-forwarded-for'), [wanted], chain)
    ok('cannot be read' not in weir.stderr())


def test_the_client_is_known_behind_a_unix_socket(t):
    """A hop over a unix socket has no address; the next weir takes the client from those before it, in either language."""
    path = t.work + '/front.sock'
    back, port = begin(t, more='trusted_proxies: ["127.0.0.0/8"]\nforwarding: { x_real_ip: true }')
    for section in ('', 'x_forwarded: [], x_real_ip: true'):
        t.weir(f'''listeners: "unix:{path}"
trusted_proxies: [unix]
forwarding: {{ {section} }}
routes: [ {{ pool: back }} ]
pools: {{ back: {{ servers: "127.0.0.1:{port}" }} }}
''')
        for fields in ([('X-Forwarded-For', '203.0.113.7'), ('X-Forwarded-Proto', 'https')], [('Forwarded', 'for=203.0.113.7;proto=https')]):
            equal(t.client(path).get('/say', fields).body, b'https 203.0.113.7', (section, fields))
            got = told(t.client(path).get('/', fields))
            equal((got.get('x-forwarded-for'), got.get('x-real-ip'), got.get('x-matched')), ('203.0.113.7, 127.0.0.1', '203.0.113.7', 'yes'), (section, fields))
        equal(t.client(path).get('/say').body, b'http 127.0.0.1', 'it tells nobody')
        path += '2'


def test_what_a_proxy_tells_of_the_host_is_a_host(t):
    """Of the client's hop, with its escapes undone; what is none says nothing."""
    weir, port = begin(t)
    for host, wanted in (('"a\\.test"', 'a.test'), ('"A.Test.:8443"', 'a.test:8443'), ('"[0::1]:80"', '[::1]:80'), ('"a\\"b"', 'test'), ('"a,b"', 'test'), ('"a b"', 'test'), ('a..test', 'test'), ('"a/b"', 'test')):
        got = told(t.client(port).get('/', [('Forwarded', f'for=203.0.113.7;host={host}')]))
        equal(got.get('x-forwarded-host'), wanted, host)
    for fields, host in (([('X-Forwarded-Host', 'A.test')], 'a.test'), ([('X-Forwarded-Host', 'a"b')], 'test'), ([('X-Forwarded-Host', 'evil\\')], 'test'),
                                    ([('X-Forwarded-Host', 'b.test, a.test')], 'a.test'), ([('X-Forwarded-Host', 'b.test'), ('X-Forwarded-Host', 'a.test')], 'a.test')):
        for chain in ([('X-Forwarded-For', '203.0.113.7')], []):
            equal(told(t.client(port).get('/', fields + chain)).all('x-forwarded-host'), [host], fields)
    weir, port = begin(t, more='trusted_proxies: ["127.0.0.0/8"]\nforwarding: { x_forwarded: [host, port], x_real_ip: false }')
    for fields, wanted in (([('X-Forwarded-Port', '8443')], '8443'), ([('X-Forwarded-Port', '70000')], '80'), ([('X-Forwarded-Port', '1"')], '80'), ([('X-Forwarded-Port', '1, 2')], '2'), ([], '80')):
        for chain in ([('X-Forwarded-For', '203.0.113.7')], []):
            equal(told(t.client(port).get('/', fields + chain)).all('x-forwarded-port'), [wanted], fields + chain)
    for told_of, wanted in (([('X-Forwarded-Host', 'out.test')], ('out.test', '443')), ([('X-Forwarded-Host', 'out.test:8443')], ('out.test:8443', '8443')), ([('X-Forwarded-Host', '[::1]:9')], ('[::1]:9', '9')),
                            ([('X-Forwarded-Host', 'out.test:8443'), ('X-Forwarded-Port', '99')], ('out.test:8443', '99')), ([('X-Forwarded-Host', 'a..test:5')], ('in.test:77', '77')), ([], ('in.test:77', '77'))):
        for chain in ([('X-Forwarded-For', '203.0.113.7')], []):
            got = told(t.client(port).get('/', told_of + chain + [('X-Forwarded-Proto', 'https')], host='in.test:77'))
            equal((got.get('x-forwarded-host'), got.get('x-forwarded-port')), wanted, 'one place, not the port of another')
    for element, wanted in (('proto=https;host=out.test', '443'), ('proto=https;host="out.test:8443"', '8443'), ('host=out.test', '80'), ('proto=https', '77')):
        equal(told(t.client(port).get('/', [('Forwarded', f'for=203.0.113.7;{element}')], host='in.test:77')).get('x-forwarded-port'), wanted, element)
    for value, kept in (('10.1.2.3', ['10.1.2.3']), ('evil', []), ('1.2.3.4, 5.6.7.8', [])):
        equal(told(t.client(port).get('/', [('X-Real-IP', value)])).all('x-real-ip'), kept, value)


def test_of_a_long_chain_the_nearest_count(t):
    """Thirty-two, for the walk and in both languages alike."""
    weir, port = begin(t)
    for hops in (1, 31, 32, 33, 40, 500):
        chain = [f'203.0.{i // 250}.{i % 250 + 1}' for i in range(hops)]
        kept = chain[-32:]
        got = told(t.client(port).get('/', [('X-Forwarded-For', ', '.join(chain)), ('X-Forwarded-Proto', 'https')]))
        equal(got.get('x-forwarded-for'), ', '.join(kept + ['127.0.0.1']), hops)
        equal([e.split(';')[0] for e in got.get('forwarded').split(', ')], [f'for={a}' for a in kept + ['127.0.0.1']], hops)
        equal(got.get('forwarded').split(', ')[len(kept) - 1], f'for={kept[-1]};proto=https;host="test"', 'the hop of the client')
        got = told(t.client(port).get('/', [('Forwarded', ', '.join(f'for={a}' for a in chain))]))
        equal(got.get('x-forwarded-for'), ', '.join(kept + ['127.0.0.1']), hops)
        equal(got.get('forwarded').split(';')[0], ', '.join(f'for={a}' for a in kept + ['127.0.0.1']), hops)
    trusted = ['203.0.113.7'] + ['10.0.0.1'] * 32
    equal(t.client(port).get('/say', [('X-Forwarded-For', ', '.join(trusted))]).body, b'http 10.0.0.1', 'nobody looks further')
    equal(t.client(port).get('/say', [('X-Forwarded-For', ', '.join(trusted[:-1]))]).body, b'http 203.0.113.7')
    slow = 'x="' + '\\' * 5000 + ',' * 5000 + '"' * 5000
    equal(t.client(port).get('/say', [('Forwarded', slow)]).status, 200)


def test_conditions_see_what_is_believed(t):
    """Of a trusted proxy, in the form in which servers are told it: one scheme, one host, one language."""
    origin, port = t.origin(), t.port()
    t.weir(f'''listeners: ["127.0.0.1:{port}"]
trusted_proxies: ["127.0.0.1", "10.0.0.0/8"]
routes:
  - {{ match: {{ path: /proto, header: {{ X-Forwarded-Proto: https }} }}, respond: {{ body: https }} }}
  - {{ match: {{ path: /proto, header: {{ X-Forwarded-Proto: http }} }}, respond: {{ body: http }} }}
  - {{ match: {{ path: /host, header: {{ X-Forwarded-Host: a.test }} }}, respond: {{ body: a }} }}
  - {{ match: {{ path: /host, header: {{ X-Forwarded-Host: "*" }} }}, respond: {{ body: other }} }}
  - {{ match: {{ path: /port, header: {{ X-Forwarded-Port: "443" }} }}, respond: {{ body: "443" }} }}
  - {{ match: {{ path: /forwarded, header: {{ Forwarded: "*" }} }}, respond: {{ body: told }} }}
  - {{ match: {{ path: /id, header: {{ X-Request-Id: "~^[0-9a-f]{{32}}$" }} }}, respond: {{ body: ours }} }}
  - {{ match: {{ path: /id, header: {{ X-Request-Id: "two" }} }}, respond: {{ body: two }} }}
  - {{ match: {{ path: /id, header: {{ X-Request-Id: "one" }} }}, respond: {{ body: one }} }}
  - {{ respond: {{ body: none }} }}
''')
    chain = ('X-Forwarded-For', '203.0.113.7, 10.0.0.1')
    for target, fields, body in (('/proto', [('X-Forwarded-Proto', 'HTTPS')], 'https'), ('/proto', [('X-Forwarded-Proto', 'wss')], 'https'), ('/proto', [chain, ('X-Forwarded-Proto', 'https, http')], 'https'),
                                 ('/proto', [chain, ('X-Forwarded-Proto', 'http'), ('X-Forwarded-Proto', 'https'), ('X-Forwarded-Proto', 'http')], 'https'), ('/proto', [('X-Forwarded-Proto', 'gopher')], 'http'), ('/proto', [], 'none'),
                                 ('/host', [('X-Forwarded-Host', 'A.Test.')], 'a'), ('/host', [chain, ('X-Forwarded-Host', 'a.test, b.test')], 'a'), ('/host', [chain, ('X-Forwarded-Host', 'b.test, c.test')], 'other'),
                                 ('/host', [('X-Forwarded-Host', 'a..test')], 'none'), ('/host', [('Forwarded', 'for=203.0.113.7'), ('X-Forwarded-Host', 'a.test')], 'none'),
                                 ('/port', [('X-Forwarded-Port', '00443')], '443'), ('/port', [chain, ('X-Forwarded-Port', '443, 80')], '443'), ('/port', [('X-Forwarded-Port', 'x')], 'none'),
                                 ('/forwarded', [('Forwarded', 'for=203.0.113.7')], 'told'), ('/forwarded', [chain, ('Forwarded', 'for=10.0.0.1')], 'none'), ('/forwarded', [('Forwarded', 'for="')], 'none'),
                                 ('/id', [('X-Request-Id', 'one')], 'one'), ('/id', [('X-Request-Id', 'one'), ('X-Request-Id', 'two')], 'one'), ('/id', [('X-Request-Id', 'a b')], 'ours'), ('/id', [], 'none')):
        equal(t.client(port).get(target, fields).body.decode(), body, f'{target} {fields}')

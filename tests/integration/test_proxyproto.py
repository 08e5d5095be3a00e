"""The PROXY protocol on the way in."""
from weirtest import *


def client_of(weir, path):
    return weir.access_line(path=path)['client']


def test_version_1(t):
    weir, port = t.simple(listener='proxy_protocol: required')
    c = t.client(port, first=b'PROXY TCP4 203.0.113.9 192.0.2.1 4000 80\r\n')
    fields = Fields(c.get('/1').json()['fields'])
    equal((client_of(weir, '/1'), fields.get('x-forwarded-for')), ('203.0.113.9', '203.0.113.9'))
    c = t.client(port, first=b'PROXY TCP6 2001:db8::9 2001:db8::1 4000 80\r\n')
    equal((c.get('/2').status, client_of(weir, '/2')), (200, '2001:db8::9'))
    c = t.client(port, first=b'PROXY UNKNOWN\r\n')
    equal((c.get('/3').status, client_of(weir, '/3')), (200, '127.0.0.1'))


def test_version_2(t):
    weir, port = t.simple(listener='proxy_protocol: required')
    tests = [('/4', proxy_v2(('203.0.113.9', 4000), ('192.0.2.1', 80)), '203.0.113.9'), ('/6', proxy_v2(('2001:db8::9', 4000), ('2001:db8::1', 80)), '2001:db8::9'),
             ('/tlv', proxy_v2(('203.0.113.8', 4000), ('192.0.2.1', 80), more=b'\x04\x00\x08' + b'x' * 8), '203.0.113.8'),
             ('/sum', proxy_v2(('203.0.113.8', 4000), ('192.0.2.1', 80), more=b'\x03\x00\x04\xf8\xb9\x9c\x21'), '203.0.113.8'),
             ('/local', proxy_v2(('203.0.113.9', 4000), ('192.0.2.1', 80), command=0), '127.0.0.1')]
    for path, preface, client in tests:
        equal((t.client(port, first=preface).get(path).status, client_of(weir, path)), (200, client), path)


def test_in_single_bytes(t):
    weir, port = t.simple(listener='proxy_protocol: required')
    for i, preface in enumerate((b'PROXY TCP4 203.0.113.9 192.0.2.1 4000 80\r\n', proxy_v2(('203.0.113.9', 4000), ('192.0.2.1', 80)))):
        c = t.client(port)
        for byte in preface + f'GET /{i} HTTP/1.1\r\nHost: test\r\n\r\n'.encode():
            c.send(bytes([byte]))
        equal((c.response().status, client_of(weir, f'/{i}')), (200, '203.0.113.9'))


def test_before_tls(t):
    weir, port = t.simple(listener=f'proxy_protocol: required, tls: {{ certificates: [{t.cert("localhost")}] }}')
    c = t.client(port, tls=t.tls_client(), name='localhost', first=b'PROXY TCP4 203.0.113.9 192.0.2.1 4000 80\r\n')
    equal((c.get('/').status, client_of(weir, '/')), (200, '203.0.113.9'))


def test_required_and_missing(t):
    origin = t.origin()
    weir, port = t.simple(origin, listener='proxy_protocol: required')
    request = b'GET / HTTP/1.1\r\nHost: test\r\n\r\n'
    for junk in (request, b'PROXY TCP4 1.2.3.4\r\n', b'PROXY TCP4 1.2.3.4 1.2.3.4 99999 1\r\n', b'PROXY TCP4 ' + b'1' * 200,
                 b'\r\n\r\n\x00\r\nQUIT\n\x31\x11\x00\x00', b'\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x02ab',
                 b'PROXY TCP4 1.2.3.4\x00 5.6.7.8 1 2\r\n' + request, b'\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\x0c' + b'a' * 12 + request,
                 proxy_v2(('203.0.113.8', 4000), ('192.0.2.1', 80), more=b'\x03\x00\x04abcd') + request, proxy_v2(('203.0.113.8', 4000), ('192.0.2.1', 80), more=b'\x03\x00\x03abc') + request):
        c = t.client(port)
        c.send(junk)
        ok(c.ended(), f'{junk!r} was answered')
    equal(origin.count(), 0)


def test_preface_that_never_comes(t):
    weir, port = t.simple(listener='proxy_protocol: required', more='timeouts: { proxy_header: 400ms }')
    c = t.client(port)
    c.send(b'PROXY ')
    ok(c.ended(3))


def test_optional_only_from_trusted(t):
    weir, port = t.simple(listener='proxy_protocol: optional', more='trusted_proxies: ["127.0.0.1"]')
    equal(t.client(port).get('/plain').status, 200)
    c = t.client(port, first=b'PROXY TCP4 203.0.113.9 192.0.2.1 4000 80\r\n')
    equal((c.get('/with').status, client_of(weir, '/with')), (200, '203.0.113.9'))
    weir, port = t.simple(listener='proxy_protocol: optional')
    c = t.client(port, first=b'PROXY TCP4 203.0.113.9 192.0.2.1 4000 80\r\n')
    c.request()
    response = c.response()
    equal(response.status, 400, 'the preface of a stranger is no request')

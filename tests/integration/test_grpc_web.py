"""gRPC-Web of a browser, gRPC of a server, on a route that translates."""
import base64, struct, time

from weirtest import *


def message(payload, flag=0):
    return struct.pack('>BI', flag, len(payload)) + payload


def frames(data):
    found = []
    while data:
        flag, length = struct.unpack('>BI', data[:5])
        found.append((flag, data[5:5 + length]))
        data = data[5 + length:]
    return found


def decode(text):
    """Groups of base64 one behind another, each with its own padding."""
    return b''.join(base64.b64decode(text[i:i + 4], validate=True) for i in range(0, len(text), 4))


def serve(link, request):
    """What a gRPC server does, in HTTP/1's words: says what it got back, then once more, and its status in trailers."""
    body = request.body()
    equal((request.fields.get('content-type'), request.fields.get('te')), ('application/grpc+proto', 'trailers'))
    if request.path == '/s.S/none':
        link.answer(200, b'', [('Content-Type', 'application/grpc'), ('grpc-status', '5'), ('grpc-message', 'no%20such'), ('x-of', 'server')])
    elif request.path == '/s.S/page':
        link.answer(502, b'<html>', [('Content-Type', 'text/html')])
    else:
        link.chunked([body, message(b'again')], trailers=[('Grpc-Status', '0'), ('x-after', 'all')], fields=[('Content-Type', 'application/grpc+proto')])


def bridge(t, handler=serve, more=''):
    return t.simple(t.origin(handler), route='grpc_web: true' + more)


def call(client, path, body, kind='application/grpc-web+proto', fields=()):
    client.request('POST', path, [('Content-Type', kind), ('X-Grpc-Web', '1'), *fields], body=body)
    return client.response('POST')


OK = (0x80, b'grpc-status: 0\r\nx-after: all\r\n')


def test_bytes(t):
    weir, port = bridge(t)
    c = t.client(port)
    for size in (0, 1, 100, 70000):
        response = call(c, '/s.S/M', message(b'm' * size))
        equal((response.status, response.fields.get('content-type')), (200, 'application/grpc-web+proto'))
        equal(frames(response.body), [(0, b'm' * size), (0, b'again'), OK])
        equal(list(response.trailers), [])
    line = weir.access_line(path='/s.S/M')
    equal((line['status'], line['grpc_status']), (200, 0))


def test_text(t):
    weir, port = bridge(t)
    c = t.client(port)
    for size in (0, 1, 2, 3, 100, 70000, 300001):
        response = call(c, '/s.S/M', base64.b64encode(message(b'm' * size)), 'application/grpc-web-text+proto')
        equal(response.fields.get('content-type'), 'application/grpc-web-text+proto')
        equal(frames(decode(response.body)), [(0, b'm' * size), (0, b'again'), OK])


def test_answer_as_accepted(t):
    """A client may send bytes and want text, and the reverse."""
    weir, port = bridge(t)
    c = t.client(port)
    response = call(c, '/s.S/M', message(b'a'), fields=[('Accept', 'application/grpc-web-text')])
    equal(frames(decode(response.body)), [(0, b'a'), (0, b'again'), OK])
    response = call(c, '/s.S/M', base64.b64encode(message(b'a')), 'application/grpc-web-text+proto', [('Accept', 'application/grpc-web')])
    equal(frames(response.body), [(0, b'a'), (0, b'again'), OK])


def test_text_in_pieces(t):
    """The request's text cut anywhere, one character at a time."""
    weir, port = bridge(t)
    c = t.client(port)
    text = base64.b64encode(message(b'hello')) + base64.b64encode(message(b'x'))
    c.send('POST /s.S/M HTTP/1.1\r\nHost: test\r\nContent-Type: application/grpc-web-text+proto\r\nTransfer-Encoding: chunked\r\n\r\n')
    for i in range(len(text)):
        c.send(b'1\r\n' + text[i:i + 1] + b'\r\n')
        time.sleep(0.002)
    c.send('0\r\n\r\n')
    equal(frames(decode(c.response('POST').body)), [(0, b'hello'), (0, b'x'), (0, b'again'), OK])


def test_status_without_messages(t):
    weir, port = bridge(t)
    for kind, read in (('application/grpc-web+proto', bytes), ('application/grpc-web-text+proto', decode)):
        response = call(t.client(port), '/s.S/none', b'', kind)
        equal((response.status, response.fields.get('grpc-status'), response.fields.get('x-of')), (200, None, 'server'))
        equal(frames(read(response.body)), [(0x80, b'grpc-status: 5\r\ngrpc-message: no%20such\r\n')])
    equal(weir.access_line(path='/s.S/none')['grpc_status'], 5)


def test_what_is_not_grpc_passes(t):
    weir, port = bridge(t)
    response = call(t.client(port), '/s.S/page', b'', 'application/grpc-web-text+proto')
    equal((response.status, response.body, response.fields.get('content-type')), (502, b'<html>', 'text/html'))


def test_streams_as_it_comes(t):
    """Each message of a server's stream is with the client before the next is made."""
    def handler(link, request):
        link.send('HTTP/1.1 200 OK\r\nContent-Type: application/grpc+proto\r\nTransfer-Encoding: chunked\r\n\r\n')
        for i in range(5):
            piece = message(b'%d' % i)
            link.send(b'%x\r\n' % len(piece), piece, '\r\n')
            time.sleep(0.15)
        link.send('0\r\ngrpc-status: 0\r\n\r\n')
    weir, port = bridge(t, handler)
    c = t.client(port)
    c.request('POST', '/s.S/M', [('Content-Type', 'application/grpc-web-text')], body=base64.b64encode(message(b'')))
    c.head()
    for i in range(5):
        began = Since()
        equal(decode(c.reader.exactly(int(c.reader.until(b'\r\n'), 16))), message(b'%d' % i))
        c.reader.exactly(2)
        began.took(0, 0.4)


def test_own_answers(t):
    weir, port = bridge(t, lambda link, request: link.reset(), ', timeout: 300ms, body_limit: 1000B')
    for kind, read in (('application/grpc-web+proto', bytes), ('application/grpc-web-text+proto', decode)):
        response = call(t.client(port), '/s.S/M', message(b'') if read is bytes else base64.b64encode(message(b'')), kind)
        equal((response.status, response.fields.get('content-type')), (200, kind))
        (flag, text), = frames(read(response.body))
        equal(flag, 0x80)
        contains(text.decode(), 'grpc-status: 14\r\ngrpc-message: ')
    (flag, text), = frames(call(t.client(port), '/s.S/M', b'x' * 2000).body)
    contains(text.decode(), 'grpc-status: 8\r\n')
    equal(weir.access_line(bytes_in=2000)['failure'], 'body_too_large')


def test_malformed_text(t):
    weir, port = bridge(t)
    for body in (b'AAAA\n', b'AAA', b'A=AA', b'!AAA'):
        response = call(t.client(port), '/s.S/bad', body, 'application/grpc-web-text+proto')
        (flag, text), = frames(decode(response.body))
        contains(text.decode(), 'grpc-status: 13\r\n')
    equal(weir.access_line(path='/s.S/bad')['failure'], 'bad_body')


def test_route_that_does_not_translate(t):
    def handler(link, request):
        link.answer(200, request.body(), [('Content-Type', request.fields.get('content-type'))])
    weir, port = t.simple(t.origin(handler))
    response = call(t.client(port), '/s.S/M', b'as it is')
    equal((response.body, response.fields.get('content-type')), (b'as it is', 'application/grpc-web+proto'))

"""What a gRPC client is told where weir itself answers: a status of gRPC's, by the failure table, instead of a page."""
import time

import h2test
from weirtest import *

GRPC = ('Content-Type', 'application/grpc+proto')
TE = ('TE', 'trailers')


def answer(t, port, target='/s.S/M', fields=(), kind=GRPC):
    c = t.client(port)
    c.request('POST', target, [kind, TE, *fields], body=b'\0\0\0\0\0')
    response = c.response('POST')
    c.close()
    return response


def is_answer(response, status):
    equal((response.status, response.fields.get('grpc-status'), response.fields.get('content-type'), response.body), (200, str(status), 'application/grpc', b''))
    contains(response.fields.get('grpc-message'), 'request id')


def test_statuses(t):
    port, dead = t.port(), t.port()
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
rate_limits: {{ l: {{ rate: 1/h, burst: 1, key: client.ip }} }}
routes:
  - {{ match: {{ path: /limited/ }}, rate_limit: l, pool: p }}
  - {{ match: {{ path: /denied/ }}, access: {{ deny: ["127.0.0.0/8"], status: 401 }}, pool: p }}
  - {{ match: {{ path: /small/ }}, body_limit: 4B, pool: p }}
  - {{ match: {{ path: /dead/ }}, pool: dead }}
  - {{ match: {{ path: /said/ }}, respond: {{ status: 503, body: as written }} }}
  - {{ match: {{ path: /s.S/ }}, pool: p }}
pools:
  p: {{ servers: ["{t.origin().address}"] }}
  dead: {{ servers: ["127.0.0.1:{dead}"] }}
''')
    is_answer(answer(t, port, '/dead/M'), 14)
    is_answer(answer(t, port, '/nowhere'), 12)
    is_answer(answer(t, port, '/denied/M'), 7)
    is_answer(answer(t, port, '/small/M'), 8)
    equal(answer(t, port, '/limited/M').fields.get('grpc-status'), None)
    limited = answer(t, port, '/limited/M')
    is_answer(limited, 8)
    ok(int(limited.fields.get('retry-after')) > 0)
    said = answer(t, port, '/said/M')
    equal((said.status, said.body, said.fields.get('grpc-status')), (503, b'as written', None))
    line = weir.access_line(path='/dead/M')
    equal((line['status'], line['grpc_status'], line['failure']), (200, 14, 'connect_refused'))
    ok('grpc_status' not in weir.access_line(path='/said/M'))


def test_others_get_pages(t):
    port = t.port()
    t.weir(f'listeners: [ {{ address: "127.0.0.1:{port}" }} ]\nroutes: [ {{ match: {{ path: /x }}, respond: 200 }} ]\n')
    for kind in ('application/grpc-web', 'application/grpc-web-text', 'application/grpcx', 'application/json'):
        equal(answer(t, port, '/nowhere', kind=('Content-Type', kind)).status, 404)
    equal(t.client(port).get('/nowhere').status, 404)
    for method in ('GET', 'PUT', 'OPTIONS'):
        c = t.client(port)
        c.request(method, '/nowhere', [GRPC, TE])
        response = c.response(method)
        equal((response.status, response.fields.get('grpc-status')), (404, None), method + ': a request of gRPC is a POST')


def test_deadline(t):
    """grpc-timeout bounds the exchange: before a response a status, after its head a cut."""
    def handler(link, request):
        request.body()
        if request.path == '/s.S/late':
            link.send('HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n')
        link.gone(10)
    weir, port = t.simple(t.origin(handler), route='timeout: 5s')
    began = Since()
    is_answer(answer(t, port, fields=[('grpc-timeout', '300m')]), 4)
    began.took(0.25, 1.5)
    equal(weir.access_line(path='/s.S/M')['failure'], 'request_timeout')
    is_answer(answer(t, port, '/s.S/units', fields=[('grpc-timeout', '250000u')]), 4)
    try:
        answer(t, port, '/s.S/late', fields=[('grpc-timeout', '300m')])
        fail('a response that was cut looks whole')
    except Closed:
        pass
    equal(weir.access_line(path='/s.S/late')['failure'], 'request_timeout')


def test_deadline_never_lengthens(t):
    weir, port = t.simple(t.origin(lambda link, request: link.gone(10)), route='timeout: 300ms')
    began = Since()
    is_answer(answer(t, port, fields=[('grpc-timeout', '1H')]), 4)
    is_answer(answer(t, port, fields=[('grpc-timeout', 'soon')]), 4)
    began.took(0.5, 3)


def test_status_is_logged_and_te_passed(t):
    def handler(link, request):
        request.body()
        equal((request.fields.get('te'), request.fields.get('connection').lower()), ('trailers', 'te'))
        link.chunked([b'\0\0\0\0\0'], trailers=[('grpc-status', '5'), ('grpc-message', 'none%20such')], fields=[('Content-Type', 'application/grpc')])
    weir, port = t.simple(t.origin(handler))
    c = t.client(port)
    c.request('POST', '/s.S/M', [GRPC, TE], body=b'\0\0\0\0\0')
    response = c.response('POST')
    equal((response.status, response.trailers.get('grpc-status')), (200, '5'))
    line = weir.access_line(path='/s.S/M')
    equal((line['status'], line['grpc_status']), (200, 5))
    ok('failure' not in line)


def test_a_status_behind_messages_counts(t):
    """A server whose answers end badly is left out, though their heads were well; one that knows no such thing is not."""
    def ending(status):
        def handler(link, request):
            request.body()
            link.chunked([b'\0\0\0\0\0'], trailers=[('grpc-status', status)], fields=[('Content-Type', 'application/grpc'), ('X-Status', status)])
        return handler
    for http2 in (False, True):
        sick, wrong, well = [h2test.h2_origin(t, ending(status), name=status) if http2 else t.origin(ending(status), name=status) for status in ('14', '5', '0')]
        port = t.port()
        weir = t.weir(f'''workers: 1
listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ pool: p }} ]
pools:
  p:
    balance: round_robin
    protocol: {"h2c" if http2 else "http/1.1"}
    servers: [{", ".join(f'{{ address: "{o.address}", name: ends-{o.name} }}' for o in (sick, wrong, well))}]
    outlier: {{ errors: 4, time: 60s, most: 100%, clients: 1 }}
''')
        client = t.client(port)
        def ask():
            client.request('POST', '/s/M', [('Content-Type', 'application/grpc'), ('TE', 'trailers')], b'\0\0\0\0\0')
            return client.response().trailers.get('grpc-status')
        equal(collections.Counter(ask() for _ in range(12)), {'14': 4, '5': 4, '0': 4})
        contains(weir.log_line('server is ejected'), 'ends-14')
        equal(collections.Counter(ask() for _ in range(12)), {'5': 6, '0': 6})

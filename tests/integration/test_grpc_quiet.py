"""What servers of gRPC want of a proxy beside that it passes bytes: patience with those who are quiet, and an eye on those who fail."""
import time

import test_grpc
from h2test import *


def setup(t, timeouts, route=''):
    server, port = test_grpc.serve(t, 'h2c.S'), t.port()
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}", protocols: [h2c] }} ]
routes: [ {{ pool: p{route} }} ]
timeouts: {{ {timeouts} }}
pools: {{ p: {{ servers: ["127.0.0.1:{server.port}"], protocol: h2c, retry: {{ try_timeout: 200ms }} }} }}
''')
    return weir, test_grpc.Caller(t, 'quiet', 'h2c', 'h2c.S', port)


def speak(quiet):
    yield b'a'
    time.sleep(quiet)
    yield b'b'


def test_a_client_may_be_quiet(t):
    """For longer than a request's body may: before the server has begun to answer, and after."""
    _, c = setup(t, 'request_idle: 200ms')
    equal(list(c.Chat(speak(1), timeout=20 * SLOW)), [b'<a>', b'<b>'])
    equal(c.Sum(speak(1), timeout=20 * SLOW), hashlib.sha256(b'ab').digest())


def test_pings_do_not_offend(t):
    """A server that has nothing to send takes three of them for an attack."""
    _, c = setup(t, 'ping: 100ms, ping_answer: 1s')
    equal(list(c.Chat(speak(4.5), timeout=20 * SLOW)), [b'<a>', b'<b>'])


def test_both_are_quiet_for_too_long(t):
    weir, c = setup(t, 'response: 10s', ', idle_timeout: 300ms')
    ok(c.code(lambda: list(c.Chat(speak(30), timeout=20 * SLOW))).code() is not None)
    equal(weir.access_line(path='/h2c.S/Chat')['failure'], 'response_stalled')
    weir, c = setup(t, 'response: 300ms')
    equal(c.code(lambda: c.Sum(speak(30), timeout=20 * SLOW)).code().name, 'DEADLINE_EXCEEDED')
    equal(weir.access_line(path='/h2c.S/Sum')['failure'], 'response_timeout')


def test_a_server_that_fails_at_once_gets_little(t):
    """Its answers are quick and have status 200: without a look at their grpc-status it would be the best of all."""
    servers, port = [test_grpc.serve(t, 'h2c.S') for _ in range(3)], t.port()
    sick = t.h2_origin(lambda link, request: (request.body(), link.answer(200, b'', [('content-type', 'application/grpc'), ('grpc-status', '14')])))
    addresses = ', '.join(f'"127.0.0.1:{s.port}"' for s in servers) + f', "{sick.address}"'
    t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}", protocols: [h2c] }} ]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: [{addresses}], protocol: h2c }} }}
''')
    c = test_grpc.Caller(t, 'sick', 'h2c', 'h2c.S', port)
    failed = 0
    for _ in range(100):
        try:
            c.Echo(b'x', timeout=20 * SLOW)
        except test_grpc.library().RpcError as error:
            equal(error.code().name, 'UNAVAILABLE')
            failed += 1
    between(failed, 0, 5)

"""Only what is safe to send again is sent again."""
import time

from weirtest import *


def two(t, bad, retry='attempts: 1', good=tell, more=''):
    """A pool whose first server fails as told and whose second is good; round robin begins anywhere, so tests ask several times."""
    first, second = t.origin(bad, name='bad'), t.origin(good, name='good')
    port = t.port()
    weir = t.weir(f'''workers: 1
listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ pool: p }} ]
pools:
  p: {{ balance: round_robin, servers: ["{first.address}", "{second.address}"], retry: {{ {retry}, budget: 100% }}, fast_down: none, outlier: {{ time: 0s }} }}
{more}
''')
    return weir, port, first, second


def drop(link, request):
    request.body()
    link.close()


def test_get_goes_to_another_server(t):
    weir, port, bad, good = two(t, drop)
    c = t.client(port)
    equal([c.get('/g').status for _ in range(6)], [200] * 6)
    ok(bad.count() >= 2 and good.count() == 6, (bad.count(), good.count()))
    line = weir.access_line(path='/g', attempts=2)
    equal([f['failure'] for f in line['failed']], ['server_closed'])
    ok('failure' not in line, line)


def test_post_never_twice(t):
    """Whatever the server does with it, a POST that it may have seen is sent once."""
    def half(link, request):
        if not link.reader.bytes:
            link.reader.more()
        link.reset()
    for bad in (drop, half, lambda link, request: link.reset()):
        weir, port, first, second = two(t, bad)
        seen = []
        for i in range(6):
            c = t.client(port)
            c.request('POST', f'/{i}', (), b'pay once')
            seen.append(c.response().status)
            c.close()
        total = collections.Counter(r.path for r in first.requests + second.requests)
        equal(total.most_common(1)[0][1], 1, f'{total}')
        equal(len(total), 6)
        ok(502 in seen and 200 in seen, seen)


def test_idempotent_with_a_body(t):
    weir, port, bad, good = two(t, drop)
    for i in range(4):
        c = t.client(port)
        c.request('PUT', '/put', (), b'b' * 20000)
        response = c.response()
        equal((response.status, response.json()['length']), (200, 20000))


def test_body_that_is_not_kept(t):
    weir, port, bad, good = two(t, drop, 'attempts: 1, buffer: 1KiB')
    got = []
    for i in range(4):
        c = t.client(port)
        c.request('PUT', f'/{i}', (), b'b' * 200000)
        got.append(c.response().status)
    equal(sorted(set(got)), [200, 502])
    equal(max(collections.Counter(r.path for r in bad.requests + good.requests).values()), 1)


def test_connection_refused_is_never_sent(t):
    good = t.origin(name='good')
    gone, port = t.port(), t.port()
    weir = t.weir(f'''workers: 1
listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ balance: round_robin, servers: ["127.0.0.1:{gone}", "{good.address}"], retry: {{ budget: 100% }}, fast_down: none }} }}
''')
    c = t.client(port)
    for i in range(6):
        c.request('POST', f'/{i}', (), b'any method')
        equal(c.response().status, 200)
    equal(good.count(), 6)
    failed = eventually(lambda: [a['failed'] for a in weir.access() if 'failed' in a])
    equal(failed[0][0]['failure'], 'connect_refused')


def test_no_retry_once_the_response_began(t):
    def cut(link, request):
        link.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
        time.sleep(0.05)
        link.close()
    weir, port, bad, good = two(t, cut)
    cuts = 0
    for _ in range(4):
        try:
            t.client(port).get()
        except (Closed, ConnectionResetError):
            cuts += 1
    equal((cuts, bad.count(), good.count()), (2, 2, 2))


def test_status_that_is_tried_again(t):
    weir, port, bad, good = two(t, lambda link, request: link.answer(503, 'busy'), 'attempts: 1, on: [never_sent, "503"]')
    c = t.client(port)
    equal([c.get().status for _ in range(6)], [200] * 6)
    got = []
    for _ in range(4):
        c.request('POST', '/post', (), b'x')
        got.append(c.response().status)
    equal(sorted(set(got)), [200, 503], 'a POST that was answered is not sent again')


def test_an_answer_that_is_dropped(t):
    """A small one is read to its end, so that the connection stays; one that does not end does not hold the client up."""
    def small(link, request):
        link.answer(503, 'busy' * 100)
    weir, port, bad, good = two(t, small)
    c = t.client(port)
    equal([c.get().status for _ in range(8)], [200] * 8)
    ok(bad.count() >= 3)
    equal(len(bad.links), 1, 'connections to the server whose answers were dropped')

    def stalls(link, request):
        link.send('HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nnever')
        cut.append(link.gone(10))
        link.close()

    def endless(link, request):
        link.begin(503)
        cut.append(link.gone(10))
        link.close()
    for handler in (stalls, endless):
        cut = []
        weir, port, bad, good = two(t, handler)
        c = t.client(port)
        equal([c.get().status for _ in range(4)], [200] * 4)
        eventually(lambda: len(cut) == bad.count() and all(cut), text='it is cut when the client has its answer')


def test_status_that_is_not(t):
    weir, port, bad, good = two(t, lambda link, request: link.answer(501, 'broken'))
    c = t.client(port)
    equal(sorted(c.get().status for _ in range(4)), [200, 200, 501, 501])


def test_status_without_another_server(t):
    """The only server's answer is better than none."""
    weir, port = t.simple(t.origin(lambda link, request: link.answer(503, 'busy')))
    response = t.client(port).get()
    equal((response.status, response.body), (503, b'busy'))


def test_attempts_are_told(t):
    weir, port, bad, good = two(t, drop, 'attempts: 1', more='trusted_proxies: [127.0.0.2]')
    c = t.client(port)
    for _ in range(4):
        equal(c.get('/told', [('X-Attempt', '3'), ('X-Envoy-Attempt-Count', '4')]).status, 200)
    ok(bad.count() >= 2)
    equal({r.fields.get('x-attempt') for r in bad.requests}, {None}, 'what a stranger says is dropped')
    equal([r.fields.get('x-attempt') for r in good.requests].count('2'), bad.count(), 'a retry is told')
    equal({r.fields.get('x-envoy-attempt-count') for r in good.requests + bad.requests}, {None})


def test_no_retries_of_retries(t):
    weir, port, bad, good = two(t, drop, 'attempts: 1', more='trusted_proxies: [127.0.0.1]')
    c = t.client(port)
    for name in ('X-Attempt', 'X-Envoy-Attempt-Count'):
        equal(sorted(c.get('/again', [(name, '2')]).status for _ in range(4)), [200, 200, 502, 502], name)
        equal([c.get('/first', [(name, n)]).status for n in ('1', '0', 'two', '')], [200] * 4, name)
    equal({r.fields.get('x-attempt') for r in bad.requests if r.path == '/again'}, {'2', None})


def test_no_retry_without_time(t):
    """What could not be answered in time any more is not sent again: the median of this pool is known from the answers before."""
    def slow(link, request):
        request.body()
        time.sleep(0.3)
        if request.path == '/cut':
            link.close()
        else:
            link.answer(200, 'ok')
    origins = [t.origin(slow, name=n) for n in 'ab']
    port = t.port()
    t.weir(f'''workers: 1
listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes:
  - {{ match: {{ path: /cut, query: {{ t: "1" }} }}, timeout: 500ms, pool: p }}
  - {{ pool: p }}
pools: {{ p: {{ servers: ["{origins[0].address}", "{origins[1].address}"], idle_timeout: 0s, retry: {{ budget: 100% }}, outlier: {{ time: 0s }} }} }}
''')
    clients = [t.client(port) for _ in range(8)]
    for c in clients:
        c.request('GET', '/learn')
    equal([c.response().status for c in clients], [200] * 8)
    equal(t.client(port).get('/learn').status, 200)
    equal(t.client(port).get('/cut?t=1').status, 502, 'the failure itself, not the end of its time')
    equal(sum(o.count('/cut') for o in origins), 1)
    equal(t.client(port).get('/cut').status, 502)
    equal(sum(o.count('/cut') for o in origins), 3, 'with time enough it is sent again')


def test_classes_by_configuration(t):
    weir, port, bad, good = two(t, drop, 'attempts: 1, on: [never_sent]')
    c = t.client(port)
    equal(sorted(c.get().status for _ in range(4)), [200, 200, 502, 502])


def test_attempts_zero(t):
    weir, port, bad, good = two(t, drop, 'attempts: 0')
    c = t.client(port)
    equal(sorted(c.get().status for _ in range(4)), [200, 200, 502, 502])


def test_budget(t):
    """All servers broken, 20 %: what the servers get stays near what clients sent."""
    origins = [t.origin(drop, name=n) for n in 'ab']
    port = t.port()
    t.weir(f'''workers: 1
listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["{origins[0].address}", "{origins[1].address}"], retry: {{ budget: 20% }}, fast_down: none }} }}
''')
    c, began = t.client(port), time.monotonic()
    equal({c.get().status for _ in range(200)}, {502})
    between(sum(o.count() for o in origins), 200, 265 + 2 * (time.monotonic() - began), 'requests at the servers of 200; some retries a second are free')


def test_try_timeout(t):
    def never(link, request):
        link.gone(10)
        link.close()
    weir, port, bad, good = two(t, never, 'attempts: 1, try_timeout: 200ms')
    c = t.client(port)
    equal([c.get('/t').status for _ in range(4)], [200] * 4)
    equal(weir.access_line(path='/t', attempts=2)['failed'][0]['failure'], 'response_timeout')


def test_dead_kept_connection_is_replayed(t):
    """A kept connection that dies when the next request comes: the request goes out once more, on a new connection, and counts as no failure."""
    def handler(link, request):
        if link.served == 0:
            tell(link, request)
        else:
            request._body = b''
            link.reset() if request.query else link.close()
    origin = t.origin(handler)
    port = t.port()
    weir = t.weir(f'''workers: 1
listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["{origin.address}"], retry: {{ attempts: 0 }} }} }}
''')
    c = t.client(port)
    for i in range(6):
        equal(c.get(f'/{i}{"?r" if i % 2 else ""}').status, 200, str(i))
    ok(weir.access_line(path='/1').get('replayed'), weir.access())


def partly_gone(t, live, gone, pool='', route='', more=''):
    """A pool with servers that have never listened, and nothing that probes them."""
    origins = [t.origin(name=f'live{i}') for i in range(live)]
    servers = [o.address for o in origins]
    for i in range(gone):
        servers.insert(i * 2, f'127.0.0.1:{t.port()}')
    port = t.port()
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ pool: p{route} }} ]
pools: {{ p: {{ servers: {json.dumps(servers)}{pool} }} }}
{more}
''')
    return weir, port, origins


def test_half_of_the_servers_refuse(t):
    """Of what nothing was sent goes on until a server takes it: from the first request on, whatever the policy, the method and the budget."""
    for balance in ('adaptive', 'round_robin', 'least_conn', 'random', 'hash', 'first'):
        weir, port, origins = partly_gone(t, 4, 4, f', balance: {balance}, retry: {{ budget: 0% }}')
        clients = [t.client(port) for _ in range(20)]
        for c in clients:
            c.request('POST', '/together', (), b'once')
        equal([c.response().status for c in clients], [200] * 20, balance)
        equal([clients[0].get('/alone').status for _ in range(20)], [200] * 20, balance)
        equal(sum(o.count('/together') for o in origins), 20, 'each was sent once')
        for part in clients + [weir] + origins:
            part.stop() if part is weir else part.close()


def test_the_last_server_that_lives(t):
    for retry in ('attempts: 0', 'attempts: 1', 'attempts: 3'):
        weir, port, origins = partly_gone(t, 1, 12, f', balance: round_robin, retry: {{ {retry} }}')
        equal([t.client(port).get().status for _ in range(10)], [200] * 10, retry)
        weir.stop()
        failed = [len(a.get('failed', ())) for a in weir.access()]
        ok(max(failed) <= 5, f'the line tells of the first tries only: {failed}')
        origins[0].close()


def test_the_last_of_thousands(t):
    """A request has the memory to go through a huge pool."""
    good, gone, port = t.origin(), t.port(), t.port()
    servers = [f'127.9.{i // 250}.{i % 250 + 1}:{gone}' for i in range(3000)] + [good.address]
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: {json.dumps(servers)}, balance: first, outlier: {{ time: 0s }} }} }}
''')
    equal(t.client(port).get('/one').status, 200)
    equal(weir.access_line(path='/one')['attempts'], 3001)


def test_nobody_lives(t):
    """Each server is asked once, and by the next requests not all of them again and again."""
    weir, port, origins = partly_gone(t, 0, 12, ', outlier: { errors: none }', more='workers: 1')
    c = t.client(port)
    equal(c.get('/first').status, 502)
    equal(weir.access_line(path='/first')['attempts'], 12)
    equal(weir.access_line(path='/first')['failure'], 'connect_refused')
    equal({c.get('/next').status for _ in range(40)}, {502})
    lines = eventually(lambda: [a for a in weir.access() if a['path'] == '/next'][39:] and weir.access())
    ok(sum(a['attempts'] for a in lines) < 41 * 12 / 2, lines)


def test_never_sent_that_is_not_wanted(t):
    weir, port, origins = partly_gone(t, 1, 1, ', balance: round_robin, retry: { on: [sent_no_reply], attempts: 3 }')
    equal(sorted({t.client(port).get().status for _ in range(8)}), [200, 502])


def test_never_sent_ends_with_the_time(t):
    """Servers that do not even refuse: it goes on for as long as the request has time."""
    silent = []
    for _ in range(6):
        listener = socket.socket()
        listener.bind(('127.0.0.1', t.port()))
        listener.listen(0)
        held = [socket.socket() for _ in range(2)]
        for s in held:
            s.setblocking(False)
            s.connect_ex(listener.getsockname())
        silent.append((listener, held))
        t.later(lambda everything=(listener, *held): [s.close() for s in everything])
    servers = [f'127.0.0.1:{listener.getsockname()[1]}' for listener, _ in silent]
    good = t.origin()
    port = t.port()
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes:
  - {{ match: {{ path: /hurry }}, timeout: 700ms, pool: all }}
  - {{ match: {{ path: /hasty }}, pool: all, response_timeout: 700ms }}
  - {{ match: {{ path: /patient }}, pool: with }}
pools:
  all: {{ servers: {json.dumps(servers)}, connect_timeout: 300ms }}
  with: {{ servers: {json.dumps(servers[:4] + [good.address])}, balance: first, connect_timeout: 300ms }}
workers: 1
''')
    equal(t.client(port).get('/patient').status, 200)
    equal(weir.access_line(path='/patient')['attempts'], 5)
    equal(t.client(port).get('/hurry').status, 504)
    between(weir.access_line(path='/hurry')['attempts'], 2, 4)
    equal(t.client(port).get('/hasty').status, 504)
    between(weir.access_line(path='/hasty')['attempts'], 2, 5)

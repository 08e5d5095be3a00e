"""Requests spread over the servers of a pool, in front of real servers and of ours."""
import threading, time

from weirtest import *


def pooled(t, pool, more='', route=''):
    port = t.port()
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ pool: p{", " + route if route else ""} }} ]
pools:
  p:
{pool}
{more}
''')
    return weir, port


def spread(t, port, count, fresh=True):
    """How many of the requests each origin got."""
    got, c = collections.Counter(), None
    for _ in range(count):
        if c is None or fresh:
            c = t.client(port)
        response = c.get()
        got[response.fields.get('x-origin') or response.body.decode().strip() or response.status] += 1
        if fresh:
            c.close()
    return dict(got)


def test_three_real_servers(t):
    nginx = t.nginx('return 200 "nginx";')
    python, _ = t.python_server({'index.html': 'python'})
    stub = t.origin(lambda link, request: link.answer(200, 'stub'), name='stub')
    weir, port = pooled(t, f'''    balance: round_robin
    servers:
      - {{ address: "127.0.0.1:{nginx}", weight: 2, name: nginx }}
      - {{ address: "127.0.0.1:{python}", name: python }}
      - {{ address: "{stub.address}", name: stub }}
    health: {{ path: /, interval: 500ms }}''')
    c, got = t.client(port), collections.Counter()
    for _ in range(40):
        got[c.get().body.decode()] += 1
    equal(dict(got), {'nginx': 20, 'python': 10, 'stub': 10})
    curl = subprocess.run(['curl', '-s', *[f'http://127.0.0.1:{port}/'] * 4], capture_output=True, timeout=20).stdout.decode()
    equal(len(curl), len('nginxnginxpythonstub'))
    equal(weir.access_line(server='stub')['pool'], 'p')


def test_smooth_round_robin(t):
    a, b = t.origin(name='a'), t.origin(name='b')
    weir, port = pooled(t, f'    balance: round_robin\n    servers: [ {{ address: "{a.address}", weight: 3 }}, "{b.address}" ]', 'workers: 1')
    c = t.client(port)
    order = ''.join(c.get().json()['origin'] for _ in range(12))
    equal((order.count('a'), 'bb' in order, 'aaaa' in order), (9, False, False), order)


def test_weight_zero(t):
    a, b = t.origin(name='a'), t.origin(name='b')
    weir, port = pooled(t, f'    balance: round_robin\n    servers: [ {{ address: "{a.address}", weight: 0 }}, "{b.address}" ]')
    equal(spread(t, port, 10), {'b': 10})


def test_random_and_least_conn_use_all(t):
    # With one choice random is a lot and nothing else; of two it would avoid a server of which one answer came late by chance.
    for kind in ('random, choices: 1', 'least_conn'):
        origins = [t.origin(name=n) for n in 'abc']
        weir, port = pooled(t, '    ' + f'balance: {kind}'.replace(', ', '\n    ') + '\n    servers: [' + ', '.join(f'"{o.address}"' for o in origins) + ']')
        got = spread(t, port, 90)
        equal(sum(got.values()), 90)
        ok(len(got) == 3 and min(got.values()) >= 8, f'{kind}: {got}')      # of 30 on average, with a deviation of 4.5


def test_least_conn_avoids_the_busy(t):
    gate = threading.Event()

    def slow(link, request):
        gate.wait(60 * SLOW)
        tell(link, request)
    busy, free = t.origin(slow, name='busy'), t.origin(name='free')
    weir, port = pooled(t, f'    balance: least_conn\n    servers: ["{busy.address}", "{free.address}"]')
    waiting = []
    while not busy.in_progress and len(waiting) < 100:      # equals tie by chance
        waiting.append(t.client(port))
        waiting[-1].request()
        time.sleep(0.02)
    first = len(waiting)
    eventually(lambda: sum(not c.quiet(0) for c in waiting) == first - busy.in_progress, text='the free one has something to do')
    for _ in range(6):
        waiting.append(t.client(port))
        equal(waiting[-1].get().json()['origin'], 'free')
    between(busy.in_progress, 1, 2)
    gate.set()
    equal([c.response().status for c in waiting[:first]], [200] * first)


def test_hash_keeps_a_key_at_its_server(t):
    """One server a key, whichever worker, spread over all; and the same servers in another process."""
    origins = [t.origin(name=n) for n in 'abcd']
    pool = '    balance: hash\n    hash: { key: ["query:user"] }\n    servers: [' + ', '.join(f'"{o.address}"' for o in origins) + ']'

    def homes(port):
        found = {}
        for round in range(2):
            for user in range(40):
                c = t.client(port)
                at = c.get(f'/?user={user}').json()['origin']
                c.close()
                equal(found.setdefault(user, at), at)
        return found
    weir, port = pooled(t, pool, 'workers: 2')
    first = homes(port)
    equal(len(set(first.values())), 4, first)
    weir, port = pooled(t, pool, 'workers: 1')
    equal(homes(port), first)
    ok(len(spread(t, port, 40)) > 1, 'without the key any server will do')
    ok(len({t.client(port).get('/?user=').json()['origin'] for _ in range(40)}) > 1, 'and with an empty one')


def test_a_failing_server_is_ejected(t):
    """Its checks pass, its answers are errors: a policy that looks at no errors is spared them after five."""
    bad = t.origin(lambda link, request: link.answer(200 if request.path == '/health' else 500, 'bad'), name='bad')
    good = t.origin(name='good')
    weir, port = pooled(t, f'''    balance: round_robin
    servers: ["{bad.address}", "{good.address}"]
    health: {{ path: /health, interval: 500ms, fast_interval: 50ms }}
    retry: {{ attempts: 0 }}
    outlier: {{ time: 2s }}''', 'workers: 1')
    clients, began = [t.client(port, source=f'127.0.0.{i}') for i in (2, 3)], time.monotonic()
    statuses = [clients[i // 2 % 2].get().status for i in range(60)]
    between(statuses.count(500), 5, 5 + 5 * int((time.monotonic() - began) / 2), statuses)
    eventually(lambda: clients[0].get().status == 500)


def test_one_client_takes_no_server_from_the_others(t):
    """Whatever it asks for: errors of one client eject nobody, by no policy; and 429 not even those of several."""
    def picky(link, request):
        link.answer({'/mine': 500, '/often': 429}.get(request.path, 200), link.origin.name)

    def cut(link, request):
        link.close() if request.path == '/poison' else picky(link, request)
    for balance in ('round_robin', 'adaptive', 'hash'):
        origins = [t.origin(cut, name=n) for n in 'abc']
        servers = ', '.join(f'"{o.address}"' for o in origins)
        weir, port = pooled(t, f'''    balance: {balance}
    hash: {{ key: path }}
    servers: [{servers}]
    retry: {{ attempts: 0 }}
    outlier: {{ time: 60s }}''', 'workers: 1')
        mine = t.client(port, source='127.0.0.2')
        equal({mine.get('/mine').status for _ in range(100)}, {500})
        equal({t.client(port, source='127.0.0.2').get('/poison').status for _ in range(60)}, {502})
        for i in range(3, 9):
            c = t.client(port, source=f'127.0.0.{i}')
            equal({c.get('/often').status for _ in range(20)}, {429})
        others = t.client(port, source='127.0.0.10')
        served = {others.get(f'/{i}').body.decode() for i in range(60)}
        ok(served == set('abc') or balance == 'adaptive', f'{balance}: only {served} serve the others')
        ok('ejected' not in weir.stderr(), weir.stderr())
        weir.stop()
        for origin in origins:
            origin.close()


def test_nobody_is_ejected_where_that_is_off(t):
    bad = t.origin(lambda link, request: link.answer(500, 'bad'), name='bad')
    good = t.origin(name='good')
    weir, port = pooled(t, f'''    balance: round_robin
    servers: ["{bad.address}", "{good.address}"]
    retry: {{ attempts: 0 }}
    outlier: false''', 'workers: 1')
    clients = [t.client(port, source=f'127.0.0.{i}') for i in (2, 3)]
    equal(collections.Counter(clients[i // 2 % 2].get().status for i in range(60)), {500: 30, 200: 30})


def test_first_fills_up(t):
    a, b = t.origin(name='a'), t.origin(name='b')
    weir, port = pooled(t, f'    balance: first\n    servers: [ {{ address: "{a.address}", max_connections: 1 }}, "{b.address}" ]')
    equal(spread(t, port, 10), {'a': 10})


def test_max_connections_is_exact(t):
    """Over four workers: never more than three at once at the server, and all are answered from the queue."""
    lock, now, most = threading.Lock(), [0], [0]

    def slow(link, request):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.05)
        with lock:
            now[0] -= 1
        tell(link, request)
    origin = t.origin(slow)
    weir, port = pooled(t, f'    servers: ["{origin.address}"]\n    max_connections: 3\n    queue: {{ size: 100, max_wait: 10s }}', 'workers: 4')
    load = [threading.Thread(target=lambda: results.extend(Client(port, timeout=20).get().status for _ in range(4))) for _ in range(20)]
    results = []
    [thread.start() for thread in load]
    [thread.join() for thread in load]
    equal(collections.Counter(results), {200: 80})
    equal(most[0], 3)


def blocked(t, queue, limit=1):
    gate = threading.Event()

    def slow(link, request):
        gate.wait(10 * SLOW)
        tell(link, request)
    origin = t.origin(slow)
    weir, port = pooled(t, f'    servers: ["{origin.address}"]\n    max_connections: {limit}\n    queue: {{ {queue} }}')
    first = t.client(port)
    first.request()
    eventually(lambda: origin.in_progress)
    return weir, port, gate, first


def test_queue_timeout(t):
    weir, port, gate, first = blocked(t, 'size: 10, max_wait: 300ms')
    began = Since()
    response = t.client(port).get('/late')
    began.took(0.25, 2)
    equal((response.status, weir.access_line(path='/late')['failure']), (503, 'queue_timeout'))
    ok(response.fields.get('retry-after'), response.fields)
    gate.set()
    equal(first.response().status, 200)


def test_queue_full(t):
    weir, port, gate, first = blocked(t, 'size: 2, max_wait: 10s, discipline: fifo')
    waiting = [t.client(port) for _ in range(2)]
    for c in waiting:
        c.request('GET', '/waits')
    time.sleep(0.3 * SLOW)
    equal((t.client(port).get('/full').status, weir.access_line(path='/full')['failure']), (503, 'queue_full'))
    gate.set()
    equal([c.response().status for c in [first] + waiting], [200] * 3)


def test_waiting_clients_that_leave(t):
    weir, port, gate, first = blocked(t, 'size: 2, max_wait: 10s')
    for _ in range(5):
        c = t.client(port)
        c.request('GET', '/leaves')
        time.sleep(0.05)
        c.reset()
        time.sleep(0.1)
    keep = t.client(port)
    keep.request()
    time.sleep(0.2)
    gate.set()
    equal([c.response().status for c in (first, keep)], [200, 200], 'their places in the queue are free again')


def test_backups(t):
    main, backup = t.origin(name='main'), t.origin(name='backup')
    weir, port = pooled(t, f'''    servers: [ "{main.address}", {{ address: "{backup.address}", backup: true }} ]
    health: {{ path: /, interval: 1s, fast_interval: 50ms, fall: 1, rise: 1 }}''')
    equal(spread(t, port, 10), {'main': 10})
    main.close()
    eventually(lambda: spread(t, port, 1) == {'backup': 1})
    equal(spread(t, port, 10), {'backup': 10})
    again = t.origin(name='main', port=main.port)
    eventually(lambda: spread(t, port, 1) == {'main': 1})
    equal(spread(t, port, 5), {'main': 5})


def test_unix_socket_server(t):
    origin = t.origin(path=os.path.join(t.work, 'app.sock'), name='unix')
    weir, port = pooled(t, f'    servers: ["{origin.address}"]\n    health: {{ path: /, interval: 500ms }}')
    equal(spread(t, port, 5), {'unix': 5})


def test_kept_connections(t):
    origin = t.origin()
    weir, port = pooled(t, f'    servers: ["{origin.address}"]\n    max_requests: 3', 'workers: 1')
    c = t.client(port)
    numbers = [c.get().json()['connection'] for _ in range(7)]
    equal([numbers.count(n) for n in sorted(set(numbers))], [3, 3, 1])


def test_idle_timeout_of_servers(t):
    origin = t.origin()
    weir, port = pooled(t, f'    servers: ["{origin.address}"]\n    idle_timeout: 300ms')
    t.client(port).get()
    link = eventually(lambda: origin.links)[0]
    eventually(lambda: not link.sock._closed and link.sock.fileno() == -1 or link.sock.fileno() == -1)


def test_tls_to_servers(t):
    origin = t.origin(tls=t.tls_server('localhost'))
    weir, port = pooled(t, f'    servers: ["{origin.address}"]\n    tls: {{ ca: {t.certificates}/ca.crt, server_name: localhost }}\n    health: {{ path: /, interval: 500ms }}')
    c = t.client(port)
    equal([c.get().status for _ in range(5)], [200] * 5)


def test_tls_by_address(t):
    origin = t.origin(tls=t.tls_server('localhost'))
    weir, port = pooled(t, f'    servers: ["{origin.address}"]\n    tls: {{ ca: {t.certificates}/ca.crt }}')
    equal(t.client(port).get().status, 200, 'the certificate has the address among its names')


def test_tls_server_that_is_not_trusted(t):
    for name, ca in (('stranger', 'ca'), ('a', 'ca')):
        origin = t.origin(tls=t.tls_server(name))
        weir, port = pooled(t, f'    servers: ["{origin.address}"]\n    tls: {{ ca: {t.certificates}/{ca}.crt, server_name: localhost }}')
        equal((t.client(port).get('/x').status, weir.access_line(path='/x')['failure']), (502, 'tls_unverified'), name)
        equal(origin.count(), 0)
    weir, port = pooled(t, f'    servers: ["{origin.address}"]\n    tls: {{ verify: false }}')
    equal(t.client(port).get().status, 200, 'verify: false')


def test_tls_client_certificate(t):
    origin = t.origin(tls=t.tls_server('localhost', client_ca='ca'))
    weir, port = pooled(t, f'    servers: ["{origin.address}"]\n    tls: {{ ca: {t.certificates}/ca.crt, server_name: localhost, cert: {t.certificates}/client.crt, '
                           f'key: {t.certificates}/client.key }}')
    equal(t.client(port).get().status, 200)


def test_plain_server_where_tls_is_meant(t):
    origin = t.origin()
    weir, port = pooled(t, f'    servers: ["{origin.address}"]\n    tls: {{ ca: {t.certificates}/ca.crt }}\n    connect_timeout: 500ms')
    ok(t.client(port).get('/x').status in (502, 504))
    contains(('tls_failed', 'connect_timeout'), weir.access_line(path='/x')['failure'])


def test_server_by_name(t):
    origin = t.origin()
    weir, port = pooled(t, f'    servers: ["localhost:{origin.port}"]')
    equal(t.client(port).get().status, 200)


def test_connect_timeout(t):
    full = socket.socket()
    full.bind(('127.0.0.1', t.port()))
    full.listen(0)
    t.later(full.close)
    fillers = []
    for _ in range(4):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(full.getsockname())
        fillers.append(s)
    t.later(lambda: [s.close() for s in fillers])
    weir, port = pooled(t, f'    servers: ["127.0.0.1:{full.getsockname()[1]}"]\n    connect_timeout: 300ms\n    retry: {{ attempts: 0 }}')
    equal((t.client(port).get('/x').status, weir.access_line(path='/x')['failure']), (504, 'connect_timeout'))


def test_a_subset_is_used_and_no_other(t):
    """Three weirs in front of six servers, two each: every server is used, and probed, by one of them."""
    def probed(link, request):
        if request.path == '/probe':
            probes[link.origin.name].add(request.fields.get('host'))
        tell(link, request)
    probes = collections.defaultdict(set)
    origins = [t.origin(probed, name=n) for n in 'abcdef']
    servers = ', '.join(f'"{o.address}"' for o in origins)
    used, ports = [], []
    for index in range(3):
        weir, port = pooled(t, f'''    balance: round_robin
    subset: {{ size: 2, index: {index}, of: 3 }}
    health: {{ path: /probe, interval: 50ms, host: weir-{index}, trust_traffic: false }}
    servers: [{servers}]''')
        got = spread(t, port, 8, fresh=False)
        equal(sorted(got.values()), [4, 4])
        used.append(set(got))
        weir.log_line(f'2 of 6 servers, as weir {index} of 3')
    equal(sorted(name for names in used for name in names), list('abcdef'), 'each is of one subset')
    eventually(lambda: len(probes) == 6)
    time.sleep(0.2)
    equal({name: {f'weir-{i}'} for i, names in enumerate(used) for name in names}, dict(probes), 'who probes whom')


def test_a_slow_server_is_known_by_uploads(t):
    """Whose end comes when all bytes before it are with the server already: with no further byte, or with trailers."""
    def after(seconds):
        def answer(link, request):
            request.body()
            time.sleep(seconds)
            tell(link, request)
        return answer
    slow, quick = t.origin(after(0.4), name='slow'), t.origin(after(0.005), name='quick')
    for end in ('0\r\n\r\n', '0\r\nX-Sum: 1\r\n\r\n'):
        port = t.port()
        t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["{slow.address}", "{quick.address}"] }} }}
workers: 1
''')
        c, before = t.client(port), slow.count()
        for _ in range(50):
            c.request('POST', '/', {'Transfer-Encoding': 'chunked'})
            c.send('3\r\nabc\r\n')
            time.sleep(0.01)
            c.send(end)
            equal(c.response().status, 200)
        between(slow.count() - before, 0, 15, f'requests to the slow one of 50 that end {end!r}, which would be 25')


def test_a_standby_serves_when_all_others_are_down(t):
    """And one of them at a time, be it checks that tell who is down or refused connections; who comes back serves again."""
    def healthy(link, request):
        link.answer(200, link.origin.name)
    for balance, health in (('adaptive', 'health: { interval: 500ms, fast_interval: 50ms }'), ('round_robin', ''), ('hash', 'health: { interval: 500ms, fast_interval: 50ms }')):
        ports = {name: t.port() for name in ('a', 'b', 's1', 's2')}
        origins = {name: t.origin(healthy, name=name, port=p) for name, p in ports.items()}
        servers = ', '.join(f'{{ address: "127.0.0.1:{p}"{", backup: standby" if name[0] == "s" else ""} }}' for name, p in ports.items())
        weir, port = pooled(t, f'''    balance: {balance}
    servers: [{servers}]
    outlier: false
    {health}''', 'workers: 1')

        def served(count=24):
            c = t.client(port)
            return {r.body.decode() if r.status == 200 else r.status for r in (c.get() for _ in range(count))}
        ok(served() <= {'a', 'b'}, balance)
        origins['a'].close()
        eventually(lambda: served() == {'b'}, 10)
        origins['b'].close()
        eventually(lambda: served() == {'s1'}, 10)
        equal(served(200), {'s1'}, balance)
        origins['s1'].close()
        eventually(lambda: served() == {'s2'}, 10)
        origins['s1'] = t.origin(healthy, name='s1', port=ports['s1'])
        eventually(lambda: served() == {'s1'}, 10)
        origins['b'] = t.origin(healthy, name='b', port=ports['b'])
        eventually(lambda: served() == {'b'}, 10)
        weir.stop()
        for origin in origins.values():
            origin.close()


def test_a_standby_keeps_no_sessions(t):
    """A cookie that names it does not make two serve at once."""
    port = t.port()
    first = t.origin(name='first', port=port)
    standby = t.origin(name='standby')
    weir, at = pooled(t, f'''    servers: ["{first.address}", {{ address: "{standby.address}", backup: standby }}]
    sticky: {{ secrets: "not too short a secret" }}''', 'workers: 1')
    first.close()
    c = t.client(at)
    cookie = eventually(lambda: c.get().fields.get('set-cookie')).split(';')[0]
    equal(c.get('/', [('Cookie', cookie)]).json()['origin'], 'standby')
    t.origin(name='first', port=port)
    eventually(lambda: c.get('/', [('Cookie', cookie)]).json()['origin'] == 'first', 10)


# ---- the same server twice, and what is turned off ----

def test_a_server_that_is_listed_twice(t):
    """One server with the sum of the weights, as in nginx; under two names it is two servers."""
    a, b, port = t.origin(name='a'), t.origin(name='b'), t.port()
    weir = t.weir(f'''workers: 1
listeners: ["127.0.0.1:{port}"]
routes: [ {{ match: {{ path: /names }}, pool: names }}, {{ pool: twice }} ]
defaults: {{ pool: {{ balance: round_robin }} }}
pools:
  twice: {{ servers: ["{a.address}", "{b.address}", "{a.address}"] }}
  names: {{ servers: [ {{ address: "{a.address}", name: one }}, {{ address: "{a.address}", name: two }}, "{b.address}" ] }}
''')
    for path, wanted in ('/', {'a': 20, 'b': 10}), ('/names', {'a': 20, 'b': 10}):
        client = t.client(port)
        equal(dict(collections.Counter(client.get(path).json()['origin'] for _ in range(30))), wanted, path)
    servers = collections.Counter(line['server'] for line in eventually(lambda: len(weir.access()) == 60 and weir.access()))
    equal((servers[a.address], servers['one'], servers['two'], servers[b.address]), (20, 10, 10, 20))


def test_every_section_can_be_turned_off_alike(t):
    """`false` and `none`, where a section is not there by default, is there by default, or is never absent."""
    held, go = threading.Event(), threading.Event()

    def handler(link, request):
        if request.path == '/slow':
            held.set()
            ok(go.wait(20 * SLOW))
        if request.path == '/503':
            link.answer(503)
        else:
            tell(link, request)
    for word in 'false', 'none':
        held.clear()
        go.clear()
        a, b, port = t.origin(handler), t.origin(handler), t.port()
        weir = t.weir(f'''workers: 1
listeners: [ {{ address: "127.0.0.1:{port}", tls: {word} }} ]
log: {word}
forwarding: {word}
defaults:
  route: {{ in_flight: {{ limit: 1 }}, access: {{ deny: ["127.0.0.1"] }} }}
  pool: {{ health: {{ path: /503 }} }}
routes: [ {{ pool: app, in_flight: {word}, access: {word}, rewrite: {word}, hedge: {word}, mirror: {word}, split: {word} }} ]
pools:
  app:
    servers: ["{a.address}", "{b.address}"]
    balance: first
    max_connections: 1
    outlier: {word}
    retry: {word}
    queue: {word}
    health: {word}
    tls: {word}
    sticky: {word}
    subset: {word}
''')
        equal(t.client(port).get('/503').status, 503)
        equal(a.count('/503') + b.count('/503'), 1, f'{word}: a retry')
        told = t.client(port).get('/').json()['fields']
        for name, _ in told:
            ok(not re.match('(?i)x-forwarded|forwarded|via', name), f'{word}: {name} is sent')
        clients = [t.client(port) for _ in range(3)]
        for client in clients[:2]:
            held.clear()
            client.request('GET', '/slow')
            ok(held.wait(10 * SLOW))
        equal(clients[2].get('/').status, 503, f'{word}: it is queued')
        go.set()
        for client in clients[:2]:
            equal(client.response().status, 200)
        equal(weir.stderr(), '', f'{word}: the log')

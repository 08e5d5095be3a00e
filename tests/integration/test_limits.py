"""Rate limits and requests in flight: exact, over all workers."""
import threading, time

from weirtest import *


def limited(t, limits, route, origin=None):
    origin = origin or t.origin()
    port = t.port()         # behind it: what an origin listens on is given to nobody else
    weir = t.weir(f'''workers: 4
listeners: [ {{ address: "127.0.0.1:{port}" }} ]
trusted_proxies: ["127.0.0.1"]
rate_limits:
{limits}
routes:
  - {{ {route}, pool: p }}
pools: {{ p: {{ servers: ["{origin.address}"] }} }}
''')
    return weir, port


def statuses(t, port, count, fields=(), fresh=True, target='/'):
    got, c = [], None
    for _ in range(count):
        if c is None or fresh:
            c = t.client(port)
        got.append(c.get(target, fields).status)
        if fresh:
            c.close()
    return got


def is_served(t, port):
    """Where connections are refused it takes a while until one that was closed makes room."""
    try:
        return t.client(port).get().status == 200
    except (Closed, OSError):
        return False


def test_exact_over_workers(t):
    """A limit that hardly refills: of 40 requests on connections of their own, spread over four workers, just the burst passes."""
    weir, port = limited(t, '  l: { rate: 6/h, burst: 10, key: client.ip }', 'rate_limit: l')
    equal(collections.Counter(statuses(t, port, 40)), {200: 10, 429: 30})


def test_exact_at_once(t):
    weir, port = limited(t, '  l: { rate: 1/h, burst: 25, key: client.ip }', 'rate_limit: l')
    got, lock = collections.Counter(), threading.Lock()

    def run():
        mine = statuses(t, port, 10)
        with lock:
            got.update(mine)
    threads = [threading.Thread(target=run) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    equal(got, {200: 25, 429: 55})


def test_refills_at_its_rate(t):
    weir, port = limited(t, '  l: { rate: 20/s, burst: 1, key: client.ip }', 'rate_limit: l')
    c, passed, began, last = t.client(port), 0, time.monotonic(), 0
    while time.monotonic() - began < 2:
        asked, status = time.monotonic(), c.get().status
        ok(status == 200 or asked - last < 0.055, f'not passed {asked - last} s after the last')
        if status == 200:
            passed, last = passed + 1, time.monotonic()
        time.sleep(0.003)
    between(passed, 4, int((time.monotonic() - began) * 20) + 2, 'passed at 20/s')


def test_what_a_refusal_says(t):
    origin = t.origin()
    weir, port = limited(t, '  per-client: { rate: 6/m, burst: 2, key: client.ip }', 'rate_limit: per-client', origin)
    c = t.client(port)
    first = c.get()
    contains(first.fields.get('ratelimit', ''), '"per-client"')
    contains(first.fields.get('ratelimit', ''), 'r=1')
    contains(first.fields.get('ratelimit-policy', ''), '"per-client"')
    c.get()
    refused = c.get('/refused')
    equal(refused.status, 429)
    between(int(refused.fields.get('retry-after')), 1, 10, 'Retry-After')
    contains(refused.fields.get('ratelimit'), 'r=0')
    line = weir.access_line(path='/refused')
    equal((line['failure'], line['failure_of'], 'server' in line), ('rate_limited', 'client', False))
    equal(origin.count(), 2)
    ok(c.quiet(), 'the connection is kept')


def test_keys(t):
    weir, port = limited(t, '''  h: { rate: 1/h, burst: 1, key: "header:authorization" }
  c: { rate: 1/h, burst: 1, key: "cookie:session" }
  q: { rate: 1/h, burst: 1, key: "query:token" }
  both: { rate: 1/h, burst: 1, key: [client.ip, path] }''', 'match: { path: /h }, rate_limit: h, pool: p }\n  - { match: { path: /c }, rate_limit: c, pool: p }\n'
                         '  - { match: { path: /q }, rate_limit: q, pool: p }\n  - { rate_limit: both')
    c = t.client(port)
    equal([c.get('/h', {'Authorization': k}).status for k in 'aabba'], [200, 429, 200, 429, 429])
    equal([c.get('/c', {'Cookie': f'x=y; session={k}; z=1'}).status for k in 'aab'], [200, 429, 200])
    equal([c.get(f'/q?token={k}').status for k in 'aab'], [200, 429, 200])
    equal([c.get(p).status for p in ('/1', '/1', '/2')], [200, 429, 200])
    equal([c.get('/h').status for _ in range(3)], [200, 429, 429], 'requests that have no such key are counted together')


LACKS = {'header:k': ([], [('K', '')]), 'cookie:k': ([], [('Cookie', 'a=b')], [('Cookie', 'k=')], [('Cookie', 'k=""')]),
         'query:k': ('/', '/?', '/?k', '/?k=', '/?a=k')}
TWICE = {'header:k': ([('K', '{}'), ('K', 'v')], [('K', 'v'), ('k', '{}')]), 'cookie:k': ([('Cookie', 'k={}; k=v')], [('Cookie', 'k=v'), ('Cookie', 'k={}')]),
         'query:k': ('/?k={}&k=v', '/?k=v&a=b&k={}', '/?%6B={}&k=v')}


def asked(c, how, value=''):
    if isinstance(how, str):
        return c.get(how.format(value))
    return c.get('/', [(name, text.format(value)) for name, text in how])


def test_who_leaves_the_key_out(t):
    """By default they are counted, all in one; with `pass` not at all, with `refuse` they are turned away. What is empty is left out."""
    for part, ways in LACKS.items():
        for missing, wanted in (('', [200, 200, 429]), (', missing: count', [200, 200, 429]), (', missing: pass', [200] * 6), (', missing: refuse', [429] * 6)):
            weir, port = limited(t, f'  l: {{ rate: 1/h, burst: 2, key: [client.ip, "{part}"]{missing} }}', 'rate_limit: l')
            c = t.client(port)
            got = [asked(c, ways[i % len(ways)]).status for i in range(6)]
            equal(got, (wanted + [429] * 6)[:6], part + missing)
            refused = asked(c, ways[0])
            if missing == ', missing: refuse':
                equal((refused.status, refused.fields.get('retry-after')), (429, None), 'waiting does not help')
            other = '/?k=there' if part == 'query:k' else [('K', 'there')] if part == 'header:k' else [('Cookie', 'k=there')]
            equal(asked(c, other).status, 200, 'who has it is not counted with those who do not')


def test_a_key_that_comes_twice(t):
    """One server takes the first, another the last: whatever else is sent beside the value, it is no key of its own."""
    for part, ways in TWICE.items():
        for missing, wanted in (('', [200, 200]), (', missing: pass', [200, 200]), (', missing: refuse', [])):
            weir, port = limited(t, f'  l: {{ rate: 1/h, burst: 2, key: "{part}"{missing} }}', 'rate_limit: l')
            c = t.client(port)
            equal([asked(c, ways[i % len(ways)], f'v{i}').status for i in range(8)], (wanted + [429] * 8)[:8], part + missing)
    weir, port = limited(t, '  l: { rate: 1/h, burst: 2, key: "header:k", missing: refuse }', 'rate_limit: l')
    c = t.client(port)
    equal(c.get('/', [('K', 'v'), ('K', 'v')]).status, 200, 'the same value twice is one')


def test_other_spellings_are_no_other_keys(t):
    """What servers take for one path, cookie or parameter is counted as one."""
    for key, ways in (('path', ['/login', '//login', '/login;a=1', '/login;b', '/%6Cogin', '/x/../login', '/x%2F..%2Flogin', '/x/..;/login', '///login', '/login%3Bx', '//a/login']),
                      ('query:k', ['/?k=a b'.replace(' ', '%20'), '/?k=a+b', '/?%6B=a%20b', '/?x=1&k=%61%20b', '/?k=a%20b&k=a%20b']),
                      ('cookie:k', [[('Cookie', f)] for f in ('k=ab', 'k="ab"', 'x=1; k=ab', 'k=%61b', '%6B=ab', 'k = ab')]),
                      ('header:authorization', [[('Authorization', f)] for f in ('Bearer tok', 'bearer tok', 'BEARER tok', 'Bearer  tok', 'Bearer\ttok', 'bEARER \t tok \t')]),
                      ('header:authorization', [[('authorization', f)] for f in ('Basic YTpi', 'basic YTpi', 'Basic \tYTpi')]),
                      ('header:authorization', [[('Authorization', f)] for f in ('Digest username="a", x=1', 'digest  username="a", x=1')]),
                      ('header:authorization', [[('Authorization', f)] for f in ('tok', ' tok', 'tok\t')])):
        weir, port = limited(t, f'  l: {{ rate: 1/h, burst: 1, key: "{key}" }}', 'rate_limit: l')
        c = t.client(port)
        equal([asked(c, way).status for way in ways], [200] + [429] * (len(ways) - 1), key)
    weir, port = limited(t, '  l: { rate: 1/h, burst: 1, key: path }', 'paths: { parameters: kept, slashes: as_is, encoded_slash: as_is }, rate_limit: l')
    c = t.client(port)
    equal([c.get(path).status for path in ('/login', '//login', '/login;a=1', '/x%2Flogin', '/login')], [200, 200, 200, 200, 429], 'servers of this route read them apart')


def test_mixed_spellings_share_a_count(t):
    """What could be counted anew with each spelling, as servers do not agree on what comes first, is counted together."""
    weir, port = limited(t, '  l: { rate: 1/h, burst: 3, key: path }', 'rate_limit: l')
    c = t.client(port)
    equal(sum(c.get(f'/a/{i};%2F..%2F..%2Flogin').status == 200 for i in range(20)), 3)
    for key, way in (('header:authorization', lambda i: [('Authorization', f'Bearer tok {i}')]), ('header:authorization', lambda i: [('Authorization', f'Bearer tok,{i}')]),
                     ('header:authorization', lambda i: [('Authorization', f'Bearer tok\xa0{i}')]), ('header:authorization', lambda i: [('Authorization', f'token tok {i}=a')]),
                     ('header:authorization', lambda i: [('Authorization', 'Basic YTo' + 'pqr'[i % 3] + '=')]), ('header:authorization', lambda i: [('Authorization', f'Basic YQ==YT{i}a')]),
                     ('header:authorization', lambda i: [('Authorization', 'Basic YT' + '.' * (i + 1) + 'pi')]), ('header:authorization', lambda i: [('Authorization', 'x' * 40 + ' ' * (i + 1) + 'tok')]),
                     ('query:k', '/?k=v;{}'), ('query:k', '/?x={};k=v'), ('query:k', '/?k={};k=v')):
        weir, port = limited(t, f'  l: {{ rate: 1/h, burst: 2, key: "{key}", missing: pass }}', 'rate_limit: l')
        c = t.client(port)
        equal([asked(c, way if isinstance(way, str) else way(i), str(i)).status for i in range(6)], [200, 200, 429, 429, 429, 429], key)
    weir, port = limited(t, '  l: { rate: 1/h, burst: 1, key: "header:authorization" }', 'rate_limit: l')
    c = t.client(port)
    apart = ('Bearer a', 'Bearer A', 'Basic YTpi', 'Basic YTo=', 'bearer-x a', 'a', 'Digest username="a", x=1', 'Digest username="a",  x=1')
    equal([c.get('/', [('Authorization', f)]).status for f in apart], [200] * len(apart), 'others are others')


def held(t, route, limits='', fields=lambda i: []):
    """Requests that are all answered when the gate is open; the client that sent the i-th, or its refusal."""
    gate = threading.Event()
    t.later(gate.set)

    def handler(link, request):
        gate.wait(10 * SLOW)
        tell(link, request)
    origin = t.origin(handler)
    weir, port = limited(t, limits or '  unused: { rate: 1/s }', route, origin)

    def ask(i):
        c = t.client(port)
        c.request('GET', '/', fields(i))
        return c
    return gate, origin, weir, port, ask


def test_in_flight_of_who_leaves_the_key_out(t):
    for missing, served in (('', 2), (', missing: count', 2), (', missing: pass', 5), (', missing: refuse', 0)):
        gate, origin, weir, port, ask = held(t, f'in_flight: {{ limit: 2, key: [client.ip, "header:user-agent"]{missing} }}')
        clients = [ask(i) for i in range(5)]
        eventually(lambda: origin.in_progress == served and sum(not c.quiet(0) for c in clients) == 5 - served)
        gate.set()
        equal(sum(c.response().status == 200 for c in clients), served, missing)
        equal(weir.counted()['in_flight_limited'], 5 - served)


def test_a_full_table_lets_nobody_pass(t):
    """A table of eight keys, and twelve clients: four are refused, told and counted, and served when there is a place."""
    gate, origin, weir, port, ask = held(t, 'in_flight: { limit: 5, key: client.ip, keys: 8 }', fields=lambda i: [('X-Forwarded-For', f'192.0.2.{i + 1}')])
    clients = [ask(i) for i in range(8)]
    eventually(lambda: origin.in_progress == 8)
    c = t.client(port)
    for i in range(8, 12):
        refused = c.get('/full', [('X-Forwarded-For', f'192.0.2.{i + 1}')])
        equal((refused.status, refused.fields.get('retry-after')), (429, '1'))
    equal(weir.access_line(path='/full')['failure'], 'in_flight_limited')
    weir.log_line('table of keys is full')
    counted = weir.counted()
    equal((counted['in_flight_full'], counted['in_flight_limited']), (4, 4))
    gate.set()
    equal([c.response().status for c in clients], [200] * 8)
    equal(c.get('/', [('X-Forwarded-For', '192.0.2.99')]).status, 200)


def test_a_full_table_of_a_rate_limit(t):
    """Of eight keys: whoever else comes, no more than eight times the burst are let through."""
    weir, port = limited(t, '  l: { rate: 1/h, burst: 3, key: client.ip, keys: 8 }', 'rate_limit: l')
    c = t.client(port)
    got = [c.get('/', [('X-Forwarded-For', f'192.0.2.{i % 60 + 1}')]).status for i in range(180)]
    equal(collections.Counter(got), {200: 24, 429: 156})
    weir.log_line('table is full')
    ok(weir.counted()['rate_limit_full'] > 100)


def counter_of_dry_run(key):
    """As weir.yaml(5) names it at the key."""
    text = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'man', 'weir.yaml.5')).read()
    return re.search(rf'^\.Ss {re.escape(key)}\n(?:(?!\.Ss ).*\n)*?\.It Ic dry_run .*\n(?:(?!\.It ).*\n)*?The counter is (\w+)\.', text, re.M)[1]


def test_dry_runs_are_told(t):
    """Limits that are tried out count and log what they would refuse, whatever the reason."""
    gate, origin, weir, port, ask = held(t, 'in_flight: { limit: 1, key: "header:k", missing: refuse, dry_run: true }', fields=lambda i: [('K', 'v')] if i < 3 else [])
    clients = [ask(i) for i in range(5)]
    eventually(lambda: origin.in_progress == 5)
    gate.set()
    equal([c.response().status for c in clients], [200] * 5)
    counted = weir.counted()
    equal((counted[counter_of_dry_run('routes[].in_flight')], counted['in_flight_limited']), (4, 0))
    contains(weir.log_line('subject=in_flight message="a request would be refused'), 'why=')
    weir, port = limited(t, '  l: { rate: 1/h, burst: 1, key: "header:k", missing: refuse, dry_run: true }', 'rate_limit: l')
    c = t.client(port)
    equal([c.get('/', fields).status for fields in ([('K', 'v')], [('K', 'v')], [], [('K', 'v'), ('K', 'w')])], [200] * 4)
    counted = weir.counted()
    equal((counted[counter_of_dry_run('rate_limits.NAME')], counted['rate_limited']), (3, 0))
    contains(weir.log_line('subject=rate_limit message="a request would be refused'), 'limit=l')


def test_clients_are_told_apart(t):
    weir, port = limited(t, '  l: { rate: 1/h, burst: 1, key: client.ip }', 'rate_limit: l')
    c = t.client(port)
    equal([c.get('/', {'X-Forwarded-For': ip}).status for ip in ('192.0.2.1', '192.0.2.1', '192.0.2.2', '2001:db8::1', '2001:db8::2', '2001:db8:0:1::1')],
          [200, 429, 200, 200, 429, 200], 'IPv6 counts by /64')


def test_several_limits(t):
    weir, port = limited(t, '  wide: { rate: 1/h, burst: 5, key: client.ip }\n  narrow: { rate: 1/h, burst: 2, key: path }', 'rate_limit: [wide, narrow]')
    c = t.client(port)
    equal([c.get(p).status for p in ('/a', '/a', '/a', '/b', '/b', '/c')], [200, 200, 429, 200, 200, 200], 'one that is refused by the second costs nothing of the first')
    equal(c.get('/d').status, 429)


def test_dry_run(t):
    weir, port = limited(t, '  l: { rate: 1/h, burst: 1, key: client.ip, dry_run: true }', 'rate_limit: l')
    equal(statuses(t, port, 5), [200] * 5)


def test_other_status(t):
    weir, port = limited(t, '  l: { rate: 1/h, burst: 1, key: client.ip, status: 503 }', 'rate_limit: l')
    equal(statuses(t, port, 2), [200, 503])


def test_count_survives_a_reload(t):
    weir, port = limited(t, '  l: { rate: 1/h, burst: 3, key: client.ip }', 'rate_limit: l')
    equal(statuses(t, port, 2), [200, 200])
    weir.reload(open(weir.file).read() + '# other\n')
    equal(statuses(t, port, 2), [200, 429])


def gated_three(t):
    """Three requests of a client at once, which are answered when the gate is open."""
    gate = threading.Event()

    def handler(link, request):
        gate.wait(10 * SLOW)
        tell(link, request)
    origin = t.origin(handler)
    return gate, origin, *limited(t, '  unused: { rate: 1/s }', 'in_flight: { limit: 3, key: client.ip }', origin)


def test_in_flight(t):
    gate, origin, weir, port = gated_three(t)
    clients = [t.client(port) for _ in range(8)]
    for c in clients[:3]:
        c.request()
    eventually(lambda: origin.in_progress == 3)
    refused = [c.get('/refused').status for c in clients[3:]]
    equal(refused, [429] * 5)
    equal(weir.access_line(path='/refused')['failure'], 'in_flight_limited')
    gate.set()
    equal([c.response().status for c in clients[:3]], [200] * 3)
    equal([c.get().status for c in clients], [200] * 8, 'their places are free again')
    equal(origin.most_in_progress, 3)


def test_requests_in_flight_count_over_reloads(t):
    """Also when routes come before theirs, and among routes that look alike; what ended under the older file is free."""
    gate, origin, weir, port = gated_three(t)
    text = open(weir.file).read()
    clients = [t.client(port) for _ in range(3)]
    for c in clients[:2]:
        c.request()
    eventually(lambda: origin.in_progress == 2)
    weir.reload(text.replace('limit: 3', 'limit: 2'))
    equal(statuses(t, port, 2), [429] * 2, 'after a reload')
    before = "routes:\n  - { match: { path: /new }, in_flight: { limit: 2, key: client.ip }, respond: 200 }\n"
    weir.reload(text.replace('routes:\n', before))
    equal(t.client(port).get('/new').status, 200, 'another route')
    clients[2].request()
    eventually(lambda: origin.in_progress == 3)
    equal(statuses(t, port, 2), [429] * 2, 'after another')
    gate.set()
    equal([c.response().status for c in clients], [200] * 3)
    equal(statuses(t, port, 4), [200] * 4)


def test_requests_in_flight_count_at_their_listener(t):
    """Routes that look alike keep their counts when listeners change places or go, with a name or without."""
    for name in ('', 'name: same, '):
        gate = threading.Event()
        t.later(gate.set)

        def handler(link, request):
            gate.wait(10 * SLOW)
            tell(link, request)
        origin, ports = t.origin(handler), [t.port(), t.port(), t.port()]

        def text(order):
            return 'listeners:\n' + ''.join(
                f'  - {{ address: "127.0.0.1:{p}", routes: [ {{ {name}in_flight: {{ limit: 1, key: client.ip }}, pool: p }} ] }}\n' for p in order
            ) + f'pools: {{ p: {{ servers: ["{origin.address}"] }} }}\n'
        weir = t.weir(text(ports))
        held = t.client(ports[1])
        held.request()
        passed = 1
        eventually(lambda: origin.in_progress == passed)
        for order in ([ports[1], ports[0]], [ports[1]], [ports[2], ports[1]]):
            weir.reload(text(order))
            equal(statuses(t, ports[1], 2), [429] * 2, f'{name}{order}: the one that is held counts on')
            for port in set(order) - {ports[1]}:
                c = t.client(port)
                c.request()
                passed += 1
                eventually(lambda: origin.in_progress == passed, text=f'{name}{order}: it counts at {port} too')
                c.close()
        gate.set()
        equal(held.response().status, 200)
        weir.stop()


def test_in_flight_of_clients_that_leave(t):
    def handler(link, request):
        if request.path == '/stay':
            link.gone(10)
            link.close()
        else:
            tell(link, request)
    origin = t.origin(handler)
    weir, port = limited(t, '  unused: { rate: 1/s }', 'in_flight: { limit: 2, key: client.ip }', origin)
    for _ in range(10):
        c = t.client(port)
        c.request('GET', '/stay')
        eventually(lambda: origin.in_progress)
        c.reset()
        eventually(lambda: not origin.in_progress)
    equal(statuses(t, port, 4), [200] * 4)


def test_connections_per_client(t):
    weir, port = t.simple(listener='max_connections_per_client: 3')
    clients = [t.client(port) for _ in range(3)]
    equal([c.get().status for c in clients], [200] * 3)
    extra = t.client(port)
    ok(extra.ended() or extra.reader.bytes.startswith(b'HTTP/1.1 503'))
    clients[0].close()
    eventually(lambda: is_served(t, port))


def test_connections_that_are_open_count_after_a_reload(t):
    """A cap for each client that comes with a reload counts those that are there: idle, with a request in progress, in a handshake and behind a PROXY header."""
    for listener, preface, tls in (('', b'', False), ('', b'', True), ('proxy_protocol: required', proxy_v2(('192.0.2.7', 5), ('192.0.2.1', 80)), False)):
        gate = threading.Event()
        t.later(gate.set)

        def handler(link, request):
            if request.path == '/wait':
                gate.wait(10 * SLOW)
            tell(link, request)
        origin = t.origin(handler)
        options = ', '.join(filter(None, [listener, f'tls: {{ certificates: [ {t.cert("localhost")} ] }}' if tls else '']))
        weir, port = t.simple(origin=origin, listener=options)

        def open_one():
            if not tls:
                c = t.client(port)
                c.send(preface)
                return c
            return t.client(port, tls=t.tls_client(), name='localhost')
        idle, busy = open_one(), open_one()
        equal(idle.get().status, 200)
        busy.request('GET', '/wait')
        eventually(lambda: origin.in_progress == 1)
        raw = socket.create_connection(('127.0.0.1', port))      # it never says anything more
        raw.send(preface)
        t.later(raw.close)
        eventually(lambda: weir.counted()['connections_open'] == 3)
        text = open(weir.file).read()
        weir.reload(text.replace(f'127.0.0.1:{port}"', f'127.0.0.1:{port}", max_connections_per_client: 4'))
        fourth = open_one()
        equal(fourth.get().status, 200)
        refused = weir.counted()['connections_refused']
        try:
            open_one().get()
            fail('a fifth is served')
        except (Closed, OSError):
            pass
        eventually(lambda: weir.counted()['connections_refused'] == refused + 1)
        raw.close()
        gate.set()
        equal(busy.response().status, 200)

        def another():
            try:
                return open_one().get().status == 200
            except (Closed, OSError):
                return False
        eventually(another)
        weir.reload(text)      # and without it nobody is counted
        equal([open_one().get().status for _ in range(6)], [200] * 6)


def test_connections_of_a_listener(t):
    weir, port = t.simple(listener='max_connections: 4')
    clients = [t.client(port) for _ in range(4)]
    equal([c.get().status for c in clients], [200] * 4)
    extra = t.client(port, timeout=1)
    try:
        extra.request()
        response = extra.response()
        equal(response.status, 503)
    except (Closed, OSError):
        pass
    [c.close() for c in clients]
    eventually(lambda: is_served(t, port))


def test_explain_tells_who_is_refused_for_lack_of_a_key(t):
    """What a limit refuses whatever was before is no request that would be served; in dry run it would."""
    text = '''listeners: ["127.0.0.1:1"]
rate_limits: {{ l: {{ rate: 1/s, key: "header:k", missing: refuse{0} }} }}
routes: [ {{ rate_limit: l, in_flight: {{ limit: 1, key: "cookie:s", missing: refuse{0} }}, pool: p }} ]
pools: {{ p: {{ servers: ["127.0.0.1:2"] }} }}
'''
    path, dry = t.file('refuse.yaml', text.format('')), t.file('dry.yaml', text.format(', dry_run: true'))
    for fields, failure in (([], 'rate_limited'), (['-H', 'k: 1'], 'in_flight_limited'), (['-H', 'k: 1', '-H', 'k: 2', '-H', 'Cookie: s=1'], 'rate_limited')):
        said = t.run('explain', '-c', path, *fields, 'GET', 'http://127.0.0.1:1/')
        equal(said.returncode, 1, said.stdout)
        contains(said.stdout, f'({failure})')
        equal(t.run('explain', '-c', dry, *fields, 'GET', 'http://127.0.0.1:1/').returncode, 0)
    equal(t.run('explain', '-c', path, '-H', 'k: 1', '-H', 'Cookie: s=1', 'GET', 'http://127.0.0.1:1/').returncode, 0)

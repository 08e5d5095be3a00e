"""Probes, and what they do to where requests go."""
import signal, threading, time

from weirtest import *

# The time that a probe may take is what a busy machine takes, or else its delays are judged.
FAST = f'interval: {int(500 * SLOW)}ms, fast_interval: 50ms, timeout: {int(500 * SLOW)}ms'


def probed(t, servers, health, more='', pool=''):
    port = t.port()
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ pool: p }} ]
pools:
  p:
    balance: round_robin
    servers: [{", ".join(f'"{s}"' for s in servers)}]
    health: {{ {health} }}
{pool}
{more}
''')
    return weir, port


class Patient:
    """A server whose probes are answered as told."""
    def __init__(self, t, name, **more):
        self.status, self.body, self.probes, self.other = 200, 'fine', [], 0
        self.origin = t.origin(self.answer, name=name, **more)
        self.address = self.origin.address

    def answer(self, link, request):
        if request.path == '/healthz':
            self.probes.append((time.monotonic(), request))
            status = self.status
            if status == 'hang':
                link.gone(10)
                link.close()
            else:
                link.answer(status, self.body)
        else:
            self.other += 1
            link.answer(200, self.origin.name)


def who(t, port, count=6):
    c = t.client(port)
    got = {c.get().body.decode() for _ in range(count)}
    c.close()
    return got


def test_fall_and_rise(t):
    a, b = Patient(t, 'a'), Patient(t, 'b')
    weir, port = probed(t, [a.address, b.address], f'path: /healthz, {FAST}, rise: 2, fall: 3')
    eventually(lambda: a.probes and b.probes)
    equal(who(t, port), {'a', 'b'})
    failing_from = len(a.probes)
    a.status = 500
    eventually(lambda: who(t, port) == {'b'})
    ok(len(a.probes) - failing_from >= 3, 'fewer than `fall` probes failed')
    weir.log_line('server is down')
    rising_from = len(a.probes)
    a.status = 200
    eventually(lambda: who(t, port) == {'a', 'b'})
    ok(len(a.probes) - rising_from >= 2, 'fewer than `rise` probes passed')
    weir.log_line('server is up')


def test_a_single_failure_is_forgiven(t):
    a, b = Patient(t, 'a'), Patient(t, 'b')
    weir, port = probed(t, [a.address, b.address], f'path: /healthz, {FAST}, rise: 2, fall: 3')
    for _ in range(3):
        count = len(a.probes)
        a.status = 500
        eventually(lambda: len(a.probes) > count)
        a.status = 200
        count = len(a.probes)
        eventually(lambda: len(a.probes) > count + 1)
        equal(who(t, port), {'a', 'b'})


def test_expected_status_and_body(t):
    a, b = Patient(t, 'a'), Patient(t, 'b')
    weir, port = probed(t, [a.address, b.address], f'path: /healthz, {FAST}, rise: 1, fall: 1, trust_traffic: false, expect_status: ["204", "2xx"], expect_body: "fin"')
    eventually(lambda: a.probes and b.probes)
    equal(who(t, port), {'a', 'b'})
    a.status = 302
    eventually(lambda: who(t, port) == {'b'})
    a.status, a.body = 200, 'not what is wanted'
    time.sleep(0.5)
    equal(who(t, port), {'b'})
    a.body = 'xx fine xx'
    eventually(lambda: who(t, port) == {'a', 'b'})


def test_probe_that_hangs(t):
    a, b = Patient(t, 'a'), Patient(t, 'b')
    a.status = 'hang'
    weir, port = probed(t, [a.address, b.address], f'path: /healthz, {FAST}, rise: 1, fall: 2, trust_traffic: false')
    eventually(lambda: who(t, port) == {'b'})


def test_what_a_probe_says(t):
    a = Patient(t, 'a')
    weir, port = probed(t, [a.address], f'path: "/healthz?deep", host: app.test, method: HEAD, {FAST}')
    request = eventually(lambda: a.probes)[0][1]
    equal((request.method, request.target, request.fields.get('host')), ('HEAD', '/healthz?deep', 'app.test'))
    contains(request.fields.get('user-agent', ''), 'weir')


def test_probes_do_not_grow_with_workers(t):
    a = Patient(t, 'a')
    probed(t, [a.address], 'path: /healthz, interval: 200ms', more='workers: 8')
    eventually(lambda: len(a.probes) >= 8, 20)
    probes = list(a.probes)
    between(len(probes), 8, 3 + (probes[-1][0] - probes[0][0]) / 0.15, 'probes at one each 200 ms')
    gaps = [after[0] - before[0] for before, after in zip(a.probes[1:], a.probes[2:])]
    ok(len({round(g, 3) for g in gaps}) > 1, f'no jitter: {gaps}')


def test_tcp_probe(t):
    listener = socket.create_server(('127.0.0.1', t.port()))
    t.later(listener.close)
    b = Patient(t, 'b')
    weir, port = probed(t, [f'127.0.0.1:{listener.getsockname()[1]}', b.address], f'type: tcp, {FAST}, fall: 1, rise: 1')
    accepted = []

    def accept():
        while True:
            try:
                accepted.append(listener.accept()[0])
            except OSError:
                return
    threading.Thread(target=accept, daemon=True).start()
    eventually(lambda: len(accepted) > 2)


def test_https_probe(t):
    a = Patient(t, 'a', tls=t.tls_server('localhost'))
    weir, port = probed(t, [a.address], f'path: /healthz, {FAST}, fall: 2', pool=f'    tls: {{ ca: {t.certificates}/ca.crt, server_name: localhost }}')
    eventually(lambda: len(a.probes) > 2)
    equal(who(t, port), {'a'})


def test_probe_on_another_port(t):
    a, probe = Patient(t, 'a'), Patient(t, 'probe')
    weir, port = probed(t, [a.address], f'path: /healthz, port: {probe.origin.port}, {FAST}, fall: 1')
    eventually(lambda: probe.probes)
    equal(who(t, port), {'a'})
    probe.status = 500
    eventually(lambda: t.client(port).get().status == 503)


def test_nobody_healthy(t):
    a = Patient(t, 'a')
    weir, port = probed(t, [a.address], f'path: /healthz, {FAST}, fall: 1, rise: 1')
    eventually(lambda: a.probes)
    a.status = 500
    c = t.client(port)
    eventually(lambda: c.get('/none').status == 503)
    began = Since()
    response = c.get('/none')
    equal(response.status, 503)
    began.took(0, 0.5, 'not at once')
    ok(response.fields.get('retry-after'), response.fields)
    line = weir.access_line(path='/none', status=503)
    equal((line['failure'], line['failure_of']), ('no_server', 'server'))
    a.status = 200
    eventually(lambda: c.get('/').status == 200)


def test_killed_under_load(t):
    """kill -9 of one of three servers under load: no GET fails; it is back after `rise` probes."""
    script = t.file('server.py', f'import sys; sys.path.insert(0, {HERE!r})\nfrom weirtest import *\nimport time\no = Origin(name="killed", port=int(sys.argv[1]))\ntime.sleep(600)\n')
    victim = t.port()
    process = t.spawn(['/usr/bin/python3', script, str(victim)], victim)
    a, b = t.origin(name='a'), t.origin(name='b')
    weir, port = probed(t, [a.address, b.address, f'127.0.0.1:{victim}'], 'path: /healthz, interval: 300ms, fast_interval: 100ms, rise: 2, fall: 2')
    load = t.load(port, rate=300 / SLOW, threads=6)
    eventually(lambda: load.origins['killed'] > 20)
    process.kill()
    process.wait()
    weir.log_line('server is down')
    time.sleep(0.2)
    with load.lock:
        load.origins.clear()
    time.sleep(0.5)
    equal(load.origins['killed'], 0)
    t.spawn(['/usr/bin/python3', script, str(victim)], victim)
    eventually(lambda: load.origins['killed'], 10, 'the server is not back')
    load.check(100)


def test_refused_connections_take_a_server_down(t):
    """Without probes of their own due for long, connect failures are noticed and checked at once."""
    a, b = Patient(t, 'a'), Patient(t, 'b')
    weir, port = probed(t, [a.address, b.address], 'path: /healthz, interval: 30s, fast_interval: 100ms, rise: 1, fall: 2')
    eventually(lambda: a.probes and b.probes)
    a.origin.close()
    c = t.client(port)
    for _ in range(20):
        equal(c.get().status, 200)
        time.sleep(0.02)
    weir.log_line('server is down')
    again = Patient(t, 'a', port=a.origin.port)
    eventually(lambda: who(t, port) == {'a', 'b'})


def test_traffic_outweighs_a_check_that_asks_the_wrong_question(t):
    a = Patient(t, 'a')
    weir, port = probed(t, [a.address], f'path: /healthz, {FAST}')
    load = t.load(port, rate=200, threads=4)
    eventually(lambda: a.other > 100, 10)
    a.status = 404
    weir.log_line('check disagrees with traffic', seconds=20)
    ok('server is down' not in weir.stderr(), 'it is up')
    a.status = 500      # its own word
    weir.log_line('server is down', seconds=20)
    load.stop()


def test_traffic_does_not_outweigh_an_answer_that_lacks_its_text(t):
    """Be it by another body or by none: by these a server says that it is not well."""
    for body in ('on its way out', ''):
        a = Patient(t, 'a')
        weir, port = probed(t, [a.address], f'path: /healthz, expect_body: fine, {FAST}')
        load = t.load(port, rate=200, threads=4)
        eventually(lambda: a.other > 100, 10)
        a.body = body
        weir.log_line('server is down', seconds=20)
        load.stop()
        weir.stop()


def test_traffic_spares_probes(t):
    a, b = Patient(t, 'a'), Patient(t, 'b')
    often = 'interval: 250ms, timeout: 250ms'
    weir, port = probed(t, [a.address], f'path: /healthz, {often}', more=f'''  q:
    servers: ["{b.address}"]
    health: {{ path: /healthz, {often}, trust_traffic: false }}''')
    eventually(lambda: a.probes and b.probes)
    load = t.load(port, rate=400, threads=4)
    eventually(lambda: a.other > 100)
    before = len(a.probes), len(b.probes)
    eventually(lambda: len(b.probes) >= before[1] + 12, 20)
    load.stop()
    ok(len(a.probes) - before[0] <= 6, f'{len(a.probes) - before[0]} probes of one that traffic shows to be well, 12 of the other')


def test_slow_start(t):
    a, b = Patient(t, 'a'), Patient(t, 'b')
    weir, port = probed(t, [a.address, b.address], f'path: /healthz, {FAST}', pool='    slow_start: 10m')
    eventually(lambda: a.probes and b.probes)
    a.status = 500
    eventually(lambda: who(t, port) == {'b'}, 10)
    a.status = 200
    weir.log_line('server is up')
    c = t.client(port)
    got = [c.get().body for _ in range(200)].count(b'a')
    between(got, 2, 60, 'of 200, half when it is warm')


# ---- what the logs say of an outage ----

def events(weir, sentence, pool=None):
    """Lines of that sentence, and how many events they tell: each is one, or `repeated`."""
    lines = [line for line in weir.stderr().split('\n') if f'message="{sentence}"' in line and (pool is None or f' pool={pool} ' in line)]
    return len(lines), sum(int((re.search(r' repeated=(\d+)', line) or [0, 1])[1]) for line in lines)


def test_an_outage_of_thousands_is_few_lines(t):
    """Servers that go and come back by the thousand: some lines of each pool and second, then sums in which none is missing."""
    port, closed = t.port(), t.port()
    many = ', '.join(f'"127.{2 + i // 250}.{i % 250 // 10}.{1 + i % 10}:{closed}"' for i in range(2000))
    weir = t.weir(f'''workers: 1
listeners: ["127.0.0.1:{port}"]
log: {{ level: info }}
routes: [ {{ match: {{ path: /few }}, pool: few }}, {{ pool: many }} ]
defaults: {{ pool: {{ health: {{ interval: 1s, fast_interval: 1s, fall: 1, rise: 1 }} }} }}
pools:
  many: {{ servers: [{many}] }}
  few: {{ servers: ["127.0.0.9:{closed}"] }}
''')
    eventually(lambda: events(weir, 'server is down')[1] == 2001, 30, lambda: f'{events(weir, "server is down")} of 2001 events')
    lines, _ = events(weir, 'server is down', 'many')
    between(lines, 2, 200)
    equal(events(weir, 'server is down', 'few'), (1, 1), 'the other pool has a line of its own')
    contains(weir.log_line('pool=many why="connection refused" repeated='), 'message="server is down"')
    with socket.create_server(('0.0.0.0', closed), backlog=4096) as listener:
        def serve():
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                sock.settimeout(5)
                try:
                    sock.recv(4096)
                    sock.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
                except OSError:
                    pass
                sock.close()
        threading.Thread(target=serve, daemon=True).start()
        eventually(lambda: events(weir, 'server is up')[1] == 2001, 60, lambda: f'{events(weir, "server is up")} of 2001 events')
        between(events(weir, 'server is up', 'many')[0], 2, 400)
        listener.shutdown(socket.SHUT_RDWR)


def test_why_no_server_can_be_had(t):
    """The access log of a request that finds none, and a line of the log, tell why each server of the pool is out."""
    closed, port, held, go = t.port(), t.port(), threading.Event(), threading.Event()

    def slow(link, request):
        held.set()
        ok(go.wait(20 * SLOW))
        link.answer(200)
    full = t.origin(slow)
    weir = t.weir(f'''workers: 1
listeners: ["127.0.0.1:{port}"]
access_log: {{ format: json }}
routes:
  - {{ match: {{ path: /down }}, pool: down }}
  - {{ match: {{ path: /full }}, pool: full }}
pools:
  down: {{ servers: ["127.0.0.1:{closed}", "127.0.0.2:{closed}", {{ address: "127.0.0.3:{closed}", weight: 0 }}], health: {{ interval: 1s, fall: 1 }} }}
  full: {{ servers: ["{full.address}"], max_connections: 1, queue: {{ size: 0 }} }}
''')
    eventually(lambda: events(weir, 'server is down')[1] == 3)
    for _ in range(3):
        equal(t.client(port).get('/down').status, 503)
    equal(weir.access_line(path='/down')['servers_out'], 'down 3 (connection refused)')
    contains(weir.log_line('no server of the pool can be had'), 'pool=down servers_out="down 3 (connection refused)"')
    first = t.client(port)
    first.request('GET', '/full')
    ok(held.wait(10 * SLOW))
    equal(t.client(port).get('/full').status, 503)
    equal(weir.access_line(path='/full')['servers_out'], 'full 1')
    go.set()
    equal(first.response().status, 200)
    ok('servers_out' not in weir.access_line(path='/full', status=200))

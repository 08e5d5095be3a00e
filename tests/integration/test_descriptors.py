"""Few descriptors: idle clients keep nobody from being served, and servers get theirs."""
import resource

from weirtest import *


def few(t, text, files):
    """A weir that may open so many files."""
    weir = t.weir(text, command=['sh', '-c', f'ulimit -n {files}; exec "$0" run -c weir.yaml', WEIR])
    equal(resource.prlimit(weir.pid, resource.RLIMIT_NOFILE), (files, files), 'open files')
    return weir


def served(t, port, count=30, **more):
    """Each on a connection of its own, as new clients come."""
    got = collections.Counter()
    for _ in range(count):
        try:
            c = t.client(port, **more)
            got[c.get().status] += 1
            c.close()
        except (Closed, OSError) as why:
            got[type(why).__name__] += 1
    return got


def backlog(port):
    """Connections to the port that nobody has accepted yet."""
    rows = [line.split() for line in open('/proc/net/tcp')]
    return sum(int(row[4].split(':')[1], 16) for row in rows if row[3] == '0A' and row[1].endswith(f':{port:04X}'))


def idle(t, port, count, **more):
    """All are accepted when it returns: who is accepted later is the newer one, whoever came first."""
    clients = []
    for _ in range(count):
        try:
            clients.append(t.client(port, **more))
        except OSError:
            pass
    eventually(lambda: backlog(port) == 0, 20)
    return clients


def text_of(t, origin, listener='', more=''):
    port = t.port()
    return port, f'''listeners: [ {{ address: "127.0.0.1:{port}"{listener} }} ]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["{origin.address}"], max_connections: 10000, health: {{ interval: 200ms, trust_traffic: false }} }} }}
{more}
'''


def test_too_few_to_start_are_told(t):
    """In weir's words, with how many it needs; what it says then is enough."""
    _, text = text_of(t, t.origin())
    file, needed = t.file('few.yaml', text), 0
    for files in (6, 9, 12, 20, 33, 41):
        done = subprocess.run(['sh', '-c', f'ulimit -n {files}; exec "$0" run -c {file}', WEIR], capture_output=True, text=True, timeout=20 * SLOW)
        told = re.search(rf'weir: open files are limited to {files}, and weir needs (\d+) at least.*; raise LimitNOFILE or ulimit -n', done.stderr)
        ok(told and done.returncode == 1 and 'libevent' not in done.stderr and '[err]' not in done.stderr, f'{files}: {done.stderr}')
        needed = int(told[1])
    few(t, 'workers: 1\n' + text, needed)
    file = t.file('few.yaml', 'workers: 2\n' + text)
    done = subprocess.run(['sh', '-c', f'ulimit -n {needed}; exec "$0" run -c {file}', WEIR], capture_output=True, text=True, timeout=20 * SLOW)
    contains(done.stderr, f'open files are limited to {needed}, and 1 listeners with 2 workers need at least')
    weir = t.weir(text_of(t, t.origin())[1], command=['sh', '-c', 'ulimit -Sn 8; exec "$0" run -c weir.yaml', WEIR])
    ok(resource.prlimit(weir.pid, resource.RLIMIT_NOFILE)[0] > 8, 'as far as it goes it is raised first')


def test_idle_clients_starve_nobody(t):
    origin = t.origin()
    port, text = text_of(t, origin)
    weir = few(t, text, 256)
    line = weir.log_line('limits.connections is lowered')
    fit = int(re.search(r'connections=(\d+)', line)[1])
    between(fit, 100, 210, 'connections that fit')
    clients = idle(t, port, 400)
    equal(served(t, port), {200: 30})
    between(weir.descriptors(), fit, 256)
    equal([c.get().status for c in clients[-30:]], [200] * 30, 'the newest of the idle clients are still there')
    ok("can't accept" not in weir.stderr(), weir.stderr())
    ok('server is down' not in weir.stderr(), weir.stderr())


def test_clients_in_a_handshake_starve_nobody(t):
    origin = t.origin()
    port, text = text_of(t, origin, f', tls: {{ certificates: [ {t.cert("localhost")} ] }}')
    weir = few(t, text, 256)
    idle(t, port, 200, source='127.0.0.2')      # of one address the oldest handshake goes for the next: here that may be anybody's
    idle(t, port, 200, first=b'\x16\x03\x01', source='127.0.0.2')
    equal(served(t, port, tls=t.tls_client(), name='localhost'), {200: 30})


def test_clients_in_a_preface_starve_nobody(t):
    origin = t.origin()
    port, text = text_of(t, origin, ', proxy_protocol: required')
    weir = few(t, text, 256)
    idle(t, port, 400, first=b'PROXY TCP4 ')
    equal(served(t, port, first=b'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n'), {200: 30})


def test_idle_clients_of_http2_starve_nobody(t):
    origin = t.origin()
    port, text = text_of(t, origin, ', protocols: [h2c, http/1.1]')
    weir = few(t, text, 256)
    idle(t, port, 200, first=b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0')
    idle(t, port, 200, first=b'PRI')
    equal(served(t, port), {200: 30})


def test_used_clients_starve_nobody(t):
    """They were answered once, and then asked for nothing more."""
    origin = t.origin()
    port, text = text_of(t, origin)
    weir = few(t, text, 256)
    clients = []
    for _ in range(400):
        c = t.client(port)
        equal(c.get().status, 200)
        clients.append(c)
        time.sleep(0.003)
    time.sleep(0.3)
    equal(served(t, port), {200: 30})


def test_a_limit_of_connections_starves_nobody(t):
    for listener, more in (('', 'limits: { connections: 50 }'), (', max_connections: 50', '')):
        origin = t.origin()
        port, text = text_of(t, origin, listener, more)
        weir = t.weir(text)
        clients = idle(t, port, 100)
        equal(served(t, port), {200: 30})


def test_another_worker_lets_its_idle_clients_go(t):
    """All of a worker's clients are busy; those of the others are idle."""
    gate = threading.Event()

    def handler(link, request):
        if request.path == '/wait':
            gate.wait(20 * SLOW)
        tell(link, request)
    origin = t.origin(handler)
    port, text = text_of(t, origin, more='limits: { connections: 40 }\nworkers: 4')
    weir = t.weir(text)
    clients = idle(t, port, 40)
    [c.request('GET', '/wait') for c in clients[:37]]
    eventually(lambda: origin.count('/wait') == 37)
    equal(served(t, port, 10), {200: 10})
    gate.set()
    equal([c.response().status for c in clients[:37]], [200] * 37)


def test_servers_get_what_clients_left(t):
    """More requests at once than servers' share: idle clients go for them, and checks go on."""
    gate = threading.Event()

    def handler(link, request):
        if request.path == '/wait':
            gate.wait(20 * SLOW)
        tell(link, request)
    origin = t.origin(handler)
    port, text = text_of(t, origin)
    weir = few(t, text, 256)
    idle(t, port, 170)
    busy = []
    for _ in range(80):
        c = t.client(port)
        c.request('GET', '/wait')
        busy.append(c)
    eventually(lambda: origin.count('/wait') == 80, text=lambda: f"{origin.count('/wait')} requests came: {[a.get('failure') for a in weir.access()]}")
    gate.set()
    equal(collections.Counter(c.response().status for c in busy), {200: 80})
    ok('server is down' not in weir.stderr(), weir.stderr())


def test_a_reload_is_told_what_fits(t):
    origin = t.origin()
    port, text = text_of(t, origin, more='limits: { connections: 20 }')
    weir = few(t, text, 128)
    ok('limits.connections is lowered' not in weir.stderr(), weir.stderr())
    weir.reload(text.replace('connections: 20', 'connections: 5000'))
    contains(weir.log_line('limits.connections is lowered'), 'wanted=5000')
    idle(t, port, 300)
    equal(served(t, port), {200: 30})


def test_too_few_descriptors_is_an_error_of_the_start(t):
    origin = t.origin()
    port, text = text_of(t, origin)
    file = t.file('weir.yaml', 'workers: 2\n' + text)
    done = subprocess.run(['sh', '-c', f'ulimit -n 24; exec {WEIR} run -c {file}'], capture_output=True, timeout=20 * SLOW)
    equal(done.returncode, 1)
    contains(done.stderr.decode(), 'open files are limited to 24')


def test_a_check_on_the_machine_tells_what_run_would_lower(t):
    """--here counts as run does, and says the same sentence at the key; the text alone is judged without."""
    origin = t.origin()
    text = text_of(t, origin, more='limits: { connections: 5000 }')[1]
    file = t.file('weir.yaml', 'workers: 2\n' + text)
    check = lambda files, *more: subprocess.run(['sh', '-c', f'ulimit -n {files}; exec {WEIR} check -c {file} {" ".join(more)}'], capture_output=True, timeout=20 * SLOW)
    done = check(128, '--here')
    equal(done.returncode, 0)
    contains(done.stderr.decode(), 'warning: limits.connections is lowered to what fits into the limit of open files; raise LimitNOFILE or ulimit -n: ')
    contains(done.stderr.decode(), ' of 5000 fit; the limit is 128')
    told = few(t, 'workers: 2\n' + text, 128).log_line('limits.connections is lowered')
    contains(done.stderr.decode(), f': {re.search("connections=([0-9]+)", told).group(1)} of 5000')
    done = check(24, '--here')
    equal(done.returncode, 1)
    contains(done.stderr.decode(), 'error: open files are limited to 24')
    for files, more in ((128, ()), (9000, ('--here',))):
        ok('open files' not in check(files, *more).stderr.decode(), more)


CLOSED = ('<&-', '>&-', '2>&-', '<&- >&-', '>&- 2>&-', '<&- 2>&-', '<&- >&- 2>&-')


def test_standard_streams_that_are_closed_are_nobody_elses(t):
    """Whatever was closed when weir began is /dev/null: no socket takes its place, and logs go where the file says."""
    origin = t.origin()
    for closed in CLOSED:
        port, text = text_of(t, origin, more='log: { to: process.log, level: debug }\naccess_log: { to: access.log }')
        weir = t.weir(text, command=['sh', '-c', f'exec "$0" run -c weir.yaml {closed}', WEIR])
        names = [os.readlink(f'/proc/{weir.pid}/fd/{fd}') for fd in range(3)]
        wanted = {'<&-': 0, '>&-': 1, '2>&-': 2}
        for part in closed.split():
            equal(names[wanted[part]], '/dev/null', closed)
        c = t.client(port)
        equal([c.get(f'/{i}').status for i in range(3)], [200] * 3)
        eventually(lambda: open(f'{weir.work}/access.log').read().count('\n') == 3)
        weir.reload(text)
        equal(t.client(port).get().status, 200)
        weir.stop()
        eventually(lambda: 'ended' in open(f'{weir.work}/process.log').read())


def test_logs_to_closed_streams_are_told_lost(t):
    port, text = text_of(t, t.origin())
    weir = t.weir(text, command=['sh', '-c', 'exec "$0" run -c weir.yaml >&-', WEIR])
    equal([t.client(port).get().status for _ in range(3)], [200] * 3)
    contains(weir.log_line('lines were lost'), 'access_log')
    weir.stop()
    port, text = text_of(t, t.origin())
    weir = t.weir(text, command=['sh', '-c', 'exec "$0" run -c weir.yaml <&- >&- 2>&-', WEIR])
    equal([t.client(port).get().status for _ in range(3)], [200] * 3)
    equal([os.readlink(f'/proc/{weir.pid}/fd/{fd}') for fd in range(3)], ['/dev/null'] * 3)


def test_output_to_closed_streams_is_a_failure(t):
    """What a command prints did not arrive where standard output is closed, whatever the command opens meanwhile."""
    text = text_of(t, t.origin())[1]
    path = t.file('x.yaml', text)
    for command in ('version', 'schema', f'check -c {path}', f'config -c {path}', f'explain -c {path} GET http://a/', 'help'):
        for closed in CLOSED:
            done = subprocess.run(['sh', '-c', f'"$0" {command} {closed}', WEIR], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            equal(done.returncode != 0, '>&-' in closed.split(), f'{command} {closed}')
    equal(open(path).read(), text)
    done = subprocess.run(['sh', '-c', '"$0" check -c - <&-', WEIR], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    equal(done.returncode, 1)
    contains(done.stderr, 'cannot read standard input')

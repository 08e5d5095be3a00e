"""SIGHUP: all or nothing, and not a request lost."""
import os, shutil, signal, subprocess, time

from weirtest import *


def text_of(port, origin, extra='', body='one', top=''):
    return f'''workers: 2
drain_timeout: 5s
{top}
listeners: [ {{ address: "127.0.0.1:{port}" }}{extra} ]
routes:
  - {{ match: {{ path: /version }}, respond: {{ body: {body} }} }}
  - {{ pool: p }}
pools: {{ p: {{ servers: ["{origin.address}"] }} }}
'''


def test_new_file_is_served(t):
    origin, port = t.origin(), t.port()
    weir = t.weir(text_of(port, origin))
    kept = t.client(port)
    equal(kept.get('/version').body, b'one')
    weir.reload(text_of(port, origin, body='two'))
    equal(kept.get('/version').body, b'two', 'a kept connection')
    equal(t.client(port).get('/version').body, b'two')


def test_bad_file_changes_nothing(t):
    origin, port = t.origin(), t.port()
    weir = t.weir(text_of(port, origin))
    for bad in (text_of(port, origin, body='two').replace('pools:', 'pool:'), 'listeners: [', text_of(port, origin, body='two') + 'helth: 3\n',
                text_of(port, origin, extra=', { address: "203.0.113.77:1" }', body='two'), text_of(port, origin, body='two').replace('/version', '"~("')):
        weir.reload(bad, good=False)
        equal(t.client(port).get('/version').body, b'one')
    contains(weir.stderr(), 'the running configuration is unchanged')
    contains(weir.stderr(), 'weir.yaml:')
    weir.write(text_of(port, origin, body='three'))
    weir.signal(signal.SIGHUP)
    eventually(lambda: t.client(port).get('/version').body == b'three')


def test_request_in_progress_keeps_its_configuration(t):
    def handler(link, request):
        time.sleep(1)
        tell(link, request)
    origin, other, port = t.origin(handler), t.origin(name='other'), t.port()
    weir = t.weir(text_of(port, origin))
    c = t.client(port)
    c.request('GET', '/slow')
    eventually(lambda: origin.count())
    weir.reload(text_of(port, other))
    equal(c.response().json()['origin'], 'origin')
    equal(c.get('/next').json()['origin'], 'other')


def test_listeners_come_and_go(t):
    origin, first, second = t.origin(), t.port(), t.port()
    weir = t.weir(text_of(first, origin))
    kept = t.client(first)
    kept.get('/version')
    weir.reload(text_of(first, origin, extra=f', {{ address: "127.0.0.1:{second}" }}'))
    equal(t.client(second).get('/version').body, b'one')
    weir.reload(text_of(second, origin, body='two'))

    def refused():
        try:
            socket.create_connection(('127.0.0.1', first), 1).close()
            return False
        except ConnectionRefusedError:
            return True
    eventually(refused, PATIENCE, 'an address that was taken away still accepts')
    equal(t.client(second).get('/version').body, b'two')
    weir.reload(text_of(first, origin))
    equal(t.client(first).get('/version').body, b'one', 'an address that came back')


def test_an_address_is_widened_and_narrowed(t):
    """Its own sockets hold the port: that is no other process. What comes while the old one is closed may be reset."""
    origin, port = t.origin(), t.port()
    one, all4, all6 = f'"127.0.0.1:{port}"', f'"0.0.0.0:{port}"', f'":{port}"'

    def serves(body):
        try:
            return t.client(port).get('/version').body == body.encode()
        except (Closed, OSError):
            return False
    weir = t.weir(text_of(port, origin))
    for i, address in enumerate((all4, all6, all4, one, all6)):
        weir.reload(text_of(port, origin, body=f'v{i}').replace(one, address))
        eventually(lambda: serves(f'v{i}'))
    weir.reload(text_of(port, origin, body='both', extra=f', {{ address: {all4} }}'))
    eventually(lambda: serves('both'))


def test_mode_and_backlog_of_a_listener_that_stays(t):
    origin, port = t.origin(), t.port()
    path = t.folder('sock') + '/s'

    def text(mode, backlog):
        return text_of(port, origin, extra=f', {{ address: "unix:{path}", mode: "{mode}", backlog: {backlog} }}')

    def backlog():
        out = subprocess.run(['ss', '-xlH'], capture_output=True, text=True).stdout if shutil.which('ss') else ''
        return [int(line.split()[3]) for line in out.splitlines() if path in line]
    weir = t.weir(text('0600', 7))
    equal(os.stat(path).st_mode & 0o777, 0o600)
    weir.reload(text('0666', 9))
    equal(os.stat(path).st_mode & 0o777, 0o666)
    weir.reload(text('0666', 9) + 'helth: 3\n', good=False)
    equal(os.stat(path).st_mode & 0o777, 0o666)
    if backlog():
        equal(set(backlog()), {9})


def under_load(t, count, change=True, tls=False):
    origin, port = t.origin(name='x'), t.port()
    extra = t.port()
    listener = f'127.0.0.1:{port}'
    tls_text = f', tls: {{ certificates: [{t.cert("localhost")}] }}' if tls else ''

    def text(i):
        more = f', {{ address: "127.0.0.1:{extra}" }}' if change and i % 2 else ''
        return text_of(port, origin, more, body=f'v{i}').replace(f'"{listener}"', f'"{listener}"{tls_text}')
    weir = t.weir(text(0))
    context = t.tls_client() if tls else None
    kept = t.load(port, rate=200 / SLOW, tls=context, target='/load')
    new = t.load(port, rate=100 / SLOW, kept=False, tls=context, target='/load')
    time.sleep(0.5)
    for i in range(1, count):
        weir.reload(text(i))
        time.sleep(0.01)
    kept.stop()
    new.stop()
    kept.check(20)
    new.check(10)
    final = t.client(port, tls=context, name='localhost' if tls else None)
    equal(final.get('/version').body.decode(), f'v{count - 1}')
    return weir


def test_under_load(t):
    under_load(t, 100 if SLOW == 1 else 30)


def test_under_load_with_tls(t):
    under_load(t, 50 if SLOW == 1 else 15, tls=True)


def test_nothing_grows(t):
    origin, port = t.origin(), t.port()
    weir = t.weir(text_of(port, origin))
    for i in range(20):
        weir.reload(text_of(port, origin, body=f'v{i}'))
        t.client(port).get('/version')
    time.sleep(1.5)
    memory, descriptors, threads = weir.resident(), weir.descriptors(), len(os.listdir(f'/proc/{weir.pid}/task'))
    for i in range(100):
        weir.reload(text_of(port, origin, body=f'w{i}'))
        c = t.client(port)
        c.get('/version')
        c.close()
    time.sleep(1.5)
    if SLOW == 1:
        ok(weir.resident() < memory + (2 << 20), f'memory rose from {memory} to {weir.resident()}')
    between(weir.descriptors(), 1, descriptors + 2, 'descriptors')
    equal(len(os.listdir(f'/proc/{weir.pid}/task')), threads, 'threads')


def test_many_signals_at_once(t):
    origin, port = t.origin(), t.port()
    weir = t.weir(text_of(port, origin))
    for _ in range(200):
        weir.signal(signal.SIGHUP)
        weir.take_messages()
    weir.write(text_of(port, origin, body='last'))
    weir.signal(signal.SIGHUP)
    eventually(lambda: weir.take_messages() and t.client(port).get('/version').body == b'last')


def test_health_survives(t):
    """A server that is down stays down through a reload: its state is not begun anew."""
    good, gone, port = t.origin(name='good'), t.port(), t.port()
    text = f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ pool: p }} ]
pools:
  p: {{ balance: round_robin, servers: ["127.0.0.1:{gone}", "{good.address}"], retry: {{ attempts: 0 }}, health: {{ path: /, interval: 1s, fast_interval: 50ms, fall: 2 }} }}
'''
    weir = t.weir(text)
    weir.log_line('server is down')
    for i in range(5):
        weir.reload('workers: 2\ndrain_timeout: 5s\n' + text + f'# {i}\n')
        equal({t.client(port).get().status for _ in range(6)}, {200})


def test_includes_and_variables(t):
    origin, port = t.origin(), t.port()
    weir = t.weir('', ready=False, check=False)
    weir.stop()
    work = t.folder('conf')
    os.mkdir(f'{work}/conf.d')
    open(f'{work}/weir.yaml', 'w').write('include: conf.d/*.yaml\nworkers: 1\nlisteners: [ { address: "127.0.0.1:${env.TEST_PORT}" } ]\n')
    open(f'{work}/conf.d/a.yaml', 'w').write('routes: [ { match: { path: /a }, respond: { body: "${env.TEST_WORD:-default}" } } ]\n')
    weir = t.weir(None, command=[WEIR, 'run', '-c', f'{work}/weir.yaml'], env={'TEST_PORT': str(port)})
    equal(t.client(port).get('/a').body, b'default')
    open(f'{work}/conf.d/b.yaml', 'w').write('routes: [ { match: { path: /b }, respond: { body: b } } ]\n')
    weir.reload()
    equal(t.client(port).get('/b').body, b'b')


def test_what_a_restart_changes_is_told_beside_the_process(t):
    """Not beside the file that was loaded last, which may have asked for something else already."""
    origin, port = t.origin(), t.port()
    text = text_of(port, origin).replace('workers: 2\n', '')
    weir = t.weir('workers: 2\n' + text)

    def told(file):
        before = len(weir.stderr())
        weir.reload(file)
        weir.log_line('configuration loaded')
        time.sleep(1.1)     # the same line twice within a second is one
        return re.findall(r'with a restart only" key=(\w+) now=(\S+) wanted=(\S+)', weir.stderr()[before:])
    equal(told('workers: 3\n' + text), [('workers', '2', '3')])
    equal(told('workers: 3\nuser: nobody\n' + text + '# again\n'), [('workers', '2', '3'), ('user', 'none', 'nobody')])
    equal(told('workers: 2\n' + text), [], 'the file says what runs')
    equal(told(f'workers: {len(os.sched_getaffinity(0))}\n' + text), [] if len(os.sched_getaffinity(0)) == 2 else [('workers', '2', str(len(os.sched_getaffinity(0))))])
    done = t.run('check', '--against', t.file('old.yaml', 'workers: 2\n' + text), '-c', t.file('new.yaml', 'workers: 3\nuser: nobody\n' + text))
    contains(done.stdout, '~ workers: 2 -> 3\n    takes a restart')
    contains(done.stdout, '~ user: none -> nobody\n    takes a restart')


UNIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'contrib', 'weir.service.in')


def test_the_units_reload_looks_first(t):
    """ExecReload as systemd runs it, a line after the other up to the first that fails: with a file that has errors the process hears of nothing, and who asked is told."""
    text = open(UNIT).read()
    lines = re.findall(r'^ExecReload=(.*)$', text, re.M)
    origin, port = t.origin(), t.port()
    weir = t.weir(text_of(port, origin))

    def reload():
        for line in lines:
            line = line.replace('%BINDIR%/weir', WEIR).replace('%SYSCONFDIR%/weir/weir.yaml', weir.file).replace('$MAINPID', str(weir.pid))
            done = subprocess.run(line.split(), capture_output=True, text=True, timeout=20 * SLOW)
            if done.returncode:
                return done.stderr
        return ''
    for bad in ('routes: [ { pool: nobody } ]\n', 'listeners: [\n', ''):
        weir.write(text_of(port, origin, body='two').split('routes:')[0] + bad if bad else '')
        contains(reload(), 'error: ')
    equal(t.client(port).get('/version').body, b'one')
    ok('reload' not in weir.stderr(), weir.stderr())
    weir.write(text_of(port, origin, body='two'))
    equal(reload(), '')
    eventually(lambda: t.client(port).get('/version').body == b'two')
    for told in ('# Keys: ', '# User: '):
        contains(text.split('[Unit]')[0], told)

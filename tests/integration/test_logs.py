"""The access log, the log, and what the service manager is told."""
import fcntl, re, signal, time

from weirtest import *


def test_access_line(t):
    weir, port = t.simple(pool='')
    c = t.client(port)
    c.request('POST', '/path?x=1', [('User-Agent', 'test "agent"'), ('Referer', 'http://from.test/')], b'12345', host='a.test:9')
    response = c.response()
    line = weir.access_line(path='/path')
    wanted = {'client': '127.0.0.1', 'method': 'POST', 'query': 'x=1', 'protocol': 'HTTP/1.1', 'status': 200, 'bytes_in': 5, 'bytes_out': len(response.body), 'route': 'all',
              'pool': 'main', 'attempts': 1, 'user_agent': 'test "agent"', 'referer': 'http://from.test/'}
    equal({k: line.get(k) for k in wanted}, wanted)
    equal(line['host'].split(':')[0], 'a.test')
    ok(line['server'].startswith('127.0.0.1:'), line)
    ok(re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z', line['time']), line['time'])
    for stage in ('route_ms', 'connect_ms', 'first_byte_ms', 'total_ms'):
        between(line[stage], 0, 5000, stage)
    ok(line['total_ms'] >= line['first_byte_ms'], line)
    ok('failure' not in line, line)


def test_times_count_from_the_first_byte(t):
    """A client that is slow with its head: the time it took stands in the line, not 0."""
    weir, port = t.simple()
    c = t.client(port)
    c.send(b'GET /slow HTTP/1.1\r\nHost: test\r\n')
    time.sleep(0.3)
    c.send(b'\r\n')
    equal(c.response().status, 200)
    line = weir.access_line(path='/slow')
    ok(line['route_ms'] >= 290, line)
    ok(line['total_ms'] >= line['route_ms'] + line['connect_ms'], line)


def test_a_client_that_left_has_a_status(t):
    """499 where no answer was sent; the answer's own where it had begun."""
    def handler(link, request):
        if request.path == '/begun':
            link.begin(200)
            link.piece(b'x' * 1000)
        link.gone(20)
        link.close()
    origin = t.origin(handler)
    weir, port = t.simple(origin)
    c = t.client(port)
    c.request('GET', '/silent')
    eventually(lambda: origin.count('/silent'))
    c.reset()
    equal(weir.access_line(path='/silent', failure='client_closed').get('status'), 499)
    c = t.client(port)
    c.request('GET', '/begun')
    c.head()
    c.reset()
    equal(weir.access_line(path='/begun', failure='client_closed').get('status'), 200)


def test_refused_clients_and_servers_are_told_at_info(t):
    """What users of a service see of a wrong certificate, a missing PROXY header or a dead server stands in the log as it is by default."""
    plain, tls, dead = t.port(), t.port(), t.port()
    weir = t.weir(f'''listeners:
  - {{ address: "127.0.0.1:{plain}", proxy_protocol: required }}
  - {{ address: "127.0.0.1:{tls}", tls: {{ certificates: [{t.cert('localhost')}] }}, routes: [ {{ pool: p }} ] }}
routes: [ {{ respond: {{ body: ok }} }} ]
pools: {{ p: {{ servers: ["127.0.0.1:{dead}"] }} }}
''')
    c = t.client(plain)
    c.send(b'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    contains(weir.log_line('PROXY preface refused'), 'level=info')
    c = t.client(tls)
    c.send(b'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    contains(weir.log_line('handshake failed'), 'level=info')
    equal(t.client(tls, tls=t.tls_client(), name='localhost').get('/').status, 502)
    line = weir.log_line('cannot connect to server')
    contains(line, 'level=info')
    contains(line, 'why=connect_refused')


def test_lost_lines_are_told_in_the_log(t):
    """An access log on a full disk: the log says how many lines went and why."""
    log = os.path.join(t.work, 'weir.log')
    weir, port = t.simple(more=f'log: {{ to: {log} }}\naccess_log: {{ to: /dev/full }}')
    for _ in range(20):
        equal(t.client(port).get().status, 200)

    def told():
        return sum(int(n) for n in re.findall(r'message="lines were lost" log=access_log lines=(\d+) why="No space', open(log).read()))
    eventually(lambda: told() == 20)


def test_a_pipe_that_nobody_reads(t):
    """Without a reader, with one that reads nothing, with one that is gone: each is told as what it is, with what helps."""
    pipe, log = os.path.join(t.work, 'pipe'), os.path.join(t.work, 'weir.log')
    os.mkfifo(pipe)
    port = t.port()
    text = f'listeners: ["127.0.0.1:{port}"]\nroutes: [ {{ respond: 200 }} ]\nlog: {{ to: {log} }}\naccess_log: {{ to: {pipe} }}\n'
    done = t.run('run', '-c', t.file('pipe.yaml', text))
    equal(done.returncode, 1)
    contains(done.stderr, f'{pipe} is a pipe that nobody reads; start what reads it first')
    done = t.run('check', '--here', '-c', t.file('pipe.yaml', text))
    equal(done.returncode, 0, 'its reader may come before weir does')
    contains(done.stderr + done.stdout, 'is a pipe that nobody reads')
    bad = t.file('socket.yaml', text.replace(pipe, f'{t.work}/socket'))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind(f'{t.work}/socket')
        for command in (('check', '--here'), ('run',)):
            done = t.run(*command, '-c', bad)
            equal(done.returncode, 1)
            contains(done.stderr + done.stdout, f'{t.work}/socket is a socket; write unix:{t.work}/socket')
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    t.weir(text)

    def ask_until(why):
        def told():
            t.client(port).get('/' + 'x' * 900)
            return re.search(f'message="lines were lost" log=access_log lines=[0-9]+ why="{why}', open(log).read())
        eventually(told, 20)
    ask_until('its reader does not read, or too slowly; let it read all the time, or write to a file')
    os.close(reader)
    ask_until('its reader is gone; start it again')


def test_what_clients_send_is_escaped(t):
    weir, port = t.simple()
    t.client(port).get('/%0a%22', [('User-Agent', 'a"b\\c\x80\xff' + 'x' * 3000)])
    line = weir.access_line(path='/%0a%22') if any(a.get('path') == '/%0a%22' for a in weir.access()) else eventually(weir.access)[-1]
    ok(line['user_agent'].startswith('a"b\\c'), line)
    ok(len(json.dumps(line)) < 9000)
    lines = open(weir.out, 'rb').read().split(b'\n')
    ok(all(31 < byte < 127 for one in lines for byte in one), 'bytes that are not printable reached the log')


def test_logfmt(t):
    weir, port = t.simple(more='access_log: { format: logfmt }')
    t.client(port).get('/logfmt', [('User-Agent', 'two words')])
    line = eventually(lambda: [x for x in open(weir.out).read().split('\n') if 'path=/logfmt' in x])[0]
    contains(line, 'status=200')
    contains(line, 'user_agent="two words"')
    t.client(port).get('/quoted', [('User-Agent', 'a"b\\c\td')])
    line = eventually(lambda: [x for x in open(weir.out).read().split('\n') if 'path=/quoted' in x])[0]
    value = re.search(r'user_agent=("(?:[^"\\]|\\.)*")', line).group(1)
    equal(json.loads(value), 'a"b\\c\td', 'readers of logfmt take the escapes of JSON')
    contains(line, 'total_ms=')


def test_no_access_log(t):
    weir, port = t.simple(more='access_log: false')
    equal(t.client(port).get().status, 200)
    weir.stop()
    equal(open(weir.out).read(), '')


def test_json_log(t):
    weir, port = t.simple(more='log: { format: json, level: info }')
    weir.stop()
    lines = [json.loads(line) for line in weir.stderr().split('\n') if line]
    ok(any('ready' in str(line) for line in lines), lines)


def test_files_are_reopened(t):
    log, access = os.path.join(t.work, 'weir.log'), os.path.join(t.work, 'access.log')
    weir, port = t.simple(more=f'log: {{ to: {log} }}\naccess_log: {{ to: {access} }}')
    c = t.client(port)

    def holds(path, text):
        return lambda: os.path.exists(path) and text in open(path).read()
    c.get('/before')
    eventually(holds(access, '/before'))
    os.rename(log, log + '.1')
    os.rename(access, access + '.1')
    c.get('/between')
    eventually(holds(access + '.1', '/between'))
    weir.signal(signal.SIGUSR1)
    eventually(lambda: os.path.exists(log) and 'reopened' in open(log).read() + open(log + '.1').read())
    time.sleep(0.2)     # what was logged before the change is still written to the old file
    c.get('/after')
    eventually(holds(access, '/after'))
    ok('/after' not in open(access + '.1').read())


def test_what_was_counted_is_told(t):
    weir, port = t.simple(pool='balance: round_robin', more='log: { format: json }')
    c = t.client(port)
    for _ in range(7):
        c.get('/')
    eventually(lambda: len(weir.access()) == 7)
    weir.signal(signal.SIGUSR2)
    counted = json.loads(weir.log_line('counted so far'))
    equal((counted['requests'], counted['picks_round_robin'], counted['responses_2xx']), (7, 7, 7))
    ok('retries' not in counted, counted)
    equal(c.get('/..').status, 400)
    eventually(lambda: len(weir.access()) == 8)
    weir.signal(signal.SIGUSR2)
    equal(eventually(lambda: json.loads(weir.log_line('failed so far')).get('bad_target')), 1)
    c = t.client(port)
    c.get('/')      # and weir serves on


def test_no_line_is_lost_at_the_end(t):
    weir, port = t.simple()
    c = t.client(port)
    for i in range(500):
        c.request('GET', f'/{i}')
        c.response()
    c.close()
    weir.stop()
    equal({a['path'] for a in weir.access()}, {f'/{i}' for i in range(500)})


def test_every_request_has_one_line(t):
    def handler(link, request):
        if request.path == '/cut':
            link.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx')
            link.close()
        elif request.path == '/drop':
            link.close()
        else:
            tell(link, request)
    weir, port = t.simple(t.origin(handler), pool='retry: { attempts: 0 }')
    for path in ('/ok', '/drop', '/cut', '/%2e%2e/%2e%2e'):
        c = t.client(port)
        try:
            c.get(path)
        except (Closed, ConnectionResetError):
            pass
        c.close()
    weir.stop()
    equal(len(weir.access()), 4, [(a.get('path'), a.get('status')) for a in weir.access()])


def test_notifications(t):
    weir, port = t.simple()
    equal(weir.messages[0].split('\n')[0], 'READY=1')
    weir.reload()
    ok(any('MONOTONIC_USEC=' in m for m in weir.messages), weir.messages)
    weir.stop()
    ok(any('STOPPING=1' in m for m in weir.messages), weir.messages)


def test_watchdog(t):
    weir = t.weir(f'listeners: [ {{ address: "127.0.0.1:{t.port()}" }} ]\nroutes: [ {{ respond: 204 }} ]\n', env={'WATCHDOG_USEC': '600000'})
    eventually(lambda: sum('WATCHDOG=1' in m for m in weir.take_messages()) >= 3)


def test_start_is_told(t):
    weir, port = t.simple()
    line = weir.log_line('ready')
    contains(line, str(port))
    contains(line, 'start_ms')

"""What weir holds: memory that nothing uses yet, and what peers can make it hold."""
import resource

from weirtest import *

MIB = 1 << 20


def many_limits(t, count):
    """As many routes, each with a rate limit and a limit of requests in flight of its own."""
    port, origin = t.port(), t.origin()
    limits = ''.join(f'  l{i}: {{ rate: 1/h, burst: 2, key: client.ip }}\n' for i in range(count))
    routes = ''.join(f'  - {{ match: {{ path: /{i} }}, rate_limit: l{i}, in_flight: 10, pool: p }}\n' for i in range(count))
    text = f'listeners: ["127.0.0.1:{port}"]\nrate_limits:\n{limits}routes:\n{routes}pools: {{ p: {{ servers: ["{origin.address}"] }} }}\n'
    return text, port


def test_limits_take_no_memory_before_keys_come(t):
    text, port = many_limits(t, 1000)
    weir = t.weir(text)
    used = open(f'/proc/{weir.pid}/stat').read().rsplit(')', 1)[1].split()
    cpu = (int(used[11]) + int(used[12])) / os.sysconf('SC_CLK_TCK')
    between(weir.resident(), 1, (20 if SLOW == 1 else 400) * MIB, 'resident after the start')
    between(cpu, 0, 0.2 * SLOW * SLOW, 'seconds of CPU to start')
    before = weir.resident()
    weir.reload(text + '# again\n')
    c = t.client(port)
    equal([c.get(f'/{i}').status for i in (0, 0, 0, 999, 999, 999)], [200, 200, 429] * 2)
    between(weir.resident() - before, -before, (20 if SLOW == 1 else 400) * MIB, 'grown by a reload and six requests')


def size_of(weir):
    """What it has mapped, touched or not."""
    return int(re.search(r'VmSize:\s+(\d+)', open(f'/proc/{weir.pid}/status').read())[1]) << 10


def test_large_tables_take_no_memory_before_keys_come(t):
    """10,000 limits in flight, and rate limits of 32 MiB each: nothing is held for them at the start, nor when a reload makes all of them anew, keeps them or drops them."""
    if SLOW != 1:
        raise Skipped('a sanitizer needs the address space')
    port, origin = t.port(), t.origin()

    def text(keys, in_flight):
        limits = ''.join(f'  l{i}: {{ rate: 1/h, burst: 2, keys: {keys} }}\n' for i in range(200))
        routes = ''.join(f'  - {{ match: {{ path: /{i} }}, rate_limit: l{i % 200}, in_flight: {{ limit: 10, keys: {in_flight} }}, pool: p }}\n' for i in range(10000))
        return f'listeners: ["127.0.0.1:{port}"]\nrate_limits:\n{limits}routes:\n{routes}pools: {{ p: {{ servers: ["{origin.address}"] }} }}\nlog: {{ level: error }}\n'
    bare = f'listeners: ["127.0.0.1:{port}"]\nroutes: [ {{ pool: p }} ]\npools: {{ p: {{ servers: ["{origin.address}"] }} }}\nlog: {{ level: error }}\n'
    without = re.sub(r', rate_limit: l\d+, in_flight: {[^}]*}', '', text(4194304, 65536))
    without = re.sub(r'rate_limits:\n(  l.*\n)*', '', without)
    weir = t.weir(without)
    c = t.client(port)
    equal(c.get('/0').status, 200)
    routes_alone, size = weir.resident(), size_of(weir)
    weir.reload(bare)
    weir.reload(text(4194304, 65536))
    between(size_of(weir) - size, 10 << 30, 16 << 30, 'tables that are mapped')
    for keys, in_flight in ((4194304, 65536), (8388608, 131072), (4194304, 65536)):
        weir.reload(text(keys, in_flight))
        equal([c.get(f'/{i}').status for i in (0, 9999)], [200, 200])
        between(weir.resident(), 1, 5 * routes_alone + 50 * MIB, f'resident, where routes alone hold {routes_alone >> 20} MiB')
    weir.reload(bare)
    weir.reload(bare + '# again\n')        # what the last file had is dropped once nobody has it
    eventually(lambda: size_of(weir) < size + (1 << 30) or weir.reload(bare + f'# {time.monotonic()}\n'))


def test_check_says_what_limits_may_come_to(t):
    text, _ = many_limits(t, 3)
    said = t.run('check', '-c', t.file('few', text))
    contains(said.stdout, 'keys of rate_limits and in_flight: up to 4608 KiB of memory')
    ok('limits.memory' not in said.stderr, said.stderr)
    said = t.run('check', '-c', t.file('many', text + 'limits: { memory: 4MiB }\n'))
    contains(said.stderr, 'may come to 4MiB, more than limits.memory')
    equal(said.returncode, 0)


def test_no_memory_for_keys_is_an_error_of_the_reload(t):
    if SLOW != 1:
        raise Skipped('a sanitizer needs the address space')
    text, port = many_limits(t, 1)
    weir = t.weir(text)
    resource.prlimit(weir.pid, resource.RLIMIT_AS, (2 << 30, 2 << 30))
    for wrong, name in ((text.replace('burst: 2', 'burst: 2, keys: 1073741824'), 'keys of rate limit'),
                        (text.replace('in_flight: 10', 'in_flight: { limit: 10, keys: 1073741824 }'), 'lower in_flight.keys')):
        weir.reload(wrong, good=False)
        contains(weir.log_line('reload failed'), 'no memory for 1073741824 keys')
        weir.log_line(name)
        equal(t.client(port).get('/0').status, 200)


def test_who_was_turned_away_for_memory_comes_once_there_is_some(t):
    """What is set apart goes for a reload, and nothing grows afterwards that would have anybody look whether it is to be had again."""
    if SLOW != 1:
        raise Skipped('a sanitizer needs the address space')
    port = t.port()
    text = 'limits: { memory: 1GiB }\nlisteners: [ "127.0.0.1:%d" ]\nroutes:\n%s- respond: 200\n'

    def served():
        try:
            client = Client(port)
            try:
                return client.get('/', [('Connection', 'close')]).status == 200
            finally:
                client.close()
        except (Closed, OSError):
            return False

    weir = t.weir(text % (port, ''))
    ok(served(), 'at first')
    data = int(re.search(r'VmData:\s+(\d+)', open(f'/proc/{weir.pid}/status').read()).group(1)) << 10
    resource.prlimit(weir.pid, resource.RLIMIT_DATA, (data, -1))
    count = 0
    while served() and count < 3000:
        count += 20      # less than what is set apart at a time
        weir.reload(text % (port, ''.join(f'- {{ match: {{ path: /x{i} }}, respond: 204 }}\n' for i in range(count))))
    ok(count < 3000, 'there was memory for everything')
    resource.prlimit(weir.pid, resource.RLIMIT_DATA, (-1, -1))
    eventually(served, 5, 'nobody is served though there is memory again')
    ok(all(served() for _ in range(20)), 'served now and then')

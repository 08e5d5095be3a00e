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

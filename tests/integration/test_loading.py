"""Loading goes on beside the rest: while names are asked for or certificates are read, probes, signals and the service manager are served."""
import os, signal, shutil, subprocess, threading, time

from weirtest import *

SLOW_NAMES = r'''
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* Names under slow.test are 127.0.0.1, as late as the file $SLOW_NAMES says (ms). */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
    size_t length = node != NULL ? strlen(node) : 0;
    if (length < 10 || strcmp(node + length - 10, ".slow.test") != 0)
        return real(node, service, hints, found);
    char text[32] = "0";
    FILE *file = fopen(getenv("SLOW_NAMES"), "r");
    if (file != NULL) {
        if (fgets(text, sizeof text, file) == NULL)
            text[0] = '0';
        fclose(file);
    }
    usleep((useconds_t)atoi(text) * 1000);
    return real("127.0.0.1", service, hints, found);
}
'''


def slow_names(t):
    """The environment in which names under slow.test are found late, and a function that says how late (seconds)."""
    compiler = shutil.which('cc') or shutil.which('gcc') or shutil.which('clang')
    if compiler is None:
        raise Skipped('there is no C compiler')
    work = t.folder('slow')
    with open(f'{work}/slow.c', 'w') as f:
        f.write(SLOW_NAMES)
    subprocess.run([compiler, '-shared', '-fPIC', '-o', f'{work}/slow.so', f'{work}/slow.c', '-ldl'], check=True)

    def late(seconds):
        with open(f'{work}/late', 'w') as f:
            f.write(str(int(seconds * 1000)))
    late(0)
    return {'LD_PRELOAD': f'{work}/slow.so', 'SLOW_NAMES': f'{work}/late',
            'ASAN_OPTIONS': 'exitcode=99:detect_leaks=0:verify_asan_link_order=0'}, late


def text_of(port, server, body='one', health=''):
    return f'''workers: 2
drain_timeout: 5s
listeners: [ "127.0.0.1:{port}" ]
routes:
  - {{ match: {{ path: /version }}, respond: {{ body: {body} }} }}
  - {{ pool: p }}
pools: {{ p: {{ servers: ["{server}"]{health} }} }}
'''


def test_slow_names_hold_nothing_at_a_reload(t):
    """Probes, the watchdog, the counters on SIGUSR2 and requests go on while a name is asked for; then the new file is served."""
    env, late = slow_names(t)
    origin, port = t.origin(), t.port()
    health = ', health: { path: /alive, interval: 100ms, trust_traffic: false }'
    weir = t.weir(text_of(port, f'a.slow.test:{origin.port}', health=health), env=dict(env, WATCHDOG_USEC='600000'))
    late(3600)
    weir.write(text_of(port, f'b.slow.test:{origin.port}', 'two', health))
    weir.signal(signal.SIGHUP)
    weir.wait_message('RELOADING=1')
    weir.take_messages()
    weir.messages.clear()
    probes = origin.count()
    eventually(lambda: sum('WATCHDOG=1' in m for m in weir.take_messages()) >= 4, 10, 'the watchdog is not fed')
    weir.wait_message('EXTEND_TIMEOUT_USEC=')
    eventually(lambda: origin.count() >= probes + 4, 10, 'nothing is probed')
    weir.signal(signal.SIGUSR2)
    weir.log_line('counted so far')
    equal(t.client(port).get('/version').body, b'one')
    ok(not any('READY=1' in m for m in weir.take_messages()), 'the reload is over already')


def test_slow_names_are_waited_for(t):
    """What is asked for while a file loads is loaded after it."""
    env, late = slow_names(t)
    origin, port = t.origin(), t.port()
    weir = t.weir(text_of(port, f'a.slow.test:{origin.port}'), env=env)
    late(1)
    weir.write(text_of(port, f'b.slow.test:{origin.port}', 'two'))
    weir.signal(signal.SIGHUP)
    weir.wait_message('RELOADING=1')
    time.sleep(0.3)  # the file is read by now; if it is not, the test says less
    weir.write(text_of(port, f'c.slow.test:{origin.port}', 'three'))
    weir.signal(signal.SIGHUP)
    eventually(lambda: t.client(port).get('/version').body == b'three', 10)
    ok(weir.stderr().count('configuration loaded') <= 2, weir.stderr())


def test_the_end_is_honoured_during_a_reload(t):
    env, late = slow_names(t)
    origin, port = t.origin(), t.port()
    weir = t.weir(text_of(port, f'a.slow.test:{origin.port}'), env=env)
    late(3600)
    weir.write(text_of(port, f'b.slow.test:{origin.port}', 'two'))
    weir.signal(signal.SIGHUP)
    weir.wait_message('RELOADING=1')
    weir.signal(signal.SIGHUP)      # one more afterwards, which does not come either
    weir.stop()
    weir.log_line('the reload is given up')
    ok('configuration loaded' not in weir.stderr(), weir.stderr())


def test_a_delay_during_a_reload(t):
    """What drain_delay still serves is the file that runs; the load is given up."""
    env, late = slow_names(t)
    origin, port = t.origin(), t.port()
    weir = t.weir('drain_delay: 10m\n' + text_of(port, f'a.slow.test:{origin.port}'), env=env)
    late(3600)
    weir.write(text_of(port, f'b.slow.test:{origin.port}', 'two'))
    weir.signal(signal.SIGHUP)
    weir.wait_message('RELOADING=1')
    weir.signal(signal.SIGTERM)
    weir.wait_message('STOPPING=1')
    weir.log_line('the reload is given up')
    for _ in range(3):
        equal(t.client(port).get('/version').body, b'one')
    time.sleep(0.7)
    weir.stop()


def test_a_start_is_told_and_ended(t):
    """The service manager hears that a long start goes on, and a word to end is heard before READY."""
    env, late = slow_names(t)
    late(3600)
    for number in (signal.SIGTERM, signal.SIGINT):
        weir = t.weir(text_of(t.port(), 'a.slow.test:80'), env=env, ready=False)
        weir.wait_message('EXTEND_TIMEOUT_USEC=')
        weir.stop(number)
        ok(not any('READY=1' in m for m in weir.messages), 'it said READY=1')


def test_signals_at_every_time_of_life(t):
    """Each does what it is for, or the log says why not, and none ends weir: while it starts, loads a file, serves on before its end, and drains."""
    env, late = slow_names(t)
    gate = threading.Event()

    def handler(link, request):
        if request.path == '/slow':
            gate.wait(60 * SLOW)
        tell(link, request)
    origin, port = t.origin(handler), t.port()
    text = 'drain_delay: 10m\n' + text_of(port, f'a.slow.test:{origin.port}').replace('drain_timeout: 5s', 'drain_timeout: 10m')
    late(2)
    weir = t.weir(text, env=env, ready=False)

    def signalled(*pairs):
        time.sleep(1.1)     # the same line twice within a second is one
        for number, words in pairs:
            before = weir.stderr().count(words)
            weir.signal(number)
            eventually(lambda: weir.stderr().count(words) > before, PATIENCE, lambda: f'{words}: {weir.stderr()}')
    told, reopened = (signal.SIGUSR2, 'counted so far'), (signal.SIGUSR1, 'logs reopened')
    ended = (signal.SIGHUP, 'told to end, so the file is not loaded anew')
    weir.wait_message('EXTEND_TIMEOUT_USEC=')
    weir.signal(signal.SIGUSR1)     # no log is open yet
    weir.signal(signal.SIGHUP)
    signalled(told)
    weir.wait_message('READY=1')
    weir.log_line('configuration loaded', 10)
    late(3600)
    weir.write(text.replace('a.slow', 'b.slow').replace('body: one', 'body: two'))
    weir.take_messages()
    weir.messages.clear()
    weir.signal(signal.SIGHUP)
    weir.wait_message('RELOADING=1')
    weir.signal(signal.SIGHUP)
    signalled(told, reopened)
    busy = t.client(port)
    busy.request('GET', '/slow')
    eventually(lambda: origin.in_progress)
    signalled((signal.SIGTERM, 'it serves on until drain_delay is over'))
    weir.log_line('the reload is given up')
    signalled(told, reopened, ended)
    equal(t.client(port).get('/version').body, b'one')
    signalled((signal.SIGTERM, 'the rest of drain_delay is left out'))
    weir.log_line('draining')
    signalled(told, reopened, ended)
    gate.set()
    equal(busy.response().status, 200)
    equal(weir.process.wait(10 * SLOW), 0)
    equal(weir.stderr().count('configuration loaded'), 1)


def test_a_slow_start_serves_in_the_end(t):
    """A file that was changed during the start is loaded after it, when that was asked for."""
    env, late = slow_names(t)
    late(2)
    origin, port = t.origin(), t.port()
    weir = t.weir(text_of(port, f'a.slow.test:{origin.port}'), env=env, ready=False)
    weir.wait_message('EXTEND_TIMEOUT_USEC=')
    weir.write(text_of(port, f'b.slow.test:{origin.port}', 'two'))
    weir.signal(signal.SIGHUP)
    weir.wait_message('READY=1')
    eventually(lambda: t.client(port).get('/version').body == b'two', 10)


def test_a_name_that_is_not_found_is_told(t):
    """With the number of the others; the running configuration stays."""
    origin, port = t.origin(), t.port()
    weir = t.weir(text_of(port, origin.address))
    weir.reload(text_of(port, 'no.invalid:80').replace('"no.invalid:80"', '"no.invalid:80", "none.invalid:80"'), good=False)
    contains(weir.log_line('reload failed'), "2 names were not found; the first: can't resolve")
    equal(t.client(port).get('/version').body, b'one')


def odd_files(t):
    """Paths of what is no regular file, with the word for it."""
    work = t.folder('odd')
    os.mkfifo(f'{work}/pipe')
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f'{work}/socket')
    t.later(listening.close)
    os.mkdir(f'{work}/folder')
    return {f'{work}/pipe': 'a pipe', f'{work}/socket': 'a socket', f'{work}/folder': 'a folder', '/dev/zero': 'a device', '/dev/tty': 'a device'}


def test_what_is_no_file_is_refused(t):
    """Wherever a file can be named, at check and at a reload: nothing waits for a writer, or reads without end."""
    origin, port = t.origin(), t.port()
    certificate, key = f'{t.certificates}/localhost.crt', f'{t.certificates}/localhost.key'
    tls = 'listeners: [ {{ address: "127.0.0.1:{port}", tls: {{ certificates: {{ cert: {cert}, key: {key} }}{more} }} }} ]\nroutes: [ {{ respond: 204 }} ]\n'
    pool = 'listeners: [ "127.0.0.1:{port}" ]\nroutes: [ {{ pool: p }} ]\npools: {{ p: {{ servers: ["{origin}"], {more} }} }}\n'

    def texts(odd):
        yield f'include: {odd}\n' + text_of(port, origin.address)
        yield tls.format(port=port, cert=odd, key=key, more='')
        yield tls.format(port=port, cert=certificate, key=odd, more='')
        yield tls.format(port=port, cert=certificate, key=key, more=f', client_auth: required, client_ca: {odd}')
        for name in ('ca', 'cert', 'key'):
            more = {'ca': '', 'cert': f', key: {key}', 'key': f', cert: {certificate}'}[name]
            yield pool.format(port=port, origin=origin.address, more=f'tls: {{ {name}: {odd}{more} }}')
        yield pool.format(port=port, origin=origin.address, more=f'sticky: {{ secret_file: {odd} }}')
        yield f'listeners: [ "127.0.0.1:{port}" ]\nroutes: [ {{ respond: {{ file: {odd} }} }} ]\n'
    weir = t.weir(text_of(port, origin.address))
    odd_ones = odd_files(t)
    for odd, word in odd_ones.items():
        for text in texts(odd):
            done = t.run('check', '-c', '-', stdin=text, seconds=10)
            equal(done.returncode, 1, text)
            contains(done.stderr, f'cannot read {odd}: it is {word}; a regular file is wanted')
        done = t.run('check', '-c', odd, seconds=10)
        equal(done.returncode, 1, odd)
        contains(done.stderr, f'cannot read {odd}: it is {word}')
    for odd in odd_ones:
        for text in texts(odd):
            weir.reload(text, good=False)
    contains(weir.stderr(), 'it is a pipe; a regular file is wanted')
    os.unlink(weir.file)
    os.mkfifo(weir.file)
    weir.reload(good=False)
    equal(t.client(port).get('/version').body, b'one')


def refused(t, weir, text, path, most):
    """By check, and by a reload, after which all is as before; each says so."""
    done = t.run('check', '-c', '-', stdin=text, seconds=20)
    equal(done.returncode, 1, done.stderr)
    contains(done.stderr, f'cannot read {path}: it has over {most}')
    before = len(weir.stderr())
    weir.reload(text, good=False)
    contains(weir.stderr()[before:], f'cannot read {path}: it has over {most}')


def test_files_have_a_bound(t):
    """A file that has no end, or is larger than any of its kind."""
    work = t.folder('large')
    with open(f'{work}/large', 'wb') as f:
        f.truncate(1 << 40)
    for text in (f'include: {work}/large\nlisteners: [":0"]\n',
                 f'listeners: [ "127.0.0.1:80" ]\nroutes: [ {{ respond: {{ file: {work}/large }} }} ]\n'):
        done = t.run('check', '-c', '-', stdin=text, seconds=10)
        equal(done.returncode, 1, text)
        contains(done.stderr, f'{work}/large')
        contains(done.stderr, 'MiB')
    origin, port = t.origin(), t.port()
    good = t.cert('localhost')
    weir = t.weir(text_of(port, origin.address))

    cert, key = (re.search(word + r': ([^ ,}]+)', good)[1] for word in ('cert', 'key'))
    for most, tls in (('1 MiB', f'certificates: [ {{ cert: {work}/large, key: {key} }} ]'), ('1 MiB', f'certificates: [ {{ cert: {cert}, key: {work}/large }} ]'),
                      ('16 MiB', f'certificates: [ {good} ], client_auth: required, client_ca: {work}/large')):
        refused(t, weir, f'listeners: [ {{ address: "127.0.0.1:{port}", tls: {{ {tls} }} }} ]\nroutes: [ {{ respond: 200 }} ]\n', f'{work}/large', most)
    for most, more in (('1 MiB', f', tls: {{ cert: {work}/large, key: {key}, verify: none }}'), ('1 MiB', f', tls: {{ cert: {cert}, key: {work}/large, verify: none }}'),
                       ('16 MiB', f', tls: {{ ca: {work}/large }}'), ('64 KiB', f', sticky: {{ secret_file: {work}/large }}')):
        refused(t, weir, text_of(port, origin.address, health=more), f'{work}/large', most)
    equal(t.client(port).get('/').status, 200)


def test_certificates_are_kept(t):
    """A short run of `loads`, which is a program of its own: what a reload costs beside a start when nothing has changed, or one certificate."""
    if not os.path.exists(os.path.join(os.path.dirname(WEIR), 'Makefile')):
        raise Skipped('its certificates are made by a program that is built beside the weir that was built')
    done = subprocess.run([os.path.join(HERE, 'loads'), '--weir', WEIR, '--certificates', '600', '--only', 'p256', '--ratios'], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    equal(done.returncode, 0, done.stdout[-4000:])

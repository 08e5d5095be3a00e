"""Loading goes on beside the rest: while names are asked for or certificates are read, probes, signals and the service manager are served."""
import os, signal, shutil, subprocess, time

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
    weir.stop(seconds=8)


def test_a_start_is_told_and_ended(t):
    """The service manager hears that a long start goes on, and a word to end is heard before READY."""
    env, late = slow_names(t)
    late(3600)
    for number in (signal.SIGTERM, signal.SIGINT):
        weir = t.weir(text_of(t.port(), 'a.slow.test:80'), env=env, ready=False)
        weir.wait_message('EXTEND_TIMEOUT_USEC=')
        weir.stop(number, seconds=8)
        ok(not any('READY=1' in m for m in weir.messages), 'it said READY=1')


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

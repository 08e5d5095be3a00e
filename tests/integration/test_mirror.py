"""Copies of requests for a shadow pool: the same request, an answer nobody sees, and nothing that the original would notice."""
import h2test
from weirtest import *


def mirrored(t, shadow, mirror='', pool='', shadow_pool='', handler=tell, workers=1, more=''):
    main = t.origin(handler, name='main')
    address = shadow if isinstance(shadow, str) else shadow.address
    port = t.port()
    weir = t.weir(f'''workers: {workers}
listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ pool: main, mirror: {{ pool: shadow{mirror} }} }} ]
pools:
  main: {{ servers: "{main.address}"{pool} }}
  shadow: {{ servers: "{address}"{shadow_pool} }}
{more}
''')
    return weir, port, main


def test_copies_are_the_same(t):
    shadow = t.origin(name='shadow')
    weir, port, main = mirrored(t, shadow)
    c = t.client(port)
    for i, (method, body) in enumerate([('GET', None), ('POST', b'x' * 30000), ('PUT', b''), ('DELETE', None)]):
        c.request(method, f'/{i}?q=1', [('X-Own', 'one'), ('Cookie', 'a=1')], body)
        response = c.response()
        equal((response.status, response.fields.get('x-origin')), (200, 'main'))
        eventually(lambda: shadow.count() == i + 1)
        one, other = main.last(), shadow.last()
        equal((other.method, other.target, other.fields), (one.method, one.target, one.fields))
        equal(other.body(), one.body())


def test_chunked_bodies_and_both_versions(t):
    shadow = h2test.H2Origin(name='shadow')
    t.later(shadow.close)
    weir, port, main = mirrored(t, shadow, shadow_pool=', protocol: h2c')
    c = t.client(port)
    c.send('POST /c HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n5\r\nhello\r\n')
    eventually(lambda: main.count() == 1)
    equal(shadow.count(), 0, 'a body is copied when it is whole')
    c.send('6\r\n world\r\n0\r\nX-End: yes\r\n\r\n')
    equal(c.response().json()['length'], 11)
    eventually(lambda: shadow.count() == 1)
    equal(bytes(shadow.last().body()), b'hello world')
    equal(shadow.last().trailers.get('x-end'), 'yes')


def test_trailers_are_copied(t):
    """As the filters have left them, behind a body or none; where a head announces them, they come."""
    shadow = t.origin(name='shadow')
    weir, port, main = mirrored(t, shadow)
    weir.reload(open(weir.file).read().replace('{ pool: main,', '{ pool: main, request: { headers: { remove: [X-Gone] } },'))
    c = t.client(port)
    for count, body in enumerate(['5\r\nhello\r\n', '']):
        c.send(f'PUT / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n{body}0\r\nX-End: yes\r\nX-Gone: no\r\nHost: evil\r\n\r\n')
        equal(c.response().status, 200)
        eventually(lambda: shadow.count() == count + 1)
        copy, one = shadow.last(), main.last()
        equal((copy.body(), list(copy.trailers)), (one.body(), list(one.trailers)))
        equal([(n.lower(), v) for n, v in copy.trailers], [('x-end', 'yes')])


def test_a_copy_is_no_retry(t):
    """The original was tried twice when its body became whole; its copy is sent for the first time. What came as a retry is copied as one."""
    shadow, bad = t.origin(name='shadow'), t.origin(lambda link, request: (link.answer(503, 'no'), link.close()), name='bad')
    good, port = t.origin(name='good'), t.port()
    t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
trusted_proxies: 127.0.0.1
routes: [ {{ pool: main, mirror: shadow }} ]
pools:
  main: {{ servers: ["{bad.address}", "{good.address}"], balance: first, outlier: false }}
  shadow: {{ servers: "{shadow.address}" }}
''')
    c = t.client(port)
    c.send('PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nbegin')
    eventually(lambda: good.count() == 1)
    c.send('s end')
    equal(c.response().status, 200)
    eventually(lambda: shadow.count() == 1)
    equal((good.last().fields.get('x-attempt'), shadow.last().fields.get('x-attempt')), ('2', None))
    equal(c.get('/', [('X-Attempt', '3')]).status, 503)
    eventually(lambda: shadow.count() == 2)
    equal(shadow.last().fields.get('x-attempt'), '3')


def test_an_original_waits_for_nothing(t):
    """The shadow does not answer, answers late, answers without end: its original has been answered long before, and copies are bounded."""
    release = threading.Event()

    def silent(link, request):
        release.wait(30)
        link.close()
    shadow = t.origin(silent, name='shadow')
    weir, port, main = mirrored(t, shadow, ', max_in_flight: 5')
    c = t.client(port)
    for i in range(40):
        equal(c.get(f'/{i}').status, 200)
    eventually(lambda: shadow.count() == 5)
    time.sleep(0.1)
    equal((main.count(), shadow.count()), (40, 5), 'five at once and no more')
    release.set()
    eventually(lambda: c.get('/again').status == 200 and shadow.count() > 5, text='when they are over, copies go on')


def test_a_copy_has_an_end(t):
    shadow = t.origin(lambda link, request: link.gone(20), name='shadow')
    weir, port, main = mirrored(t, shadow, ', max_in_flight: 1, timeout: 200ms', shadow_pool=', outlier: { time: 0s }')
    c = t.client(port)
    equal(c.get().status, 200)
    eventually(lambda: shadow.count() == 1)
    eventually(lambda: c.get().status == 200 and shadow.count() == 2, text='the first copy timed out')


def test_answers_without_end_are_dropped(t):
    def flood(link, request):
        request.body()
        link.begin(200)
        for _ in range(400):
            link.piece(b'f' * 65536)
        link.end()
        done.set()
    done = threading.Event()
    shadow = t.origin(flood, name='shadow')
    weir, port, main = mirrored(t, shadow)
    before = weir.resident()
    equal(t.client(port).get().status, 200)
    ok(done.wait(20 * SLOW), 'the answer is read to its end')
    if SLOW == 1:
        between(weir.resident() - before, -1 << 30, 8 << 20, 'and not kept')


def test_copies_take_no_memory_that_requests_want(t):
    """A shadow that gives no window keeps every copy in weir, which would be more than all may hold."""
    shadow = h2test.H2Origin(name='shadow', settings={h2test.INITIAL_WINDOW_SIZE: 0, h2test.MAX_CONCURRENT_STREAMS: 100000})
    t.later(shadow.close)
    weir, port, main = mirrored(t, shadow, ', max_in_flight: 10000, timeout: 1m', shadow_pool=', protocol: h2c', more='limits: { memory: 16MiB }')
    for i in range(500):
        c = Client(port)
        c.request('POST', f'/{i}', [('Connection', 'close')], b'z' * 60000)
        equal(c.response().status, 200, i)
        c.close()
    counters = weir.counted()
    between(counters['mirrors'], 20, 250)
    equal(counters['mirrors'] + counters['mirrors_skipped'], 500)


def test_copies_go_before_anybody(t):
    """What requests hold makes the copies end, which are under way on one connection of HTTP/2."""
    shadow, held = (h2test.H2Origin(name=name, settings={h2test.INITIAL_WINDOW_SIZE: 0, h2test.MAX_CONCURRENT_STREAMS: 100000}) for name in ('shadow', 'held'))
    t.later(shadow.close)
    t.later(held.close)
    main, port = t.origin(name='main'), t.port()
    weir = t.weir(f'''workers: 1
limits: {{ memory: 16MiB, least_read_rate: none }}
listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes:
  - {{ match: {{ path: /hold/ }}, pool: held }}
  - {{ pool: main, mirror: {{ pool: shadow, max_in_flight: 10000, timeout: 1m }} }}
pools:
  main: {{ servers: "{main.address}" }}
  shadow: {{ servers: "{shadow.address}", protocol: h2c }}
  held: {{ servers: "{held.address}", protocol: h2c, max_connections: none }}
''')
    c = t.client(port)
    for i in range(60):
        c.request('POST', f'/{i}', (), b'z' * 60000)
        equal(c.response().status, 200, i)
    equal(weir.counted()['mirrors_failed'], 0)
    for i in range(300):
        try:
            t.client(port).request('POST', '/hold/', (), b'z' * 60000)
        except OSError:     # once the copies are gone, it is the turn of connections
            pass
    # The first may have been sent whole before the shadow told its window.
    eventually(lambda: weir.counted()['mirrors_failed'] >= 59)


def test_what_is_too_large_is_not_copied(t):
    shadow = t.origin(name='shadow')
    weir, port, main = mirrored(t, shadow, pool=', retry: { buffer: 10KiB }')
    c = t.client(port)
    for length in (10240, 10241, 200000, 100):
        c.request('POST', f'/{length}', (), b'b' * length)
        equal(c.response().json()['length'], length)
    eventually(lambda: shadow.count('/100') == 1)
    equal(sorted(r.path for r in shadow.requests), ['/100', '/10240'])


def test_a_shadow_that_is_down(t):
    """Nobody well there: not even a connection is tried."""
    shadow = t.origin(lambda link, request: link.answer(500, 'ill'), name='shadow')
    weir, port, main = mirrored(t, shadow, shadow_pool=', health: { path: /, interval: 500ms, fast_interval: 50ms, fall: 1, rise: 1 }')
    weir.log_line('server is down')
    c = t.client(port)
    equal({c.get('/never').status for _ in range(20)}, {200})
    time.sleep(0.1)
    equal(shadow.count('/never'), 0)
    # And one that is gone altogether.
    gone = t.port()
    weir, port, main = mirrored(t, f'127.0.0.1:{gone}')
    c = t.client(port)
    equal({c.get().status for _ in range(20)}, {200})


def test_share(t):
    shadow = t.origin(name='shadow')
    weir, port, main = mirrored(t, shadow, ', share: 25%', workers=2)
    c = t.client(port)
    for _ in range(400):
        equal(c.get().status, 200)
    eventually(lambda: shadow.count() > 40)
    between(shadow.count(), 40, 170, 'of 400, 25 %')
    none, quiet, main = mirrored(t, shadow, ', share: 0%')
    before = shadow.count()
    equal(t.client(quiet).get().status, 200)
    equal(shadow.count(), before)


def test_reload_and_stop_with_copies_under_way(t):
    shadow = t.origin(lambda link, request: link.gone(20), name='shadow')
    weir, port, main = mirrored(t, shadow)
    c = t.client(port)
    for _ in range(10):
        equal(c.get().status, 200)
    eventually(lambda: shadow.count() == 10)
    weir.reload()
    equal(c.get().status, 200)
    # A client that leaves in the middle of its body leaves no copy.
    half = t.client(port)
    half.send('POST /half HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhalf')
    eventually(lambda: main.count('/half') == 1)
    half.reset()
    weir.access_line(path='/half')
    c.close()
    weir.stop()
    equal(shadow.count('/half'), 0)

"""Requests in flight are counted exactly: after any mix of answers, errors, cuts, timeouts, clients that leave, retries, hedges, copies and tunnels every server has
all its places free again, no fewer and no more. (When weir ends it asserts the same of each server.)"""
import random

import h2test
from weirtest import *

PLACES = 3


class Chaos:
    def __init__(self, t, http2, seed):
        self.random, self.http2, self.release = random.Random(seed), http2, threading.Event()
        t.later(self.release.set)
        can = {h2test.ENABLE_CONNECT_PROTOCOL: 1}
        make = (lambda name: h2test.h2_origin(t, self.handle, name=name, settings=can)) if http2 else (lambda name: t.origin(self.handle, name=name))
        self.origins, self.shadow = [make(n) for n in 'abc'], make('shadow')
        self.lock, self.held = threading.Lock(), collections.Counter()

    def handle(self, link, request):
        if request.path == '/hold':
            with self.lock:
                self.held[link.origin.name] += 1
            link.begin(200)
            self.release.wait(20 * SLOW)
            link.piece(b'held')
            link.end()
            return
        if request.path == '/tunnel' and self.random.random() < 0.8:
            self.tunnel(link, request)
            return
        kind = self.random.choice(self.KINDS)
        if kind not in ('unread', 'cut'):
            request.body()
        getattr(self, kind)(link)

    KINDS = ['well'] * 6 + ['late'] * 3 + ['silent', 'unread', 'cut', 'error', 'error', 'half', 'interim', 'long']

    def tunnel(self, link, request):
        if self.http2:
            link.stream.headers([(':status', '200')])
        else:
            accept = Websocket.accept(request.fields.get('sec-websocket-key'))
            link.send(f'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n')
        request._body = b''
        time.sleep(self.random.random() * 0.05)
        how = self.random.choice(['cut', 'end', 'wait'])
        if how == 'wait':
            link.gone(2)
        if how == 'end' and self.http2:
            link.stream.end()
        else:
            link.cut()

    def well(self, link):
        link.answer(200, 'well')

    def late(self, link):
        time.sleep(0.06)
        link.answer(200, 'late')

    def silent(self, link):
        time.sleep(0.3)
        link.answer(200, 'too late')

    def unread(self, link):
        link.answer(413, 'unread')
        link.close()

    def cut(self, link):
        link.cut()

    def error(self, link):
        link.answer(503, 'error')

    def half(self, link):
        link.begin(200)
        link.piece(b'half')
        link.cut()

    def interim(self, link):
        link.interim(103, [('Link', '</x>')])
        time.sleep(0.02)
        link.answer(200, 'after 103')

    def long(self, link):
        link.chunked([b'l' * 30000 for _ in range(8)])


def client_run(chaos, port, seed, rounds):
    """Requests of all kinds, each of which may be left at any point."""
    rng, client = random.Random(seed), None
    for _ in range(rounds):
        try:
            client = client or Client(port, timeout=20)
            kind = rng.choice(['GET', 'GET', 'GET', 'GET', 'PUT', 'POST', 'leave', 'leave', 'stop', 'upload', 'tunnel', 'tunnel'])
            target = f'/{rng.randrange(1000)}'
            if kind == 'upload':
                client.send(f'PUT {target} HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n', b'u' * rng.randrange(99999))
                time.sleep(rng.random() * 0.05)
                client = client.reset()
            elif kind == 'tunnel':
                ws = client = Websocket(port, timeout=20) if client.close() is None else None
                if ws.upgrade('/tunnel').status == 101:
                    ws.send(Websocket.frame(b'into the tunnel'))
                    time.sleep(rng.random() * 0.1)
                client = ws.reset() if rng.random() < 0.5 else ws.close()
            elif kind in ('leave', 'stop'):
                client.request('GET', target)
                time.sleep(rng.random() * 0.12)
                client = client.reset() if kind == 'leave' else client.close()
            else:
                client.request(kind, target, (), None if kind == 'GET' else b'b' * rng.choice([1, 2000, 90000]))
                if client.response().fields.get('connection', '').lower() == 'close':
                    client = client.close()
        except (Closed, OSError, AssertionError):
            if client:
                client = client.close()
    if client:
        client.close()


def hanging(t):
    """The address of a server whose connections are never made."""
    listener = socket.create_server(('127.0.0.1', free_port()), backlog=0)
    address = listener.getsockname()
    for _ in range(3):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(address)
        t.later(filler.close)
    t.later(listener.close)
    return f'127.0.0.1:{address[1]}'


def mix(t, http2, seed):
    seed = int(os.environ.get('WEIR_TEST_SEED', seed))
    print(f'WEIR_TEST_SEED={seed}')
    chaos = Chaos(t, http2, seed)
    port = t.port()
    servers, shadows = [f'"{o.address}"' for o in chaos.origins], [f'"{chaos.shadow.address}"']
    text = lambda servers, shadows: f'''workers: 2
timeouts: {{ tunnel_idle: 2s }}
listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes:
  - {{ match: {{ path: /hold }}, pool: p }}
  - {{ pool: p, response_timeout: 250ms, timeout: 2s, hedge: {{ after: 30ms, budget: 5% }}, mirror: {{ pool: shadow, share: 40%, max_in_flight: 4, timeout: 200ms }} }}
pools:
  p:
    servers: [{", ".join(servers)}]
    connect_timeout: 150ms
    protocol: {"h2c" if http2 else "http/1.1"}
    max_connections: {PLACES}
    queue: {{ max_wait: 100ms, size: 20 }}
    retry: {{ attempts: 2, budget: 100%, try_timeout: 100ms }}
    fast_down: none
    outlier: {{ time: 0s }}
  shadow: {{ servers: [{", ".join(shadows)}], protocol: {"h2c" if http2 else "http/1.1"}, max_connections: 2, outlier: {{ time: 0s }} }}
'''
    hangs = f'{{ address: "{hanging(t)}", name: hangs }}'
    weir = t.weir(text([*servers, hangs], [*shadows, hangs]))
    for round in range(5):      # until all kinds were there: hedges are rare on a busy machine
        threads = [threading.Thread(target=client_run, args=(chaos, port, (seed + round) * 100 + i, 40), daemon=True) for i in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60 * SLOW)
            ok(not thread.is_alive(), 'a client hangs')
        lines = weir.access()
        seen = collections.Counter(a['failure'] for line in lines for a in line.get('failed', ())) + collections.Counter(line.get('failure', line['status']) for line in lines)
        missing = {200, 101, 503, 'client_closed', 'connect_timeout', 'response_timeout', 'status_503', 'hedged'} - set(seen)
        if not missing and chaos.shadow.count() > 20:
            break
    ok(not missing, f'no {missing} in the mix: {seen}')
    print(f'{round + 1} rounds: {seen}')
    weir.reload(text(servers, shadows))
    # What is left of the mix ends by its timeouts. Then as many requests find a place as there are, and one more does not.
    holders = {}        # and the head of the answer, once it is there

    def all_held():
        for client in [c for c, head in holders.items() if head is None and select.select([c.sock], [], [], 0)[0]]:
            holders[client] = client.head()
            if holders[client].status != 200:
                equal(holders.pop(client).status, 503, 'what does not find a place in time')
        while len(holders) < PLACES * len(chaos.origins):
            client = t.client(port, timeout=30)
            client.request('GET', '/hold')
            holders[client] = None
        return None not in holders.values() and sum(chaos.held.values()) >= PLACES * len(chaos.origins)
    eventually(all_held, 15, lambda: f'places are lost: held {chaos.held}')
    equal(t.client(port).get('/hold').status, 503)
    equal(dict(chaos.held), {o.name: PLACES for o in chaos.origins}, 'places taken at each server')
    chaos.release.set()
    equal([b''.join(c.reader.chunks()) for c in holders], [b'held'] * len(holders))
    requests = sum(o.count() for o in chaos.origins)
    ok(requests > 100 and chaos.shadow.count() > 20, f'{requests} requests and {chaos.shadow.count()} copies')


def test_after_any_mix_over_http1(t):
    mix(t, False, 1)


def test_after_any_mix_over_http2(t):
    mix(t, True, 2)

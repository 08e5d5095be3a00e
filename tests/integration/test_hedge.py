"""A request whose answer is late goes to a second server: the first good answer wins, the other attempt ends, and it stays rare."""
import h2test
from weirtest import *


USUAL = 0.02  # s that an answer takes: what a busy machine adds must be little beside it


class Fleet:
    """Origins that take a little while for an answer, but for requests to a path in .plans, of which each takes a plan: a function of link and request."""
    def __init__(self, t, count=3, http2=False):
        self.plans, self.lock, self.gone = {}, threading.Lock(), []
        make = (lambda name: h2test.h2_origin(t, self.handle, name=name)) if http2 else (lambda name: t.origin(self.handle, name=name))
        self.origins = [make(f'o{i}') for i in range(count)]

    def handle(self, link, request):
        with self.lock:
            plans = self.plans.get(request.path)
            plan = plans.pop(0) if plans else None
        if not plan:
            request.body()
            time.sleep(USUAL)
        (plan or tell)(link, request)

    def late(self, link, request):
        """Tells if it was cut before it answered."""
        request.body()
        if link.gone(2.5):
            self.gone.append(request.path)
        else:
            tell(link, request)

    def count(self, path):
        return sum(o.count(path) for o in self.origins)


def late_for(seconds, status):
    def plan(link, request):
        request.body()
        time.sleep(seconds)
        link.answer(status, 'late')
    return plan


def fail_after(seconds):
    def plan(link, request):
        request.body()
        time.sleep(seconds)
        link.cut()
    return plan


class Hedged:
    def __init__(self, t, hedge='after: 150ms, budget: 5%', pool='', warm=100, route='', http2=False):
        self.fleet, self.port = Fleet(t, http2=http2), t.port()
        self.weir = t.weir(f'''workers: 1
listeners: [ {{ address: "127.0.0.1:{self.port}" }} ]
routes: [ {{ pool: p, hedge: {{ {hedge} }}{route} }} ]
pools:
  p:
    servers: [{", ".join('"' + o.address + '"' for o in self.fleet.origins)}]
    outlier: {{ time: 0s }}
    retry: {{ attempts: 0 }}{pool}
''')
        self.clients = [t.client(self.port) for _ in range(4)]
        self.client = self.clients[0]
        self.warm(warm)

    def warm(self, count):
        """What is usual is known afterwards, and some hedges are saved up."""
        for _ in range(count // len(self.clients)):
            for client in self.clients:
                client.request('GET', '/warm')
            for client in self.clients:
                equal(client.response().status, 200)

    def ask(self, path, plans):
        """The answer to a request that was hedged. One may not be, when the machine was busy just then."""
        for i in range(12):
            target = f'{path}-{i}'
            self.fleet.plans[target] = list(plans)
            response = self.client.get(target)
            if self.fleet.count(target) == 2:
                return target, response
            self.warm(160)
        fail(f'{path} is not hedged')


def test_the_second_wins(t, http2=False):
    x = Hedged(t, http2=http2, pool='\n    protocol: h2c' if http2 else '')
    before = [len(o.connections()) for o in x.fleet.origins] if http2 else None
    for i in range(2):
        path, response = x.ask(f'/{i}', [x.fleet.late])
        equal(response.status, 200)
        line = x.weir.access_line(path=path)
        equal((line['attempts'], [f['failure'] for f in line['failed']]), (2, ['hedged']))
        ok(line['failed'][0]['server'] != line['server'])
        eventually(lambda: path in x.fleet.gone, text='the first attempt is cancelled')
        x.warm(60)
    if http2:
        equal([len(o.connections()) for o in x.fleet.origins], before, 'by a reset of its stream')


def test_the_second_wins_over_http2(t):
    test_the_second_wins(t, True)


def test_the_first_wins(t):
    x = Hedged(t)
    path, response = x.ask('/f', [late_for(0.6, 200), x.fleet.late])
    equal((response.status, response.body), (200, b'late'))
    eventually(lambda: path in x.fleet.gone, text='the second attempt is cancelled')
    equal(x.weir.access_line(path=path)['attempts'], 2)


def test_errors_do_not_win(t):
    x = Hedged(t)
    for name, plans in {'the first is an error': [late_for(0.5, 503), late_for(0.6, 200)], 'the second is': [late_for(0.6, 200), late_for(0.1, 500)],
                        'the first is cut': [fail_after(0.5), late_for(0.6, 200)], 'the second is cut': [late_for(0.6, 200), fail_after(0.1)]}.items():
        equal(x.ask('/' + name.replace(' ', '-'), plans)[1].status, 200, name)
        x.warm(60)
    equal(x.ask('/both', [late_for(0.5, 503), late_for(0.8, 500)])[1].status, 500, 'the last answer is as good as any')


def test_what_is_not_hedged(t):
    x = Hedged(t)
    for method, body in (('POST', None), ('POST', b'body'), ('PUT', b'body'), ('PATCH', None)):
        x.fleet.plans['/n'] = [late_for(0.3, 200)]
        x.client.request(method, '/n', (), body)
        equal(x.client.response().body, b'late', method)
    equal(x.fleet.count('/n'), 4)


def test_a_budget(t):
    """Requests that are all late: as many are hedged as the share says, not one each."""
    x = Hedged(t, 'after: 20ms, budget: 2%')
    x.fleet.plans['/b'] = [late_for(0.06, 200) for _ in range(80)]
    for _ in range(40):
        equal(x.client.get('/b').status, 200)
    between(x.fleet.count('/b') + x.fleet.count('/warm') - 140, 0, 2, 'hedges of 140 requests, at 2 %')


def test_a_gate(t):
    """When all answers take longer than in better times there is a queue somewhere, and hedges would only feed it."""
    x = Hedged(t, 'after: 100ms, budget: 5%', warm=220)
    x.fleet.plans['/p'] = [late_for(0.2, 200) for _ in range(80)]
    x.fleet.plans['/g'] = [late_for(0.2, 200) for _ in range(12)]
    clients = [t.client(x.port) for _ in range(8)]
    for _ in range(8):
        for client in clients:
            client.request('POST', '/p')
        for client in clients:
            equal(client.response().status, 200)
    for _ in range(6):
        equal(x.client.get('/g').status, 200)
    equal(x.fleet.count('/g'), 6, 'none is hedged, though there is budget')


def test_measured_lateness(t):
    """Without a time of its own: later than 95 of 100."""
    x = Hedged(t, 'at: p95, budget: 5%', warm=160)
    path, _ = x.ask('/m', [x.fleet.late])
    eventually(lambda: path in x.fleet.gone)


def test_a_client_that_leaves(t):
    x = Hedged(t)
    for i in range(12):
        other, path = t.client(x.port), f'/l{i}'
        x.fleet.plans[path] = [x.fleet.late, x.fleet.late]
        other.request('GET', path)
        eventually(lambda: x.fleet.count(path) >= 1)
        time.sleep(0.5)
        attempts = x.fleet.count(path)
        other.reset()
        eventually(lambda: x.fleet.gone.count(path) == attempts, text='all attempts end')
        equal(x.weir.access_line(path=path)['failure'], 'client_closed')
        if attempts == 2:
            return
    fail('nothing was hedged')


def test_both_too_late(t):
    x = Hedged(t, route=', response_timeout: 900ms')
    path, response = x.ask('/t', [x.fleet.late, x.fleet.late])
    equal(response.status, 504)
    eventually(lambda: x.fleet.gone.count(path) == 2)
    equal(x.client.get('/after').status, 200)


class OneSlow:
    """Three origins, one of which takes long for everything, and a route that asks for no hedges."""
    def __init__(self, t, pool='', route='', slow=0.8):
        self.seconds = slow
        self.slow, self.port = threading.Event(), t.port()
        self.slow.set()
        self.origins = [t.origin(lambda link, request, i=i: self.handle(i, link, request), name=f'o{i}') for i in range(3)]
        self.weir = t.weir(f'''workers: 1
listeners: [ {{ address: "127.0.0.1:{self.port}" }} ]
routes: [ {{ pool: p{route} }} ]
pools:
  p:
    servers: [{", ".join('"' + o.address + '"' for o in self.origins)}]
    outlier: {{ time: 0s }}{pool}
''')
        self.clients = [t.client(self.port) for _ in range(12)]

    def handle(self, i, link, request):
        request.body()
        time.sleep(self.seconds if i == 0 and self.slow.is_set() else USUAL)
        tell(link, request)

    def ask(self, method='GET'):
        """All clients at once; the more there are, the sooner the slow one seems worth a trial. Since when it has waited for the longest."""
        began = Since()
        for client in self.clients:
            client.request(method, '/')
        for client in self.clients:
            equal(client.response().status, 200)
        return began

    def settle(self):
        """The slow one is known, and what it was given before is over."""
        for _ in range(20):
            self.ask()
        time.sleep(0.2)

    def hedged(self):
        return [a for a in self.weir.access() if [f['failure'] for f in a.get('failed', ())] == ['hedged']]


def test_a_trial_is_nobodys_loss(t):
    """A server known to be slow is asked now and then; who asks has another's answer."""
    x = OneSlow(t)
    x.settle()
    first = x.origins[0].count('/')
    worst, end = 0, time.monotonic() + 30
    while not x.hedged() and time.monotonic() < end:
        worst = max(worst, x.ask().counted())
        time.sleep(0.05)
    lines = x.hedged()
    ok(lines, 'one was hedged')
    ok(x.origins[0].count('/') > first, 'it was a trial')
    for line in lines:
        equal(line['failed'][0]['server'], x.origins[0].address)
        ok(line['server'] != x.origins[0].address)
    ok(worst < 0.7 * SLOW, f'an answer took {worst}')
    x.slow.clear()
    count = x.origins[0].count('/')

    def has_its_share():
        x.ask()
        return x.origins[0].count('/') > count + 40
    eventually(has_its_share, 40, 'what is quick again is asked again')
    known = len(x.hedged())
    for _ in range(20):
        x.ask()
    equal(len(x.hedged()), known, 'and nothing is hedged then')


def trials_unhedged(t, pool, method):
    x = OneSlow(t, pool)
    x.settle()
    end = time.monotonic() + 30
    while time.monotonic() < end and x.ask(method).elapsed() < 0.7:
        time.sleep(0.05)
    ok(time.monotonic() < end, 'there was a trial, and its client waited')
    equal(x.hedged(), [])
    eventually(lambda: sum(o.count('/') for o in x.origins) == len(x.weir.access()), text='each was sent once')


def test_who_wants_no_retries_has_no_trials_hedged(t):
    trials_unhedged(t, '\n    retry: { attempts: 0 }', 'GET')


def test_who_wants_nothing_sent_twice_has_no_trials_hedged(t):
    trials_unhedged(t, '\n    retry: { on: [never_sent] }', 'GET')


def test_trials_that_change_something_are_not_hedged(t):
    trials_unhedged(t, '', 'DELETE')


def test_a_slow_server_that_has_work_is_not_tried_with_each(t):
    """Three times slower, and the others have more than enough to do: it takes its part, and hedges would be load."""
    x = OneSlow(t, slow=0.06)
    x.settle()
    asked, hedged = x.origins[0].count('/'), len(x.hedged())
    began = time.monotonic()

    def has_its_part():
        x.ask()
        return x.origins[0].count('/') > asked + 100
    eventually(has_its_part, 60, 'it was not asked')
    seconds = time.monotonic() - began
    ok(len(x.hedged()) - hedged <= 4 * (seconds + 1), f'{len(x.hedged()) - hedged} hedged in {seconds} s')


def test_a_routes_own_time_stands_at_a_slow_server(t):
    """Be there too little known to say what is late."""
    x = OneSlow(t, route=', hedge: { after: 100ms, budget: 5% }')
    x.settle()
    asked, end = x.origins[0].count('/'), time.monotonic() + 45
    time.sleep(8)
    while x.origins[0].count('/') == asked and time.monotonic() < end:
        time.sleep(1.6)
        began = Since()
        equal(x.clients[0].get('/').status, 200)
        began.took(0, 0.6)
    ok(x.origins[0].count('/') > asked, 'there was a trial')


def test_a_retry_of_a_trial_is_not_hedged(t):
    """The slow server cuts what it is given; the next one takes its time, and nobody asked for a third."""
    x = OneSlow(t)
    cut, lock, handle = [], threading.Lock(), x.handle
    trial = threading.Event()

    def plan(i, link, request):
        if not trial.is_set():
            return handle(i, link, request)
        request.body()
        if i == 0:
            with lock:
                cut.append(request.path)
            return link.cut()
        time.sleep(0.5 if request.path in cut else USUAL)
        tell(link, request)
    x.handle = plan
    x.settle()
    trial.set()
    n, end = 0, time.monotonic() + 40
    while len(cut) < 3 and time.monotonic() < end:
        n += 1
        for i, client in enumerate(x.clients):
            client.request('GET', f'/{n}-{i}')
        for client in x.clients:
            equal(client.response().status, 200)
        time.sleep(0.05)
    ok(cut, 'there was a trial')
    equal([sum(o.count(path) for o in x.origins) for path in cut], [2] * len(cut))


def test_a_cancelled_attempt_tells_of_its_server(t):
    """A server that falls behind and whose late answers are cancelled is asked no more, as if they had been waited for."""
    x = OneSlow(t, route=', hedge: { after: 150ms, budget: 5% }')
    x.slow.clear()
    x.settle()
    for _ in range(6):
        x.slow.set()
        hedged, asked = len(x.hedged()), x.origins[0].count('/')
        for _ in range(40):
            equal(x.clients[0].get('/').status, 200)
        asked = x.origins[0].count('/') - asked
        eventually(lambda: not any(o.in_progress for o in x.origins))
        if len(x.hedged()) > hedged:
            return between(asked, 1, 6, 'requests at the slow server, of 40; a third would be 13')
        # It was not asked, or the machine was so busy that nothing was hedged: it is brought back, and tried again.
        x.slow.clear()
        count = x.origins[0].count('/')
        eventually(lambda: x.ask() and x.origins[0].count('/') > count + 40, 40, 'what is quick again is asked again')
    fail('nothing was hedged')

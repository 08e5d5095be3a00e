"""A client stays where it was: at its server by sticky sessions, at its pool by splits."""
import base64

from weirtest import *

SECRET = 'sixteen bytes or more of secret'
OLDER = 'what was used before this one'


def sticky(t, names='abc', sticky=f'secrets: "{SECRET}"', server={}, pool='', listener='', more='', handler=None):
    """A pool of origins that say their names, and how to change its file."""
    origins = {n: t.origin(handler or tell, name=n) for n in names}
    port = t.port()

    def text(sticky=sticky, server=server, names=names, pool=pool):
        servers = ', '.join(f'{{ address: "{origins[n].address}", name: s{n}{server.get(n, "")} }}' for n in names)
        return f'''drain_timeout: 5s
workers: 2
listeners: [ {{ address: "127.0.0.1:{port}"{listener} }} ]
routes: [ {{ pool: p }} ]
pools:
  p: {{ servers: [{servers}], sticky: {{ {sticky} }}{pool} }}
{more}
'''
    return t.weir(text()), port, origins, text


def visit(t, port, cookie=None, target='/', method='GET', fields=()):
    """Who answered, and the cookie that was given (name=value, attributes)."""
    client = Client(port)
    client.request(method, target, list(fields) + ([('Cookie', cookie)] if cookie else []))
    response = client.response(method)
    client.close()
    equal(response.status, 200)
    given = response.fields.get('set-cookie')
    pair, _, attributes = given.partition('; ') if given else (None, '', None)
    return response.fields.get('x-origin'), pair, attributes


def test_a_client_stays(t):
    weir, port, origins, text = sticky(t)
    clients = [visit(t, port) for _ in range(12)]
    ok(len({who for who, *_ in clients}) > 1, 'first requests are spread')
    for who, cookie, attributes in clients:
        equal(attributes, 'Path=/; HttpOnly; SameSite=Lax')
        for _ in range(4):
            equal(visit(t, port, f'other=1; {cookie}'), (who, None, None), 'the same server, and no new cookie')
    names = {cookie.split('=')[0] for _, cookie, _ in clients}
    equal(len(names), 1)
    ok(re.fullmatch('weir_[0-9a-f]{8}', names.pop()))


def test_what_the_cookie_tells(t):
    """Its server by no name or address, and nothing of it can be changed."""
    weir, port, origins, text = sticky(t, 'ab', sticky=f'secrets: "{SECRET}", cookie: {{ name: at, path: /app, domain: a.test, max_age: 2h, secure: always, http_only: false, same_site: strict }}')
    who, cookie, attributes = visit(t, port)
    equal(attributes, 'Path=/app; Domain=a.test; Max-Age=7200; Secure; SameSite=Strict')
    name, _, word = cookie.partition('=')
    equal((name, len(word)), ('at', 40))
    raw = base64.b64decode(word)
    for part in (b's' + who.encode(), origins[who].address.encode(), socket.inet_aton('127.0.0.1'), struct.pack('>H', origins[who].port)):
        ok(part not in raw, f'{part} is in the cookie')
    for i in range(len(raw)):
        for bit in (1, 128):
            forged = bytearray(raw)
            forged[i] ^= bit
            who2, given, _ = visit(t, port, 'at=' + base64.b64encode(bytes(forged)).decode())
            ok(given, f'a cookie that was changed in byte {i} counts as none')
    for bad in ('', 'x', word[:-1], word + 'A', '=' * 40, word[:20] + ' ' + word[21:], word.lower() + '!'):
        ok(visit(t, port, 'at=' + bad)[1], f'{bad!r} counts as none')
    equal(visit(t, port, cookie), (who, None, None))


def test_of_another_pool(t):
    """Same secret, same servers, another pool: not its word."""
    a, b = t.origin(name='a'), t.origin(name='b')
    port = t.port()
    pool = f'{{ servers: ["{a.address}", "{b.address}"], sticky: {{ secrets: "{SECRET}", cookie: at }} }}'
    t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ match: {{ path: /one/ }}, pool: one }}, {{ pool: two }} ]
pools: {{ one: {pool}, two: {pool} }}
''')
    who, cookie, _ = visit(t, port, target='/one/')
    equal(visit(t, port, cookie, '/one/')[1], None)
    ok(visit(t, port, cookie, '/two/')[1])


def test_a_server_that_is_gone(t):
    """Its clients move once, and stay where they came to, also when it is back."""
    weir, port, origins, text = sticky(t, 'ab', pool=', fast_down: none')
    who, cookie, _ = visit(t, port)
    other = 'b' if who == 'a' else 'a'
    origins[who].close()
    moved, again, _ = visit(t, port, cookie)
    equal(moved, other)
    ok(again and again != cookie)
    equal(visit(t, port, again), (other, None, None))
    # A POST is told of the refused connection too: nothing of it was sent.
    equal(visit(t, port, cookie, method='POST')[0], other)


def test_weight_zero_keeps_its_clients(t):
    weir, port, origins, text = sticky(t, 'ab')
    at = {}
    while len(at) < 2:
        who, cookie, _ = visit(t, port)
        at[who] = cookie
    weir.reload(text(server={'a': ', weight: 0'}))
    equal([visit(t, port, at['a'])[0] for _ in range(4)], ['a'] * 4)
    equal({visit(t, port)[0] for _ in range(10)}, {'b'}, 'and gets no new ones')
    # Out of the pool: as without a cookie.
    weir.reload(text(names='b'))
    equal(visit(t, port, at['a'])[0], 'b')
    ok(visit(t, port, at['a'])[1])


def test_a_full_server(t):
    """For want of a place a request goes elsewhere, and the next one comes back."""
    release = threading.Event()

    def handler(link, request):
        if request.path == '/hold':
            release.wait(20)
        tell(link, request)
    weir, port, origins, text = sticky(t, 'ab', server={'a': ', max_connections: 1', 'b': ', max_connections: 10'}, handler=handler)
    while True:
        who, cookie, _ = visit(t, port)
        if who == 'a':
            break
    holder = t.client(port)
    holder.request('GET', '/hold', [('Cookie', cookie)])
    eventually(lambda: origins['a'].count('/hold') == 1)
    equal(visit(t, port, cookie), ('b', None, None), 'elsewhere, with its cookie as it was')
    release.set()
    equal(holder.response().status, 200)
    equal(visit(t, port, cookie), ('a', None, None))


def test_secrets_change(t):
    weir, port, origins, text = sticky(t, sticky=f'secrets: "{OLDER}"')
    who, cookie, _ = visit(t, port)
    weir.reload(text(sticky=f'secrets: ["{SECRET}", "{OLDER}"]'))
    same, renewed, _ = visit(t, port, cookie)
    equal(same, who)
    ok(renewed and renewed != cookie, 'signed with the first secret from now on')
    weir.reload(text(sticky=f'secrets: "{SECRET}"'))
    equal(visit(t, port, renewed), (who, None, None))
    ok(visit(t, port, cookie)[1], 'the old secret is none any more')
    # From a file, and from the environment.
    with open(os.path.join(weir.work, 'secrets'), 'w') as f:
        f.write(f'\n{SECRET}\n{OLDER}\n')
    weir.reload(text(sticky='secret_file: secrets'))
    equal(visit(t, port, renewed), (who, None, None))
    equal(visit(t, port, cookie)[0], who)


def test_a_status_of_the_own_server(t):
    """One bad answer does not take a client from its session."""
    def handler(link, request):
        link.answer(503 if request.path == '/bad' else 200, link.origin.name)
    weir, port, origins, text = sticky(t, handler=handler, pool=', outlier: { time: 0s }')
    who, cookie, _ = visit(t, port)
    client = t.client(port)
    equal(client.get('/bad', [('Cookie', cookie)]).status, 503)
    equal(sum(o.count('/bad') for o in origins.values()), 1)
    equal(visit(t, port, cookie), (who, None, None))


def test_over_tls_it_is_secure(t):
    origin = t.origin()
    port = t.port()
    t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}", tls: {{ certificates: [{t.cert("localhost")}] }} }} ]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["{origin.address}"], sticky: {{ secrets: "{SECRET}" }} }} }}
''')
    client = t.client(port, tls=t.tls_client(), name='localhost')
    contains(client.get().fields.get('set-cookie'), '; Secure')


# ---- splits ----

def split(t, weights, split='{ key: "header:x-user" }', more=''):
    origins = {n: t.origin(name=n) for n in weights}
    port = t.port()

    def text(weights):
        return f'''drain_timeout: 5s
workers: 2
access_log: false
listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {{ pool: [{", ".join(f"{{ name: {n}, weight: {w} }}" for n, w in weights.items())}], split: {split} }} ]
pools: {{ {", ".join(f'{n}: {{ servers: "{o.address}" }}' for n, o in origins.items())} }}
'''
    return t.weir(text(weights)), port, text


def users(t, port, count=600):
    client = t.client(port)
    return [client.get('/', [('X-User', f'user-{i}')]).fields.get('x-origin') for i in range(count)]


def test_split_moves_only_whom_it_must(t):
    weir, port, text = split(t, {'blue': 90, 'green': 10, 'red': 0})
    before = users(t, port)
    equal(users(t, port), before, 'the same key goes to the same pool')
    between(before.count('green'), 30, 95, 'of 600, 10 %')
    equal(before.count('red'), 0)
    weir.reload(text({'blue': 70, 'green': 30, 'red': 0}))
    after = users(t, port)
    between(after.count('green'), 130, 235, 'of 600, 30 %')
    moved = [(a, b) for a, b in zip(before, after) if a != b]
    equal({pair for pair in moved}, {('blue', 'green')}, 'who moves, moves to the pool that grew')
    weir.reload(text({'blue': 90, 'green': 10, 'red': 0}))
    equal(users(t, port), before, 'and back')
    weir.reload(text({'blue': 90, 'green': 10, 'red': 50}))
    equal({b for a, b in zip(before, users(t, port)) if a != b}, {'red'})


def test_split_by_its_own_cookie(t):
    weir, port, text = split(t, {'blue': 50, 'green': 50}, '{ cookie: { name: variant, max_age: 1h } }')
    seen = collections.Counter()
    for _ in range(60):
        who, cookie, attributes = visit(t, port)
        equal(attributes, 'Path=/; Max-Age=3600; HttpOnly; SameSite=Lax')
        ok(re.fullmatch('variant=[0-9a-f]{16}', cookie), cookie)
        for _ in range(2):
            equal(visit(t, port, cookie), (who, None, None))
        seen[who] += 1
    ok(min(seen['blue'], seen['green']) >= 8, f'{seen}')
    ok(visit(t, port, 'variant=me')[1], 'what is not ours is replaced')


def test_split_without_the_key(t):
    weir, port, text = split(t, {'blue': 50, 'green': 50})
    client = t.client(port)
    equal({client.get().fields.get('x-origin') for _ in range(80)}, {'blue', 'green'})


def test_explain_names_the_pool_of_a_split(t):
    """The one that the key or the cookie decides on, and no other; all of them where the request has neither."""
    def explained(*fields):
        given = [word for field in fields for word in ('-H', field)]
        answer = json.loads(t.run('explain', '-c', weir.file, *given, '--json', 'GET', f'http://127.0.0.1:{port}/').stdout)
        text = t.run('explain', '-c', weir.file, *given, 'GET', f'http://127.0.0.1:{port}/').stdout
        names = [pool['pool'] for pool in answer['pools']]
        equal([line.split()[1] for line in text.splitlines() if line.split()[:1] == ['pool']], names)
        return names, answer['split']
    weir, port, text = split(t, {'blue': 50, 'green': 50})
    client, seen = t.client(port), set()
    for i in range(12):
        who = client.get('/', [('X-User', f'user-{i}')]).fields.get('x-origin')
        equal(explained(f'X-User: user-{i}'), ([who], f'by header:x-user, to {who}'))
        seen.add(who)
    equal(seen, {'blue', 'green'})
    equal(explained(), (['blue', 'green'], 'by header:x-user, which this request lacks: by lot'))
    weir, port, text = split(t, {'blue': 50, 'green': 50}, '{ cookie: { name: variant, max_age: 1h } }')
    for _ in range(4):
        who, cookie, _ = visit(t, port)
        equal(explained(f'Cookie: {cookie}'), ([who], f'by the cookie variant, to {who}'))
    equal(explained('Cookie: variant=me'), (['blue', 'green'], 'by the cookie variant, which this request lacks: by lot'))

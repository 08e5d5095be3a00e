"""What may stand behind a body: trailers go through the sieve of heads, both ways and over both versions."""
from h2test import *

FORGED = ['X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'X-Forwarded-Port', 'X-Forwarded-Anything', 'Forwarded', 'X-Real-IP', 'X-Request-Id',
          'X-Attempt', 'X-Envoy-Attempt-Count', 'Via', 'Host', 'Authorization', 'Cookie', 'Set-Cookie', 'Content-Type', 'Content-Encoding', 'Content-Range',
          'Location', 'Cache-Control', 'Expect', 'Trailer', 'Proxy-Authorization', 'X-Hop', 'X-Two', 'X-User', 'X-Removed']
CONNECTION = ('Connection', 'Keep-Alive', 'Transfer-Encoding', 'Upgrade', 'TE', 'Content-Length')       # HTTP/2 refuses a message that has them
EDITS = 'request: { headers: { set: { X-User: weir }, remove: [X-Removed] } }, response: { headers: { set: { X-User: weir }, remove: [X-Removed] } }'
HEAD = [('Connection', 'x-hop, X-TWO')]


def forged(name, version):
    """Of each name a value that tells its way; a good one before, between and behind."""
    lines = [('X-Sum', '1'), *((n, 'forged') for n in FORGED), ('X-Sum', '2'), ('X-Last', name)]
    if version == 1:
        lines[5:5] = [(n, '1') for n in CONNECTION]
    return lines if version == 1 else [(n.lower(), v) for n, v in lines]


def names(fields):
    return [n.lower() for n, _ in fields]


def test_nothing_comes_behind_a_body_that_heads_may_not_bring(t):
    """Also what Connection of the head names, and what the route sets and removes; the rest goes on, in its order."""
    def handler(link, request):
        request.body()
        link.chunked([b'body'], forged('response', 2 if isinstance(link, H2Link) else 1), fields=[] if isinstance(link, H2Link) else HEAD)
    for x in crossings(t, handler, route=EDITS):
        got = x.ask('POST', '/', [] if x.two_in else HEAD, b'body', trailers=forged('request', 2 if x.two_in else 1), length=False)
        sent = x.origin.requests[-1].trailers
        left = [n.lower() for n in ('X-Hop', 'X-Two')]
        equal((names(sent), sent.get('x-last')), (['x-sum', *(left if x.two_in else []), 'x-sum', 'x-last'], 'request'), x.name)
        equal((names(got.trailers), got.trailers.get('x-last')), (['x-sum', *(left if x.two_out else []), 'x-sum', 'x-last'], 'response'), x.name)


def test_a_trusted_peer_has_no_more_to_say_there(t):
    for x in crossings(t, pairs=FOUR, more='trusted_proxies: ["127.0.0.1"]'):
        x.ask('POST', '/', [('X-Forwarded-For', '192.0.2.7')], b'body', trailers=[('x-forwarded-for', '192.0.2.8'), ('x-forwarded-anything', 'a'), ('x-sum', '1')], length=False)
        request = x.origin.requests[-1]
        ok('192.0.2.7' in request.fields.get('x-forwarded-for'), x.name)
        equal(names(request.trailers), ['x-sum'], x.name)


def test_names_that_fold_together(t):
    """A CGI-like server reads X_User as X-User: such names of clients are dropped from both, over HTTP/2 too, and pass where the file says so."""
    for more, passes in ('', []), ('limits: { underscore_names: true }', ['x_user', 'x.user']):
        def handler(link, request):
            request.body()
            link.chunked([b'body'], [('X_User', '1'), ('X-Sum', '1')], fields=[('X_User', '1')])
        for x in crossings(t, handler, pairs=FOUR, more=more):
            fields = [('x_user', 'forged'), ('x.user', 'forged')]
            got = x.ask('POST', '/', fields, b'body', trailers=[*fields, ('x-sum', '1')], length=False)
            request = x.origin.requests[-1]
            equal([n for n in names(request.fields) if 'user' in n and n != 'user-agent'], passes, x.name)
            equal(names(request.trailers), [*passes, 'x-sum'], x.name)
            ok('x_user' in got.fields and 'x_user' in got.trailers, f'{x}: fields of servers are their own affair')


def test_more_names_than_anybody_means(t):
    """Connection may name 32 fields; who names more has none of them passed on, as the message is refused."""
    for count, status in (32, 200), (33, 400):
        for x in crossings(t, pairs=(('h1', 'h1'),)):
            equal(x.ask('GET', '/', [('Connection', ', '.join(f'x-{i}' for i in range(count))), ('X-31', 'a'), ('X-32', 'b')]).status, status)
            equal([r.fields.get('x-31') for r in x.origin.requests], [None] if status == 200 else [])
    def handler(link, request):
        link.answer(200, b'', [('Connection', ', '.join(f'x-{i}' for i in range(33))), ('X-32', 'b')])
    for x in crossings(t, handler, pairs=(('h1', 'h1'), ('h2c', 'h1'))):
        equal(x.ask('GET', '/').status, 502)

"""Regular expressions: one that can't be matched within its bounds refuses, and the answer is the same with machine code and without."""
from weirtest import *

HARD = '/a' * 12
LONG = '/a' * 3500


def can_deny():
    """Whether this kernel knows what MemoryDenyWriteExecute of the unit does: no page is written and run (PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN)."""
    done = subprocess.run([sys.executable, '-c', 'import ctypes, sys; sys.exit(ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0)'])
    return done.returncode == 0


ROUTES = r'''
  - { name: nested, match: { path: "~^/(.*/)*internal(/|$)" }, access: { allow: 192.0.2.1 }, pool: p }
  - { name: parted, match: { path: "~^/([^/]+/)*private/" }, respond: 403 }
  - { name: header, match: { header: { x-kind: "~^(a+)+$" } }, respond: 403 }
  - { name: query, match: { query: { q: "~^(\\w+\\s?)+$" } }, respond: 403 }
  - { name: back, match: { path: '~^/back/(a+)+(b)?\2$' }, respond: 403 }
  - { name: change, match: { path: /change/ }, rewrite: { regex: '^/change/(?:(a+)+(b)?\2|(.*))$', replacement: /to/$3 }, pool: p }
  - { name: swap, match: { path: /swap/ }, rewrite: { regex: "^/swap/(.*)/v([0-9]+)/(.*)$", replacement: "/v$2/$1/$3" }, pool: p }
  - { name: rest, pool: p }'''


def check(t, command=None):
    origin, port = t.origin(), t.port()
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes:{ROUTES}
pools: {{ p: {{ servers: ["{origin.address}"] }} }}
''', command=command)
    for target, fields, wanted in (
            ('/internal/report', {}, 403), (f'{HARD}/internal/report', {}, 403), (f'/internal/report{HARD}', {}, 403), (f'/internal{LONG}', {}, 403), (f'{LONG}/internal/report', {}, 403), (f'{LONG}/internals', {}, 200),
            (f'{HARD}/private/x', {}, 403), (f'/private{HARD}', {}, 403), (f'/private{LONG}', {}, 403), (f'{LONG}/private/x', {}, 403), (f'{LONG}/privates/x', {}, 200),
            ('/', {'X-Kind': 'a' * 4000}, 403), ('/', {'X-Kind': 'a' * 4000 + 'b'}, 200), ('/?q=' + 'ab-' * 1000, {}, 200), ('/?q=' + 'ab+' * 1000, {}, 403), ('/?q=' + 'ab' * 2000, {}, 403),
            ('/back/aab', {}, 200), ('/back/aabb', {}, 403), ('/back/' + 'a' * 3000 + 'c', {}, 500), ('/change/aabb', {}, 200), ('/change/' + 'a' * 3000 + 'c', {}, 500),
            ('/swap/x/y/v2/z', {}, '/v2/x/y/z'), (f'/swap{LONG}/v2/z', {}, f'/v2{LONG}/z')):
        c = t.client(port)
        response = c.get(target, fields)
        equal(response.json()['target'] if isinstance(wanted, str) else response.status, wanted, target[:40])
        c.close()
    for route in ('back', 'change'):
        line = weir.access_line(route=route, failure='pattern_failed')
        equal((line['status'], line['failure_of']), (500, 'weir'))
        weir.log_line(f'within its bounds; the request is refused" route={route} ')


def test_what_cannot_be_told_is_refused(t):
    check(t)


def test_the_same_without_machine_code(t):
    if not can_deny():
        raise Skipped('this kernel can not deny pages that are written and run')
    deny = t.file('deny.py', 'import ctypes, os, sys\nctypes.CDLL(None).prctl(65, 1, 0, 0, 0)\nos.execv(sys.argv[1], sys.argv[1:])\n')
    check(t, [sys.executable, deny, WEIR, 'run', '-c', 'weir.yaml'])


def test_check_warns_of_patterns_that_blow_up(t):
    done = t.run('check', '-c', t.file('weir.yaml', f'listeners: ["127.0.0.1:8080"]\nroutes:{ROUTES}\npools: {{ p: {{ servers: ["127.0.0.1:1"] }} }}\n'))
    equal(done.returncode, 0, done.stderr)
    for pattern in ('^/(.*/)*internal(/|$)', '^(a+)+$', '^/change/'):
        ok(re.search(f'warning: "{re.escape(pattern)}.*', done.stderr), f'{pattern}: {done.stderr}')
    for pattern in ('[^/]+/)*private', '^/swap/'):
        ok(pattern not in re.sub(r'\n .*', '', done.stderr), done.stderr)

"""The commands: what they print, and how they end."""
import signal, time

from weirtest import *

GOOD = '''listeners: [ { address: "127.0.0.1:1" } ]
rate_limits: { per-client: { rate: 10/s } }
routes:
  - { name: api, match: { host: api.test, path: /v1/ }, rate_limit: per-client, pool: app }
  - { name: health, match: { path: /healthz }, respond: { status: 200, body: "ok" } }
pools: { app: { servers: ["10.0.0.1:80"] } }
'''
BAD = GOOD.replace('name: api', 'nmae: api').replace('10/s', '10') + 'tiemouts: {}\n'
GRPC = '''listeners:
  - { address: "127.0.0.1:8080", protocols: [h2c, http/1.1] }
routes:
  - { match: { path: /s.S/ }, pool: app, upgrades: none, grpc_web: true }
  - { match: { path: /x/ }, pool: app }
pools: { app: { servers: ["10.0.0.1:443"], protocol: h2, tls: {} } }
'''
COMMANDS = ('run', 'check', 'explain', 'config', 'schema', 'proxy', 'demo', 'version', 'help')


def test_help(t):
    done = t.run('--help')
    equal(done.returncode, 0)
    for command in COMMANDS:
        contains(done.stdout, command)
        one = t.run(command, '--help')
        equal(one.returncode, 0, command)
        if command != 'help':
            contains(one.stdout, f'weir {command}')
    equal(t.run('help', 'check').returncode, 0)


def test_usage(t):
    for arguments, code in (((), 2), (('chekc',), 2), (('check', '--nonsense'), 2), (('check', 'extra'), 2), (('run', 'x.yaml'), 2), (('proxy',), 2), (('proxy', '--listen', ':1'), 2),
                            (('explain',), 2), (('demo', '--port', 'x'), 2), (('version', 'x'), 2)):
        done = t.run(*arguments)
        equal(done.returncode, code, f'{arguments}: {done.stderr}')
        equal(done.stdout, '', str(arguments))
        ok(done.stderr, arguments)
    contains(t.run('chekc').stderr, 'did you mean "check"')
    contains(t.run('-c', 'x.yaml').stderr, 'try: weir run -c FILE')
    contains(t.run(__file__).stderr, f'try: weir run -c {__file__}')
    contains(t.run('check', '--confg', 'x').stderr, 'did you mean "--config"')


def test_words_of_other_proxies(t):
    """What users of nginx, HAProxy and Caddy type is answered with what does it here."""
    for word, part in (('test', 'weir check'), ('-t', 'weir check'), ('validate', 'weir check'), ('reload', 'kill -HUP'), ('-s', 'kill -HUP'), ('stop', 'kill -TERM'), ('restart', 'systemctl restart'),
                       ('start', 'weir run'), ('-f', 'weir run -c'), ('-v', 'weir version'), ('reverse-proxy', 'weir proxy')):
        done = t.run(word, *(['reload'] if word == '-s' else []))
        equal((done.returncode, done.stdout), (2, ''), word)
        contains(done.stderr, part)
        contains(done.stderr, f'"{word}"')


def test_options_stand_anywhere(t):
    good = t.file('good.yaml', GOOD)
    done = t.run('explain', 'GET', '--from', '192.0.2.1', 'http://api.test:1/v1/x', '-c', good, '--json')
    equal(done.returncode, 0, done.stderr)
    equal(json.loads(done.stdout)['route'], 'api')
    contains(t.run('explain', '-c', good, '--', 'GET', 'http://api.test:1/v1/x').stdout, 'api')
    for arguments in (('check', 'extra', '-c', good), ('config', '-c', good, 'extra'), ('check', '-c', good, '--', '--json')):
        done = t.run(*arguments)
        equal(done.returncode, 2, str(arguments))
        contains(done.stderr, 'unexpected argument')


def test_output_that_does_not_arrive(t):
    """A full disk is not success: every command that prints says so."""
    good = t.file('good.yaml', GOOD)
    for arguments in (('schema',), ('schema', '--list'), ('check', '-c', good), ('check', '--json', '-c', good), ('config', '-c', good), ('version',), ('version', '--json'), ('help',), ('run', '--help'),
                      ('explain', '-c', good, 'GET', 'http://api.test:1/v1/x'), ('proxy', '--print', '--listen', ':1', '--to', '127.0.0.1:2')):
        with open('/dev/full', 'wb') as full:
            done = subprocess.run([WEIR, *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
        equal(done.returncode, 1, f'{arguments}: {done.stderr}')
        contains(done.stderr, 'standard output could not be written: No space left on device')


def test_check(t):
    good, bad = t.file('good.yaml', GOOD), t.file('bad.yaml', BAD)
    done = t.run('check', '-c', good)
    equal(done.returncode, 0, done.stderr)
    done = t.run('check', '-c', bad)
    equal(done.returncode, 1)
    said = done.stdout + done.stderr
    for part in ('bad.yaml:4:', 'unknown key "nmae"', 'did you mean "name"', '"10"', 'unknown key "tiemouts"', 'did you mean "timeouts"', '^~~~', '3 errors'):
        contains(said, part)
    ok('\x1b' not in said, 'colour where there is no terminal')
    equal(t.run('check', '-c', t.work + '/none.yaml').returncode, 1)
    equal(t.run('check', '-c', '-', stdin=GOOD).returncode, 0, 'from standard input')


def test_check_reads_certificates(t):
    one, other = t.cert('a'), t.cert('b')
    cert, key = re.search(r'cert: ([^,]*), key: ([^}]*?) ?}', one).groups()
    other_key = re.search(r'key: ([^}]*?) ?}', other).group(1)
    wrong = t.file('wrong.pem', '-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n')     # what only using it shows
    listeners = '''listeners:
  - {{ name: a, address: ":1", tls: {{ certificates: [{{ cert: {}, key: {} }}] }} }}
  - {{ name: b, address: ":2", tls: {{ certificates: [{{ cert: {}, key: {} }}] }} }}
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["127.0.0.1:3"], tls: {{ ca: {} }} }} }}
'''
    authority = cert.replace('a.crt', 'ca.crt')
    done = t.run('check', '-c', t.file('c.yaml', listeners.format(cert, key, cert, key, authority)))
    equal(done.returncode, 0, done.stderr)
    done = t.run('check', '-c', t.file('w.yaml', listeners.format(cert, other_key, wrong, key, wrong)))
    equal(done.returncode, 1)
    for part in ('w.yaml:2:', f'{other_key} is not the key of {cert}', 'w.yaml:3:', wrong, 'w.yaml:5:', '3 errors'):
        contains(done.stderr, part)
    equal(done.stdout, '')
    equal(json.loads(t.run('check', '--json', '-c', t.work + '/w.yaml').stdout)['errors'], 3)


def test_the_default_file(t):
    """One file without -c for every command, the help, the version and the unit that is installed beside it."""
    file = json.loads(t.run('version', '--json').stdout)['file']
    ok(os.path.isabs(file) and file.endswith('/weir/weir.yaml'), file)
    for command in ('run', 'check', 'config', 'explain'):
        contains(t.run(command, '--help').stdout, f'(default {file};')
    if not os.path.exists(file):
        for arguments in (('check',), ('config',), ('explain', 'GET', 'http://a/'), ('run',)):
            contains(t.run(*arguments).stderr, file)
    unit = os.path.join(os.path.dirname(os.path.abspath(WEIR)), 'contrib', 'weir.service')
    if os.path.exists(unit):
        equal(set(re.findall(r' -c (\S+)', open(unit).read())), {file})


def test_check_file_only(t):
    """For review in CI: nothing that the file names is opened."""
    text = '''listeners: [ { address: ":1", tls: { certificates: [{ cert: none.crt, key: none.key }], client_auth: required, client_ca: none.ca } } ]
routes: [ { match: { path: /a }, respond: { file: none.html } }, { pool: p } ]
pools: { p: { servers: ["127.0.0.1:2"], tls: { ca: none.ca }, sticky: { secret_file: none.secret } } }
'''
    path = t.file('named.yaml', text)
    done = t.run('check', '-c', path)
    equal(done.returncode, 1)
    contains(done.stderr, 'none.crt')
    done = t.run('check', '--file-only', '-c', path)
    equal(done.returncode, 0, done.stderr)
    equal(t.run('check', '--file-only', '-c', t.file('bad.yaml', BAD)).returncode, 1)
    done = t.run('check', '--file-only', '--here', '-c', path)
    equal(done.returncode, 2)
    contains(done.stderr, 'give one of them')


def test_check_file_only_without_the_environment(t):
    """What a variable stands for on another machine is not asked for, and it is said what was not judged."""
    text = '''listeners: [ { address: "${env.WEIRTEST_NOT_ADDRESS}", max_connections: "${env.WEIRTEST_NOT_MOST}" } ]
routes: [ { match: { path: /a }, response: { headers: { set: { X-A: "${env.WEIRTEST_NOT_VALUE}" } } }, pool: p }, { pool: "${env.WEIRTEST_NOT_POOL:-p}" } ]
pools: { p: { servers: "${env.WEIRTEST_NOT_SERVERS}", sticky: { secrets: "${env.WEIRTEST_NOT_SECRET}" } } }
'''
    path, names = t.file('names.yaml', text), [f'WEIRTEST_NOT_{name}' for name in ('ADDRESS', 'MOST', 'VALUE', 'SERVERS', 'SECRET')]
    done = t.run('check', '--file-only', '--strict', '-c', path)
    equal(done.returncode, 0, done.stderr)
    contains(done.stdout, 'not judged: files, names, users and ports of the machine; nor the values of')
    for name in names:
        contains(done.stdout, f'${{env.{name}}}')
    ok('NOT_POOL' not in done.stdout, 'a default is judged')
    equal(sorted(json.loads(t.run('check', '--file-only', '-c', path, '--json').stdout)['variables_not_judged']), sorted(names))
    contains(t.run('check', '--file-only', '-c', path, '--format', 'github').stdout, f'::notice file={path}::not judged: ')
    equal(t.run('check', '--file-only', '-c', path, '--against', path, '-q').stdout, 'nothing would change\n')
    equal(t.run('check', '--file-only', '-c', t.file('wrong.yaml', text.replace('path: /a', 'path: a'))).returncode, 1, 'the rest is judged')
    done = t.run('check', '-c', path)
    equal(done.returncode, 1)
    contains(done.stderr, 'environment variable WEIRTEST_NOT_SECRET is not set')


def test_check_against_for_programs(t):
    """Each format tells what would change."""
    old = t.file('old.yaml', GOOD)
    new = t.file('a new one: 50%.yaml', GOOD.replace('10/s', '20/s'))
    change = 'changed rate_limits[per-client].rate: 10/s -> 20/s; its counts begin anew'
    github = t.run('check', '-c', new, '--against', old, '--format', 'github').stdout
    contains(github, f'::{change}\n')
    contains(github, '::0 added, 0 removed, 1 changed\n')
    results = json.loads(t.run('check', '-c', new, '--against', old, '--format', 'sarif').stdout)['runs'][0]['results']
    equal([(r['level'], r['message']['text']) for r in results[-2:]], [('note', change), ('note', '0 added, 0 removed, 1 changed')])
    uri = results[-1]['locations'][0]['physicalLocation']['artifactLocation']['uri']
    equal(uri, 'file://' + os.path.dirname(new) + '/a%20new%20one%3A%2050%25.yaml')
    ok('::notice' not in t.run('check', '-c', new, '--format', 'github').stdout)


def test_check_here(t):
    """As run will: names are resolved, and user, folders, ports and logs are tried; each with its place."""
    taken = socket.create_server(('127.0.0.1', t.port()))
    t.later(taken.close)
    port, free = taken.getsockname()[1], t.port()
    plain = t.file('plain', 'x')
    path = t.file('here.yaml', f'''listeners:
  - "127.0.0.1:{port}"
  - "192.0.2.77:{free}"
  - "unix:{plain}"
  - "unix:{t.work}/none/x.sock"
user: no-such-user-here
log: {{ to: {t.work}/none/weir.log }}
access_log: {{ to: {plain}/access.log }}
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["name.that.nobody.has.invalid:80", "127.0.0.1:80"] }} }}
''')
    equal(t.run('check', '-c', path).returncode, 0, 'these are of this machine')
    done = t.run('check', '--here', '-c', path)
    equal(done.returncode, 1)
    for line, part in ((2, 'warning: somebody listens on'), (3, 'cannot listen on 192.0.2.77'), (4, 'is no socket'), (5, 'the folder'), (6, 'there is no user'), (7, 'the folder'), (8, 'Not a directory'),
                       (10, 'name.that.nobody.has.invalid')):
        ok(re.search(rf'here.yaml:{line}:\d+: (error: )?.*{part}', done.stderr), f'{part}: {done.stderr}')
    equal(open(plain).read(), 'x')
    os.chmod(t.work, 0o777)
    user = 'user: nobody\n' if os.geteuid() == 0 else ''
    good = t.file('good.yaml', f'''{user}listeners: ["127.0.0.1:{free}", "unix:{t.work}/x.sock"]
log: {{ to: {t.work}/weir.log }}
access_log: {{ to: {t.work}/access.log }}
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["localhost:80"] }} }}
''')
    done = t.run('check', '--here', '--strict', '-c', good)
    equal(done.returncode, 0, done.stderr)
    ok(not os.path.exists(t.work + '/weir.log') and not os.path.exists(t.work + '/x.sock'), 'nothing is made')
    if os.geteuid() == 0:
        low = t.file('low.yaml', 'listeners: "127.0.0.1:81"\nroutes: [ { respond: {} } ]\n')
        os.chmod(t.work, 0o755)
        done = subprocess.run(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--bounding-set=-all', '--inh-caps=-all', WEIR, 'check', '--here', '-c', '-'], stdin=open(low),
                              capture_output=True, text=True)
        if 'setpriv' not in done.stderr:
            equal(done.returncode, 1, done.stderr)
            contains(done.stderr, 'CAP_NET_BIND_SERVICE')


def test_words_are_no_files(t):
    for key in ('log', 'access_log'):
        for word in ('debug', 'json', 'combined', 'syslog', 'journald', 'warn'):
            done = t.run('check', '-c', '-', stdin=f'listeners: ":1"\n{key}: {word}\nroutes: [ {{ respond: {{}} }} ]\n')
            equal(done.returncode, 1, f'{key}: {word}')
            contains(done.stderr, 'write unix:/dev/log for syslog' if word in ('syslog', 'journald') else 'would be a file of that name')


def test_check_formats(t):
    """Errors for programs: JSON, annotations of GitHub, SARIF; strict makes errors of warnings."""
    warned = t.file('warned.yaml', GOOD.replace('pools: {', 'pools: { unused: { servers: ["10.0.0.9:80"] },'))
    bad = t.file('bad.yaml', BAD)
    equal(t.run('check', '-c', warned).returncode, 0)
    done = t.run('check', '-c', warned, '--strict')
    equal(done.returncode, 1)
    contains(done.stderr, 'error: no route uses pool "unused"')
    lines = t.run('check', '-c', bad, '--format', 'github').stdout.splitlines()
    equal(len(lines), 3)
    ok(all(line.startswith(f'::error file={bad},line=') for line in lines), lines)
    equal(len(json.loads(t.run('check', '-c', bad, '--format', 'json').stdout)['messages']), 3)
    sarif = json.loads(t.run('check', '-c', bad, '--format=sarif').stdout)
    equal((sarif['version'], len(sarif['runs'])), ('2.1.0', 1))
    results = sarif['runs'][0]['results']
    equal([r['level'] for r in results], ['error'] * 3)
    equal(results[0]['locations'][0]['physicalLocation']['region']['startLine'], 2)
    ok(all(r['ruleId'] in [rule['id'] for rule in sarif['runs'][0]['tool']['driver']['rules']] for r in results))
    done = t.run('check', '-c', bad, '--format', 'saref')
    equal(done.returncode, 2)
    contains(done.stderr, 'did you mean "sarif"')


def test_check_against(t):
    """What a new file would change, item by item, with what it costs; secrets are told to differ and not shown."""
    old = '''listeners: [ ":8080", { address: ":8081", mode: "0660" } ]
rate_limits: { few: { rate: 1/s } }
routes:
  - { match: { path: /x/ }, rate_limit: few, pool: app }
  - { name: b, match: { path: /y/ }, pool: app }
  - { name: gone, pool: app }
pools: { app: { servers: ["10.0.0.1:1", "10.0.0.2:1"], sticky: { secrets: [an-older-secret-of-length] } } }
'''
    new = (old.replace(':8081', ':8082').replace('1/s', '2/s').replace('10.0.0.2:1', '10.0.0.3:1').replace('an-older', 'a-newer')
           .replace('name: gone', 'name: come, timeout: 5s') + 'workers: 3\n')
    lines = new.splitlines(True)
    lines[3], lines[4] = lines[4], lines[3]
    old, new = t.file('old.yaml', old), t.file('new.yaml', ''.join(lines))
    done = t.run('check', '-c', new, '--against', old)
    equal(done.returncode, 0, done.stderr)
    for part in ('- listeners[:8081]', 'drained', '+ listeners[:8082]', '~ rate_limits[few].rate: 1/s -> 2/s\n    its counts begin anew', '- pools[app].servers[10.0.0.2:1]', '+ pools[app].servers[10.0.0.3:1]',
                 '~ pools[app].sticky.secrets\n    cookies', '- routes[gone]', '+ routes[come]', '~ workers: auto -> 3\n    takes a restart', '~ routes: a route with path: [/x/] now stands behind b',
                 '3 added, 3 removed, 4 changed'):
        contains(done.stdout, part)
    for part in ('secret-of-length', 'route 1', 'routes[b]'):
        ok(part not in done.stdout, part)
    equal(t.run('check', '-c', new, '--against', new, '-q').stdout, 'nothing would change\n')
    one, other = (t.file(f'{n}.yaml', f'''listeners: ":8080"
routes: [ {{ name: "route {n}", match: {{ path: /{n} }}, respond: 204 }} ]
''') for n in (66, 77))
    contains(t.run('check', '-c', one, '--against', other).stdout, 'routes[route 66]')
    changes = json.loads(t.run('check', '-c', new, '--against', old, '--json').stdout)['changes']
    equal(sorted(c['kind'] for c in changes), ['added'] * 3 + ['changed'] * 3 + ['removed'] * 3 + ['reordered'])
    contains(json.dumps(changes), '"path": "rate_limits[few].rate", "before": "1/s", "after": "2/s"')
    bad = t.file('bad.yaml', BAD)
    done = t.run('check', '-c', new, '--against', bad)
    equal(done.returncode, 1)
    contains(done.stderr, f'{bad} cannot be compared with')
    done = t.run('check', '-c', new, '--against', bad, '--json')
    equal(done.returncode, 1)
    told = json.loads(done.stdout)
    ok(told['errors'] > 0 and all(m['file'] == bad for m in told['messages']), done.stdout)
    contains(t.run('check', '-c', new, '--against', bad, '--format', 'github').stdout, f'::error file={bad}')
    contains(t.run('check', '-c', new, '--against', bad, '--format', 'sarif').stdout, bad)


def test_check_against_order_of_servers(t):
    """The order of servers is told where requests go by it: with balance: first, and among those that stand by."""
    def told(balance, old, new):
        text = 'listeners: ":8080"\nroutes: [ { pool: app } ]\npools: { app: { balance: %s, servers: [ %s ] } }\n'
        return t.run('check', '-q', '-c', t.file('new.yaml', text % (balance, ', '.join(new))), '--against', t.file('old.yaml', text % (balance, ', '.join(old)))).stdout
    one, two = '"10.0.0.1:80"', '{ address: "10.0.0.2:80", name: two }'
    equal(told('adaptive', [one, two], [two, one]), 'nothing would change\n')
    contains(told('first', [one, two], [two, one]), '~ pools[app].servers: 10.0.0.1:80 now stands behind two\n    requests go to the one before the other\n0 added, 0 removed, 1 changed\n')
    a, b = ('{ address: "10.0.1.%d:80", backup: standby }' % i for i in (1, 2))
    contains(told('adaptive', [one, a, b], [b, a, one]), '~ pools[app].servers: 10.0.1.1:80 now stands behind 10.0.1.2:80\n')
    equal(told('first', [one, two, a], [a, one, two]), 'nothing would change\n')
    contains(told('first', [one, '"10.0.0.2:80"'], [two, one]), 'servers: 10.0.0.1:80 now stands behind two\n')
    ok('stands behind' not in told('first', [one, two], [one.replace('"10', '{ address: "10') + ', name: two }', '"10.0.0.2:80"']), 'names changed, and not the order')


def test_check_against_counts_and_conditions(t):
    """Conditions of a route are told in one line; a route whose requests in flight are counted anew is told as such, whatever made it another."""
    old = '''listeners: ":8080"
routes:
  - { match: { path: /x/, header: { x-canary: "1", x-b: "2" }, client: [10.0.0.0/8] }, respond: 204 }
  - { match: { query: { a: "1" } }, in_flight: { limit: 2 }, respond: 204 }
  - { name: n, match: { path: /n }, in_flight: { limit: 2 }, respond: 204 }
  - { name: m, match: { path: /m }, in_flight: { limit: 2 }, respond: 204 }
  - { name: k, match: { path: /k }, respond: 204 }
'''
    new = old.replace('/x/', '/y/').replace('a: "1"', 'a: "2"').replace('/n }', '/n2 }').replace('name: m', 'name: m2').replace('/k }', '/k2 }')
    told = t.run('check', '-q', '-c', t.file('new.yaml', new), '--against', t.file('old.yaml', old)).stdout
    anew = '\n    requests in progress are no longer counted\n'
    for part in ('- routes[a route with path: [/x/], header: { x-canary: "1", x-b: "2" }, client: [10.0.0.0/8]]\n+', '- routes[a route with query: { a: "1" }]' + anew, '- routes[m]' + anew,
                 '+ routes[m2]\n~', '~ routes[n].match.path: [/n] -> [/n2]\n    other requests take this route, and requests in progress are no longer counted\n',
                 '~ routes[k].match.path: [/k] -> [/k2]\n    other requests take this route\n'):
        contains(told, part)


def test_a_server_that_is_this_machine_is_told(t):
    """An address of an interface leads to a listener on all addresses; not to one on another port or address, and not in the text alone."""
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        own.connect(('192.0.2.1', 9))
    except OSError:
        raise Skipped('this machine has loopback alone')
    address = own.getsockname()[0]
    text = 'listeners: "LISTEN"\nroutes: [ { pool: app } ]\npools: { app: { servers: "SERVER:8080" } }\n'
    for listen, server, told in (('0.0.0.0:8080', address, True), (':8080', address, True), (':8081', address, False), ('127.0.0.1:8080', address, False), (':8080', '192.0.2.77', False)):
        path = t.file('weir.yaml', text.replace('LISTEN', listen).replace('SERVER', server))
        done = t.run('check', '-c', path)
        equal(done.returncode, 0, done.stderr)
        equal(f'warning: "{server}:8080" is weir\'s own listener' in done.stderr, told, f'{listen} {server}: {done.stderr}')
        ok('own listener' not in t.run('check', '--file-only', '-c', path).stderr, 'the text alone')


def test_check_against_shows_no_variable(t):
    """What the environment brings is told as it stands in the file, whatever key or item it is of, in each format."""
    old = '''listeners: ":8080"
routes:
  - { name: one, match: { path: /x/, header: { X-Key: "literal" } }, timeout: 5s, pool: app }
  - { match: { path: /y/, query: { k: "old" } }, pool: app }
  - { match: { path: /z/ }, pool: app }
pools: { app: { servers: "10.0.0.1:1", health: { host: "old", interval: 2s }, subset: { id: a, size: 1 } } }
'''
    new = '''workers: "${env.H_NUMBER}"
listeners: [ ":8080", "${env.H_LISTENER}" ]
trusted_proxies: "${env.H_NETWORKS}"
routes:
  - { match: { path: /z/, header: { X-Token: "${env.H_WORD}" } }, pool: app }
  - { name: "${env.H_WORD}", match: { path: /v/ }, pool: app }
  - { name: one, match: { path: /x/, header: { X-Key: "${env.H_WORD}" } }, timeout: "${env.H_TIME}", request: { headers: { set: { A: "b ${env.H_WORD}" } } }, pool: app }
  - { match: { path: /y/, query: { k: "${env.H_WORD}" } }, pool: app }
pools:
  app: { servers: [ "${env.H_SERVER}", { address: "10.0.0.1:1", weight: "${env.H_NUMBER}" } ], health: { host: "${env.H_WORD}", interval: "${env.H_TIME}" }, subset: { id: "${env.H_WORD}", size: 1 } }
  more: { servers: "${env.H_SERVERS}" }
'''
    values = {'H_WORD': 'hunter2-word', 'H_TIME': '7919ms', 'H_NUMBER': '173', 'H_SERVER': '10.9.8.7:6', 'H_SERVERS': '10.9.8.5:4,10.9.8.3:2', 'H_LISTENER': '127.0.0.1:1793',
              'H_NETWORKS': '10.99.98.0/24'}
    a, b = t.file('old.yaml', old), t.file('new.yaml', new)
    env = dict(os.environ, **values)
    for one, other in ((a, b), (b, a), (b, t.file('third.yaml', new.replace('H_SERVERS', 'H_SERVER').replace('id: "${env.H_WORD}"', 'id: b')))):
        for form in (), ('--json',), ('--format', 'github'), ('--format', 'sarif'):
            done = t.run('check', '--file-only', '-c', other, '--against', one, *form, env=env)
            equal(done.returncode, 0, done.stderr)
            for value in values.values():
                for part in value.split(','):
                    ok(part not in done.stdout, f'{part}: {done.stdout}')
    printed = t.run('config', '-c', b, env=env).stdout
    ok('hunter2' not in printed and '7919' not in printed and '173' not in printed, printed)
    contains(printed, 'interval: "${env.H_TIME}"')
    told = t.run('check', '--file-only', '-c', b, '--against', a, '-q', env=env).stdout
    for part in ('~ pools[app].health.host: old -> "${env.H_WORD}"', '~ pools[app].health.interval: 2s -> "${env.H_TIME}"', '+ pools[app].servers[${env.H_SERVER}]', '~ pools[app].servers[10.0.0.1:1].weight: 1 -> "${env.H_NUMBER}"',
                 '+ routes[${env.H_WORD}]', '~ workers: auto -> "${env.H_NUMBER}"', '+ listeners[${env.H_LISTENER}]', '~ trusted_proxies: none -> ["${env.H_NETWORKS}"]', '~ routes[one].timeout: 5s -> "${env.H_TIME}"'):
        contains(told, part)


def test_colour_on_a_terminal_only(t):
    import pty
    bad = t.file('bad.yaml', BAD)
    for no_colour, wanted in (('', True), ('1', False)):
        try:
            master, slave = pty.openpty()
        except OSError as why:
            raise Skipped(f'no terminal can be had: {why}')
        environment = {k: v for k, v in os.environ.items() if k != 'NO_COLOR'}
        environment.update({'TERM': 'xterm'}, **({'NO_COLOR': no_colour} if no_colour else {}))
        process = subprocess.Popen([WEIR, 'check', '-c', bad], stdout=slave, stderr=slave, stdin=slave, env=environment)
        os.close(slave)
        said = b''
        while True:
            try:
                got = os.read(master, 4096)
            except OSError:
                break
            if not got:
                break
            said += got
        process.wait(10)
        os.close(master)
        equal(b'\x1b[' in said, wanted, f'NO_COLOR={no_colour!r}')


def test_config(t):
    good = t.file('good.yaml', GOOD)
    done = t.run('config', '-c', good)
    equal(done.returncode, 0, done.stderr)
    contains(done.stdout, 'rate: 10/s')
    again = t.file('again.yaml', done.stdout)
    second = t.run('config', '-c', again)
    equal((second.returncode, second.stdout), (0, done.stdout), 'what it prints loads back to the same')
    equal(t.run('config', '-c', t.file('bad.yaml', BAD)).returncode, 1)


def test_config_keeps_secrets(t):
    """What is printed may be shown around: secrets are not, and what stands in their place is none, wherever secrets are read."""
    path = t.file('secret.yaml', '''listeners: [ { address: ":8080" } ]
routes: [ { pool: p } ]
pools: { p: { servers: ["127.0.0.1:1", "127.0.0.1:2"], sticky: { secrets: ["${env.WEIRTEST_SECRET:-kept where nobody looks}"] } } }
''')
    printed = t.run('config', '-c', path).stdout
    contains(printed, 'secrets: ["(a secret, not shown)"]')
    ok('nobody looks' not in printed)
    contains(printed.splitlines()[0], '# Does not load as it stands: 1 secret stands in the file itself')
    mask = '(a secret, not shown)'
    again = t.file('again.yaml', printed)
    for command in ('check', 'run', 'config'):
        done = t.run(command, '-c', again)
        equal(done.returncode, 1, command)
        contains(done.stderr, 'again.yaml:')
        contains(done.stderr, 'this is printed in place of a secret')
    for secrets in (f'secrets: "{mask}"', f'secrets: ["a secret that is right", "{mask.upper()}"]', 'secrets: "${env.MASKED}"', f'secrets: "  {mask} "',
                    'secret_file: masked', 'secrets: "change this secret first"', f'secrets: "{" " * 20}"'):
        t.file('masked', f'a secret that is right\n{mask}\n')
        wrong = t.file('masked.yaml', f'''listeners: [ {{ address: "127.0.0.1:{t.port()}" }} ]
routes: [ {{ pool: p }} ]
pools: {{ p: {{ servers: ["127.0.0.1:1", "127.0.0.1:2"], sticky: {{ {secrets} }} }} }}
''')
        for command in ('check', 'run'):
            done = t.run(command, '-c', wrong, env={'MASKED': mask})
            equal(done.returncode, 1, f'{command} {secrets} {done.stderr}')
            contains(done.stderr, 'secret')


def test_config_shows_what_was_written_for_the_environment(t):
    """Wherever a value came from the environment its reference is printed: in heads, lists, numbers, names that follow from it, and what defaults bring. It loads to the same."""
    env = {'ADDR': '127.0.0.1:81', 'N': '3', 'TOKEN': 'hunter2', 'ZONE': 'seen-nowhere', 'LIST': '10.0.0.1:1,10.0.0.2:1', 'BALANCE': 'round_robin', 'SECRET': 'long enough to be one', 'NAME': 'x'}
    t.file('x.secret', 'a secret that is right\n')
    path = t.file('env.yaml', '''listeners: [ "${env.ADDR}" ]
workers: "${env.N}"
defaults: { route: { request: { headers: { set: { X-Key: "Bearer ${env.TOKEN}" } } } }, pool: { zone: "${env.ZONE}" } }
routes:
  - { match: { path: "/${env.TOKEN}/" }, request: { headers: { set: { X-B: "${env.TOKEN}" } } }, pool: p }
  - { respond: { body: "$${env.TOKEN} ${env.TOKEN}" } }
pools: { p: { servers: [ "10.0.0.9:1", "${env.LIST}" ], balance: "${env.BALANCE}", sticky: { secrets: ["${env.SECRET}"], secret_file: "${env.NAME}.secret" } } }
''')
    done = t.run('config', '-c', path, env=env)
    equal(done.returncode, 0, done.stderr)
    for value in env.values():
        ok(value == '3' or value == 'x' or value not in done.stdout, f'{value} is in {done.stdout}')
    ok('10.0.0.1:1' not in done.stdout and 'workers: 3' not in done.stdout, done.stdout)
    for part in ('address: "${env.ADDR}"', 'workers: "${env.N}"', 'X-Key: "Bearer ${env.TOKEN}"', 'X-B: "${env.TOKEN}"', '- "${env.LIST}"\n', 'balance: "${env.BALANCE}"',
                 'secrets: ["${env.SECRET}"]', f'secret_file: "{os.path.dirname(path)}/${{env.NAME}}.secret"', 'body: "$${env.TOKEN} ${env.TOKEN}"', 'zone: "${env.ZONE}"'):
        contains(done.stdout, part)
    ok('#' not in done.stdout, 'nothing is hidden')
    again = t.run('config', '-c', t.file('env-again.yaml', done.stdout), env=env)
    equal((again.returncode, again.stdout), (0, done.stdout), again.stderr)


def test_proxy_refuses_what_cannot_work(t):
    for arguments, part in ((('--to', 'host:0'), 'ports are 1 to 65535'), (('--to', 'host:99999'), '--to host:99999'), (('--to', 'http://a:0'), 'a URL is'), (('--to', 'a:1', '--host', 'b:99999'), '--host b:99999'),
                            (('--to', 'a:1', '--listen', ':0'), '--listen :0'), (('--to', 'unix:x'), 'absolute path')):
        for mode in ((), ('--print',)):
            done = t.run('proxy', *arguments, *mode)
            equal((done.returncode, done.stdout), (2, ''), str(arguments))
            contains(done.stderr, part)
    done = t.run('proxy', '--listen', ':8080', '--to', '8080', '--print')
    equal((done.returncode, done.stdout), (1, ''))
    contains(done.stderr, "is weir's own listener")


def test_schema(t):
    done = t.run('schema')
    equal(done.returncode, 0)
    schema = json.loads(done.stdout)
    ok({'listeners', 'routes', 'pools', 'rate_limits'} <= set(schema['properties']), schema.keys())


def test_explain(t):
    good = t.file('good.yaml', GOOD)
    done = t.run('explain', '-c', good, 'GET', 'http://api.test/v1/x')
    equal(done.returncode, 0, done.stderr)
    for part in ('api', 'per-client', 'app', '10.0.0.1:80'):
        contains(done.stdout, part)
    done = t.run('explain', '-c', good, '--from', '192.0.2.1', '-H', 'X-A: b', 'GET', 'http://other.test/healthz')
    equal(done.returncode, 0)
    contains(done.stdout, 'health')
    contains(done.stdout, 'host')
    equal(t.run('explain', '-c', good, 'GET', 'http://other.test/none').returncode, 1)
    told = t.run('explain', '-c', good, '--json', 'GET', 'http://api.test/v1/x')
    equal(told.returncode, 0)
    told = json.loads(told.stdout)
    equal((told['served'], told['route'], told['pools'][0]['pool'], told['pools'][0]['servers'][0]['address'], told['timeouts']['response_ms'], told['timeouts']['whole_ms']),
          (True, 'api', 'app', '10.0.0.1:80', 60000, None), 'values, not prose')


def test_explain_wrong_usage(t):
    good = t.file('good.yaml', GOOD)
    for arguments, part in ((('GET', '/v1/x'), 'names no host'), (('GET', 'ftp://a/'), 'neither http nor https'), (('http://api.test/',), 'METHOD and a URL'), (('GET', 'http://a/', 'more'), 'unexpected argument'),
                            (('-H', 'foo', 'GET', 'http://a/'), "'Name: value'"), (('-H', ': x', 'GET', 'http://a/'), "'Name: value'"), (('--from', 'here', 'GET', 'http://a/'), 'no IP address'),
                            (sum((('-H', f'x-{i}: y') for i in range(33)), ()) + ('GET', 'http://a/'), 'at most 32 headers')):
        done = t.run('explain', '-c', good, *arguments)
        equal((done.returncode, done.stdout), (2, ''), str(arguments))
        contains(done.stderr, part)


def test_explain_refusals(t):
    """0 says that a request is served; who is refused, for whatever reason, is told so."""
    path = t.file('refusing.yaml', '''listeners: ":80"
routes:
  - { name: guarded, match: { path: /admin/ }, access: { allow: 192.0.2.0/24 }, pool: p }
  - { name: small, match: { path: /small }, body_limit: 10B, pool: p }
  - { name: rest, pool: p }
pools: { p: { servers: ["name.that.nobody.has.test:80"] } }
''')
    done = t.run('explain', '-c', path, '--from', '198.51.100.1', 'GET', 'http://a/admin/x')
    equal(done.returncode, 1)
    contains(done.stdout, '403, address is not allowed (access_denied)')
    ok('pool ' not in done.stdout, done.stdout)
    done = t.run('explain', '-c', path, '--from', '192.0.2.1', 'GET', 'http://a/admin/x')
    equal(done.returncode, 0, done.stdout + done.stderr)
    contains(done.stdout, 'name.that.nobody.has.test:80')
    done = t.run('explain', '-c', path, '-H', 'Content-Length: 11', 'POST', 'http://a/small', '--json')
    equal(done.returncode, 1)
    told = json.loads(done.stdout)
    equal((told['served'], told['status'], told['failure'], told['body_limit_bytes']), (False, 413, 'body_too_large', 10))


def test_explain_says_what_is_answered(t):
    """Status, failure, place and path of what is answered, whoever asks: beside each other, the question and the request."""
    port, origin = t.port(), t.origin()
    path = t.file('answers.yaml', f'''listeners: "127.0.0.1:{port}"
routes:
  - {{ match: {{ path: /admin/ }}, access: {{ deny: 127.0.0.0/8, status: 451 }}, pool: p }}
  - {{ match: {{ path: /small/ }}, body_limit: 2B, pool: p }}
  - {{ match: {{ path: /moved/ }}, redirect: {{ host: "${{request.header.x-a}}" }} }}
  - {{ match: {{ path: /made/ }}, rewrite: {{ path: "${{request.header.x-a}}" }}, pool: p }}
  - {{ match: {{ path: /said/ }}, respond: 404 }}
  - {{ match: {{ path: /web/ }}, grpc_web: true, access: {{ deny: 127.0.0.0/8 }}, pool: h2 }}
  - {{ match: {{ path: /edited/ }}, request: {{ headers: {{ set: {{ X-A: "/of" }}, add: {{ X-B: b }} }} }}, redirect: {{ path: "${{request.header.x-a}}${{request.header.x-b}}" }} }}
  - {{ match: {{ path: /told/ }}, redirect: {{ path: "/${{request.header.x-forwarded-proto}}/${{request.header.x-forwarded-for}}" }} }}
  - {{ match: {{ path: /asked/ }}, rewrite: {{ path: "/${{request.header.x-forwarded-host}}" }}, pool: p }}
pools: {{ p: {{ servers: "{origin.address}" }}, h2: {{ servers: "127.0.0.1:9", protocol: h2c }} }}
''')
    t.weir(open(path).read())
    grpc, web = [('Content-Type', 'application/grpc')], [('Content-Type', 'application/grpc-web')]
    socket = [('Connection', 'upgrade'), ('Upgrade', 'websocket')]
    asks = [(method, target, kind + fields) for method, kind in (('GET', []), ('GET', grpc), ('POST', grpc), ('POST', web))
            for target, fields in (('/admin/x', []), ('/small/', [('Content-Length', '3')]), ('/moved/', []), ('/moved/', [('X-A', 'b.test')]), ('/made/', []), ('/none', []), ('/%00', []), ('//admin/x', []),
                                   ('/said/', [('Host', 'a..test')]), ('/said/', [('Content-Length', '+1')]), ('/said/', [('Transfer-Encoding', 'gzip')]))]
    asks += [('POST', '/web/', grpc), ('POST', '/web/', web), ('GET', '/web/', web), ('GET', '/edited/', [('X-A', 'c'), ('X-B', 'c')]), ('GET', '/told/', []), ('GET', '/asked/', []), ('GET', '/said/', socket), ('GET', '/asked/', socket)]
    asks += [(method, target, [('Max-Forwards', number)]) for method in ('OPTIONS', 'TRACE') for target in ('/asked/', '/said/', '/told/') for number in ('0', 'x')]
    for method, target, fields in asks:
        done = t.run('explain', '-c', path, '--json', *(part for name, value in fields for part in ('-H', f'{name}: {value}')), method, f'http://a.test:{port}{target}')
        told = json.loads(done.stdout)
        c = t.client(port)
        c.send(f'{method} {target} HTTP/1.1\r\nHost: a.test:{port}\r\n' + ''.join(f'{name}: {value}\r\n' for name, value in fields) + '\r\n' + ('abc' if ('Content-Length', '3') in fields else ''))
        response = c.response(method)
        c.close()
        what = f'{method} {target} {fields}: {told}'
        action = re.match(r'(?:respond|redirect) with (\d+)(?: to (.*))?$', told.get('action', '')) if told['served'] else None
        equal(response.status, 200 if 'pools' in told else int(action[1]) if action else told['status'], what)
        equal(response.fields.get('location'), action[2] if action else None, what)
        equal(done.returncode, 0 if told['served'] else 1, what)
        ok(told['served'] or told['failure'], what)
        if 'pools' in told:
            ok(f'path {origin.requests[-1].path},' in told['rewrite'], what)


def test_explain_chooses_the_listener_of_the_url(t):
    """A port that nobody listens on has no answer; where the URL names none, the only listener of its scheme has."""
    path = t.file('ports.yaml', '''listeners:
  - { name: one, address: "127.0.0.1:8080", routes: [ { name: first, respond: {} } ] }
  - { name: two, address: ":8081", routes: [ { name: second, respond: {} } ] }
  - { name: local, address: "unix:/run/weir-8082:8082", routes: [ { name: third, respond: {} } ] }
''')
    for url, listener in (('http://a:8080/', 'one'), ('http://a:8081/', 'two')):
        equal(json.loads(t.run('explain', '-c', path, '--json', 'GET', url).stdout)['listener'], listener)
    for url in ('http://a:8082/', 'http://a/', 'https://a/', 'https://a:8080/'):
        done = t.run('explain', '-c', path, 'GET', url)
        equal(done.returncode, 1, url)
        for part in ('no listener takes', '--listener names one of one, two, local'):
            contains(done.stdout, part)
    contains(t.run('explain', '-c', path, '--listener', 'local', 'GET', 'http://a/').stdout, 'third')
    contains(t.run('explain', '-c', path, '--listener', 'none', 'GET', 'http://a/').stdout, 'no listener has that name')
    equal(t.run('explain', '-c', t.file('good.yaml', GOOD), 'GET', 'http://api.test/v1/x').returncode, 0, 'the only one')


def test_explain_tells_whom_it_takes_the_client_for(t):
    good = t.file('good.yaml', GOOD)
    contains(t.run('explain', '-c', good, 'GET', 'http://api.test/v1/x').stdout, '127.0.0.1, assumed; --from names another')
    ok('assumed' not in t.run('explain', '-c', good, '--from', '127.0.0.1', 'GET', 'http://api.test/v1/x').stdout)
    for arguments, ip, assumed in (((), '127.0.0.1', True), (('--from', '2001:db8:0::7'), '2001:db8::7', False)):
        told = json.loads(t.run('explain', '-c', good, '--json', *arguments, 'GET', 'http://api.test/v1/x').stdout)
        equal((told['from'], told['from_assumed']), (ip, assumed))


def test_explain_tells_the_rules_of_tls(t):
    """And the same as a weir that is asked: served, 421, or no handshake."""
    a, b, ip = t.leaf('a', 'DNS:a.test'), t.leaf('b', 'DNS:b.test'), t.leaf('ip', 'DNS:ip.test,IP:127.0.0.1')
    context = t.tls_client(check_hostname=False)
    for rule, rows in (('', [('a.test', None, 0), ('c.test', None, 0), ('b.test', 'a.test', 0), ('127.0.0.1', None, 0)]),
                       ('strict_sni: true', [('a.test', None, 0), ('c.test', None, 'no'), ('b.test', 'a.test', 421), ('127.0.0.1', None, 'no'), ('a.test', 'none', 'no'), ('A.test.', None, 0)]),
                       ('authority: covered', [('a.test', None, 0), ('c.test', None, 0), ('b.test', 'a.test', 421), ('127.0.0.1', None, 421), ('127.0.0.1', 'ip.test', 0), ('a.test', 'none', 0)]),
                       (f'client_auth: optional, client_ca: {t.certificates}/ca.crt', [('a.test', None, 0), ('b.test', 'a.test', 421), ('c.test', 'd.test', 0), ('c.test', 'a.test', 421)])):
        port = t.port()
        text = f'''listeners: [ {{ address: "127.0.0.1:{port}", tls: {{ certificates: [ {{ cert: {a}.crt, key: {a}.key }}, {{ cert: {b}.crt, key: {b}.key }}, {{ cert: {ip}.crt, key: {ip}.key }} ]{", " if rule else ""}{rule} }} }} ]
routes: [ {{ name: all, respond: {{ body: ok }} }} ]
'''
        path = t.file('rules.yaml', text)
        t.weir(text)
        for host, sni, wanted in rows:
            done = t.run('explain', '-c', path, *(('--sni', sni) if sni else ()), 'GET', f'https://{host}:{port}/')
            equal(done.returncode, 0 if wanted == 0 else 1, f'{rule} {host} {sni}: {done.stdout}')
            for part in ('sni', 'client_auth', 'authority') + (('unrecognized_name',) if wanted == 'no' else (f'{wanted}, ',) if wanted else ()):
                contains(done.stdout, part)
            name = host.rstrip('.') if sni is None and not host[0].isdigit() else None if sni in (None, 'none') else sni
            try:
                c = t.client(port, tls=context, name=name)
                status = c.get('/', host=host).status
            except ssl.SSLError:
                status = 'no'
            equal(status, wanted or 200, f'{rule} {host} {sni}')
    told = json.loads(t.run('explain', '--json', '-c', path, 'GET', f'https://a.test:{port}/').stdout)
    equal((told['sni'], told['client_auth'], told['strict_sni'], told['authority'], told['served']), ('a.test', 'optional', False, 'any', True))
    required = text.replace('optional', 'required')
    contains(t.run('explain', '-c', t.file('required.yaml', required), 'GET', f'https://a.test:{port}/').stdout, 'have to show a certificate')


def test_explain_versions(t):
    if not has_http2():
        raise Skipped('this weir is built without HTTP/2')
    path = t.file('grpc.yaml', GRPC)
    kind = ('-H', 'content-type: application/grpc')
    done = t.run('explain', '-c', path, *kind, '-H', 'grpc-timeout: 100m', 'POST', 'http://api.test/s.S/M')
    for part in ('h2c, http/1.1', '100 streams', 'by HTTP/2 in TLS', 'after 15000 ms', 'a plain request', 'as gRPC', 'by grpc-status', '100 ms, by'):
        contains(done.stdout, part)
    done = t.run('explain', '-c', path, '-H', 'content-type: application/grpc-web', 'POST', 'http://api.test/x/M')
    for part in ('pass, and end after 3600000 ms', 'passed on as it is'):
        contains(done.stdout, part)
    done = t.run('explain', '-c', path, *kind, 'POST', 'http://api.test/none')
    contains(done.stdout, '200 with grpc-status 12')
    equal(done.returncode, 1)
    told = json.loads(t.run('explain', '-c', path, '--json', 'POST', 'http://api.test/s.S/M').stdout)
    contains(told['pools'][0]['ping'], '15000 ms')


def test_explain_balance(t):
    path = t.file('hash.yaml', '''listeners: "127.0.0.1:8080"
routes: [ { pool: app, priority: high } ]
pools:
  app:
    balance: hash
    hash: { key: [path, "header:x-user"] }
    max_connections: 50
    zone: a
    servers: [ { address: "10.0.0.1:80", zone: b, max_connections: none }, { address: "10.0.0.2:80", backup: true, max_connections: auto } ]
''')
    told = json.loads(t.run('explain', '-c', path, '--json', 'GET', 'http://x.test/').stdout)
    pool = told['pools'][0]
    equal((told['priority'], pool['max_connections'], pool['hash']), ('high', 50, 'by path, header:x-user; at most 125% of its share to a server'))
    equal(pool['servers'], [{'address': '10.0.0.1:80', 'weight': 1, 'max_connections': None, 'backup': False, 'other_zone': True},
                            {'address': '10.0.0.2:80', 'weight': 1, 'max_connections': 'auto', 'backup': True, 'other_zone': False}])
    for part in ('10.0.0.1:80, weight 1, no limit, of another zone', '10.0.0.2:80, weight 1, at once auto, backup'):
        contains(t.run('explain', '-c', path, 'GET', 'http://x.test/').stdout, part)


def test_version_tells_the_libraries(t):
    libraries = json.loads(t.run('version', '--json').stdout)['libraries']
    equal(sorted(libraries), ['libevent', 'libyaml', 'nghttp2', 'openssl', 'pcre2'])
    contains(t.run('version').stdout, f"nghttp2: {libraries['nghttp2'] or 'left out'}")


def test_version(t):
    done = t.run('version')
    equal(done.returncode, 0)
    for part in ('weir 0.', 'libevent', 'openssl', 'libyaml', 'pcre2'):
        contains(done.stdout.lower(), part)
    told = json.loads(t.run('version', '--json').stdout)
    ok(told['version'] and told['libraries']['openssl'], told)
    equal(t.run('--version').returncode, 0)


def test_run_with_a_bad_file(t):
    done = t.run('run', '-c', t.file('bad.yaml', BAD))
    equal(done.returncode, 1)
    contains(done.stderr, '3 errors')


def test_run_where_the_address_is_taken(t):
    s = socket.create_server(('127.0.0.1', t.port()))
    t.later(s.close)
    done = t.run('run', '-c', t.file('x.yaml', f'listeners: [ {{ address: "127.0.0.1:{s.getsockname()[1]}" }} ]\nroutes: [ {{ respond: 204 }} ]\n'))
    equal(done.returncode, 1)
    contains(done.stderr, str(s.getsockname()[1]))
    ok('in use' in done.stderr, done.stderr)


def test_proxy(t):
    a, b, port = t.origin(name='a'), t.origin(name='b'), t.port()
    weir = t.weir(None, command=[WEIR, 'proxy', '--listen', f'127.0.0.1:{port}', '--to', a.address, '--to', b.address])
    equal({t.client(port).get().json()['origin'] for _ in range(20)}, {'a', 'b'})
    weir.stop()
    secure = t.port()
    t.weir(None, command=[WEIR, 'proxy', '--listen', f'127.0.0.1:{secure}', '--to', a.address, '--quiet', '--tls-cert', f'{t.certificates}/localhost.crt',
                          '--tls-key', f'{t.certificates}/localhost.key'])
    equal(t.client(secure, tls=t.tls_client(), name='localhost').get().status, 200)
    printed = t.run('proxy', '--listen', ':80', '--to', '10.0.0.1:1', '--print')
    equal(t.run('check', '-c', '-', stdin=printed.stdout).returncode, 0)


def test_proxy_to(t):
    """What users write after --to and --listen: ports, names, URLs; and what cannot be meant."""
    for arguments, parts in ((('--to', '3000'), ('address: ":8080"', '"127.0.0.1:3000"')),
                             (('--to', ':3000', '--listen', '81'), ('address: ":81"', '"127.0.0.1:3000"')),
                             (('--to', 'localhost:3000', '--listen', 'localhost:81'), ('address: "127.0.0.1:81"', '"localhost:3000"')),
                             (('--to', 'http://a.test', '--to', 'http://[::1]:81/'), ('"a.test:80"', '"[::1]:81"')),
                             (('--to', 'HTTPS://a.test/'), ('"a.test:443"', 'verify: true', 'host: "a.test"')),
                             (('--to', 'https://a.test:8443', '--insecure'), ('"a.test:8443"', 'verify: false', 'host: "a.test:8443"')),
                             (('--to', 'https://a.test', '--host', 'b.test'), ('host: "b.test"',))):
        done = t.run('proxy', *arguments, '--print')
        equal(done.returncode, 0, done.stderr)
        for part in parts:
            contains(done.stdout, part)
        equal(t.run('check', '--file-only', '-c', '-', stdin=done.stdout).returncode, 0, done.stdout)
    ok('rewrite' not in t.run('proxy', '--to', 'https://a.test', '--to', 'https://b.test', '--print').stdout, 'one of two names')
    for arguments, part in ((('--to', '70000'), 'a port is 1 to 65535'), (('--to', '0'), 'a port is'), (('--to', 'a.test'), 'a.test:80'), (('--to', 'http://a.test/x'), 'a path'),
                            (('--to', 'https://u@a.test'), 'a URL is'), (('--to', 'http://a:x'), 'a URL is'), (('--to', 'http://a', '--to', 'https://b'), 'mixed'), (('--to', '1', '--insecure'), '--insecure'),
                            (('--to', '1', '--listen', 'a.test:1'), 'a.test'), (('--to', '1', '2'), 'given with --to')):
        done = t.run('proxy', *arguments, '--print')
        equal((done.returncode, done.stdout), (2, ''), str(arguments))
        contains(done.stderr, part)


def test_proxy_to_https(t):
    """The certificate is verified against the name of the URL, unless --insecure is said."""
    origin = t.origin(tls=t.tls_server())
    for more, status in (((), 502), (('--insecure',), 200)):
        port = t.port()
        t.weir(None, command=[WEIR, 'proxy', '--listen', str(port), '--to', f'https://localhost:{origin.port}', *more])
        equal(t.client(port).get().status, status, str(more))


def test_demo(t):
    port = t.port()
    t.port()
    weir = t.weir(None, command=[WEIR, 'demo', '--port', str(port)], env={'TMPDIR': t.work})
    folder = eventually(lambda: [f for f in os.listdir(t.work) if f.startswith('weir-demo')])[0]
    cert = f'{t.work}/{folder}/cert.pem'
    for host in ('localhost', '127.0.0.1'):
        done = subprocess.run(['curl', '-s', '--cacert', cert, '-o', '/dev/null', '-w', '%{http_code}', f'https://{host}:{port}/'], capture_output=True, timeout=20)
        equal(done.stdout.decode(), '200', host)
    contains(open(weir.out).read(), f'https://localhost:{port}/')
    equal(t.client(port + 1).get('/x', host='localhost').status, 308)
    weir.stop(signal.SIGINT)
    ok(not os.path.exists(f'{t.work}/{folder}'), 'the folder is left behind')


def test_demo_keeps_an_edited_file(t):
    """A folder of an earlier demo is served as the user left it, with backends where its file has them."""
    port, folder = t.port(), t.work + '/kept'
    t.port()
    weir = t.weir(None, command=[WEIR, 'demo', '--port', str(port), '--dir', folder])
    eventually(lambda: 'Ctrl-C ends' in open(weir.out).read())
    weir.stop(signal.SIGINT)
    edited = open(folder + '/weir.yaml').read().replace('hello, ', 'edited, ') + '# mine\n'
    open(folder + '/weir.yaml', 'w').write(edited)
    done = t.run('demo', '--dir', folder, '--port', str(port))
    equal(done.returncode, 1)
    contains(done.stderr, 'leave --port out')
    weir = t.weir(None, command=[WEIR, 'demo', '--dir', folder])
    eventually(lambda: 'Ctrl-C ends' in open(weir.out).read())
    equal(open(folder + '/weir.yaml').read(), edited)
    for path, wanted in (('hello', 'edited, '), ('', '')):
        done = subprocess.run(['curl', '-s', '--cacert', folder + '/cert.pem', '--fail', f'https://localhost:{port}/{path}'], capture_output=True, timeout=20)
        equal(done.returncode, 0, path)
        contains(done.stdout.decode(), wanted)
    contains(open(weir.out).read(), 'as it was found')


def test_user(t):
    if os.getuid() != 0:
        raise Skipped('not root')
    os.chmod(t.work, 0o755)
    port = t.port()
    weir = t.weir(f'user: nobody\nlisteners: [ {{ address: "127.0.0.1:{port}" }} ]\nroutes: [ {{ respond: 204 }} ]\n')
    status = dict(line.rstrip('\n').split(':', 1) for line in open(f'/proc/{weir.pid}/status') if ':' in line)
    equal(status['Uid'].split(), ['65534'] * 4)
    ok('0' not in status['Groups'].split(), status['Groups'])
    equal(t.client(port).get().status, 204)


def valid(value, schema, root):
    """As much of JSON Schema as weir's uses."""
    if schema is True or schema == {}:
        return True
    if '$ref' in schema:
        return valid(value, root['$defs'][schema['$ref'].rsplit('/', 1)[1]], root)
    kinds = {'string': str, 'boolean': bool, 'object': dict, 'array': list}
    if 'type' in schema:
        types = schema['type'] if isinstance(schema['type'], list) else [schema['type']]
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not any(number and (name == 'number' or isinstance(value, int)) if name in ('integer', 'number') else isinstance(value, kinds[name]) for name in types):
            return False
    if isinstance(value, str) and 'pattern' in schema and not re.search(schema['pattern'], value):
        return False
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not schema.get('minimum', value) <= value <= schema.get('maximum', value):
        return False
    if 'enum' in schema and not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in schema['enum']):
        return False
    if 'const' in schema and (value != schema['const'] or isinstance(value, bool) != isinstance(schema['const'], bool)):
        return False
    if 'anyOf' in schema and not any(valid(value, one, root) for one in schema['anyOf']):
        return False
    if isinstance(value, list):
        return len(value) >= schema.get('minItems', 0) and all(valid(item, schema.get('items', True), root) for item in value)
    if isinstance(value, dict):
        for name, inner in value.items():
            rules = [schema['properties'][name]] if name in schema.get('properties', {}) else \
                [rule for pattern, rule in schema.get('patternProperties', {}).items() if re.search(pattern, name)] or [schema.get('additionalProperties', True)]
            if not all(rule is not False and valid(inner, rule, root) for rule in rules):
                return False
        return all(name in value for name in schema.get('required', []))
    return True


def test_json_schema_says_what_weir_does(t):
    """Values as a reader of YAML hands them to an editor, judged by the schema and by weir."""
    schema = json.loads(t.run('schema').stdout)

    def both(text, value):
        path = t.file('one.yaml', text)
        return valid(value, schema, schema), t.run('check', '--file-only', '-c', path).returncode == 0

    def route(key, text, value):
        return both(f'listeners: ":80"\nroutes: [ {{ {key}: {text}, respond: 204 }} ]\n', {'listeners': ':80', 'routes': [{key: value, 'respond': 204}]})

    def top(section, key, text, value):
        return both(f'listeners: ":80"\nroutes: [ {{ respond: 204 }} ]\n{section}: {{ {key}: {text} }}\n',
                    {'listeners': ':80', 'routes': [{'respond': 204}], section: {key: value}})

    def tls(key, text, value):
        files = {'cert': 'a.crt', 'key': 'a.key'}
        return both(f'listeners: {{ address: ":80", tls: {{ certificates: {{ cert: a.crt, key: a.key }}, {key}: {text} }} }}\nroutes: [ {{ respond: 204 }} ]\n',
                    {'listeners': {'address': ':80', 'tls': {'certificates': files, key: value}}, 'routes': [{'respond': 204}]})
    for wanted, said in ((True, tls('min_version', '1.2', 1.2)), (True, tls('min_version', '"1.2"', '1.2')), (False, tls('min_version', '1.1', 1.1)),
                         (False, tls('min_version', '2', 2)), (True, route('timeout', '5s', '5s')), (True, route('timeout', 'none', 'none')),
                         (False, route('timeout', '5', 5)), (False, route('timeout', '"5"', '5')), (False, route('timeout', '0', 0)), (False, route('timeout', '0s', '0s')),
                         (False, route('timeout', 'off', 'off')), (False, route('body_limit', '1000', 1000)), (False, route('body_limit', '0B', '0B')),
                         (True, route('body_limit', '1KiB', '1KiB')), (True, top('timeouts', 'linger', '0', 0)), (True, top('timeouts', 'linger', '0s', '0s')),
                         (False, top('timeouts', 'linger', '3', 3)), (False, top('timeouts', 'request', '0', 0)), (True, top('timeouts', 'request', 'none', 'none')),
                         (False, top('limits', 'body', '5', 5)), (True, top('limits', 'keep_alive_requests', '5', 5)), (False, top('limits', 'keep_alive_requests', '0', 0)),
                         (True, top('limits', 'keep_alive_requests', 'none', 'none')), (False, top('limits', 'fields', 'many', 'many')), (False, top('limits', 'fields', '2.5', 2.5)),
                         (True, both('x-a: { b: 1 }\nlisteners: ":80"\nroutes: [ { respond: 204 } ]\n', {'x-a': {'b': 1}, 'listeners': ':80', 'routes': [{'respond': 204}]})),
                         (False, both('y-a: { b: 1 }\nlisteners: ":80"\nroutes: [ { respond: 204 } ]\n', {'y-a': {'b': 1}, 'listeners': ':80', 'routes': [{'respond': 204}]})),
                         (False, both('listeners: ":80"\nroutes: [ { respond: 204 } ]\nrate_limits: { r: { rate: 5 } }\n',
                                      {'listeners': ':80', 'routes': [{'respond': 204}], 'rate_limits': {'r': {'rate': 5}}}))):
        equal(said, (wanted, wanted), 'by the schema, and by weir')

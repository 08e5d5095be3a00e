"""What a path rule holds: whatever way a server behind reads a path, no spelling of it passes a rule by.

The rules are tried in three kinds (prefix, exact, regular expression); the spellings are those that people have passed proxies by with, and what a
generator makes of their parts. Servers are real where they are at hand (nginx, Python, Node); of others a model reads what went through.
"""
from weirtest import *
import itertools, random, re, shutil, urllib.parse

RULES = {
    'prefix': '{ match: { path: /admin/ }, respond: 403 }',
    'exact': '{ match: { path: [/admin, /admin/, /admin/x, /admin/x/, /admin/y] }, respond: 403 }',
    'regex': '{ match: { path: "~^/admin(/|$)" }, respond: 403 }',
}

# What is put where "/admin/x" has a slash, behind a segment, and before the path.
SLASHES = ['/', '//', '%2f', '%2F', '/.//', '/./', '%252f', '%25%32%66', '/;/', '/;a=1/', ';a/', '%3b/', '%3Ba/', ';%2f', '%2f%2f', '/%2F', '%2f..%2f', '/%2e/', '/.;/',
           '%2f.%2f', '/.%3B/', '%255c']
FRONTS = ['', '/', '//', '/.', '/;', '/;a', '/x/..', '/x/%2e%2e', '/x/..;', '/x/..;a=1', '/x/%2e%2e;', '/x/..%3b', '/x/..%2f.', '/x%2f..', '/x%252f..', '/x/%252e%252e', '/x/.%2e',
          '//h', '///h', '/%2f', '/%2fh', '/.//h', '/x//..', '/x//../..', '/x%2f%2f../..', '/x/y/..;/..;', '/x/%25%32%65%25%32%65', '/x/..;%2f..', '/x;/..']


# What ends a path for who decodes it and reads it again, raw or twice encoded; and "/" in more bytes than it needs.
ENDS = ['%3f', '%3Fa=1', '%23', '%253f', '%2523', '%0d', '%0a', '%0D%0A', '%09', '%00', '%01', '%7f', '%250d', '%25%30%61', '\\', '%5c', '%255c']
OVERLONG = ['%c0%af', '%e0%80%af', '%F0%80%80%AF', '%f8%80%80%80%af', '%c1%af']


def forms():
    out = [f'{front}{a}admin{b}x' for front, a, b in itertools.product(FRONTS, SLASHES[:8] + SLASHES[-3:], SLASHES[:8])]
    out += [f'/admin{b}x' for b in SLASHES] + [f'{f}/admin{b}{end}' for f in FRONTS for b in ('/', ';', ';a=1/', '%2f') for end in ('', 'x', 'x;b', 'x//', 'x/')]
    out += [f'{front}/admin{end}{more}' for front in ('', '/x/..;', '/', '/x%2f..') for end in ENDS for more in ('', 'x', '/x', '/../x', ';a', '%2fx')]
    out += [form.replace('%2f', long) for form in out if '%2f' in form and len(form) < 16 for long in OVERLONG] + [f'/x/{dots}/admin/x' for dots in ('%c0%ae%c0%ae', '.%c0%2e', '%e0%80%ae.')]
    out += ['/%61dmin/x', '/adm%69n/x', '/%2561dmin/x', '/admin/x?a', '/admin', '/admin/', '/admin//', '/admin/.', '/admin/x/..', '/admin/%2e', '/admin/..;/admin/x']
    rng = random.Random(7)
    pieces = SLASHES + ['admin', 'x', '..', '.', 'h', ';a', '%2e%2e', 'admin/x', '..;']
    out += ['/' + ''.join(rng.choice(pieces) for _ in range(rng.randint(2, 7))) for _ in range(700)]
    return sorted({f for f in out if f.startswith('/')})


# ---- how servers read; None: they refuse it ----

def unescape(text):
    return urllib.parse.unquote_to_bytes(text.encode('latin-1')).decode('latin-1')


def resolve(path):
    out = []
    for segment in path.split('/')[1:]:
        if segment == '..':
            if not out:
                return None
            out.pop()
        elif segment != '.':
            out.append(segment)
    return '/' + '/'.join(out)


def clamp(path):
    """Dot segments resolved, a climb above the root ignored: WHATWG URL, and what file servers make of it."""
    out = []
    for segment in path.split('/')[1:]:
        if segment == '..':
            out = out[:-1]
        elif segment != '.':
            out.append(segment)
    return '/' + '/'.join(out)


def merge(path):
    return re.sub('/+', '/', path)


def no_parameters(path):
    return re.sub(';[^/]*', '', path)


def host_dropped(path):
    if not path.startswith('//'):
        return path
    rest = path.lstrip('/')
    return rest[rest.index('/'):] if '/' in rest else '/'


def nginx_uri(path):
    """ngx_http_parse_complex_uri: decoded, slashes merged, dots resolved."""
    return resolve(merge(unescape(path)))


def both(read):
    """A server that looks at the decoded path, and one that resolves it as well."""
    return lambda path: [read(path), clamp(read(path))]


READERS = {
    # path as it came: Node's req.url, Envoy, HAProxy
    'raw': lambda p: [p],
    # nginx.org/en/docs/http/ngx_http_core_module.html#location: "against a normalized URI, after decoding, resolving dots, and merging slashes"
    'nginx': lambda p: [nginx_uri(p)],
    'nginx, merge_slashes off': lambda p: [resolve(unescape(p))],
    # PEP 3333 PATH_INFO; wsgiref, gunicorn, uWSGI, Django and Flask upon them: decoded once, nothing else
    'wsgi': both(unescape),
    # http.server: slashes at the beginning become one (gh-87389), then decoded
    'python http.server': both(lambda p: unescape('/' + p.lstrip('/'))),
    # net/url: Path is decoded once; ServeMux sends path.Clean of it elsewhere, so a handler under it sees that
    'go': lambda p: [unescape(p), clamp(merge(unescape(p)))],
    'go, EscapedPath': lambda p: [p, clamp(merge(p))],
    # WHATWG URL, "new URL(req.url, base)": "//" begins a host, dots raw and encoded are resolved; the pathname may be decoded then
    'node URL': lambda p: [clamp(host_dropped(p)), unescape(clamp(host_dropped(p)))],
    # RFC 3986 4.2, java.net.URI.getPath(), urllib.parse.urlsplit().path
    'uri': both(lambda p: unescape(host_dropped(p))),
    # CoyoteAdapter: parsePathParameters, decode ("%2F" rejected, passed on or decoded, encodedSolidusHandling), normalize (which merges)
    'tomcat': lambda p: [None if '%2f' in p.lower() else resolve(merge(unescape(no_parameters(p)))), resolve(merge(unescape(no_parameters(p)))),
                         resolve(merge(re.sub('%252f', '%2F', unescape(no_parameters(p).replace('%2f', '%252f').replace('%2F', '%252f')))))],
    # UrlPathHelper.decodeAndCleanUriString: removeSemicolonContent, decode, "//" to "/"
    'spring': both(lambda p: merge(unescape(no_parameters(p)))),
    # a servlet container behind nginx that has decoded and escaped anew; ";" comes out as it is
    'tomcat behind nginx': lambda p: [None if nginx_uri(p) is None else resolve(merge(no_parameters(nginx_uri(p)))), resolve(merge(no_parameters(unescape(p))))],
    # decoded by a proxy and sent on: "?" begins a query, "#" is cut, a line ends
    'decoded and read again': lambda p: [re.split('[?#\x00-\x1f\x7f]', f(p))[0] for f in (unescape, lambda p: unescape(unescape(p)), lambda p: no_parameters(unescape(p)))],
    # C runtimes of old, old Java, IIS: UTF-8 without a look at how short it could be
    'lax UTF-8': both(lambda p: unescape(re.sub('%(c0%af|e0%80%af|f0%80%80%af|f8%80%80%80%af)', '/', re.sub('%(c0%ae|e0%80%ae)', '.', p, flags=re.I), flags=re.I))),
    'decoded twice': lambda p: [unescape(unescape(p)), clamp(merge(unescape(unescape(p)))), resolve(merge(no_parameters(unescape(unescape(p)))))],
}


def is_admin(kind, path):
    if path is None:
        return False
    if kind == 'exact':
        return path in ('/admin', '/admin/', '/admin/x', '/admin/x/', '/admin/y')
    return path == '/admin' or path.startswith('/admin/')


def test_no_form_passes_a_rule_by_for_any_reader(t):
    for kind, rule in RULES.items():
        origin, port = t.origin(), t.port()
        t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {rule}, {{ pool: p }} ]
pools: {{ p: {{ servers: ["{origin.address}"] }} }}
log: {{ level: error }}
access_log: false
''')
        served = 0
        link = t.client(port)
        for form in forms():
            response = link.get(form)
            ok(response.status in (200, 400, 403), f'{form}: {response.status}')
            if response.status == 400:
                link.close()
                link = t.client(port)
            if response.status != 200:
                continue
            served += 1
            sent = response.json()['target'].partition('?')[0]
            for name, read in READERS.items():
                for path in read(sent):
                    ok(not is_admin(kind, path), f'{kind} rule: {form} went on as {sent}, which {name} reads as {path}')
        ok(served > 60, f'{served} of the forms went through a rule by {kind}')


SERVERS = {'python wsgi': '''
import sys
from wsgiref.simple_server import make_server, WSGIRequestHandler
WSGIRequestHandler.log_message = lambda *a: None
def app(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"admin" if (environ["PATH_INFO"] + "/").startswith("/admin/") else b"open"]
make_server("127.0.0.1", int(sys.argv[1]), app).serve_forever()
''', 'python http.server': '''
import sys, urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b"admin" if (urllib.parse.unquote(urllib.parse.urlsplit(self.path).path) + "/").startswith("/admin/") else b"open"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
'''}
NODE = '''
const http = require("http");
http.createServer((request, response) => {
    const raw = request.url.split("?")[0];
    const seen = [raw];
    try { seen.push(new URL(request.url, "http://own.test").pathname); } catch (e) {}
    for (const path of seen.slice()) try { seen.push(decodeURIComponent(path)); } catch (e) {}
    response.end(seen.some(path => path.startsWith("/admin/") || path === "/admin") ? "admin" : "open");
}).listen(+process.argv[2], "127.0.0.1");
'''


def none_is_admin(t, port, server, step=1):
    """Through weir to a real server: nothing that it takes for /admin/... comes."""
    t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes: [ {RULES["prefix"]}, {{ pool: p }} ]
pools: {{ p: {{ servers: ["127.0.0.1:{server}"] }} }}
access_log: false
log: {{ level: error }}
''')
    direct = t.client(server).get('/admin/x')
    equal(direct.body, b'admin', 'asked without weir')
    link, served = t.client(port), 0
    for form in forms()[::step]:
        response = link.get(form)
        if response.status == 400 or not link.quiet(0):
            link.close()
            link = t.client(port)
        ok(response.body != b'admin', f'{form} is admin to the server')
        served += response.body == b'open'
    ok(served > 60 // step, f'{served} forms were served')


def test_no_form_passes_a_rule_by_before_nginx(t):
    none_is_admin(t, t.port(), t.nginx('return 200 open; } location ~ ^/admin(/|$) { return 200 admin;'))


def test_no_form_passes_a_rule_by_before_python(t):
    for name, code in SERVERS.items():
        server = t.port()
        t.spawn(['/usr/bin/python3', '-c', code, str(server)], server)
        none_is_admin(t, t.port(), server, 7)  # each request is a connection


def test_no_form_passes_a_rule_by_before_node(t):
    if not shutil.which('node'):
        raise Skipped('node is not installed')
    server = t.port()
    t.spawn(['node', t.file('server.js', NODE), str(server)], server)
    none_is_admin(t, t.port(), server)


# ---- what goes on, and how ----

def paths_weir(t, routes, **more):
    origin, port = t.origin(), t.port()
    weir = t.weir(f'''listeners: [ {{ address: "127.0.0.1:{port}" }} ]
routes:
{routes}
pools: {{ p: {{ servers: ["{origin.address}"] }} }}
''', **more)
    return weir, port, origin


def one(t, port, target, **more):
    c = t.client(port)
    response = c.get(target, **more)
    c.close()
    return response


def test_paths_go_on_as_they_came_where_no_reading_takes_another_route(t):
    weir, port, _ = paths_weir(t, '  - { match: { path: /admin/ }, respond: 403 }\n  - { match: { path: /v1/users:delete }, respond: 403 }\n  - { pool: p }')
    for target in ('/@scope%2Fname', '/api/v4/projects/group%2Fproject/x', '/a//b', '/login;jsessionid=1', '/a%20b%3Ac', '/v1/users:list', '/v1/users%3Alist', '/x%7Cy', '/x|y', '/100%25',
                   '/q?x=/../admin&y=//admin', '/a/..;/b', '/a/..%2Fb', '/proxy/http%253A%252F%252Fh', '/a;b//c%2Fd', '/%C3%A9'):
        equal(one(t, port, target).json()['target'], target)
    for target, sent in (('/a/../b', '/b'), ('/a/%2e%2e/b', '/b'), ('/a/%2E/b', '/a/b'), ('/admin/../pub', '/pub'), ('/admin/%2e%2e/pub', '/pub'), ('/%61%2fb', '/a%2Fb'), ('/a//../b?c/../d', '/a/b?c/../d'),
                         ('/x/.', '/x/'), ('/x/..', '/')):
        equal(one(t, port, target).json()['target'], sent, target)
    for target in ('/wiki/What%3F', '/tags/%23a', '/a%0Ab', '/a%3Fb%2Fc', '/admins%3F', '/%C3%80%C2%AF', '/%C0', '/%E9t%E9', '/%F0%9F%98%80'):
        equal(one(t, port, target).json()['target'], target)
    for target in ('/../x', '/%2e%2e/x', '/x/../../y', '/%c0%af', '/x%C1%9c', '/%e0%80%ae', '/%f0%80%80%af', '/a%00', '/a%5cb', '/a\\b', '/a%zz', '/..%2fx', '/..;/x', '/%252e%252e/x'):
        equal(one(t, port, target).status, 400, target)
        equal(weir.access_line(failure='bad_target')['status'], 400)
    for target in ('/admin%3Fx', '/admin%3f', '/admin%23', '/admin%253fx', '/admin%0d', '/admin%0Ax', '/v1/users:delete%3Fx', '/v1/users:delete%0a', '/v1/users%3Adelete', '/v1/users%3adelete', '/v1/users%253Adelete', '/v1/users:delete;x'):
        equal(one(t, port, target).status, 400, target)
    equal(one(t, port, '/v1/users:delete').status, 403)
    equal(one(t, port, 'http://a.test//admin/x').status, 400)
    c = t.client(port)
    c.request('OPTIONS', '*')
    equal(c.response().json()['target'], '*')


def test_a_refusal_names_both_routes(t):
    weir, port, _ = paths_weir(t, '  - { name: closed, match: { path: /admin/ }, respond: 403 }\n  - { name: rest, pool: p }')
    equal(one(t, port, '/x/..;/admin/y').status, 400)
    line = weir.access_line(failure='path_ambiguous')
    equal([line.get(k) for k in ('path', 'route', 'read_as', 'other_route', 'failure_of', 'status')], ['/x/..;/admin/y', 'rest', '/admin/y', 'closed', 'client', 400])
    log = weir.log_line('depending on who reads it')
    for part in ('path=/x/..;/admin/y', 'route=rest', 'read_as=/admin/y', 'other_route=closed'):
        contains(log, part)


def test_routes_say_how_their_servers_read(t):
    weir, port, _ = paths_weir(t, '''  - { match: { path: /admin/ }, respond: 403 }
  - { match: { path: /repo/ }, paths: { encoded_slash: as_is }, pool: p }
  - { match: { path: /java/ }, paths: { parameters: ignored, encoded_slash: as_is, slashes: merged }, rewrite: { strip_prefix: /java }, pool: p }
  - { match: { host: go.test }, paths: { slashes: as_is, parameters: kept, encoded_slash: decoded }, pool: p }
  - { match: { host: nginx.test }, paths: { slashes: merged, parameters: kept, encoded_slash: decoded }, pool: p }
  - { pool: p }''')
    for host, target, wanted in (
            ('a.test', '/repo/a%2f..%2fb', '/repo/a%2F..%2Fb'), ('a.test', '/x/..%2fadmin', 400), ('a.test', '/java/a;x=1//b', '/a;x=1//b'), ('a.test', '/java/..%2Fx', '/..%2Fx'),
            ('a.test', '/java/..;/x', 400), ('a.test', '/java;s=1/a', 400),
            ('go.test', '//admin/x', '//admin/x'), ('go.test', '/admin;a/x', '/admin;a/x'), ('go.test', '/admin%2fx', 403), ('go.test', '/x%2F..%2Fadmin', 400),
            ('nginx.test', '//admin/x', 403), ('nginx.test', '/x//y%2fz', '/x//y%2Fz'), ('nginx.test', '/admin%2Fx', 403), ('nginx.test', '/admin;a/x', '/admin;a/x')):
        response = one(t, port, target, host=host)
        equal(response.json()['target'] if response.status == 200 else response.status, wanted, f'{host}{target}')


def test_what_a_route_says_counts_for_keys_and_rewrites(t):
    weir, port, _ = paths_weir(t, '''  - { match: { path: /app/ }, rewrite: { strip_prefix: /app }, rate_limit: each, pool: p }
  - { match: { path: "~^/re/" }, rewrite: { regex: "^/re/(.*)$", replacement: "/to/$1" }, pool: p }
  - { match: { path: /t }, redirect: "https://b.test${request.path}" }
  - { pool: p }
defaults: { route: { paths: { parameters: ignored, slashes: merged, encoded_slash: as_is } } }
rate_limits: { each: { rate: 1/h, burst: 2, key: path } }''')
    equal(one(t, port, '/app/a;s=1?q').json()['target'], '/a;s=1?q')
    equal(one(t, port, '//app;s=2//a').json()['target'], '/a')
    equal(one(t, port, '/app/a;s=3').status, 429)
    equal(one(t, port, '/re/a;s=1//b%2Fc').json()['target'], '/to/a;s=1//b%2Fc')
    equal(one(t, port, '/x/../t').fields.get('location'), 'https://b.test/t')


def test_prefixes_are_stripped_in_each_spelling(t):
    weir, port, _ = paths_weir(t, '''  - { match: { path: "/caf%c3%a9/" }, rewrite: { strip_prefix: "/caf%c3%a9" }, pool: p }
  - { match: { path: "/%40org/" }, rewrite: { strip_prefix: "/%40org/", add_prefix: /o }, pool: p }
  - { match: { path: "/%61pi/" }, rewrite: { strip_prefix: "/%61pi" }, pool: p }''')
    for target, wanted in (('/caf%C3%A9/x', '/x'), ('/caf%c3%a9', '/'), ('/%40org/a', '/o/a'), ('/@org/a', '/o/a'), ('/@org', '/o/'), ('/api/y', '/y'), ('/%61pi/y', '/y')):
        equal(one(t, port, target).json()['target'], wanted, target)
    done = t.run('check', '-c', t.file('weir.yaml', 'listeners: ["127.0.0.1:8080"]\nroutes: [ { rewrite: { strip_prefix: "/a%zz" }, pool: p } ]\npools: { p: { servers: ["127.0.0.1:1"] } }\n'))
    contains(done.stderr, 'weir.yaml:2:38: error: no request has the path "/a%zz"')


def test_a_path_names_no_other_host_in_a_redirect(t):
    weir, port, _ = paths_weir(t, '''  - { match: { path: /away/ }, redirect: "//other.test${request.path}" }
  - { redirect: "${request.path}/" }''')
    for target, wanted in (('//evil.test', '/.//evil.test/'), ('/.//evil.test/%2e%2e', '/.///'), ('///evil.test', '/.///evil.test/'), ('/a', '/a/'), ('/away/x', '//other.test/away/x')):
        equal(one(t, port, target).fields.get('location'), wanted, target)


def test_rewrites_make_no_dot_segments(t):
    weir, port, _ = paths_weir(t, '''  - { match: { path: "~^/files" }, rewrite: { regex: "^/files(.*)$", replacement: "/data/$1" }, pool: p }
  - { match: { path: /in/ }, rewrite: { path: "/data/${request.header.x-name}" }, pool: p }
  - { rewrite: { strip_prefix: /api, add_prefix: /v1 }, pool: p }''')
    for target, fields, wanted in (('/files/a', {}, '/data//a'), ('/files../x', {}, 400), ('/files..%2Fx', {}, 400), ('/in/', {'X-Name': 'a'}, '/data/a'), ('/in/', {'X-Name': '../x'}, 400),
                                   ('/in/', {'X-Name': 'a%00'}, 400), ('/api/x', {}, '/v1/x'), ('/api/..%2Fx', {}, 400), ('/api/..;/x', {}, 400), ('/api/x%2Fy', {}, '/v1/x%2Fy')):
        response = one(t, port, target, fields=fields)
        equal(response.json()['target'] if response.status == 200 else response.status, wanted, target)


def test_explain_tells_the_readings(t):
    file = t.file('weir.yaml', '''listeners: ["127.0.0.1:8080"]
routes:
  - { name: closed, match: { path: /admin/ }, respond: 403 }
  - { name: rest, pool: p }
pools: { p: { servers: ["127.0.0.1:1"] } }
''')
    done = t.run('explain', '-c', file, 'GET', 'http://a.test:8080//admin/x')
    text = re.sub(' +', ' ', done.stdout)
    for part in ('reading //admin/x: rest', 'reading /admin/x: closed', 'path_ambiguous'):
        contains(text, part)
    ok(done.returncode != 0)
    shown = json.loads(t.run('explain', '--json', '-c', file, 'GET', 'http://a.test:8080/a%2Fb').stdout)
    equal((shown['readings'], shown['route']), ([{'path': '/a%2Fb', 'route': 'rest'}, {'path': '/a/b', 'route': 'rest'}], 'rest'))
    ok('reading' not in t.run('explain', '-c', file, 'GET', 'http://a.test:8080/a/b').stdout)


def test_old_keys_are_answered(t):
    for text, part in (('allow_encoded: "%2F"', 'encoded_slash'), ('merge_slashes: true', 'slashes: merged')):
        done = t.run('check', '-c', t.file('weir.yaml', f'listeners: ["127.0.0.1:8080"]\nroutes: [ {{ {text}, respond: 200 }} ]\n'))
        equal(done.returncode, 1)
        contains(done.stderr, part)
    done = t.run('check', '-c', t.file('weir.yaml', 'listeners: ["127.0.0.1:8080"]\nroutes: [ { respond: 200 } ]\nlimits: { merge_slashes: true }\n'))
    contains(done.stderr, 'slashes: merged')


def test_paths_of_too_many_readings_are_refused(t):
    """As long as a request line may be; no route is in question."""
    weir, port, _ = paths_weir(t, '  - { match: { path: /admin/ }, respond: 403 }\n  - { pool: p }')
    worst = '///%252F//;a;;%2F%252F/%25%2F%253B%253Bb%3B%3A%25//%25'
    worst = worst + worst[3:] * (7000 // len(worst))
    equal(one(t, port, worst).status, 400)
    equal(weir.access_line(failure='path_ambiguous').get('other_route'), None)
    equal(one(t, port, '/' + 'a//b;c=1/%2f' * 300).status, 200)

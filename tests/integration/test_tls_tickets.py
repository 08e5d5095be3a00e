"""What a session ticket opens: nothing that a full handshake would not."""
import calendar

from weirtest import *

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def listener(port, certificates, rule=''):
    return f'  - {{ address: "127.0.0.1:{port}", tls: {{ certificates: [{", ".join(certificates)}]{", " + rule if rule else ""} }}, routes: [ {{ respond: 204 }} ] }}\n'


def run(t, *rules):
    """A weir with a listener for each (certificates, rule); returns weir and their ports."""
    ports = [t.port() for _ in rules]
    weir = t.weir('listeners:\n' + ''.join(listener(p, *r) for p, r in zip(ports, rules)))
    return weir, ports


def reloaded(weir, ports, *rules):
    weir.reload('workers: 2\ndrain_timeout: 5s\nlisteners:\n' + ''.join(listener(p, *r) for p, r in zip(ports, rules)))


class Visitor:
    """A client that keeps what it is given."""
    def __init__(self, t, version, certificate=None):
        self.context = t.tls_client(check_hostname=False, minimum_version=version, maximum_version=version)
        self.context.verify_mode = ssl.CERT_NONE
        if certificate:
            self.context.load_cert_chain(certificate + '.crt', certificate + '.key')
        self.session = None

    def visit(self, port, name='localhost', keep=True):
        """new, resumed, or refused; brings the ticket it has and keeps the next."""
        try:
            sock = self.context.wrap_socket(socket.create_connection(('127.0.0.1', port), 10 * SLOW), server_hostname=name, session=self.session)
            sock.settimeout(10 * SLOW)
            sock.sendall(f'GET / HTTP/1.1\r\nHost: {name or "localhost"}\r\n\r\n'.encode())
            if not sock.recv(65536).startswith(b'HTTP/1.1 204'):
                return 'refused'
        except (ssl.SSLError, ConnectionError):
            return 'refused'
        how = 'resumed' if sock.session_reused else 'new'
        if keep:
            self.session = sock.session
        sock.close()
        return how


def each(t, certificate=None):
    return [Visitor(t, version, certificate) for version in VERSIONS]


def rule_of(t, auth, ca='ca'):
    return f'client_auth: {auth}, client_ca: {ca if "/" in ca else t.certificates + "/" + ca + ".crt"}'


def test_required_is_not_passed_by(t):
    """A ticket got without a certificate, where one is optional or not asked for, opens nothing that wants one."""
    cert = [t.cert('localhost')]
    weir, (off, optional, required) = run(t, (cert, ''), (cert, rule_of(t, 'optional')), (cert, rule_of(t, 'required')))
    for first in (off, optional):
        for v in each(t):
            equal([v.visit(first), v.visit(first), v.visit(required, keep=False), v.visit(first)], ['new', 'resumed', 'refused', 'resumed'])
    for v in each(t, t.certificates + '/client'):
        equal([v.visit(optional), v.visit(optional), v.visit(required), v.visit(required)], ['new', 'resumed', 'new', 'resumed'])


def test_authorities(t):
    """Tickets of one authority do not open another's listener, whatever their files are called."""
    folder = t.folder('a-name-longer-than-thirty-two-bytes')
    for name in ('ca', 'other-ca'):
        make_authority(folder, name)
    make_leaf(folder, 'mine', 'ca', 'DNS:mine')
    cert = [t.cert('localhost')]
    weir, (one, other) = run(t, (cert, rule_of(t, 'required', folder + '/ca.crt')), (cert, rule_of(t, 'required', folder + '/other-ca.crt')))
    for v in each(t, folder + '/mine'):
        equal([v.visit(one), v.visit(one), v.visit(other, keep=False), v.visit(one)], ['new', 'resumed', 'refused', 'resumed'])


def test_authorities_replaced(t):
    """The file is another one by the same name; a reload reads it."""
    folder = t.folder('replaced')
    for name in ('first', 'second'):
        make_authority(folder, name)
    make_leaf(folder, 'mine', 'first', 'DNS:mine')
    os.symlink('first.crt', folder + '/ca.crt')
    cert = [t.cert('localhost')]
    weir, (port,) = run(t, (cert, rule_of(t, 'required', folder + '/ca.crt')))
    visitors = each(t, folder + '/mine')
    equal([(v.visit(port), v.visit(port)) for v in visitors], [('new', 'resumed')] * 2)
    weir.reload()
    equal([v.visit(port) for v in visitors], ['resumed'] * 2, 'nothing has changed')
    os.unlink(folder + '/ca.crt')
    os.symlink('second.crt', folder + '/ca.crt')
    weir.reload()
    equal([v.visit(port, keep=False) for v in visitors], ['refused'] * 2)


def test_rules_by_reload(t):
    """Each rule that changes ends what was given under the old one."""
    cert, ca = [t.cert('localhost')], rule_of(t, 'optional')
    for before, after, wanted in (('', '', 'resumed'), (ca, ca, 'resumed'), ('', ca, 'new'), (ca, ca.replace('optional', 'required'), 'refused'), ('', ca.replace('optional', 'required'), 'refused'),
                                  ('', 'ciphers: ECDHE+AESGCM, ciphersuites: "TLS_AES_128_GCM_SHA256"', 'new'), ('', 'strict_sni: true', 'new')):
        weir, ports = run(t, (cert, before))
        visitors = each(t)
        equal([(v.visit(ports[0]), v.visit(ports[0])) for v in visitors], [('new', 'resumed')] * 2)
        reloaded(weir, ports, (cert, after))
        equal([v.visit(ports[0], keep=False) for v in visitors], [wanted] * 2, f'{before} -> {after}')
        weir.stop()


def test_names(t):
    """A ticket is of the name that it was given for (RFC 6066 3)."""
    certs = [t.cert('a'), t.cert('b'), t.cert('wild')]
    weir, (port,) = run(t, (certs, ''))
    names = ('a.test', 'b.test', 'also-b.test', 'x.wild.test', 'y.wild.test', 'unknown.test', None)
    for first in names:
        for v in each(t):
            got = [v.visit(port, first)] + [v.visit(port, name, keep=False) for name in names] + [v.visit(port, first)]
            equal(got, ['new'] + ['resumed' if name == first else 'new' for name in names] + ['resumed'], f'{v.context.minimum_version} {first}')


def test_certificates(t):
    """A ticket opens only where the certificate that was shown may be shown now: at another listener, and after a reload."""
    weir, (a, b, both) = run(t, ([t.cert('a')], ''), ([t.cert('b')], ''), ([t.cert('b'), t.cert('a')], ''))
    for v in each(t):
        equal([v.visit(a, 'a.test'), v.visit(both, 'a.test'), v.visit(b, 'a.test', keep=False), v.visit(a, 'a.test')], ['new', 'resumed', 'new', 'resumed'])
    visitors = each(t)
    equal([v.visit(a, 'a.test') for v in visitors], ['new'] * 2)
    fresh = t.leaf('fresh', 'DNS:a.test')
    reloaded(weir, (a, b, both), ([f'{{ cert: {fresh}.crt, key: {fresh}.key }}'], ''), ([t.cert('b')], ''), ([t.cert('a')], ''))
    equal([v.visit(a, 'a.test', keep=False) for v in visitors], ['new'] * 2)
    equal([v.visit(both, 'a.test', keep=False) for v in visitors], ['resumed'] * 2)


def test_strict_sni(t):
    weir, (port,) = run(t, ([t.cert('a'), t.cert('b')], 'strict_sni: true'))
    for v in each(t):
        # who was refused comes last: a client of OpenSSL 3.5 drops its ticket with the alert
        equal([v.visit(port, 'a.test'), v.visit(port, 'b.test', keep=False), v.visit(port, 'a.test'), v.visit(port, 'unknown.test'), v.visit(port, None)],
              ['new', 'new', 'resumed', 'refused', 'refused'])


def expiring(t, name, seconds):
    """A client's certificate that is valid for a little while; returns its path and when that ends."""
    folder = t.folder('authority')
    with open(folder + '/index', 'w'), open(folder + '/serial', 'w') as serial:
        serial.write('1000\n')
    with open(folder + '/conf', 'w') as f:
        f.write(f'[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/index\nserial={folder}/serial\nnew_certs_dir={folder}\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\n'
                'commonName=supplied\n[e]\nbasicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n')
    make_key(folder, name)
    openssl(folder, 'req', '-new', '-key', name + '.key', '-subj', f'/CN={name}', '-out', name + '.csr')
    text = time.strftime('%Y%m%d%H%M%SZ', time.gmtime(time.time() + seconds))
    openssl(folder, 'ca', '-batch', '-config', 'conf', '-extensions', 'e', '-cert', t.certificates + '/ca.crt', '-keyfile', t.certificates + '/ca.key', '-in', name + '.csr',
            '-out', name + '.crt', '-startdate', '20200101000000Z', '-enddate', text, '-notext')
    return f'{folder}/{name}', calendar.timegm(time.strptime(text, '%Y%m%d%H%M%SZ'))


def test_expired(t):
    """A client's certificate that has run out is not good for longer by a ticket."""
    cert = [t.cert('localhost')]
    weir, (required, optional) = run(t, (cert, rule_of(t, 'required')), (cert, rule_of(t, 'optional')))
    for seconds in 4, 16, 60:       # what a slow machine does not come to in time is done with more
        path, end = expiring(t, f'short{seconds}', seconds * SLOW)
        visitors = [(port, v) for port in (required, optional) for v in each(t, path)]
        got = [v.visit(port) for _ in range(2) for port, v in visitors]
        if time.time() < end - 1:
            break
    equal(got, ['new'] * 4 + ['resumed'] * 4)
    time.sleep(max(0, end - time.time()) + 1.5)
    equal([v.visit(port, keep=False) for port, v in visitors], ['refused'] * 4)


def test_chains(t):
    """A ticket keeps the leaf alone; what was verified with certificates between is resumed all the same."""
    folder = t.folder('chain')
    make_key(folder, 'between')
    openssl(folder, 'req', '-new', '-key', 'between.key', '-subj', '/CN=between', '-out', 'between.csr')
    with open(folder + '/ext', 'w') as f:
        f.write('basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n')
    openssl(folder, 'x509', '-req', '-in', 'between.csr', '-CA', t.certificates + '/ca.crt', '-CAkey', t.certificates + '/ca.key', '-set_serial', '77', '-days', '9', '-extfile', 'ext',
            '-out', 'between.crt')
    make_leaf(folder, 'mine', 'between', 'DNS:mine')
    with open(folder + '/mine.crt', 'a') as f:
        f.write(open(folder + '/between.crt').read())
    weir, (port,) = run(t, ([t.cert('localhost')], rule_of(t, 'required')))
    for v in each(t, folder + '/mine'):
        equal([v.visit(port) for _ in range(3)], ['new', 'resumed', 'resumed'])


def test_openssl_client(t):
    """A real one: its session of an optional listener, at a required one."""
    cert = [t.cert('localhost')]
    weir, (optional, required) = run(t, (cert, rule_of(t, 'optional')), (cert, rule_of(t, 'required')))
    for version in ('-tls1_2', '-tls1_3'):
        def talk(port, *more):
            done = subprocess.run(['openssl', 's_client', '-connect', f'127.0.0.1:{port}', version, '-servername', 'localhost', '-ign_eof', *more],
                                  input=b'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', capture_output=True, timeout=20 * SLOW)
            return done.stdout.decode(errors='replace')
        session = os.path.join(t.work, 'session')
        contains(talk(optional, '-sess_out', session), 'HTTP/1.1 204')
        again = talk(optional, '-sess_in', session)
        contains(again, 'HTTP/1.1 204')
        contains(again, 'Reused, ')
        ok('HTTP/1.1 204' not in talk(required, '-sess_in', session), version)

"""Certificates, keys and authorities are judged when they are read: what no handshake could use is refused with its reason, and what clients may
stumble over is warned of, at its place in the file."""
import base64, os, re, ssl, subprocess, time

from weirtest import *

CA_EXTENSIONS = 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n'
LEAF_EXTENSIONS = 'basicConstraints=CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nextendedKeyUsage=serverAuth,clientAuth\n'


class Authority:
    """Makes certificates of all sorts in a folder."""
    def __init__(self, folder):
        self.folder = folder

    def run(self, *arguments):
        subprocess.run(['openssl', *arguments], cwd=self.folder, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def path(self, name):
        return f'{self.folder}/{name}'

    def write(self, name, content):
        with open(self.path(name), 'wb' if isinstance(content, bytes) else 'w') as f:
            f.write(content)
        os.chmod(self.path(name), 0o600)
        return self.path(name)

    def read(self, name):
        return open(self.path(name)).read()

    def key(self, name, kind='P-256'):
        options = {'RSA': ['-algorithm', 'RSA', '-pkeyopt', f'rsa_keygen_bits:{kind[4:]}'], 'PSS': ['-algorithm', 'RSA-PSS', '-pkeyopt', 'rsa_keygen_bits:2048'],
                   'ED2': ['-algorithm', 'ED25519'], 'ED4': ['-algorithm', 'ED448']}.get(kind[:3], ['-algorithm', 'EC', '-pkeyopt', f'ec_paramgen_curve:{kind}'])
        self.run('genpkey', *options, '-out', name + '.key')

    def root(self, name, kind='P-256', *more):
        self.key(name, kind)
        self.write(name + '.cnf', f'[req]\ndistinguished_name=d\nprompt=no\nx509_extensions=x\n[d]\nCN={name}\n[x]\n{CA_EXTENSIONS}')
        self.run('req', '-x509', '-new', '-config', name + '.cnf', '-key', name + '.key', '-days', '30', '-out', name + '.crt', *more)

    def issue(self, name, by, kind='P-256', san='DNS:a.test', extensions=LEAF_EXTENSIONS, key=True, days='30', dates=None, *more, digest='sha256'):
        if key:
            self.key(name, kind)
        self.run('req', '-new', '-key', name + '.key', '-subj', f'/CN={name}', '-out', name + '.csr')
        self.write(name + '.ext', extensions + (f'subjectAltName={san}\n' if san else ''))
        if dates is None:
            self.run('x509', '-req', '-in', name + '.csr', '-CA', by + '.crt', '-CAkey', by + '.key', '-CAcreateserial', '-days', days,
                     '-extfile', name + '.ext', '-out', name + '.crt', '-' + digest)
            return
        self.write('index', '')
        self.write('serial', '1000\n')
        self.write('ca.cnf', '[ca]\ndefault_ca=c\n[c]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n')
        self.run('ca', '-batch', '-notext', '-config', 'ca.cnf', '-startdate', dates[0], '-enddate', dates[1], '-cert', by + '.crt', '-keyfile', by + '.key',
                 '-in', name + '.csr', '-extfile', name + '.ext', '-out', name + '.crt')

    def between(self, name, by, kind='P-256', digest='sha256'):
        self.issue(name, by, kind, None, CA_EXTENSIONS + 'authorityKeyIdentifier=keyid\n', digest=digest)

    def chain(self, name, *files):
        self.write(name, ''.join(self.read(f) for f in files))


def authority(t):
    made = Authority(t.folder('certificates'))
    made.root('root')
    return made


def listener(cert, key, more='', port=1):
    return f'''listeners:
  - address: "127.0.0.1:{port}"
    tls:
      certificates:
        - {{ cert: {cert},
            key: {key} }}
      {more}
routes: [ {{ respond: 200 }} ]
'''


def check(t, text, code=1, *parts):
    done = t.run('check', '-c', '-', stdin=text)
    equal(done.returncode, code, done.stderr + text)
    for part in parts:
        contains(done.stderr, part)
    return beside_root(done.stderr)


def refused(t, a, name, *parts, key=None, more='', line=5):
    """By check and by a start, with the place."""
    text = listener(a.path(name + '.crt'), a.path((key or name) + '.key'), more)
    said = check(t, text, 1, *parts)
    contains(said, f'standard input:{line}:')
    done = t.run('run', '-c', '-', stdin=text)
    equal(done.returncode, 1, done.stderr)
    contains(done.stderr, parts[0])


def test_weak_ones_are_refused(t):
    """Keys and signatures that OpenSSL's security level lets no handshake use, of the leaf and of the chain; kinds of keys that clients do not take."""
    a = authority(t)
    for name, kind, words in (('rsa1024', 'RSA-1024', 'RSA of 1024 bits'), ('p192', 'prime192v1', 'EC on prime192v1'), ('p224', 'secp224r1', 'EC on secp224r1'),
                              ('k1', 'secp256k1', 'EC on secp256k1'), ('brain', 'brainpoolP256r1', 'EC on brainpoolP256r1')):
        a.issue(name, 'root', kind)
        refused(t, a, name, words, 'so every handshake would fail', a.path(name + '.crt'))
    a.issue('sha1', 'root', digest='sha1')
    refused(t, a, 'sha1', 'the signature of the certificate is too weak (ecdsa-with-SHA1)', 'signed with SHA-256')
    a.between('weak', 'root', digest='sha1')
    a.issue('below', 'weak')
    a.chain('chained.crt', 'below.crt', 'weak.crt')
    refused(t, a, 'chained', 'the signature of certificate 2 of the file (CN=weak) is too weak', key='below')
    a.between('small', 'root', 'RSA-1024')
    a.issue('under', 'small')
    a.chain('chained.crt', 'under.crt', 'small.crt')
    refused(t, a, 'chained', 'the key of certificate 2 of the file (CN=small) is too weak', key='under')
    a.issue('rsa', 'root', 'RSA-2048', digest='sha1')
    refused(t, a, 'rsa', 'the signature of the certificate is too weak')


def test_good_ones_shake_hands(t):
    """What the judge lets pass, a client can use: each kind of key, and what a lower security level of the ciphers allows."""
    a = authority(t)
    level = '\n      ciphers: "ECDHE+AESGCM:@SECLEVEL=0"'
    kinds = [('RSA-2048', ''), ('RSA-4096', ''), ('P-256', ''), ('P-384', ''), ('P-521', ''), ('ED25519', ''), ('ED448', ''), ('PSS', ''), ('RSA-1024', level)]
    for number, (kind, more) in enumerate(kinds):
        name = f'good{number}'
        a.issue(name, 'root', kind)
        port = t.port()
        weir = t.weir(listener(a.path(name + '.crt'), a.path(name + '.key'), more, port))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.minimum_version = context.maximum_version = version
            if more:
                context.set_ciphers('ALL:@SECLEVEL=0')
            equal(t.client(port, tls=context, name='a.test').get('/').status, 200, f'{kind} {version}')
        weir.stop()


def test_keys_that_do_not_fit(t):
    a = authority(t)
    a.issue('one', 'root')
    a.issue('two', 'root')
    a.issue('rsa', 'root', 'RSA-2048')
    refused(t, a, 'one', f'{a.path("two.key")} is not the key of {a.path("one.crt")}', key='two', line=6)
    refused(t, a, 'one', 'it is of kind RSA, and the certificate\'s is of kind EC', key='rsa', line=6)
    a.run('pkey', '-in', 'one.key', '-aes128', '-passout', 'pass:x', '-out', 'locked.key')
    refused(t, a, 'one', f'{a.path("locked.key")} is encrypted', f'openssl pkey -in {a.path("locked.key")} -out NEW', key='locked', line=6)
    a.run('ec', '-in', 'one.key', '-aes128', '-passout', 'pass:x', '-out', 'old.key')
    refused(t, a, 'one', f'{a.path("old.key")} is encrypted', key='old', line=6)
    a.write('swapped.key', a.read('one.crt'))
    a.write('swapped.crt', a.read('one.key'))
    check(t, listener(a.path('swapped.crt'), a.path('one.key')), 1, 'swapped.crt holds a private key and no certificate')
    check(t, listener(a.path('one.crt'), a.path('swapped.key')), 1, 'swapped.key holds a certificate and no private key')
    both = listener(a.path('one.key'), a.path('one.crt'))
    check(t, both, 1, 'cert and key are swapped')
    contains(t.run('run', '-c', '-', stdin=both).stderr, 'cert and key are swapped')
    a.run('x509', '-in', 'one.crt', '-outform', 'DER', '-out', 'der.crt')
    refused(t, a, 'der', f'{a.path("der.crt")} is a certificate in binary (DER)', key='one')
    check(t, listener(a.path('one.csr'), a.path('one.key')), 1, 'is a request for a certificate')
    a.write('empty.key', '')
    refused(t, a, 'one', f'{a.path("empty.key")} holds no private key in PEM', key='empty', line=6)
    a.write('bad.key', '-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49\n-----END PRIVATE KEY-----\n')
    refused(t, a, 'one', f'the private key in {a.path("bad.key")} cannot be read', key='bad', line=6)


def der(a, name):
    a.run('ec', '-in', name + '.key', '-outform', 'DER', '-out', name + '.der')
    return open(a.path(name + '.der'), 'rb').read()


def test_a_private_part_of_another(t):
    """The public part that the key file tells fits the certificate, and the private part does not: only signing shows it."""
    a = authority(t)
    a.issue('one', 'root')
    a.issue('two', 'root')
    one, two = der(a, 'one'), der(a, 'two')
    private, other = (k[7:39] for k in (one, two))  # SEQUENCE, version 1, OCTET STRING of 32
    equal(one[5:7], b'\x04\x20', 'the form of the key')
    a.write('mixed.key', '-----BEGIN EC PRIVATE KEY-----\n' + base64.encodebytes(one.replace(private, other)).decode() + '-----END EC PRIVATE KEY-----\n')
    refused(t, a, 'one', f'{a.path("mixed.key")} does not sign for {a.path("one.crt")}', key='mixed', line=6)
    a.write('fits.key', '-----BEGIN EC PRIVATE KEY-----\n' + base64.encodebytes(one).decode() + '-----END EC PRIVATE KEY-----\n')
    check(t, listener(a.path('one.crt'), a.path('fits.key')), 0)


def test_chains(t):
    """Order and belonging are warned of, as many clients find the chain all the same; a signature that is wrong, and a key of a later certificate, are errors."""
    a = authority(t)
    a.between('mid', 'root')
    a.issue('leaf', 'mid')
    a.chain('good.crt', 'leaf.crt', 'mid.crt', 'root.crt')
    said = check(t, listener(a.path('good.crt'), a.path('leaf.key')), 0)
    ok('warning' not in said, said)
    a.chain('order.crt', 'leaf.crt', 'root.crt', 'mid.crt')
    check(t, listener(a.path('order.crt'), a.path('leaf.key')), 0, 'warning', 'certificate 2 of the file (CN=root) did not issue the one before it (CN=leaf)')
    a.root('stranger')
    a.chain('strange.crt', 'leaf.crt', 'stranger.crt')
    check(t, listener(a.path('strange.crt'), a.path('leaf.key')), 0, 'certificate 2 of the file (CN=stranger) did not issue the one before it')
    a.chain('last.crt', 'mid.crt', 'leaf.crt')
    check(t, listener(a.path('last.crt'), a.path('leaf.key')), 1, f'is the key of certificate 2 in {a.path("last.crt")}, which has to stand first')
    a.write('cut.crt', a.read('leaf.crt') + a.read('mid.crt')[:200])
    check(t, listener(a.path('cut.crt'), a.path('leaf.key')), 1, f'{a.path("cut.crt")} is damaged behind 1 certificates')
    # The same names, and a byte of the signature is another.
    lines = a.read('leaf.crt').strip().split('\n')
    raw = bytearray(base64.b64decode(''.join(lines[1:-1])))
    raw[-1] ^= 1
    a.write('forged.crt', '-----BEGIN CERTIFICATE-----\n' + base64.encodebytes(bytes(raw)).decode() + '-----END CERTIFICATE-----\n' + a.read('mid.crt'))
    check(t, listener(a.path('forged.crt'), a.path('leaf.key')), 1, 'says that CN=mid has signed it, and the signature is wrong')


def stamp(days):
    return time.strftime('%Y%m%d%H%M%SZ', time.gmtime(time.time() + days * 86400))


def test_dates(t):
    """Expired, soon to expire, and not valid yet: warned of by check, and by the log at the start and at a reload; also of the chain, of clients' authorities
    and of what servers are shown."""
    a = authority(t)
    a.issue('past', 'root', dates=(stamp(-30), stamp(-1)))
    a.issue('soon', 'root', dates=(stamp(-80), stamp(10)))
    a.issue('young', 'root', dates=(stamp(1), stamp(90)))
    a.issue('short', 'root', dates=(stamp(-1), stamp(5)))
    a.issue('fine', 'root', dates=(stamp(-1), stamp(80)))
    day = time.strftime('%Y-%m-%d', time.gmtime(time.time() - 86400))
    for name, words in (('past', f'expired on {day}'), ('soon', 'expires on '), ('young', 'is not valid before ')):
        check(t, listener(a.path(name + '.crt'), a.path(name + '.key')), 0, 'warning', f'{a.path(name + ".crt")}: {words}', 'standard input:5:')
        done = t.run('check', '--strict', '-c', '-', stdin=listener(a.path(name + '.crt'), a.path(name + '.key')))
        equal(done.returncode, 1, 'strict: ' + done.stderr)
    for name in ('short', 'fine'):
        ok('warning' not in check(t, listener(a.path(name + '.crt'), a.path(name + '.key')), 0), name)
    a.issue('oldmid', 'root', san=None, extensions=CA_EXTENSIONS, dates=(stamp(-30), stamp(-2)))
    a.issue('leaf', 'oldmid')
    a.chain('chained.crt', 'leaf.crt', 'oldmid.crt')
    check(t, listener(a.path('chained.crt'), a.path('leaf.key')), 0, f'{a.path("chained.crt")}: expired on')
    port = t.port()
    weir = t.weir(listener(a.path('fine.crt'), a.path('fine.key'), port=port))
    ok('expire' not in weir.stderr(), weir.stderr())
    weir.reload(listener(a.path('past.crt'), a.path('past.key'), port=port))
    contains(weir.log_line('a certificate is out of date'), a.path('past.crt'))
    contains(weir.stderr(), 'expired on')
    weir.stop()
    weir = t.weir(listener(a.path('soon.crt'), a.path('soon.key'), port=port))
    contains(weir.log_line('a certificate is out of date'), 'expires on')


def test_names_and_purposes(t):
    a = authority(t)
    a.issue('leaf', 'root', san='DNS:a.test,DNS:*.b.test')
    for names, good in (('a.test', True), ('x.b.test', True), ('"*.b.test"', True), ('c.test', False), ('"*.a.test"', False)):
        text = listener(a.path('leaf.crt'), a.path('leaf.key')).replace('.key }', f'.key, names: [{names}] }}')
        said = check(t, text, 0)
        equal('it is shown for a name that it does not have' in said, not good, names)
    a.issue('client', 'root', extensions='extendedKeyUsage=clientAuth\n')
    check(t, listener(a.path('client.crt'), a.path('client.key')), 0, 'warning', 'is not for servers (its extended key usage lacks serverAuth)')
    a.issue('sealed', 'root', extensions='keyUsage=critical,keyAgreement\n')
    check(t, listener(a.path('sealed.crt'), a.path('sealed.key')), 0, 'its key usage lacks digitalSignature')
    a.issue('again', 'root', san='DNS:a.test')
    two = listener(a.path('leaf.crt'), a.path('leaf.key')).replace('      \nroutes', f'        - {a_pair(a, "again")}\nroutes')
    check(t, two, 0, f'{a.path("again.crt")}: it is never shown')
    a.issue('rsa', 'root', 'RSA-2048', san='DNS:a.test')
    ok('never shown' not in check(t, two.replace('again.', 'rsa.'), 0), 'another kind of key for the same name')


def test_ciphers_are_for_the_kind_of_key(t):
    """Up to TLS 1.2 a cipher is for one kind of key; one certificate that it is for suffices."""
    a = authority(t)
    a.issue('ec', 'root')
    a.issue('rsa', 'root', 'RSA-2048')
    ends, remains = 'so no client could connect', 'so no client of TLS 1.2 can connect'

    def told(name, keys, *second):
        more = '\n      '.join([f'  - {a_pair(a, other)}' for other in second] + keys)
        return listener(a.path(name + '.crt'), a.path(name + '.key'), more)
    for name, ciphers, fits in (('ec', 'kRSA+AES128', False), ('rsa', 'kRSA+AES128', True), ('ec', 'ECDHE+aECDSA', True), ('rsa', 'ECDHE+aECDSA', False),
                                ('rsa', 'ECDHE+aRSA', True), ('ec', 'ECDHE+aRSA', False)):
        keys = [f'ciphers: "{ciphers}"']
        said = check(t, told(name, keys), 0)
        equal(remains in said, not fits, f'{name} {ciphers}: {said}')
        said = check(t, told(name, keys + ['max_version: "1.2"']), 0 if fits else 1)
        equal(ends in said, not fits, f'{name} {ciphers}, no 1.3: {said}')
        check(t, told(name, keys + ['max_version: "1.2"'], 'rsa' if name == 'ec' else 'ec'), 0)


def test_ciphers_exchange_keys_in_a_way_that_is_there(t):
    """Of the right kind of key and no use: there are no parameters for DHE and no secrets for PSK and SRP, a key of RSA-PSS signs alone."""
    a = authority(t)
    kinds = {'rsa': 'RSA-2048', 'pss': 'PSS', 'ec': 'P-256', 'ed': 'ED25519'}
    for name, kind in kinds.items():
        a.issue(name, 'root', kind)
    way, weak = 'exchanges keys by ECDHE, or by RSA', "strong enough for OpenSSL's security level"
    for name, ciphers, fault in (('rsa', 'DHE+AESGCM', way), ('rsa', 'kRSAPSK', way), ('rsa', 'PSK', way), ('rsa', 'SRP', way), ('pss', 'kRSA', way),
                                 ('rsa', 'eNULL', weak), ('rsa', 'kRSA', None), ('rsa', 'DHE+AESGCM:AES128-GCM-SHA256', None), ('pss', 'ECDHE+AESGCM', None),
                                 ('ed', 'ECDHE+ECDSA', None), ('ec', 'ECDHE+ECDSA', None), ('ec', 'kECDHEPSK', 'is for the kind of key')):
        text = listener(a.path(name + '.crt'), a.path(name + '.key'), f'ciphers: "{ciphers}"\n      max_version: "1.2"', t.port())
        said = check(t, text, 0 if fault is None else 1, fault or '')
        equal('so no client could connect' in said, fault is not None, f'{name} {ciphers}: {said}')
        port = t.port()
        weir = t.weir(listener(a.path(name + '.crt'), a.path(name + '.key'), f'ciphers: "{ciphers}"', port))
        done = subprocess.run(['openssl', 's_client', '-connect', f'127.0.0.1:{port}', '-tls1_2', '-cipher', 'ALL:COMPLEMENTOFALL:@SECLEVEL=0'],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        equal('Cipher is (NONE)' not in done.stdout, fault is None, f'{name} {ciphers}: {done.stdout}')
        weir.stop()


def a_pair(a, name):
    return f'{{ cert: {a.path(name + ".crt")}, key: {a.path(name + ".key")} }}'


def test_clients_authorities(t):
    """Of listeners and of pools: at least one has to be able to verify something; the others are warned of."""
    a = authority(t)
    a.issue('leaf', 'root')
    a.between('mid', 'root')
    a.root('small', 'RSA-1024')

    def texts(file):
        yield listener(a.path('leaf.crt'), a.path('leaf.key'), f'client_auth: required\n      client_ca: {a.path(file)}')
        yield f'listeners: [ "127.0.0.1:1" ]\nroutes: [ {{ pool: p }} ]\npools: {{ p: {{ servers: ["127.0.0.1:2"], tls: {{ ca: {a.path(file)} }} }} }}\n'
    a.chain('bundle.crt', 'root.crt', 'small.crt')
    a.chain('whole.crt', 'mid.crt', 'root.crt')
    a.write('none.crt', 'nothing\n')
    for file, code, words in (('small.crt', 1, 'CN=small: its key is too weak (RSA of 1024 bits)'), ('leaf.crt', 1, "it is no authority's (basicConstraints lacks CA:TRUE)"),
                              ('mid.crt', 1, 'it is not a root, and its issuer is not in the file'), ('none.crt', 1, 'holds no certificate in PEM'),
                              ('bundle.crt', 0, 'nothing can be verified by certificate 2 of the file (CN=small)'), ('whole.crt', 0, ''), ('root.crt', 0, '')):
        for text in texts(file):
            said = check(t, text, code, words)
            if not words:
                ok('warning' not in said, said)


def test_what_servers_are_shown(t):
    """A pool's own certificate is judged as a listener's is."""
    a = authority(t)
    pool = 'listeners: [ "127.0.0.1:1" ]\nroutes: [ {{ pool: p }} ]\npools:\n  p:\n    servers: ["127.0.0.1:2"]\n    tls:\n      cert: {}\n      key: {}\n'
    a.issue('weak', 'root', 'RSA-1024')
    said = check(t, pool.format(a.path('weak.crt'), a.path('weak.key')), 1, 'RSA of 1024 bits')
    contains(said, 'standard input:7:')
    a.issue('one', 'root')
    a.issue('two', 'root')
    check(t, pool.format(a.path('one.crt'), a.path('two.key')), 1, f'{a.path("two.key")} is not the key of {a.path("one.crt")}')
    a.issue('server', 'root', extensions='extendedKeyUsage=serverAuth\n')
    check(t, pool.format(a.path('server.crt'), a.path('server.key')), 0, 'is not for clients (its extended key usage lacks clientAuth)')
    ok('warning' not in check(t, pool.format(a.path('one.crt'), a.path('one.key')), 0))


def test_open_keys_are_warned_of(t):
    a = authority(t)
    a.issue('one', 'root')
    text = listener(a.path('one.crt'), a.path('one.key'))
    ok('warning' not in check(t, text, 0))
    for mode in (0o644, 0o602):
        os.chmod(a.path('one.key'), mode)
        contains(check(t, text, 0, 'every user of this machine can read or write the key; chmod 600'), 'standard input:6:')
    os.chmod(a.path('one.key'), 0o640)
    ok('warning' not in check(t, text, 0), 'a group may share a key')


def test_a_new_certificate_is_served_and_a_bad_one_is_not(t):
    """Also one of the same size under the same name, put there twice within a moment."""
    a = authority(t)
    a.issue('leaf', 'root')
    port = t.port()
    a.chain('now.crt', 'leaf.crt')
    a.chain('now.key', 'leaf.key')
    weir = t.weir(listener(a.path('now.crt'), a.path('now.key'), port=port))

    def shown():
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(('127.0.0.1', port), 10) as s, context.wrap_socket(s, server_hostname='a.test') as tls:
            return tls.getpeercert(True)
    before = shown()
    weir.reload()
    equal(shown(), before)
    for _ in range(3):
        a.issue('leaf', 'root', key=False)
        a.chain('now.crt', 'leaf.crt')
        weir.reload()
        after = shown()
        ok(after != before, 'the old certificate is shown')
        before = after
    a.issue('weak', 'root', 'RSA-1024')
    a.chain('now.crt', 'weak.crt')
    a.chain('now.key', 'weak.key')
    weir.reload(good=False)
    contains(weir.stderr(), 'RSA of 1024 bits')
    equal(shown(), before)

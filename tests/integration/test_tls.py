"""TLS towards clients: certificates by name, versions, resumption."""
import errno
import time

from weirtest import *


def server(t, names=('a', 'b', 'wild'), tls='', origin=None, more=''):
    certificates = ', '.join(t.cert(n) for n in names)
    return t.simple(origin, f'tls: {{ certificates: [{certificates}]{", " + tls if tls else ""} }}', more=more)


def presented(t, port, name, **more):
    """The alternative names of the certificate that a client asking for `name` gets."""
    context = t.tls_client(check_hostname=False, **more)
    c = t.client(port, tls=context, name=name)
    names = [v for k, v in c.sock.getpeercert()['subjectAltName']]
    c.close()
    return names


def test_certificate_by_name(t):
    weir, port = server(t)
    for asked, got in (('a.test', 'a.test'), ('A.TEST', 'a.test'), ('b.test', 'b.test'), ('also-b.test', 'b.test'), ('x.wild.test', '*.wild.test'), ('unknown.test', 'a.test'),
                       ('deep.x.wild.test', 'a.test'), ('wild.test', 'a.test')):
        equal(presented(t, port, asked)[0], got, f'SNI {asked}')
    equal(presented(t, port, None)[0], 'a.test', 'without SNI')


def test_default_certificate(t):
    port = t.port()
    t.weir(f'''listeners:
  - address: "127.0.0.1:{port}"
    tls: {{ certificates: [{t.cert("a")}, {t.cert("b")[:-1]}, default: true }}] }}
routes: [ {{ respond: 204 }} ]
''')
    equal(presented(t, port, 'unknown.test')[0], 'b.test')


def test_strict_sni(t):
    weir, port = server(t, tls='strict_sni: true')
    equal(presented(t, port, 'b.test')[0], 'b.test')
    for name in ('unknown.test', 'x.b.test', None):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            try:
                presented(t, port, name, maximum_version=version)
                fail(f'{name} was served')
            except ssl.SSLError as error:
                equal(error.reason, 'TLSV1_UNRECOGNIZED_NAME')


def asked(t, port, name, hosts, http2, version, session=None):
    """The statuses of requests for each host on one connection, and its session."""
    context = t.tls_client(check_hostname=False, minimum_version=version, maximum_version=version)
    if session:
        context, session = session
    if http2:
        import h2test
        c = h2test.h2_client(t, port, tls=context, name=name)
        return [c.get(host=host).status for host in hosts], None
    sock = context.wrap_socket(socket.create_connection(('127.0.0.1', port), 10 * SLOW), server_hostname=name, session=session)
    ok(session is None or sock.session_reused, 'not resumed')
    got = []
    for host in hosts:
        sock.sendall(f'GET / HTTP/1.1\r\nHost: {host}\r\n\r\n'.encode())
        reader = Reader(sock)
        got.append(int(reader.until(b'\r\n\r\n').split()[1]))
    session = context, sock.session
    sock.close()
    return got, session


def test_authority(t):
    """With authority: covered a request for a host that the certificate shown lacks gets 421, on connections that go on; strict_sni means it too."""
    both = t.leaf('both', 'DNS:both.test,DNS:*.both.test,DNS:b.test,IP:127.0.0.1')
    certificates = [t.cert('a'), t.cert('b'), t.cert('wild'), f'{{ cert: {both}.crt, key: {both}.key }}', f'{{ cert: {t.certificates}/client.crt, key: {t.certificates}/client.key, names: [renamed.test] }}']
    rows = {
        'a.test': {'a.test': 200, 'A.TEST': 200, 'a.test:443': 200, 'a.test.': 200, 'b.test': 421, 'x.wild.test': 421, 'unknown.test': 421, '127.0.0.1': 421, 'xa.test': 421, 'test': 421},
        'b.test': {'b.test': 200, 'also-b.test': 200, 'both.test': 421, 'a.test': 421},
        'x.wild.test': {'x.wild.test': 200, 'y.wild.test': 200, 'y.x.wild.test': 421, 'wild.test': 421},
        'both.test': {'b.test': 200, 'x.both.test': 200, '127.0.0.1': 200, '127.0.0.1:8443': 200, '127.0.0.2': 421, 'also-b.test': 421},
        'renamed.test': {'renamed.test': 200, 'client.test': 200, 'a.test': 421},
        'unknown.test': {'unknown.test': 200, 'a.test': 200, 'b.test': 421},
        None: {'a.test': 200, 'b.test': 421, '127.0.0.1': 421},
    }
    for rule in ('strict_sni: true', 'authority: covered', 'strict_sni: true, authority: any', ''):
        port = t.port()
        weir = t.weir(f'listeners: [ {{ address: "127.0.0.1:{port}", tls: {{ certificates: [{", ".join(certificates)}], {rule} }} }} ]\nroutes: [ {{ respond: 200 }} ]\n')
        for name, hosts in rows.items():
            if 'strict_sni' in rule and name in (None, 'unknown.test'):
                continue
            wanted = [200] * len(hosts) if not rule else list(hosts.values())
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                got, session = asked(t, port, name, hosts, False, version)
                equal(got, wanted, f'{rule} {name} {list(hosts)}')
                equal(asked(t, port, name, hosts, False, version, session)[0], wanted, f'resumed: {rule} {name}')
            if has_http2():
                equal(asked(t, port, name, hosts, True, ssl.TLSVersion.TLSv1_3)[0], wanted, f'h2: {rule} {name}')
        if rule:
            equal(weir.access_line(status=421)['failure'], 'misdirected')
        weir.stop()


def test_authority_of_the_kind_shown(t):
    """It is the certificate that this client was shown that counts, not another that it might have been."""
    exact, wild = t.leaf('exact', 'DNS:a.wild.test'), t.leaf('wild', 'DNS:*.wild.test', rsa=True)
    port = t.port()
    t.weir(f'listeners: [ {{ address: "127.0.0.1:{port}", tls: {{ authority: covered, certificates: [ {{ cert: {exact}.crt, key: {exact}.key }}, {{ cert: {wild}.crt, key: {wild}.key }} ] }} }} ]\n'
           'routes: [ { respond: 200 } ]\n')
    for ciphers, wanted in (('ECDHE-ECDSA-AES128-GCM-SHA256', 421), ('ECDHE-RSA-AES128-GCM-SHA256', 200)):
        context = t.tls_client(check_hostname=False, maximum_version=ssl.TLSVersion.TLSv1_2)
        context.set_ciphers(ciphers)
        c = t.client(port, tls=context, name='a.wild.test')
        equal([c.get(host=host).status for host in ('a.wild.test', 'b.wild.test')], [200, wanted], ciphers)


# What a client of each kind says, in the version in which it says it.
RSA = (['-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256'], ['-tls1_2', '-sigalgs', 'RSA-PSS+SHA256:RSA+SHA256'], ['-tls1_3', '-sigalgs', 'RSA-PSS+SHA256'])
ECDSA = (['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256'], ['-tls1_2', '-sigalgs', 'ECDSA+SHA256:RSA+SHA1'], ['-tls1_3', '-sigalgs', 'ECDSA+SHA256'])
EITHER = (['-tls1_2'], ['-tls1_3'], ['-tls1_3', '-sigalgs', 'RSA-PSS+SHA256:ECDSA+SHA256'])


def test_kinds_of_keys(t):
    """A name's own certificate goes first; a client that cannot use it gets another that covers the name."""
    made = {}
    for name, names, rsa in (('exact-ec', 'DNS:a.wild.test', False), ('exact-rsa', 'DNS:a.wild.test', True), ('wild-ec', 'DNS:*.wild.test', False), ('wild-rsa', 'DNS:*.wild.test', True),
                             ('second-ec', 'DNS:a.wild.test', False)):
        path = t.leaf(name, names, rsa=rsa)
        made[name] = f'{{ cert: {path}.crt, key: {path}.key }}'

    def shown(port, client, name):
        done = subprocess.run(['openssl', 's_client', '-connect', f'127.0.0.1:{port}', *client, *(['-servername', name] if name else ['-noservername'])], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=20 * SLOW)
        found = re.search(r'subject=CN ?= ?(\S+)', done.stdout.decode(errors='replace'))
        return found[1] if found else None
    for certificates, wanted in (
            (['exact-ec', 'wild-rsa'], {'a.wild.test': ('exact-ec', 'wild-rsa', 'exact-ec'), 'b.wild.test': (None, 'wild-rsa', 'wild-rsa')}),
            (['wild-rsa', 'exact-ec'], {'a.wild.test': ('exact-ec', 'wild-rsa', 'exact-ec')}),
            (['exact-rsa', 'wild-ec'], {'a.wild.test': ('wild-ec', 'exact-rsa', 'exact-rsa'), 'b.wild.test': ('wild-ec', None, 'wild-ec')}),
            (['exact-ec', 'exact-rsa', 'wild-ec', 'wild-rsa'], {'a.wild.test': ('exact-ec', 'exact-rsa', 'exact-ec'), 'b.wild.test': ('wild-ec', 'wild-rsa', 'wild-ec'),
                                                                 None: ('exact-ec', 'exact-rsa', 'exact-ec')}),
            (['exact-rsa', 'exact-ec'], {None: ('exact-ec', 'exact-rsa', 'exact-rsa'), 'unknown.test': ('exact-ec', 'exact-rsa', 'exact-rsa')}),
            (['exact-ec', 'second-ec', 'exact-rsa'], {'a.wild.test': ('exact-ec', 'exact-rsa', 'exact-ec')})):
        port = t.port()
        weir = t.weir(f'listeners: [ {{ address: "127.0.0.1:{port}", tls: {{ certificates: [{", ".join(made[c] for c in certificates)}] }} }} ]\nroutes: [ {{ respond: 204 }} ]\n')
        for name, (of_ecdsa, of_rsa, of_either) in wanted.items():
            for clients, subject in ((ECDSA, of_ecdsa), (RSA, of_rsa), (EITHER, of_either)):
                for client in clients:
                    equal(shown(port, client, name), subject, f'{certificates} {name} {client}')
        weir.stop()


def test_versions(t):
    weir, port = server(t, ('localhost',))
    for version, text in ((ssl.TLSVersion.TLSv1_2, 'TLSv1.2'), (ssl.TLSVersion.TLSv1_3, 'TLSv1.3')):
        c = t.client(port, tls=t.tls_client(minimum_version=version, maximum_version=version), name='localhost')
        equal((c.sock.version(), c.get('/' + text).status), (text, 200))
        line = weir.access_line(path='/' + text)
        contains(line['tls'].replace(' ', ''), text[-3:])
        equal(line['sni'], 'localhost')


def test_min_version(t):
    weir, port = server(t, ('localhost',), 'min_version: "1.3"')
    context = t.tls_client(maximum_version=ssl.TLSVersion.TLSv1_2)
    try:
        t.client(port, tls=context, name='localhost')
        fail('TLS 1.2 was taken')
    except ssl.SSLError:
        pass
    equal(t.client(port, tls=t.tls_client(), name='localhost').get().status, 200)


def test_alpn(t):
    weir, port = server(t, ('localhost',))
    context = t.tls_client()
    context.set_alpn_protocols(['http/1.1'])
    c = t.client(port, tls=context, name='localhost')
    equal((c.sock.selected_alpn_protocol(), c.get().status), ('http/1.1', 200))


def test_alpn_of_http_1_0(t):
    """HTTP/1.0 is a version that HTTP/1 serves; it is agreed on with a client that offers nothing better."""
    for protocols in ('[h2, http/1.1]', '[http/1.1]') if has_http2() else ('[http/1.1]',):
        weir, port = t.simple(listener=f'tls: {{ certificates: [{t.cert("localhost")}] }}, protocols: {protocols}')
        for offer, agreed in ((['http/1.0'], 'http/1.0'), (['spdy/3', 'http/1.0'], 'http/1.0'), (['http/1.0', 'http/1.1'], 'http/1.1')):
            context = t.tls_client()
            context.set_alpn_protocols(offer)
            c = t.client(port, tls=context, name='localhost')
            equal(c.sock.selected_alpn_protocol(), agreed, str(offer))
            c.request(version='1.0')
            equal(c.response().status, 200)
        context = t.tls_client()
        context.set_alpn_protocols(['http/0.9'])
        try:
            t.client(port, tls=context, name='localhost')
            fail('what weir does not speak was agreed on')
        except ssl.SSLError as error:
            contains(str(error), 'no application protocol')
    if has_http2():
        weir, port = t.simple(listener=f'tls: {{ certificates: [{t.cert("localhost")}] }}, protocols: [h2]')
        context = t.tls_client()
        context.set_alpn_protocols(['http/1.0'])
        try:
            t.client(port, tls=context, name='localhost')
            fail('HTTP/1 was agreed on where only HTTP/2 is spoken')
        except ssl.SSLError as error:
            contains(str(error), 'no application protocol')


def test_resumption(t):
    weir, port = server(t, ('localhost',), more='workers: 2')
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = t.tls_client(minimum_version=version, maximum_version=version)
        c = t.client(port, tls=context, name='localhost')
        c.get()
        session = c.sock.session
        c.close()
        reused = 0
        for _ in range(6):       # whichever worker it is
            raw = socket.create_connection(('127.0.0.1', port), 5)
            again = context.wrap_socket(raw, server_hostname='localhost', session=session)
            reused += again.session_reused
            again.close()
        equal(reused, 6, str(version))


def test_each_connection_gets_a_ticket(t):
    """Clients of TLS 1.3 use one once (RFC 8446 C.4): each opens a connection and brings the next."""
    weir, port = server(t, ('localhost',))
    context = t.tls_client(minimum_version=ssl.TLSVersion.TLSv1_3)
    session, known = None, set()
    for turn in range(4):
        sock = context.wrap_socket(socket.create_connection(('127.0.0.1', port), 5), server_hostname='localhost', session=session)
        equal(sock.session_reused, turn > 0)
        sock.sendall(b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
        ok(sock.recv(65536).startswith(b'HTTP/1.1 200'))
        session = sock.session
        ok(session.id not in known, 'no ticket of its own')
        known.add(session.id)
        sock.close()


def test_tickets_survive_a_reload(t):
    weir, port = server(t, ('localhost',))
    context = t.tls_client(maximum_version=ssl.TLSVersion.TLSv1_2)
    c = t.client(port, tls=context, name='localhost')
    c.get()
    session = c.sock.session
    c.close()
    weir.reload()
    again = context.wrap_socket(socket.create_connection(('127.0.0.1', port), 5), server_hostname='localhost', session=session)
    ok(again.session_reused, 'not resumed')
    again.close()


def test_new_certificate_by_reload(t):
    weir, port = server(t, ('a',))
    kept = t.client(port, tls=t.tls_client(check_hostname=False), name='a.test')
    equal(kept.get().status, 200)
    weir.reload(open(weir.file).read().replace(t.cert('a'), t.cert('b')))
    equal(presented(t, port, 'b.test')[0], 'b.test')
    equal(kept.get().status, 200, 'a connection from before')


def test_client_certificate(t):
    ca = f'client_ca: {t.certificates}/ca.crt'
    weir, port = server(t, ('localhost',), f'client_auth: required, {ca}')
    context = t.tls_client()
    context.load_cert_chain(f'{t.certificates}/client.crt', f'{t.certificates}/client.key')
    equal(t.client(port, tls=context, name='localhost').get(host='localhost').status, 200)
    equal(t.client(port, tls=context, name='localhost').get(host='a.test').status, 421, 'a name that the handshake did not cover')
    for load in (None, 'stranger'):
        context = t.tls_client()
        if load:
            context.load_cert_chain(f'{t.certificates}/{load}.crt', f'{t.certificates}/{load}.key')
        try:
            c = t.client(port, tls=context, name='localhost')
            c.request()
            c.response()
            fail(f'served with the certificate {load}')
        except (ssl.SSLError, Closed, ConnectionResetError):
            pass


def test_clean_end(t):
    """The end of a response until close is told by close_notify, so that a client can tell it from a cut."""
    weir, port = server(t, ('localhost',))
    c = t.client(port, tls=t.tls_client(), name='localhost')
    c.sock.suppress_ragged_eofs = False
    c.request('GET', '/', {'Connection': 'close'})
    equal(c.response().status, 200)
    equal(c.sock.recv(100), b'')


def test_handshake_that_never_comes(t):
    weir, port = server(t, ('localhost',), more='tls: { handshake_timeout: 400ms }')
    c = t.client(port)
    began = Since()
    ok(c.ended())
    began.took(0.2, 3)
    c = t.client(port)
    c.send(b'\x16\x03\x01\x02\x00\x01')
    ok(c.ended())


def test_garbage(t):
    weir, port = server(t, ('localhost',))
    for junk in (b'\x00' * 100, b'\x16\x03\x01\xff\xff' + b'a' * 500, b'\x80\x80' * 50):
        c = t.client(port)
        try:
            c.send(junk)
            c.finish()      # where it was reset before, that is no connection any more
            c.reader.rest()
        except OSError as error:
            ok(error.errno in (errno.ECONNRESET, errno.ENOTCONN, errno.EPIPE), str(error))
    equal(t.client(port, tls=t.tls_client(), name='localhost').get().status, 200)


def test_record_boundaries(t):
    """Requests that begin and end in the middle of records, and many in one record."""
    weir, port = server(t, ('localhost',))
    c = t.client(port, tls=t.tls_client(), name='localhost')
    c.send(''.join(f'GET /{i} HTTP/1.1\r\nHost: test\r\n\r\n' for i in range(50)))
    equal([c.response().json()['target'] for _ in range(50)], [f'/{i}' for i in range(50)])
    for byte in b'GET /single HTTP/1.1\r\nHost: test\r\n\r\n':
        c.send(bytes([byte]))
    equal(c.response().json()['target'], '/single')


def test_ciphers(t):
    """AES-128 first; ChaCha20 for who likes it best; and what the file says."""
    weir, port = server(t, ('localhost',))
    told = t.simple(None, f'tls: {{ certificates: [{t.cert("localhost")}], ciphers: ECDHE+CHACHA20, ciphersuites: TLS_AES_256_GCM_SHA384 }}')[1]
    for port, version, ciphers, got in (
            (port, '-tls1_3', '', 'TLS_AES_128_GCM_SHA256'),
            (port, '-tls1_3', 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256', 'TLS_AES_128_GCM_SHA256'),
            (port, '-tls1_3', 'TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256', 'TLS_CHACHA20_POLY1305_SHA256'),
            (port, '-tls1_2', '', 'ECDHE-ECDSA-AES128-GCM-SHA256'),
            (port, '-tls1_2', 'ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA', 'ECDHE-ECDSA-AES256-GCM-SHA384'),
            (port, '-tls1_2', 'ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305'),
            (told, '-tls1_3', '', 'TLS_AES_256_GCM_SHA384'), (told, '-tls1_2', '', 'ECDHE-ECDSA-CHACHA20-POLY1305')):
        wanted = [('-ciphersuites', '-cipher')[version == '-tls1_2'], ciphers] if ciphers else []
        done = subprocess.run(['openssl', 's_client', '-connect', f'127.0.0.1:{port}', version, *wanted], stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
        contains(done.stdout.decode(errors='replace'), f'Cipher is {got}\n')


def test_openssl_client(t):
    weir, port = server(t, ('localhost',))
    done = subprocess.run(['openssl', 's_client', '-connect', f'127.0.0.1:{port}', '-servername', 'localhost', '-CAfile', f'{t.certificates}/ca.crt', '-verify_return_error',
                           '-quiet'], input=b'GET /s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', capture_output=True, timeout=20)
    contains(done.stdout.decode(errors='replace'), '"target": "/s"')


def test_forwarded_scheme(t):
    weir, port = server(t, ('localhost',))
    fields = Fields(t.client(port, tls=t.tls_client(), name='localhost').get().json()['fields'])
    equal(fields.get('x-forwarded-proto'), 'https')
    contains(fields.get('forwarded'), 'proto=https')

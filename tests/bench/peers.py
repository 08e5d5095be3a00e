"""The proxies that `run` can measure, each with the configuration it is measured with.

To add one, write a function `def name(c):` that writes its configuration with c.write() and returns a dict:
    cmd     argv, run in the foreground
    reload  optional: a signal number for the started process, or an argv to run
and decorate it with @peer(program). `c` offers:
    c.workers            threads or processes to use
    c.http c.ec c.rsa    listen ports on 127.0.0.1: plain, TLS with the ECDSA P-256 certificate, TLS with the RSA-2048 one
                         (h2 and http/1.1 by ALPN)
    c.backends           list of three backend ports, to use round-robin, kept alive
    c.routes             [] = everything to the pool, else [(host, path_prefix)...]
    c.cert(kind)         (crt, key, both-in-one) paths for kind 'ec' or 'rsa'
    c.dir, c.write(name, text) -> path, c.env (environment to run with)
All: no access log, keep-alive on both sides, X-Forwarded-For added, large enough limits. The programs come from the environment
(WEIR, HAPROXY, NGINX, CADDY, H2O), else from PATH; one that is not there is left out.
"""
import json
import os
import re
import signal
import shutil
import subprocess
from itertools import groupby

PEERS = {}


def program(name):
    """Where it is; None: not here."""
    return shutil.which(os.environ.get(name.upper(), name))


def peer(needs):
    def add(f):
        if program(needs):
            PEERS[f.__name__.replace('_', '-')] = f
        return f
    return add


def weir_config(c, name):
    tls = ''.join(f'''  - address: "127.0.0.1:{port}"
    protocols: [h2, http/1.1]
    tls: {{ certificates: [{{ cert: {c.cert(k)[0]}, key: {c.cert(k)[1]} }}] }}
''' for k, port in (('ec', c.ec), ('rsa', c.rsa)))
    routes = ''.join(f'  - {{ match: {{ host: "{h}", path: "{p if p.endswith("/") else p + "/"}" }}, pool: pool }}\n'
                     for h, p in c.routes) or '  - pool: pool\n'
    servers = ', '.join(f'"127.0.0.1:{p}"' for p in c.backends)
    cfg = c.write('weir.yaml', f'''workers: {c.workers}
access_log: false
listeners:
  - address: "127.0.0.1:{c.http}"
{tls}routes:
{routes}pools:
  pool:
    balance: round_robin
    servers: [{servers}]
''')
    return {'cmd': [program(name), 'run', '-c', cfg],
            'reload': signal.SIGHUP}


@peer('weir')
def weir(c):
    return weir_config(c, 'weir')


@peer('weir_alt')
def weir_alt(c):                        # another build, from WEIR_ALT: before and after in one run
    return weir_config(c, 'weir_alt')


def by_host(routes):
    return [(h, [p for _, p in g]) for h, g in groupby(sorted(routes), lambda r: r[0])]


def haproxy_config(c, extra='', rules=None, glob=''):
    if c.routes and rules is None:      # one map lookup: longest prefix of host+path
        m = c.write('routes.map', ''.join(f'{h}{p} pool\n' for h, p in c.routes))
        rules = f'  use_backend %[base,map_beg({m})]\n'
    tls = ''.join(f'  bind 127.0.0.1:{port} ssl crt {c.cert(k)[2]} alpn h2,http/1.1\n'
                  for k, port in (('ec', c.ec), ('rsa', c.rsa)))
    servers = ''.join(f'  server s{i} 127.0.0.1:{p}\n' for i, p in enumerate(c.backends))
    cfg = c.write('haproxy.cfg', f'''global
  nbthread {c.workers}
  maxconn 11000
  no strict-limits
  tune.ssl.cachesize 20000
{glob}defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout http-keep-alive 300s
  http-reuse always
  option forwardfor
{extra}frontend f
  bind 127.0.0.1:{c.http}
{tls}{rules or ''}{'' if c.routes else '  default_backend pool' + chr(10)}backend pool
  balance roundrobin
{servers}''')
    return {'cmd': [program('haproxy'), '-W', '-db', '-f', cfg],
            'reload': signal.SIGUSR2}


@peer('haproxy')
def haproxy(c):
    return haproxy_config(c)


@peer('haproxy')
def haproxy_splice(c):
    return haproxy_config(c, '  option splice-response\n  option splice-request\n')


def nginx_config(c, http_extra=''):
    exe = program('nginx')
    ver = subprocess.run([exe, '-v'], capture_output=True, text=True).stderr
    old = tuple(map(int, re.search(r'/(\d+)\.(\d+)', ver).groups())) < (1, 25)  # no http2 directive
    ssl = ' ssl http2' if old else ' ssl'

    def site(port, kind):               # one certificate per port, so a server block each
        reuse = ' reuseport backlog=4096' if c.workers > 1 else ' backlog=4096'
        cert = '' if not kind else (f'    ssl_certificate {c.cert(kind)[0]};\n'
                                    f'    ssl_certificate_key {c.cert(kind)[1]};\n')
        out = []
        for n, (host, paths) in enumerate(by_host(c.routes) or [('_', ['/'])]):
            out.append(f'  server {{\n    listen 127.0.0.1:{port}{ssl if kind else ""}'
                       f'{reuse if n == 0 else ""};\n    server_name {host};\n{cert}'
                       + ''.join(f'    location {p} {{ proxy_pass http://pool; }}\n' for p in paths)
                       + '  }\n')
        return ''.join(out)
    listeners = [(c.http, None)] + ([] if len(c.routes) > 100 else [(c.ec, 'ec'), (c.rsa, 'rsa')])
    sites = ''.join(site(p, k) for p, k in listeners)
    servers = ''.join(f'    server 127.0.0.1:{p};\n' for p in c.backends)
    cfg = c.write('nginx.conf', f'''worker_processes {c.workers};
daemon off;
pid {c.dir}/nginx.pid;
error_log {c.dir}/error.log crit;
worker_rlimit_nofile 20000;
events {{ worker_connections 16000; }}
http {{
  access_log off;
  {'' if old else 'http2 on;'}
  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  client_max_body_size 100m;
  client_body_buffer_size 128k;
  client_body_temp_path {c.dir}/body;
  proxy_temp_path {c.dir}/proxy;
  fastcgi_temp_path {c.dir}/f;
  uwsgi_temp_path {c.dir}/u;
  scgi_temp_path {c.dir}/s;
  proxy_max_temp_file_size 0;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:s:10m;
  server_names_hash_max_size 65536;
  server_names_hash_bucket_size 128;
{http_extra}  upstream pool {{
{servers}    keepalive 256;
    keepalive_requests 1000000000;
    keepalive_timeout 300s;
  }}
{sites}}}
''')
    return {'cmd': [exe, '-p', c.dir, '-c', cfg, '-e', c.dir + '/error.log'],
            'reload': signal.SIGHUP}


@peer('nginx')
def nginx(c):
    return nginx_config(c)


@peer('nginx')
def nginx_bigbuf(c):                    # buffers sized for bulk transfer
    return nginx_config(c, '  proxy_buffer_size 64k;\n  proxy_buffers 4 128k;\n'
                           '  proxy_busy_buffers_size 256k;\n  ssl_buffer_size 16k;\n')


@peer('caddy')
def caddy(c):
    handler = {'handler': 'reverse_proxy',
               'upstreams': [{'dial': f'127.0.0.1:{p}'} for p in c.backends],
               'load_balancing': {'selection_policy': {'policy': 'round_robin'}},
               'transport': {'protocol': 'http', 'compression': False,
                             'keep_alive': {'idle_timeout': '300s',
                                            'max_idle_conns_per_host': 256}}}
    routes = [{'match': [{'host': [h]}], 'handle': [{'handler': 'subroute', 'routes': [
        {'match': [{'path': [p + '*']}], 'handle': [handler]} for p in paths]}], 'terminal': True}
        for h, paths in by_host(c.routes)] or [{'handle': [handler]}]

    def srv(port, kind):
        s = {'listen': [f'127.0.0.1:{port}'], 'routes': routes, 'idle_timeout': '300s',
             'automatic_https': {'disable': True}}
        if kind:
            s['tls_connection_policies'] = [{'certificate_selection': {'any_tag': [kind]}}]
        return s
    servers = {'plain': srv(c.http, None)}
    if len(c.routes) <= 100:
        servers.update(ec=srv(c.ec, 'ec'), rsa=srv(c.rsa, 'rsa'))
    cfg = c.write('caddy.json', json.dumps({
        'admin': {'listen': f'127.0.0.1:{c.admin}'},
        'logging': {'logs': {'default': {'level': 'ERROR'}}},
        'apps': {'http': {'servers': servers, 'grace_period': '5s'},
                 'tls': {'certificates': {'load_files': [
                     {'certificate': c.cert(k)[0], 'key': c.cert(k)[1], 'tags': [k]}
                     for k in ('ec', 'rsa')]}}}}))
    c.env.update(GOMAXPROCS=str(c.workers), HOME=c.dir, XDG_DATA_HOME=c.dir, XDG_CONFIG_HOME=c.dir)
    exe = program('caddy')
    return {'cmd': [exe, 'run', '--config', cfg],
            'reload': [exe, 'reload', '--force', '--config', cfg,
                       '--address', f'127.0.0.1:{c.admin}']}


@peer('h2o')
def h2o(c):
    def listen(port, kind):
        tls = f', ssl: {{ certificate-file: {c.cert(kind)[0]}, key-file: {c.cert(kind)[1]} }}' if kind else ''
        return f'  - {{ host: 127.0.0.1, port: {port}{tls} }}\n'

    def path(p):
        return f'      "{p}":\n        proxy.reverse.backends: [{servers}]\n'
    servers = ', '.join(f'"http://127.0.0.1:{p}/"' for p in c.backends)
    hosts = ''.join(f'  "{h}":\n    paths:\n' + ''.join(map(path, paths)) for h, paths in by_host(c.routes)) \
        or '  default:\n    paths:\n' + path('/')
    listeners = [(c.http, None)] + ([] if len(c.routes) > 100 else [(c.ec, 'ec'), (c.rsa, 'rsa')])
    cfg = c.write('h2o.conf', f'''num-threads: {c.workers}
listen:
{''.join(listen(*x) for x in listeners)}proxy.preserve-host: ON
proxy.timeout.keepalive: 300000
http1-request-timeout: 300
hosts:
{hosts}''')
    return {'cmd': [program('h2o'), '-c', cfg]}

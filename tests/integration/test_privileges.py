"""Who weir is, whom it trusts with secrets, and what it can still reach once it has become another user."""
import os, shutil, signal, subprocess

from weirtest import *

ROOT = 'serves as root'
OPEN = 'every user of this machine can read or write'


def only_root():
    if os.geteuid() != 0:
        raise Skipped('not root')


def said_by(t, *options, path, code=None):
    done = t.run('check', *options, '-c', path)
    if code is not None:
        equal(done.returncode, code, done.stderr)
    return done.stderr


def test_root_is_told(t):
    """By check in each of its strengths that look at this machine, where strict makes an error of it, and by the log of a start."""
    only_root()
    os.chmod(t.work, 0o755)
    text = f'listeners: ["127.0.0.1:{t.port()}"]\nroutes: [ {{ respond: 204 }} ]\n'
    for user, told in (('', True), ('user: root\n', True), ('user: "0:0"\n', True), ('user: nobody\n', False)):
        path = t.file('root.yaml', user + text)
        for options in ((), ('--here',)):
            equal(ROOT in said_by(t, *options, path=path, code=0), told, f'{user} {options}')
            equal(ROOT in said_by(t, *options, '--strict', path=path, code=1 if told else 0), told)
        ok(ROOT not in said_by(t, '--file-only', '--strict', path=path, code=0), 'of another machine nothing is known')
        weir = t.weir(user + text)
        weir.stop()
        equal(ROOT in weir.stderr(), told, user)
    if shutil.which('setpriv'):
        done = subprocess.run(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', WEIR, 'check', '--strict', '-c', '-'], input=text, capture_output=True, text=True)
        ok(ROOT not in done.stderr, done.stderr)


def test_secrets_that_all_can_read(t):
    """Every file that holds a secret, and the file itself where one stands in it: the same rule for all."""
    secret = t.file('secrets', 'one secret that is long enough\n')
    shutil.copy(t.certificates + '/client.key', t.work + '/own.key')
    shutil.copy(t.certificates + '/localhost.key', t.work + '/site.key')
    included = t.file('conf.d/app.yaml', f'''pools:
  app:
    servers: ["127.0.0.1:2"]
    tls: {{ ca: {t.certificates}/ca.crt, cert: {t.certificates}/client.crt, key: {t.work}/own.key }}
    sticky: {{ secret_file: {secret}, secrets: ["${{env.STICKY}}", "words that stand in the file"] }}
''')
    path = t.file('open.yaml', f'''include: conf.d/*.yaml
listeners: [ {{ address: ":1", tls: {{ certificates: [ {{ cert: {t.certificates}/localhost.crt, key: {t.work}/site.key }} ] }} }} ]
routes: [ {{ pool: app }} ]
''')
    files = {secret: 'the secret;', t.work + '/own.key': 'the key;', t.work + '/site.key': 'the key;', included: 'the secret that stands in it;'}

    def told():
        done = t.run('check', '-c', path, env={'STICKY': 'a secret of the environment'})
        equal(done.returncode, 0, done.stderr)
        return [line for line in done.stderr.split('\n') if OPEN in line]
    for name in files:
        os.chmod(name, 0o640)
    equal(told(), [], 'a group may share a secret')
    for name, what in files.items():
        for mode in (0o644, 0o602):
            os.chmod(name, mode)
            lines = told()
            equal(len(lines), 1, f'{name}: {lines}')
            contains(lines[0], f'{name}: {OPEN} {what} chmod 600')
            ok(re.match(r'\S+\.yaml:\d+:\d+: ', lines[0]), lines[0])
        os.chmod(name, 0o600)
    os.chmod(path, 0o644)
    equal(told(), [], 'no secret stands in it')
    os.chmod(included, 0o644)
    with open(included) as f:
        text = f.read()
    t.file('conf.d/app.yaml', text.replace(', "words that stand in the file"', ''))
    equal(told(), [], 'a secret of the environment does not stand in the file')


def reach(t, user='nobody'):
    """A file whose parts another user may read, and each part by name."""
    os.chmod(t.work, 0o755)
    for name in ('site.crt', 'site.key', 'ca.crt', 'own.crt', 'own.key'):
        source = {'site.crt': 'localhost.crt', 'site.key': 'localhost.key', 'own.crt': 'client.crt', 'own.key': 'client.key'}.get(name, name)
        os.makedirs(t.work + '/tls', exist_ok=True)
        shutil.copy(f'{t.certificates}/{source}', f'{t.work}/tls/{name}')
    secret, body = t.file('secrets', 'one secret that is long enough\n'), t.file('body', 'hello')
    included = t.file('conf.d/a.yaml', 'pools: { other: { servers: ["127.0.0.1:1"] } }\n')
    tls = t.work + '/tls'
    port = t.port()
    path = t.file('reach.yaml', f'''user: {user}
include: conf.d/*.yaml
listeners: [ {{ address: "127.0.0.1:{port}", tls: {{ certificates: [ {{ cert: {tls}/site.crt, key: {tls}/site.key }} ], client_auth: optional, client_ca: {tls}/ca.crt }} }} ]
routes: [ {{ match: {{ path: /x }}, respond: {{ file: {body} }} }}, {{ pool: app }} ]
pools: {{ app: {{ servers: ["127.0.0.1:1"], tls: {{ ca: {tls}/ca.crt, cert: {tls}/own.crt, key: {tls}/own.key }}, sticky: {{ secret_file: {secret} }} }} }}
''')
    files = [path, included, secret, body] + [f'{tls}/{name}' for name in ('site.crt', 'site.key', 'ca.crt', 'own.crt', 'own.key')]
    for name in files:
        shutil.chown(name, 0, 65534)
        os.chmod(name, 0o640)
    return path, files, port


def test_keys_of_root_and_a_user(t):
    """A start as root can read them, a reload as another user can't: check tells, --here of that very user, and a start tells in the log."""
    only_root()
    path, files, port = reach(t)
    for options in ((), ('--here',)):
        said = said_by(t, *options, path=path, code=0)
        ok('every reload fails' not in said, said)
    for name in files:
        shutil.chown(name, 0, 0)
        for options, who in (((), 'only root can read it'), (('--here',), 'user "nobody" cannot read it')):
            said = said_by(t, *options, path=path, code=0)
            equal(said.count('every reload fails'), 1, name + said)
            contains(said, f'{name}: {who}, so once weir is user "nobody" every reload fails; chgrp it to a group of that user and chmod g+r')
            equal(t.run('check', *options, '--strict', '-c', path).returncode, 1)
        shutil.chown(name, 0, 65534)
    key = t.work + '/tls/site.key'
    os.chmod(key, 0o600)        # another group than root's, but without the right
    shutil.chown(key, 1, 1)     # and of a third user: only that user can tell
    ok('every reload fails' not in said_by(t, path=path), 'nothing is known of it')
    contains(said_by(t, '--here', path=path), f'{key}: user "nobody" cannot read it')
    os.chmod(key, 0o644)
    os.chmod(t.work + '/tls', 0o700)
    for options in ((), ('--here',)):
        contains(said_by(t, *options, path=path), f'enter {t.work}/tls, so once weir is user "nobody" every reload fails; chgrp it to a group of that user and chmod g+x')
    weir = t.weir(None, command=[WEIR, 'run', '-c', path])
    weir.log_line(f'enter {t.work}/tls')
    weir.signal(signal.SIGHUP)
    weir.log_line('reload failed')
    os.chmod(t.work + '/tls', 0o755)
    weir.reload(good=False)
    weir.log_line('configuration loaded')
    # A folder that can't be looked into is no folder without files.
    os.chmod(t.work + '/conf.d', 0o700)
    weir.reload(good=False)
    weir.log_line(f'cannot look for files {t.work}/conf.d/*.yaml: Permission denied')
    equal(weir.stderr().count('configuration loaded'), 1, 'files of a folder that is closed were left out')


def test_logs_of_root_and_a_user(t):
    """They are opened before weir becomes that user, who may not be able to open them again."""
    only_root()
    os.chmod(t.work, 0o755)
    os.mkdir(t.work + '/logs', 0o755)
    path = t.file('logs.yaml', f'''user: nobody
listeners: ["127.0.0.1:{t.port()}"]
log: {t.work}/logs/weir.log
access_log: {t.work}/logs/access.log
routes: [ {{ respond: 204 }} ]
''')
    logs = [f'{t.work}/logs/weir.log', f'{t.work}/logs/access.log']

    def told(*options):
        said = said_by(t, *options, path=path, code=0)
        return [log for log in logs if f'{log}: ' in said and 'SIGUSR1 and rotation fail; chown it and its folder to that user' in said]
    for options in ((), ('--here',)):
        equal(told(*options), logs, f'{options}')
    ok(not os.path.exists(logs[0]), 'nothing is made')
    weir = t.weir(None, command=[WEIR, 'run', '-c', path])
    weir.stop()
    text = open(logs[0]).read()
    for log in logs:
        contains(text, f'{log}: user \\"nobody\\" cannot open this log again')
    shutil.chown(logs[0], 65534)
    for options in ((), ('--here',)):
        equal(told(*options), logs[1:], 'a file that is that user\'s can be opened again')
    shutil.chown(t.work + '/logs', 65534)
    for options in ((), ('--here',)):
        equal(told(*options), [], 'in a folder of that user\'s another one is made')
    weir = t.weir(None, command=[WEIR, 'run', '-c', path])
    for log in logs:
        os.rename(log, log + '.1')
    weir.signal(signal.SIGUSR1)
    eventually(lambda: all(os.path.exists(log) for log in logs))
    ok('out of reach' not in open(logs[0] + '.1').read().split('ended')[-1])


def test_sockets_of_root_and_a_user(t):
    """Those of listeners are made before weir becomes that user, who may not be able to make or remove one."""
    only_root()
    os.chmod(t.work, 0o755)
    os.mkdir(t.work + '/sockets', 0o755)
    sockets = [f'{t.work}/sockets/a', f'{t.work}/sockets/b']
    text = 'user: nobody\nlisteners: [{}]\nroutes: [ {{ respond: 204 }} ]\n'
    path = t.file('sockets.yaml', text.format(', '.join(f'"unix:{name}"' for name in sockets)))

    def told(*options):
        said = said_by(t, *options, path=path, code=0)
        return [name for name in sockets if re.search(re.escape(name) + ': .* make or remove a socket in its folder, .*; chown the folder to that user', said)]
    for options in ((), ('--here',)):
        equal(told(*options), sockets, f'{options}')
    weir = t.weir(text.format(f'"unix:{sockets[0]}"'))
    weir.log_line('make or remove a socket in its folder')
    weir.reload(open(path).read(), good=False)
    contains(weir.log_line('reload failed'), f'unix:{sockets[1]}: Permission denied')
    weir.stop()
    ok(os.path.exists(sockets[0]), 'the manual says that it stays')
    shutil.chown(t.work + '/sockets', 65534)
    for options in ((), ('--here',)):
        equal(told(*options), [], f'{options}')
    weir = t.weir(text.format(f'"unix:{sockets[0]}"'))
    weir.reload(open(path).read())
    ok(os.path.exists(sockets[1]))
    weir.stop()
    equal(os.listdir(t.work + '/sockets'), [])
    ok('a socket in its folder' not in weir.stderr(), weir.stderr())


FAILING = r'''
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
/* The call that $FAILING names fails. */
static int fails(const char *name)
{
    const char *wanted = getenv("FAILING");
    errno = EPERM;
    return wanted != NULL && strcmp(wanted, name) == 0;
}
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
int setgroups(size_t count, const gid_t *groups) { return fails("setgroups") ? -1 : REAL(setgroups)(count, groups); }
int initgroups(const char *user, gid_t group) { return fails("initgroups") ? -1 : REAL(initgroups)(user, group); }
int setgid(gid_t group) { return fails("setgid") ? -1 : REAL(setgid)(group); }
int setuid(uid_t user) { return user != 0 && fails("setuid") ? -1 : user != 0 && fails("setuid_lies") ? 0 : REAL(setuid)(user); }
int prctl(int option, ...)
{
    va_list list;
    va_start(list, option);
    unsigned long a = va_arg(list, unsigned long), b = va_arg(list, unsigned long), c = va_arg(list, unsigned long), d = va_arg(list, unsigned long);
    va_end(list);
    if (option == PR_SET_KEEPCAPS && fails(a ? "keepcaps" : "unkeepcaps"))
        return -1;
    return (int)syscall(SYS_prctl, option, a, b, c, d);
}
long syscall(long number, ...)
{
    va_list list;
    va_start(list, number);
    long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long), d = va_arg(list, long), e = va_arg(list, long), f = va_arg(list, long);
    va_end(list);
    if ((number == SYS_capget && fails("capget")) || (number == SYS_capset && fails("capset")))
        return -1;
    return REAL(syscall)(number, a, b, c, d, e, f);
}
'''


def test_a_user_is_become_wholly_or_not_at_all(t):
    """Whatever step of it fails, weir ends with the reason and serves nobody."""
    only_root()
    compiler = shutil.which('cc') or shutil.which('gcc') or shutil.which('clang')
    if compiler is None:
        raise Skipped('there is no C compiler')
    os.chmod(t.work, 0o755)
    source = t.file('failing.c', FAILING)
    subprocess.run([compiler, '-shared', '-fPIC', '-o', t.work + '/failing.so', source, '-ldl'], check=True)
    env = {'LD_PRELOAD': t.work + '/failing.so', 'ASAN_OPTIONS': 'exitcode=99:detect_leaks=0:verify_asan_link_order=0'}
    port = t.port()
    text = f'listeners: ["127.0.0.1:{port}"]\nroutes: [ {{ respond: 204 }} ]\n'
    steps = [('nobody', step) for step in ('keepcaps', 'initgroups', 'setgid', 'setuid', 'setuid_lies', 'unkeepcaps', 'capget', 'capset')] + [('12345', 'setgroups')]
    for user, step in steps:
        done = t.run('run', '-c', t.file('user.yaml', f'user: {user}\n' + text), env=dict(env, FAILING=step))
        equal(done.returncode, 1, f'{step}: {done.stderr}')
        contains(done.stderr, f'cannot become user "{user}": ')
    weir = t.weir('user: nobody\n' + text, env=dict(env, FAILING='nothing'))
    equal(t.client(port).get().status, 204)
    for task in os.listdir(f'/proc/{weir.pid}/task'):       # those that ran before it was dropped, too
        status = dict(line.rstrip('\n').split(':\t', 1) for line in open(f'/proc/{weir.pid}/task/{task}/status') if ':\t' in line)
        equal((status['Uid'].split(), status['Gid'].split(), status['CapInh']), (['65534'] * 4, ['65534'] * 4, '0' * 16), status['Name'])
        ok(int(status['CapPrm'], 16) in (0, 1 << 10), status['Name'] + status['CapPrm'])
        equal(int(status['Groups'].split()[0]), 65534, status['Name'])

"""The README: what it says to type works as it stands."""
import signal

from weirtest import *

README = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'README.md')


def commands(text):
    """The lines that are meant to be typed: indented by four, as they stand."""
    return [block for block in re.findall(r'\n\n((?:    .*\n|\n(?=    ))+)', text)]


def test_five_minutes(t):
    """All of "Five minutes", in one shell and in order, but for ports that others may have: those are changed to free ones."""
    text = open(README).read().split('## Five minutes')[1].split('\n## ')[0]
    script = '\n'.join(re.sub('^    ', '', block, flags=re.M) for block in commands(text))
    for part in ('weir proxy', 'weir check', 'weir explain', 'weir run', 'kill -HUP'):
        contains(script, part)
    for port in ('3000', '8080', '8081'):
        script = re.sub(rf'\b{port}\b', str(t.port()), script)
    os.mkdir(t.work + '/build')
    os.symlink(WEIR, t.work + '/build/weir')
    script = 'set -e -m\n' + script.replace('sleep 1;', 'sleep 2;') + '\nwait\n'
    done = subprocess.run(['bash', '-c', script], cwd=t.work, capture_output=True, text=True, timeout=50)
    equal(done.returncode, 0, done.stdout + done.stderr)
    for part in ('HTTP/1.1 200', 'is good: 1 listener', 'respond with 200', '\nok\n', '\nhello\n'):
        contains(done.stdout, part)
    contains(done.stderr, 'message="configuration loaded"')

"""A short run of `crossings`, which is a program of its own: every pair of versions under load, with each byte and each line of the log accounted for."""
from weirtest import *

NEEDS_HTTP2 = True


def test_every_pair(t):
    if not os.path.exists(os.path.join(os.path.dirname(WEIR), 'Makefile')):
        raise Skipped('its load program is built beside the weir that was built')
    done = subprocess.run([os.path.join(HERE, 'crossings'), '--weir', WEIR, '--requests', '2000', '--seconds', str(int(20 * SLOW)), *(['--sanitized'] if SLOW > 1 else [])],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    equal(done.returncode, 0, done.stdout[-8000:])

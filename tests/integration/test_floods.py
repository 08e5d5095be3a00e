"""Some of the attacks of `floods`, for a second each: the whole of them is a program of its own."""
from weirtest import *

NEEDS_HTTP2 = True


def flood(*names):
    """Time and memory are a quiet machine's and a plain build's: here they only bound what would be a collapse."""
    done = subprocess.run([os.path.join(HERE, 'floods'), '--weir', WEIR, '--seconds', '1.2', '--connections', '1', '--only', ','.join(names), '--any-rest',
                           '--p99', str(1000 * SLOW), '--growth', '10' if SLOW == 1 else '1000'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    equal(done.returncode, 0, done.stdout)


def test_requests_that_are_reset(t):
    flood('rapid-reset', 'made-reset-window-over', 'data-empty')


def test_heads_and_settings(t):
    flood('continuation', 'hpack-bomb', 'settings-unread')

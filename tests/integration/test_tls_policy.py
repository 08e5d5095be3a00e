"""TLS towards clients at random, against a model (tls_policy.py); `policy` does the same for as long as one likes."""
from tls_policy import *


def sequence(t, seed, steps=120):
    seen = World(t, seed).run(steps)
    for what in ('204', '421', 'None', 'resumed', 'full'):
        ok(seen[int(what) if what.isdigit() else what] >= 2, f'seed {seed} tries too little: {seen}')


def test_sequences(t):
    for seed in (1, 2, 3):
        sequence(t, seed)


def test_another_sequence(t):
    """Of a seed that is new each time, and told when it fails."""
    World(t, random.randrange(10 ** 9)).run(150)

"""The manual: its whole files are good, and what it tells to write exists."""
from weirtest import *

MAN = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'man')


def section(page, name):
    text = open(os.path.join(MAN, page)).read()
    return re.search(rf'^\.Sh {name}\n(.*?)(?=^\.Sh |\Z)', text, re.S | re.M).group(1)


def literals(text):
    blocks = re.findall(r'^\.Bd -literal[^\n]*\n(.*?)^\.Ed', text, re.S | re.M)
    return [re.sub(r'^\\&', '', block, flags=re.M).replace('\\e', '\\') for block in blocks]


def test_tasks(t):
    """Each task is a whole file, and good without a warning."""
    tasks = section('weir.yaml.5', 'TASKS')
    blocks = literals(tasks)
    ok(len(blocks) >= 30, len(blocks))
    equal(len(blocks), len(re.findall(r'^\.Ss ', tasks, re.M)), 'a file for each task')
    for block in blocks:
        done = t.run('check', '--file-only', '--strict', '-c', '-', stdin=block)
        equal(done.returncode, 0, block + done.stderr)


def test_examples(t):
    for block in literals(section('weir.yaml.5', 'EXAMPLES')):
        done = t.run('check', '--file-only', '--strict', '-c', '-', stdin=block)
        equal(done.returncode, 0, block + done.stderr)


def test_variables(t):
    """Each that templates know can be written, alone and in a text, in braces as the manual has them."""
    known = re.search(r'^Templates know besides:\n(.*?)^In a template', open(os.path.join(MAN, 'weir.yaml.5')).read(), re.S | re.M).group(1)
    names = [n.replace('NAME', 'X-A') for n in re.findall(r'\$\{[^}]*\}', known)]
    ok(len(names) >= 16, names)
    for name in names:
        done = t.run('check', '--file-only', '-c', '-', stdin=f'''listeners: ":8080"
routes: [ {{ respond: {{ body: "of {name}." }}, response: {{ headers: {{ set: {{ X-A: "{name}", X-B: "of {name}" }} }} }} }} ]
''')
        equal(done.returncode, 0, name + done.stderr)


def test_migrating_names_keys_that_exist(t):
    """Every word of ours in weir-migrating(7) is a key of the file."""
    keys = {part.replace('[]', '') for line in t.run('schema', '--list').stdout.splitlines() for part in line.split('\t')[0].split('.')}
    told = re.findall(r'^\.Ic "(.*)"$', open(os.path.join(MAN, 'weir-migrating.7')).read(), re.M)
    ok(len(told) >= 60, len(told))
    words = set()
    for ours in told:
        ours = re.sub(r'\\\(dq.*?\\\(dq', '', ours).replace('\\&', '')
        words |= set(re.findall(r'([a-z_]{2,})(?=:)', ours))        # with a value behind it
        for word in re.split(r'[,;{}]', re.sub(r':.*?(?=[,;}]|$)', '', ours)):
            word = word.strip().removeprefix('with ').split(' ')[0]
            if re.fullmatch('[a-z_]{3,}', word):
                words.add(word)
    ok(len(words) >= 40, len(words))
    unknown = words - keys
    equal(unknown, set())

"""The manual: its whole files are good, and what it tells to write exists."""
import glob

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


def test_tasks_hold_what_is_below_too(t):
    """A path without a slash at its end is that path alone, so what is limited there could be passed by with one."""
    examples = glob.glob(os.path.join(MAN, '..', 'conf', 'examples', '*.yaml'))
    texts = literals(section('weir.yaml.5', 'TASKS')) + literals(section('weir.yaml.5', 'LONG RESPONSES')) + [open(f).read() for f in examples]
    routes = [r for text in texts for r in re.split(r'^ *- ', text, flags=re.M) if re.search('(rate_limit|in_flight|access|body_limit|idle_timeout|response_timeout|priority): ', r)]
    paths = [p for r in routes for p in re.findall(r'\bmatch: \{ path: ([^\s,}]+)', r)]
    ok(len(paths) >= 10, paths)
    for path in paths:
        ok(path.endswith('/'), path)


def test_nothing_is_sent_twice(t):
    """As the task says: not even on a kept connection that ends with the second request."""
    task = re.search(r'^\.Ss Send nothing twice\n(.*?)^\.Ed', section('weir.yaml.5', 'TASKS'), re.S | re.M).group(0)

    def handler(link, request):
        if link.served:
            link.close()
        else:
            link.answer(200)
    origin, port = t.origin(handler), t.port()
    t.weir(literals(task)[0].replace('":8080"', f'"127.0.0.1:{port}"').replace('10.0.0.11:8080, 10.0.0.12:8080', f'"{origin.address}"'))
    client = t.client(port)
    for path in ('/1', '/2', '/3'):
        equal(client.get(path).status, 200, path)
    equal([r.path for r in origin.requests], ['/1', '/2', '/3'])


def test_headers_that_rules_cannot_name(t):
    """Each that the table says no of, in a match and in an edit."""
    rows = re.findall(r'^\.It (.+?) Ta no Ta no$', section('weir.yaml.5', 'NAMES OF HEADERS'), re.M)
    names = [n for row in rows for n in row.strip('"').split(', ')]
    ok(len(names) >= 8, names)
    for name in names:
        for route in (f'{{ match: {{ header: {{ "{name}": x }} }}, respond: 200 }}', f'{{ respond: 200, response: {{ headers: {{ set: {{ "{name}": x }} }} }} }}'):
            done = t.run('check', '--file-only', '-c', '-', stdin=f'listeners: ":8080"\nroutes: [ {route} ]\n')
            contains(done.stderr, f'"{name}" cannot be')


def test_examples(t):
    for block in literals(section('weir.yaml.5', 'EXAMPLES')):
        done = t.run('check', '--file-only', '--strict', '-c', '-', stdin=block)
        equal(done.returncode, 0, block + done.stderr)


def test_options(t):
    """The synopsis of weir(8) has each option that a command takes."""
    synopsis = {part.split('\n')[0]: part for part in re.split(r'^\.Nm\n\.Cm ', section('weir.8', 'SYNOPSIS'), flags=re.M)[1:]}
    ok(len(synopsis) >= 9, synopsis)
    seen = 0
    for command, told in synopsis.items():
        for short, name in re.findall(r'^  (?:-(\w),|   ) --([\w-]+)', t.run(command, '--help').stdout if command != 'help' else '', re.M):
            if name == 'help' or (command, name) == ('check', 'json'):      # of every command, and another word for --format json
                continue
            ok(re.search(rf'\bFl ({short}|-{name})\b' if short else rf'\bFl -{name}\b', told), f'--{name} of {command}')
            seen += 1
    ok(seen >= 25, seen)


def test_variables(t):
    """Each that templates know can be written, alone and in a text, in braces as the manual has them; of a response's only where there is one."""
    known = re.search(r'^Templates know besides:\n(.*?)^In a template', open(os.path.join(MAN, 'weir.yaml.5')).read(), re.S | re.M).group(1)
    names = [n.replace('NAME', 'X-A') for n in re.findall(r'\$\{[^}]*\}', known)]
    ok(len(names) >= 16, names)
    for name in names:
        early = f'respond: {{ body: "of {name}." }}, '
        for where in ('', early):
            done = t.run('check', '--file-only', '-c', '-', stdin=f'''listeners: ":8080"
routes: [ {{ {where or "respond: 200, "}response: {{ headers: {{ set: {{ X-A: "{name}", X-B: "of {name}" }} }} }} }} ]
''')
            equal(done.returncode, 1 if where and name in ('${server}', '${status}') else 0, name + done.stderr)


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


def foreign_words():
    """Each word of the tables of weir-migrating(7) with what it is told to be here, and of NOT IN WEIR with its entry."""
    page = open(os.path.join(MAN, 'weir-migrating.7')).read()
    for name, rest in re.findall(r'^\.Sh (.*)\n((?:(?!^\.Sh ).*\n)*)', page, re.M):
        for item, told in re.findall(r'^\.It Ql (.*)\n((?:(?!^\.It |^\.El).*\n)*)', rest, re.M):
            for part in item.strip('"').split(','):
                word = re.match(r'\s*[{]?((?:(?:option|tls) )?[@A-Za-z][\w.-]*)', part)
                if name.startswith('COMING FROM') and word:
                    yield word[1], told
    for entry, told in re.findall(r'^\.It (.*)\nElsewhere: (.*)\.\n', section('weir.yaml.5', 'NOT IN WEIR'), re.M):
        for part in told.split(','):
            yield re.match(r'\s*([A-Za-z][\w-]*)', part)[1], f'see {entry} under NOT IN WEIR'


def answers(t, words):
    """What check says of each word as a key of the file, a listener, a route, its match, a pool and a server."""
    said = {word: {} for word in words}
    keys = [json.dumps(word) for word in words]
    whole = {'listeners': 'listeners: [ "127.0.0.1:8080" ]\n', 'routes': 'routes: [ { pool: p0 } ]\n', 'pools': 'pools: { p0: { servers: "10.0.0.1:80" } }\n'}
    forms = {'listener': ('listeners', '- {{ address: "127.0.0.1:1{n}", {}: x }}'), 'route': ('routes', '- {{ pool: p0, {}: x }}'), 'match': ('routes', '- {{ pool: p0, match: {{ {}: x }} }}'),
             'pool': ('pools', 'p{n}: {{ servers: "10.0.0.1:80", {}: x }}'), 'server': ('pools', 'p{n}: {{ servers: [ {{ address: "10.0.0.1:80", {}: x }} ] }}')}
    files = {}
    for place, (top, form) in forms.items():
        files[place] = f'{top}:\n' + ''.join('  ' + form.format(key, n=n) + '\n' for n, key in enumerate(keys)) + ''.join(text for other, text in whole.items() if other != top)
    for place, text in files.items():
        for message in json.loads(t.run('check', '--file-only', '--json', '-c', '-', stdin=text).stdout)['messages']:
            if message['severity'] == 'error' and 2 <= message.get('line', 0) <= len(words) + 1:
                said[words[message['line'] - 2]].setdefault(place, message['message'])
    for word, key in zip(words, keys):
        messages = json.loads(t.run('check', '--file-only', '--json', '-c', '-', stdin=''.join(whole.values()) + f'{key}: x\n').stdout)['messages']
        said[word]['file'] = '; '.join(m['message'] for m in messages if m['severity'] == 'error')
    return said


def test_foreign_words_are_answered_as_the_pages_say(t):
    """A word of another proxy as a key, wherever it is put: nobody is left with a list of keys, and what is said is what weir-migrating(7) and NOT IN WEIR say."""
    told = {}
    for word, text in foreign_words():
        told.setdefault(word, []).append(text)
    ok(len(told) > 180, len(told))
    said = answers(t, sorted(told))
    wrong = []
    for word, places in said.items():
        wrong += [f'{word} in {place}: {text}' for place, text in places.items() if 'its keys are' in text or 'for the keys of' in text]
        everything = ' '.join(places.values())
        ways = ' '.join(told[word])
        keys = set(re.findall(r'[a-z_]{3,}', re.sub(r'\\\(dq.*?\\\(dq', '', ' '.join(re.findall(r'^\.Ic "(.*)"', ways, re.M))))) - {'and', 'the', 'with', 'https', 'name'}
        entries = re.findall(r'^see .* under NOT IN WEIR$', ways, re.M)
        good = [entry in everything for entry in entries]
        if not entries and 'Not in weir.' in ways:
            good.append('NOT IN WEIR' in everything)
        elif not entries and 'Nothing is needed.' in ways:
            good.append('othing is needed' in everything)
        elif not entries and keys:
            good.append(any(key in everything for key in keys))
        if not all(good):
            wrong.append(f'{word}: the page says {ways!r}, check {sorted(set(places.values()))}')
    equal(wrong, [])


def test_who_ends_its_side_and_waits(t):
    """What such a client is sent meanwhile stands in the manual, by its number and its name, and how long it takes."""
    told = re.search(r'^\.Ss What clients are told\n(.*?)(?=^\.Ss |\Z)', open(os.path.join(MAN, 'weir.yaml.5')).read(), re.S | re.M).group(1)
    status, name = re.search(r'it is sent (\d+) \((\w+)\) after a second, after another, and every 15 seconds', told).groups()

    def handler(link, request):
        time.sleep(3.2 * SLOW)
        tell(link, request)
    weir, port = t.simple(t.origin(handler))
    c = t.client(port)
    c.request()
    c.finish()
    response = c.response()
    equal((response.status, [(i.status, i.reason) for i in response.interim]), (200, [(int(status), name)] * 2))
    c = t.client(port)
    c.request(version='1.0')
    c.finish()
    response = c.response()
    equal((response.status, response.interim), (200, []))

/**
 * The Python program that carries out one plan of Murano's formats 2.0.0 to 2.2.0: checks it, lays its files, runs its
 * `Body`, and writes the answer. It is Python because `Body` is. It runs in a process group of its own with a time limit
 * that it keeps itself, so that neither the end of the agent nor a hanging script takes an answer away.
 *
 * The texts of its errors and the order of its checks are the wire format of murano-agent 10 (golden files): senders
 * have shown them to people and scripts for ten years.
 */
export const runnerSource: string = String.raw`"""Carries out one Murano plan in a process group of its own and writes its answer. argv: a file with the order."""
import base64, json, os, re, shutil, signal, stat, subprocess, sys, threading, time, uuid
from datetime import datetime, timezone
from urllib import error as url_errors, parse, request as url_requests

os.environ.pop('TORCELLO_MURANO_RUN', None)
with open(sys.argv[1], encoding='utf-8') as order_file:
    ORDER = json.load(order_file)
LIMITS = ORDER['limits']
written = threading.Lock()


class PlanError(Exception):
    def __init__(self, code, message, info=None):
        super().__init__(message)
        self.code, self.info = code, info


class Bunch(dict):
    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__
    __delattr__ = dict.__delitem__


def envelope(plan, code, body):
    now = datetime.now(timezone.utc).replace(tzinfo=None)
    return {'FormatVersion': '2.0.0', 'ID': uuid.uuid4().hex, 'SourceID': plan['ID'], 'Action': 'Execution:Result',
            'ErrorCode': code, 'Body': body, 'Time': str(now)}


def failure(plan, error):
    code, info = (error.code, error.info) if isinstance(error, PlanError) else (1, None)
    return envelope(plan, code, {'Message': str(error), 'AdditionalInfo': info})


def encode(answer):
    text = json.dumps(answer)
    if len(text) > LIMITS['answerBytesMax']:
        raise PlanError(1, 'The answer has more than {0} bytes'.format(LIMITS['answerBytesMax']))
    return text


def write_answer(plan, answer, is_valid):
    if is_valid:
        answer['ReplyTo'] = plan.get('ReplyTo')
    text = encode(answer)
    with written:
        if os.path.exists(ORDER['result']):
            return
        part = ORDER['result'] + '.part'
        with open(part, 'w', encoding='utf-8') as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        os.rename(part, ORDER['result'])


# ---- formats -------------------------------------------------------------------------------------------------------

def version_of(text):
    found = re.fullmatch(r'(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?', text)
    if found is None:
        raise ValueError('Invalid version string: %r' % text)
    for name, part in zip(('major', 'minor', 'patch'), found.groups()):
        if len(part) > 1 and part[0] == '0':
            raise ValueError('Invalid leading zero in {0}: {1!r}'.format(name, text))
    # A pre-release comes before its release, and after what was below that.
    return (*(int(part) for part in found.groups()[:3]), 0 if found[4] is None else -1)


def is_from(version, least, below=(9, 9, 9)):
    return version >= (*least, 0) and version[:3] < below


def check_plan(plan):
    text = plan.get('FormatVersion', '1.0.0')
    version = version_of(text)
    if version > (2, 2, 0, 0):
        raise PlanError(9, 'Unsupported format version {0} (I support versions <=2.2.0)'.format(text))
    for key in ('Scripts', 'Files'):
        if key not in plan:
            raise PlanError(2, key + ' is not in the execution plan')
    for key in ('Scripts', 'Files', 'Options'):
        if key in plan and not isinstance(plan[key], dict):
            raise PlanError(2, key + ' is not a dictionary')
    for name, script in plan['Scripts'].items():
        check_script(name, script, plan['Files'], (version, text))
    for key, entry in plan['Files'].items():
        check_file(key, entry, (version, text))


def check_script(name, script, files, format_version):
    version, text = format_version
    for key in ('Type', 'EntryPoint'):
        if key not in script or not isinstance(script[key], str):
            raise PlanError(2, 'Incorrect {0} entry in script {1}'.format(key, name))
    kind, entry = script['Type'], script['EntryPoint']
    lost = PlanError(2, 'Script {0} misses entry point {1}'.format(name, entry))
    if is_from(version, (2, 0, 0), (2, 1, 0)):
        if kind != 'Application':
            raise PlanError(2, 'Type {0} is not valid for format {1}'.format(kind, text))
        if entry not in files:
            raise lost
    if is_from(version, (2, 1, 0)):
        if kind not in ('Application', 'Chef', 'Puppet'):
            raise PlanError(2, 'Script has not a valid type ' + kind)
        if kind == 'Application' and entry not in files:
            raise lost
        if kind != 'Application' and '::' not in entry:
            raise PlanError(2, 'Wrong EntryPoint {0} for Puppet/Chef executors. :: needed'.format(entry))
        for option in script['Options']:
            if option in ('useBerkshelf', 'berksfilePath'):
                if version[:3] < (2, 2, 0):
                    raise PlanError(2, 'Script has an option {0} invalid for version {1}'.format(option, text))
                if kind != 'Chef':
                    raise PlanError(2, 'Script has an option {0} invalid for type {1}'.format(option, kind))
    for extra in script.get('Files', []):
        key = next(iter(extra)) if isinstance(extra, dict) else extra
        if key not in files:
            raise PlanError(2, 'Script {0} misses file {1}'.format(name, extra))


def check_file(key, entry, format_version):
    version, text = format_version
    if is_from(version, (2, 0, 0), (2, 1, 0)) and not {'Type', 'URL'}.isdisjoint(entry.keys()):
        raise PlanError(2, 'Download file is {0} not valid for this version {1}'.format(key, text))
    if 'Type' in entry:
        needed = ('Type', 'URL', 'Name')
    elif 'Body' in entry:
        needed = ('BodyType', 'Body', 'Name')
    else:
        raise PlanError(2, 'Invalid file {0}: {1}'.format(key, entry))
    for field in needed:
        if field not in entry:
            raise PlanError(2, 'Incorrect {0} entry in file {1}'.format(field, key))
    if 'Type' not in entry and entry['BodyType'] not in ('Text', 'Base64'):
        raise PlanError(2, 'Incorrect BodyType in file ' + key)


# ---- files ---------------------------------------------------------------------------------------------------------

def inside(folder, name):
    """The path of a name below a folder; never outside of it."""
    path = os.path.normpath(os.path.join(folder, name))
    if not path.startswith(folder + os.sep):
        raise PlanError(1, 'The file name {0} leads out of the folder of the plan'.format(name))
    return path


class Files:
    def __init__(self, plan):
        self.folder, self.plan = ORDER['files'], plan
        self.entries = plan.get('Files') or {}
        self.bytes_left = LIMITS['downloadBytesMax']
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder, 0o700)

    def put(self, file_id, script):
        if isinstance(file_id, dict):
            key = next(iter(file_id))
            name, entry, file_id = key, file_id[key], key
        else:
            entry = self.entries[file_id]
            name = entry['Name']
        path = inside(inside(self.folder, script), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        stored = self.store(file_id, entry)
        if not os.path.lexists(path):
            os.symlink(stored, path)
        return path

    def store(self, file_id, entry):
        is_script = file_id in self.plan['Scripts']
        path = inside(self.folder, '.file-' + file_id if is_script else file_id)
        if os.path.lexists(path):
            return path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if entry.get('Type') == 'Downloadable':
            self.download(entry, path)
            return path
        is_text = entry.get('BodyType', 'Text') == 'Text'
        body = entry['Body'].encode('utf-8') if is_text else base64.b64decode(entry['Body'])
        with open(path, 'wb') as out:
            out.write(body)
        return path

    def download(self, entry, folder):
        if 'URL' not in entry:
            raise ValueError('No valid URL in file {0}'.format(entry))
        url = entry['URL']
        parts = parse.urlsplit(url)
        if not (parts.scheme or parts.netloc):
            raise ValueError('Provided URL is not valid ' + url)
        os.makedirs(folder)
        is_git = url.startswith(('git://', 'git+http://', 'git+https:/')) or url.endswith('.git')
        what = 'Error to clone the git repository' if is_git else 'Error to download the file'
        try:
            (self.clone if is_git else self.fetch)(url, folder)
        except Exception as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise ValueError('{0} {1}: {2}'.format(what, url, error)) from error

    def fetch(self, url, folder):
        if parse.urlsplit(url).scheme not in ('http', 'https'):
            raise ValueError('only http, https and git are supported')
        name = url.split('/')[-1]
        if name in ('', '.', '..'):
            raise ValueError('the URL names no file')
        opener = url_requests.OpenerDirector()
        for handler in (url_requests.ProxyHandler, url_requests.HTTPHandler, url_requests.HTTPSHandler,
                        url_requests.HTTPRedirectHandler, url_requests.HTTPErrorProcessor,
                        url_requests.HTTPDefaultErrorHandler):
            opener.add_handler(handler())
        with opener.open(url, timeout=LIMITS['downloadIdleSeconds']) as answer:
            with open(os.path.join(folder, name), 'wb') as out:
                while True:
                    part = answer.read(65536)
                    if not part:
                        break
                    self.bytes_left -= len(part)
                    self.check_size()
                    out.write(part)

    def clone(self, url, folder):
        source = url[4:] if url.startswith('git+') else url
        env = dict(os.environ, GIT_TERMINAL_PROMPT='0', GIT_ALLOW_PROTOCOL='http:https:git:ssh:file',
                   GIT_CONFIG_NOSYSTEM='1', GIT_ASKPASS='true')
        command = ['git', 'clone', '--quiet', '--', source, folder]
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        said = Capture(process.stderr, LIMITS['captureBytesMax'], process.kill)
        while True:
            try:
                process.wait(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                if folder_bytes(folder) > self.bytes_left:
                    process.kill()
        self.bytes_left -= folder_bytes(folder)
        self.check_size()
        if process.returncode != 0:
            raise ValueError(said.finish().decode('utf-8', 'replace').strip())

    def check_size(self):
        if self.bytes_left < 0:
            raise ValueError('the downloads of the plan have more than {0} bytes'.format(LIMITS['downloadBytesMax']))


def folder_bytes(folder):
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(at, name)).st_size
            except OSError:
                pass
    return total


# ---- scripts -------------------------------------------------------------------------------------------------------

class Capture:
    """Reads a pipe to its end, or until too much came."""
    def __init__(self, pipe, bytes_max, on_too_much):
        self.pipe, self.bytes_max, self.on_too_much = pipe, bytes_max, on_too_much
        self.body, self.is_over = bytearray(), False
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        while True:
            try:
                part = os.read(self.pipe.fileno(), 65536)
            except (OSError, ValueError):
                return
            if not part:
                return
            if len(self.body) + len(part) > self.bytes_max:
                self.is_over = True
                self.on_too_much()
                return
            self.body += part

    def finish(self):
        self.thread.join(LIMITS['drainSeconds'])
        return bytes(self.body)


def feed(pipe, text):
    try:
        pipe.write(text if isinstance(text, bytes) else str(text).encode('utf-8'))
        pipe.close()
    except OSError:
        pass


class Script:
    def __init__(self, name, facts, files):
        if facts['Type'] != 'Application':
            raise ValueError('The application type in {0} is not a valid executor {1}'.format(name, facts['Type']))
        self._name, self._facts, self._files, self._path = name, facts, files, None

    def __call__(self, *args, **kwargs):
        return self._run(*args, **kwargs)

    def __getattr__(self, _function):
        return self._run

    def _run(self, commandline='', input=None):
        if self._path is None:
            for file_id in self._facts.get('Files', []):
                self._files.put(file_id, self._name)
            self._path = self._files.put(self._facts['EntryPoint'], self._name)
        options = self._facts.get('Options') or {}
        folder, file_name = os.path.split(self._path)
        os.chdir(folder)
        os.chmod(self._path, stat.S_IREAD | stat.S_IEXEC)
        out = subprocess.PIPE if options.get('captureStdout', True) else None
        err = subprocess.PIPE if options.get('captureStderr', True) else None
        process = subprocess.Popen('./"{0}" {1}'.format(file_name, commandline), shell=True, cwd=folder, stdout=out,
                                   stderr=err, stdin=subprocess.DEVNULL if input is None else subprocess.PIPE)
        captures = [None if pipe is None else Capture(pipe, LIMITS['captureBytesMax'], process.kill)
                    for pipe in (process.stdout, process.stderr)]
        if input is not None:
            threading.Thread(target=feed, args=(process.stdin, input), daemon=True).start()
        code = process.wait()
        texts = [self._text(capture) for capture in captures]
        result = {'exitCode': code, 'stdout': texts[0], 'stderr': texts[1]}
        if options.get('verifyExitcode', True) and code != 0:
            raise PlanError(100, 'Script {0} returned error code'.format(self._name), result)
        return Bunch(result)

    def _text(self, capture):
        if capture is None:
            return None
        body = capture.finish()
        if capture.is_over:
            raise PlanError(1, 'Script {0} wrote more than {1} bytes'.format(self._name, LIMITS['captureBytesMax']))
        text = body.decode('utf-8').replace('\r\n', '\n').replace('\r', '\n')
        return text.strip() if text else None


# ---- body ----------------------------------------------------------------------------------------------------------

def as_function(body):
    lines = body.expandtabs(4).split('\n')
    indents = [len(line) - len(line.lstrip(' ')) for line in lines if line.strip(' ') != '']
    indent = min(indents, default=sys.maxsize)
    main = '\n'.join(' ' * 4 + line[indent:] for line in lines)
    return ('def __execution_plan_main():\n' + main + '\ntry:\n    __execution_plan_result = '
            '__execution_plan_main()\nexcept Exception as e:\n    __execution_plan_exception = e\n')


def run_body(plan):
    source = as_function(plan['Body'])
    files = Files(plan)
    try:
        names = {'args': Bunch(plan.get('Parameters') or {})}
        for name, script in plan['Scripts'].items():
            names[name] = Script(name, script, files)
        exec(source, names)
        if '__execution_plan_exception' in names:
            raise names['__execution_plan_exception']
        return names['__execution_plan_result']
    finally:
        os.chdir('/')
        shutil.rmtree(ORDER['files'], ignore_errors=True)


def plan_of(order):
    plan = json.loads(order['data'])
    if 'ID' not in plan:
        plan['ID'] = order['id']
    if 'ReplyTo' not in plan:
        plan['ReplyTo'] = order['replyTo']
    return plan


def main():
    plan = plan_of(ORDER)
    try:
        check_plan(plan)
    except Exception as error:
        return write_answer(plan, failure(plan, error), is_valid=False)

    def give_up():
        text = 'The plan was ended: it ran for more than {0} seconds'.format(LIMITS['planSeconds'])
        write_answer(plan, envelope(plan, 1, {'Message': text, 'AdditionalInfo': None}), is_valid=True)
        shutil.rmtree(ORDER['files'], ignore_errors=True)
        os.killpg(0, signal.SIGKILL)

    timer = threading.Timer(LIMITS['planSeconds'], give_up)
    timer.daemon = True
    timer.start()
    try:
        write_answer(plan, envelope(plan, 0, run_body(plan)), is_valid=True)
    except BaseException as error:
        write_answer(plan, safe_failure(plan, error), is_valid=True)


def safe_failure(plan, error):
    try:
        answer = failure(plan, error)
        encode(answer)
        return answer
    except Exception as worse:
        return failure(plan, worse)


main()
sys.stdout.flush()
# Threads that wait for a daemon's pipe must not hold up the end.
os._exit(0)
`;

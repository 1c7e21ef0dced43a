"""Debian's Keystone on SQLite in one folder (argv: the folder): makes what is missing, serves, prints its port."""
import base64, os, subprocess, sys
from wsgiref import simple_server

folder = sys.argv.pop()  # Keystone reads the rest of the words as its own.
conf = os.path.join(folder, 'keystone.conf')
if not os.path.exists(conf):
    for name in ('fernet', 'credential'):
        os.makedirs(os.path.join(folder, name), 0o700)
        for key in ('0', '1'):
            with open(os.path.join(folder, name, key), 'wb') as out:
                out.write(base64.urlsafe_b64encode(os.urandom(32)))
    with open(conf, 'w') as out:
        out.write('''[DEFAULT]
log_file = {0}/keystone.log
[database]
connection = sqlite:///{0}/keystone.db
[token]
provider = fernet
[fernet_tokens]
key_repository = {0}/fernet
[fernet_receipts]
key_repository = {0}/fernet
[credential]
key_repository = {0}/credential
[cache]
enabled = false
'''.format(folder))
    manage = 'import sys; from keystone.cmd.manage import main; sys.exit(main())'
    for words in (['db_sync'], ['bootstrap', '--bootstrap-password', 'only-for-a-test', '--bootstrap-region-id', 'one']):
        done = subprocess.run([sys.executable, '-c', manage, '--config-file', conf, *words], capture_output=True, text=True)
        if done.returncode != 0 and words[0] != 'db_sync':
            sys.exit(done.stdout + done.stderr)

os.environ['OS_KEYSTONE_CONFIG_DIR'] = folder
os.environ['OS_KEYSTONE_CONFIG_FILES'] = conf
from keystone.server import wsgi  # noqa: E402, as it reads the environment


class Quiet(simple_server.WSGIRequestHandler):
    def log_message(self, *_):
        pass


server = simple_server.make_server('127.0.0.1', 0, wsgi.initialize_public_application(), handler_class=Quiet)
print('{"ready":true,"port":%d}' % server.server_port, flush=True)
server.serve_forever()

"""Debian's murano-api on SQLite in one folder: makes what is missing and serves until it is ended.

Words: FOLDER PORT TRANSPORT_URL ARE_QUEUES_DURABLE (Murano's default: false). In the place of Keystone stands `identity`: a token `user:project:role` is believed.
"""
import os
import subprocess
import sys


def identity(_global, **_local):
    """A paste filter that sets what keystonemiddleware would."""

    def wrap(app):
        def serve(environ, start_response):
            user, project, role = (environ.get('HTTP_X_AUTH_TOKEN', '').split(':') + ['', '', ''])[:3]
            environ.update(HTTP_X_USER_ID=user, HTTP_X_TENANT_ID=project, HTTP_X_PROJECT_ID=project, HTTP_X_ROLES=role)
            return app(environ, start_response)

        return serve

    return wrap


CONF = """[DEFAULT]
transport_url = {transport}
bind_host = 127.0.0.1
bind_port = {port}
log_file = {folder}/murano-api.log
[oslo_messaging_rabbit]
amqp_durable_queues = {durable}
[database]
connection = sqlite:///{folder}/murano.db
[networking]
driver = nova
[engine]
use_trusts = False
[murano]
api_workers = 1
[stats]
period = 3600
[paste_deploy]
config_file = {folder}/paste.ini
[keystone_authtoken]
www_authenticate_uri = http://127.0.0.1:9
[murano_auth]
www_authenticate_uri = http://127.0.0.1:9
"""


def main():
    folder, port, transport, durable = sys.argv[1:]
    conf = os.path.join(folder, 'murano.conf')
    with open(conf, 'w') as out:
        out.write(CONF.format(folder=folder, port=port, transport=transport, durable=durable))
    with open('/etc/murano/murano-paste.ini') as shipped, open(os.path.join(folder, 'paste.ini'), 'w') as out:
        out.write(shipped.read().replace('keystonemiddleware.auth_token:filter_factory', 'murano_api_on_sqlite:identity'))
    if not os.path.exists(os.path.join(folder, 'murano.db')):
        manage = 'import sys; from murano.cmd.db_manage import main; sys.exit(main())'
        words = [sys.executable, '-c', manage, '--config-file', conf, 'upgrade']
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stdout + done.stderr)
    sys.argv = ['murano-api', '--config-file', conf]
    from murano.cmd import api

    api.main()


if __name__ == '__main__':
    main()

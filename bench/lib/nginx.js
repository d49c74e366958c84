import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isInstalled, temporaryFolder } from './processes.js'

// Debian installs nginx where only root's PATH leads.
process.env.PATH = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`

export const hasNginx = isInstalled('nginx', '-v')

/** The command of an nginx with one worker, in a folder of its own; `files` are laid beside its configuration. */
export function nginxCommand (http, files = {}) {
  const folder = temporaryFolder()
  // Its workers run as another user.
  chmodSync(folder, 0o755)
  for (const [name, text] of Object.entries({ ...files, 'nginx.conf': configuration(http) })) writeFileSync(join(folder, name), text)
  return ['nginx', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', 'stderr']]
}

const configuration = (http) => `daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_timeout 3600s;
  keepalive_requests 1000000000;
  client_max_body_size 8m;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${name};`).join(' ')}
${http}
}
`

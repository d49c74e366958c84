import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { freePort, listening } from './ports.js'

const NGINX = process.env['NGINX'] ?? '/usr/sbin/nginx'

/** Why a test that needs nginx is skipped; `undefined` if it is not. */
export const noNginx = existsSync(NGINX) ? undefined : `${NGINX} is not installed: apt-get install nginx-light`

const configuration = (http: string) => `
daemon off;
master_process off;
pid nginx.pid;
error_log stderr crit;
events {}
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  scgi_temp_path scgi;
  uwsgi_temp_path uwsgi;
  large_client_header_buffers 4 64k;
  ${http}
}
`

/**
 * A reverse proxy as many servers have it: it decodes paths, resolves their segments and merges slashes before it
 * passes requests on.
 */
const normalizingProxy = (port: number, upstream: string) => `
  server {
    listen 127.0.0.1:${port};
    merge_slashes on;
    underscores_in_headers on;
    location / { proxy_pass ${upstream}/; }
  }
`

/** Starts nginx in front of an upstream, in a folder of its own. Returns its origin. */
export async function startNginx (t: Test, upstream: string): Promise<string> {
  const port = await freePort()
  return await startNginxWith(t, port, normalizingProxy(port, upstream))
}

/** Starts nginx with what its http block should hold, and a server in it that listens on a port. Returns its origin. */
export async function startNginxWith (t: Test, port: number, http: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'nginx-'))
  writeFileSync(join(folder, 'nginx.conf'), configuration(http))
  const child = spawn(NGINX, ['-p', `${folder}/`, '-c', 'nginx.conf', '-e', 'stderr'], {
    stdio: ['ignore', 'ignore', 'inherit']
  })
  const exited = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGTERM')
    await exited
    rmSync(folder, { recursive: true })
  })
  await listening(port, exited.then(([code]) => { throw new Error(`nginx exited with ${code}`) }))
  return `http://127.0.0.1:${port}`
}

import { nginxCommand } from '../lib/nginx.js'

/** nginx, forwarding over connections that it keeps. */
export function nginxProxy ({ port, upstream }) {
  const [command, args] = nginxCommand(`  upstream provider { server ${new URL(upstream).host}; keepalive 128; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port};
    location /v1/batches/ {
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header connection '';
    }
  }`)
  return { command, args }
}

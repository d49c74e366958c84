import { fileURLToPath } from 'node:url'
import { hasNginx } from '../lib/nginx.js'
import { nginxProxy } from './nginx.js'

const path = (name) => fileURLToPath(new URL(name, import.meta.url))

/** A server of this folder; its environment says where to listen and where to forward to. */
const own = (file, headers) => ({ port, upstream }) => ({ args: [path(file)], env: { PORT: String(port), UPSTREAM: upstream }, headers })

/** What a client of Portkey sends; both gateways are asked in the same words. */
const asPortkeys = (upstream) => ({ 'x-portkey-provider': 'openai', 'x-portkey-custom-host': `${upstream}/v1` })

/** @type {Array<import('../lib/subject.js').Subject>} */
const all = [
  {
    name: 'gateway',
    title: '**fastify-batch-cancel, the gateway** of `npm start`',
    launch: ({ port, upstream }) => ({
      args: [path('../../gateway/dist/start.js')],
      env: { HOST: '127.0.0.1', PORT: String(port), TRUSTED_CUSTOM_HOSTS: new URL(upstream).host },
      headers: asPortkeys(upstream)
    })
  },
  {
    name: 'plugin',
    title: '**fastify-batch-cancel, the plugin** in a bare Fastify app',
    launch: own('plugin.js', { 'x-portkey-provider': 'openai' })
  },
  {
    name: 'portkey',
    title: 'Portkey\'s gateway, from npm',
    launch: ({ port, upstream }) => ({
      args: [path('../node_modules/@portkey-ai/gateway/build/start-server.js'), `--port=${port}`],
      headers: asPortkeys(upstream)
    })
  },
  { name: 'reply-from', title: 'Fastify, @fastify/reply-from', launch: own('reply-from.js') },
  { name: 'undici-text', title: 'Fastify, undici, the text passed through: the bare route', launch: own('undici-text.js') },
  { name: 'undici-schema', title: 'Fastify, undici, parsed, and serialised by schema', launch: own('undici-schema.js') },
  { name: 'fetch', title: 'Fastify, global fetch', launch: own('fetch.js') },
  { name: 'node-http', title: 'node:http, undici', launch: own('node-http.js') },
  ...hasNginx ? [{ name: 'nginx', title: 'nginx as a proxy', launch: nginxProxy }] : []
]

/** The same programs, asked for the batch. */
for (const name of ['gateway', 'plugin', 'reply-from', 'undici-text']) {
  all.push({ ...all.find(subject => subject.name === name), name: `${name}-retrieve`, operation: 'retrieve' })
}

export const subjectNames = all.map(({ name }) => name)

export const subjectCalled = (name) => all.find(subject => subject.name === name)

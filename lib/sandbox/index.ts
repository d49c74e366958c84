/**
 * A batch API in memory, for development and tests.
 *
 * @module fastify-batch-cancel/sandbox
 */

import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { cancelBatch, createBatch, findBatch, listBatches, type Sandbox } from './batches.js'
import { createBodyReceiver, discardBody } from './bodies.js'
import { ApiError, sendError, sendNotFound } from './errors.js'
import { createFileStore, type StoredFile } from './files.js'
import { toSeconds } from './job.js'
import { MAX_CREATE_BODY_BYTES, MAX_IGNORED_BODY_BYTES, MAX_UPLOAD_BODY_BYTES } from './limits.js'
import { boundaryOf } from './multipart.js'
import { readOptions, type BatchSandboxOptions } from './options.js'
import { page, type PageSize, type Query } from './page.js'
import { seedJobs, throwFault } from './seeds.js'
import { readNewBatch, readNewFile } from './validate.js'
import { createWorkQueue } from './work-queue.js'

export type { BatchSandboxOptions } from './options.js'
export type { SandboxClock } from './clock.js'

interface ById { Params: { id: string } }
interface Listed { Querystring: Query }
interface WithForm { Body: Buffer }
interface WithJson { Body: Buffer | undefined }

const BATCH_PAGE: PageSize = { default: 20, max: 100 }
const FILE_PAGE: PageSize = { default: 10_000, max: 10_000 }

/** Keeps the routes out of the host's own document. */
const hidden = { schema: { hide: true } }

function findFile ({ files }: Sandbox, id: string): StoredFile {
  const file = files.find(id)
  if (file === undefined) throw new ApiError(404, `No file found with id '${id}'.`)
  return file
}

function fileRoutes (app: FastifyInstance, sandbox: Sandbox) {
  // Anything but a form is refused before its body is read.
  const onRequest = async ({ headers }: FastifyRequest) => { boundaryOf(headers['content-type']) }
  const upload = { ...hidden, onRequest, bodyLimit: MAX_UPLOAD_BODY_BYTES }
  app.post<WithForm>('/files', upload, async ({ body, headers }) => {
    const createdAt = toSeconds(sandbox.now())
    return sandbox.files.add({ ...readNewFile(body, headers['content-type']), createdAt })
  })

  app.get<Listed>('/files', hidden, async ({ query }) => {
    const files = sandbox.files.list().filter(({ purpose }) => query.purpose === undefined || purpose === query.purpose)
    return page(files, query, FILE_PAGE)
  })

  app.get<ById>('/files/:id', hidden, async ({ params }) => findFile(sandbox, params.id).file)

  app.get<ById>('/files/:id/content', hidden, async ({ params }, reply) => {
    reply.type('application/octet-stream')
    return findFile(sandbox, params.id).content
  })
}

function batchRoutes (app: FastifyInstance, sandbox: Sandbox) {
  app.post<WithJson>('/batches', { ...hidden, bodyLimit: MAX_CREATE_BODY_BYTES }, async ({ body }) =>
    createBatch(sandbox, readNewBatch(body, sandbox.files)))

  app.get<Listed>('/batches', hidden, async ({ query }) => page(listBatches(sandbox), query, BATCH_PAGE))

  app.get<ById>('/batches/:id', hidden, async ({ params }) => {
    throwFault(params.id)
    return findBatch(sandbox, params.id)
  })
}

function cancelRoute (app: FastifyInstance, sandbox: Sandbox) {
  app.post<ById>('/batches/:id/cancel', hidden, async ({ params }) => {
    throwFault(params.id)
    return cancelBatch(sandbox, params.id)
  })
}

function createSandbox (app: FastifyInstance, options: BatchSandboxOptions): Sandbox {
  const { clock, latency, concurrency } = readOptions(options)
  let closed = false
  app.addHook('onClose', async () => { closed = true })

  const storage = { files: createFileStore(), outputTotal: { bytes: 0 } }
  return {
    ...storage,
    queue: createWorkQueue(),
    latency,
    concurrency,
    jobs: seedJobs(storage, clock.now()),
    now: () => clock.now(),
    async sleep (ms) {
      await clock.sleep(ms)
      // Once the sandbox is closed, no batch goes on.
      if (closed) await new Promise(() => {})
    },
    logError: (error) => app.log.error(error)
  }
}

const sandboxPlugin: FastifyPluginAsync<BatchSandboxOptions> = async (app, options) => {
  const sandbox = createSandbox(app, options)
  const bodies = createBodyReceiver(sandbox.now)

  // The host's parsers stay out: bodies are read here, whatever their content type.
  app.removeAllContentTypeParsers()
  app.setErrorHandler(sendError)
  // Without a prefix of its own, this handler would be the host's.
  const { prefix = '' } = options as { prefix?: string }
  if (prefix !== '' && prefix !== '/') app.setNotFoundHandler(sendNotFound)

  app.register(async (scope) => {
    scope.addContentTypeParser('*', async ({ routeOptions }: FastifyRequest, body: IncomingMessage) =>
      bodies.receive(body, routeOptions.bodyLimit))
    fileRoutes(scope, sandbox)
    batchRoutes(scope, sandbox)
  })
  app.register(async (scope) => {
    scope.addContentTypeParser('*', async (_request: FastifyRequest, body: IncomingMessage) =>
      discardBody(body, MAX_IGNORED_BODY_BYTES))
    cancelRoute(scope, sandbox)
  })
}

/**
 * OpenAI's Files and Batches API in memory, as a Fastify plugin with its own scope: nothing of the host is touched.
 * Its routes are `/files…` and `/batches…` below the `prefix`. It needs no credential and accepts any.
 *
 * @throws {TypeError} `FST_BATCH_SANDBOX_INVALID_OPTION`, at registration.
 * @example
 * await app.register(batchSandbox, { prefix: '/sandbox/v1' })
 */
export const batchSandbox = fp(sandboxPlugin, {
  fastify: '5.x',
  name: 'fastify-batch-cancel/sandbox',
  encapsulate: true
})

export default batchSandbox

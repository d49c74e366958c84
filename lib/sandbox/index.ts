import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { cancelBatch, createBatch, findBatch, listBatches, type Sandbox } from './batches.js'
import { checkNewBatch, checkNewFile } from './validate.js'
import { ApiError, sendError, sendNotFound } from './errors.js'
import { MAX_FILE_BYTES, fileStore, type StoredFile } from './files.js'
import { inSeconds } from './job.js'
import { checkOptions, type BatchSandboxOptions } from './options.js'
import { page, type Query } from './page.js'
import { seedJobs, throwFault } from './seeds.js'

export type { BatchSandboxOptions } from './options.js'
export type { Clock } from './options.js'

interface ById { Params: { id: string } }
interface Listed { Querystring: Query }
interface WithBody { Body: Buffer | undefined }

/** An upload may be as large as the largest file, and a little more for the form around it. */
const UPLOAD_LIMIT = MAX_FILE_BYTES + 64 * 1024
const BATCH_PAGE = { usual: 20, most: 100 }
const FILE_PAGE = { usual: 10_000, most: 10_000 }

/** Keeps the routes out of the host's own document. */
const hidden = { schema: { hide: true } }

function findFile ({ files }: Sandbox, id: string): StoredFile {
  const file = files.find(id)
  if (file === undefined) throw new ApiError(404, `No file found with id '${id}'.`)
  return file
}

function fileRoutes (app: FastifyInstance, sandbox: Sandbox) {
  app.post<WithBody>('/files', { ...hidden, bodyLimit: UPLOAD_LIMIT }, async ({ body, headers }) =>
    sandbox.files.add({ ...await checkNewFile(body, headers['content-type']), createdAt: inSeconds(sandbox.now()) }))

  app.get<Listed>('/files', hidden, async ({ query }) => {
    const { purpose } = query
    return page(sandbox.files.list().filter(file => purpose === undefined || file.purpose === purpose), query, FILE_PAGE)
  })

  app.get<ById>('/files/:id', hidden, async ({ params }) => findFile(sandbox, params.id).about)

  app.get<ById>('/files/:id/content', hidden, async ({ params }, reply) => {
    reply.type('application/octet-stream')
    return findFile(sandbox, params.id).bytes
  })
}

function batchRoutes (app: FastifyInstance, sandbox: Sandbox) {
  app.post<WithBody>('/batches', hidden, async ({ body }) => createBatch(sandbox, checkNewBatch(body, sandbox.files)))

  app.get<Listed>('/batches', hidden, async ({ query }) => page(listBatches(sandbox), query, BATCH_PAGE))

  app.get<ById>('/batches/:id', hidden, async ({ params }) => {
    throwFault(params.id)
    return findBatch(sandbox, params.id)
  })

  app.post<ById>('/batches/:id/cancel', hidden, async ({ params }) => {
    throwFault(params.id)
    return cancelBatch(sandbox, params.id)
  })
}

function openSandbox (app: FastifyInstance, options: BatchSandboxOptions): Sandbox {
  const { clock, latency, concurrency } = checkOptions(options)
  let closed = false
  app.addHook('onClose', async () => { closed = true })

  const files = fileStore()
  return {
    files,
    latency,
    concurrency,
    jobs: seedJobs(files, clock.now()),
    now: () => clock.now(),
    async pause (ms) {
      await clock.sleep(ms)
      // Whoever waits when the sandbox closes waits forever, and is forgotten.
      if (closed) await new Promise(() => {})
    },
    report: (error) => app.log.error(error)
  }
}

const sandboxPlugin: FastifyPluginAsync<BatchSandboxOptions> = async (app, options) => {
  const sandbox = openSandbox(app, options)

  // Bodies are read as they are: curl sends JSON's content type with nothing, and what a cancel brings is ignored.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.setErrorHandler(sendError)
  // Without a prefix of its own the handler would be the host's.
  const { prefix = '' } = options as { prefix?: string }
  if (prefix !== '' && prefix !== '/') app.setNotFoundHandler(sendNotFound)

  fileRoutes(app, sandbox)
  batchRoutes(app, sandbox)
}

/**
 * OpenAI's Files and Batches API in memory, as a Fastify plugin with a scope of its own: nothing of the host is touched.
 * The routes are `/files…` and `/batches…` below the `prefix`. No credential is needed, any is taken.
 */
export const batchSandbox = fp(sandboxPlugin, { fastify: '5.x', name: 'fastify-batch-cancel/sandbox', encapsulate: true })

export default batchSandbox

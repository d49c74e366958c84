import { access, readFile } from 'node:fs/promises'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { createGateway } from '../../gateway/gateway.js'
import * as entry from '../../lib/index.js'
import * as schemas from '../../schemas/index.js'
import {
  anchorsOf, codeBlocks, curlRequests, readDocuments, relativeLinks, runJavaScript, typeErrors, type CodeBlock,
  type MarkdownDocument
} from '../support/code-blocks.js'
import { ROOT } from '../support/root.js'

/* Every code block of the documentation runs. */

interface Package { readonly scripts: Readonly<Record<string, string>> }

const readText = async (path: string) => await readFile(new URL(path, ROOT), 'utf8')

const PAGES = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md', 'docs', 'examples', 'gateway/README.md']
const documents = await readDocuments(...PAGES)
const { scripts } = JSON.parse(await readText('package.json')) as Package
const LANGUAGES = new Set(['js', 'ts', 'sh', 'json', 'mermaid'])

process.env['OPENAI_API_KEY'] = 'sk-test'
process.env['OPENAI_BASE_URL'] = 'http://127.0.0.1:9/v1'

/** Runs a block. An app that would listen is started without a port instead. */
async function runBlock (t: Test, { place, text }: CodeBlock): Promise<void> {
  const { app } = await runJavaScript(place, text.replace('await app.listen({ port: 3000 })', 'export { app }'))
  t.pass(`${place} runs`)
  if (app === undefined) return
  const server = app as FastifyInstance
  t.teardown(() => server.close())
  await server.ready()
  t.match(server.printRoutes({ commonPrefix: false }), 'v1/batches/:id', `${place} registers the route`)
}

/** Sends the calls of a shell block, and compares the response with the JSON block right after it. */
async function checkCalls (t: Test, app: FastifyInstance, block: CodeBlock, next?: CodeBlock): Promise<void> {
  for (const request of curlRequests(block)) {
    const response = await app.inject(request)
    const { statusCode } = response
    t.ok(statusCode < 500, `${block.place}: ${request.method} ${request.url} is a ${statusCode}`)
    if (next?.language !== 'json' || !next.continues) continue
    t.strictSame(response.json(), JSON.parse(next.text), `${next.place} is the response`)
  }
}

/** The scripts that a document asks for, in shell blocks and in code within text. */
const scriptsIn = ({ text }: MarkdownDocument) =>
  [...text.matchAll(/\bnpm (?:(test|start)\b|run ([\w:-]+))/g)].map(([, short, long]) => short ?? long as string)

for (const document of documents) {
  t.test(document.path, async t => {
    const blocks = codeBlocks(document)
    t.strictSame(blocks.filter(({ language }) => !LANGUAGES.has(language)), [], 'blocks of known languages')
    for (const block of codeBlocks(document, 'js')) await runBlock(t, block)
    for (const block of codeBlocks(document, 'json')) t.type(JSON.parse(block.text), 'object', block.place)

    const shell = codeBlocks(document, 'sh')
    const missing = scriptsIn(document).filter(script => !Object.hasOwn(scripts, script))
    t.strictSame(missing, [], 'every script that it names exists')
    if (!shell.some(block => curlRequests(block).length > 0)) return
    const gateway = await createGateway({ logLevel: 'silent' })
    t.teardown(() => gateway.close())
    await gateway.listen({ port: 0 })
    for (const [index, block] of blocks.entries()) {
      if (block.language === 'sh') await checkCalls(t, gateway, block, blocks[index + 1])
    }
  })
}

/** A forwarder that returns the batch of another API. */
const ANOTHER_BATCH = `import type { BatchForwarder } from 'fastify-batch-cancel'
const ended = { id: 'msgbatch_1', type: 'message_batch', processing_status: 'ended' }
export const forward: BatchForwarder = { cancel: async () => ended }
`

/** What stands around the examples of docstrings, from which `docs/api` is generated. */
const DOCSTRINGS = `import type { FastifyInstance, RouteHandler } from 'fastify'
import {
  ${Object.keys(entry).filter(name => name !== 'default').join(', ')}, type BatchForwarder
} from 'fastify-batch-cancel'
import { batchSandbox } from 'fastify-batch-cancel/sandbox'
import { forwarderContract } from 'fastify-batch-cancel/testing'
import { ${Object.keys(schemas).join(', ')} } from 'fastify-batch-cancel/schemas'

declare const app: FastifyInstance, handler: RouteHandler, logger: FastifyInstance['log'], error: unknown
declare const forward: BatchForwarder, createBatch: () => Promise<string>, apiKey: string
declare const canceller: ReturnType<typeof createBatchCanceller>
declare function keyOf (request: unknown): Promise<string>
declare function fail (): never
declare function test (name: string, run: () => Promise<void>): void
`

const withContext = ({ path }: MarkdownDocument, block: CodeBlock): Pick<CodeBlock, 'place' | 'text'> =>
  ({ ...block, text: path.startsWith('docs/api/') ? `${DOCSTRINGS};{\n${block.text}\n}` : block.text })

t.test('TypeScript compiles, and a mistake in it is reported', async t => {
  const example = await readText('examples/openai-sdk.ts')
  const mistake = 'import batchCancel from \'fastify-batch-cancel\'\nexport const timeout: string = batchCancel\n'
  const errors = await typeErrors([
    ...documents.flatMap(document => codeBlocks(document, 'ts').map(block => withContext(document, block))),
    { place: 'examples/openai-sdk', text: example },
    { place: 'mistake', text: mistake },
    { place: 'another-batch', text: ANOTHER_BATCH }
  ])
  t.equal(errors.length, 2, errors.join('\n'))
  const [another, wrong] = errors.sort()
  t.match(wrong, /^node_modules\/\.blocks\/mistake\.ts: Type .* is not assignable to type 'string'/)
  // `Batch` by its name instead of a list of its fields.
  t.match(another, /is not assignable to type 'Promise<(Batch|BatchResult<Batch \| null>) \| /)
})

t.test('what is called vLLM cancels by DELETE, as its production stack does', async t => {
  const blocks = documents.flatMap(document => codeBlocks(document, 'js', 'ts', 'json'))
  const named = blocks.filter(({ text }) => /vllm/i.test(text))
  t.ok(named.length > 0)
  t.strictSame(named.filter(({ text }) => !text.includes("cancelMethod: 'DELETE'")).map(({ place }) => place), [])
})

t.test('links lead somewhere', async t => {
  const byPath = new Map(documents.map(document => [document.path, document]))
  const links = documents.flatMap(relativeLinks)
  for (const { file, anchor, link } of links) {
    await t.resolves(access(new URL(file, ROOT)), link)
    const target = byPath.get(file)
    if (anchor !== '' && target !== undefined) t.ok(anchorsOf(target).includes(anchor), link)
  }
})

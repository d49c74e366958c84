import { readFile } from 'node:fs/promises'
import t from 'tap'
import * as entry from '../../lib/index.js'
import * as schemas from '../../schemas/index.js'
import { codeBlocks, PAGES, readDocuments, type CodeBlock, type MarkdownDocument } from '../support/code-blocks.js'
import { ROOT } from '../support/root.js'
import { typeErrors } from '../support/type-errors.js'

/*
 * The sources, the tests of types and the code of the documentation have the right types. `npm test` compiles without
 * that check, and makes it here, beside the other tests.
 */

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

t.test('TypeScript compiles, and a mistake in it is reported', { timeout: 120_000 }, async t => {
  const documents = await readDocuments(...PAGES)
  const example = await readFile(new URL('examples/openai-sdk.ts', ROOT), 'utf8')
  const mistake = 'import batchCancel from \'fastify-batch-cancel\'\nexport const timeout: string = batchCancel\n'
  const errors = await typeErrors(t, [
    ...documents.flatMap(document => codeBlocks(document, 'ts').map(block => withContext(document, block))),
    { place: 'examples/openai-sdk', text: example },
    { place: 'mistake', text: mistake },
    { place: 'another-batch', text: ANOTHER_BATCH }
  ])
  t.equal(errors.length, 2, errors.join('\n'))
  const [another, wrong] = errors.sort()
  t.match(wrong, /^node_modules\/\.blocks\/mistake\.mts\(2,14\): .*: Type .* is not assignable to type 'string'/)
  // `Batch` by its name instead of a list of its fields.
  t.match(another, /is not assignable to type 'Promise<(Batch|BatchResult<Batch \| null>) \| /)
})

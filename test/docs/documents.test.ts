import { access, readFile } from 'node:fs/promises'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { createGateway } from '../../gateway/gateway.js'
import {
  anchorsOf, codeBlocks, curlRequests, PAGES, readDocuments, relativeLinks, runJavaScript, type CodeBlock,
  type MarkdownDocument
} from '../support/code-blocks.js'
import { ROOT } from '../support/root.js'

/* Every code block of the documentation runs; those in TypeScript are in typescript.test.ts. */

interface Package { readonly scripts: Readonly<Record<string, string>> }

const readText = async (path: string) => await readFile(new URL(path, ROOT), 'utf8')

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
    // The other work of this process is no load of the gateway.
    gateway.isUnderPressure = () => false
    await gateway.listen({ port: 0 })
    for (const [index, block] of blocks.entries()) {
      if (block.language === 'sh') await checkCalls(t, gateway, block, blocks[index + 1])
    }
  })
}

t.test('what is called vLLM cancels by DELETE, as its production stack does', async t => {
  const blocks = documents.flatMap(document => codeBlocks(document, 'js', 'ts', 'json'))
  const named = blocks.filter(({ text }) => /vllm/i.test(text))
  t.ok(named.length > 0)
  t.strictSame(named.filter(({ text }) => !text.includes("cancelMethod: 'DELETE'")).map(({ place }) => place), [])
})

t.test('links lead somewhere', async t => {
  const anchors = new Map(documents.map(document => [document.path, anchorsOf(document)]))
  const links = documents.flatMap(relativeLinks)
  for (const { file, anchor, link } of links) {
    await t.resolves(access(new URL(file, ROOT)), link)
    const found = anchors.get(file)
    if (anchor !== '' && found !== undefined) t.ok(found.includes(anchor), link)
  }
})

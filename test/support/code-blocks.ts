import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { ROOT } from './root.js'

/** A Markdown file of the repository. */
export interface MarkdownDocument {
  /** The path from the root of the repository. */
  readonly path: string
  readonly text: string
}

export interface CodeBlock {
  /** What follows the opening fence: `js`, `ts`, `sh`, `json`, `mermaid`. */
  readonly language: string
  readonly text: string
  /** Where the block stands, such as `docs/waiting.md:12`. */
  readonly place: string
  /** Whether only a blank line is between it and the block before. */
  readonly continues: boolean
}

/** Where the documentation is. */
export const PAGES = [
  'README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md', 'docs', 'examples', 'gateway/README.md'
]

const NOT_OURS = /(?:^|\/)(?:node_modules|dist|build|\.tap|\.git)\//

/** Out of the sight of git and of coverage, and in the project, so that blocks find its packages. */
const FOLDER = new URL('node_modules/.blocks/', ROOT)

const rootPath = (url: URL) => relative(fileURLToPath(ROOT), fileURLToPath(url)).replaceAll('\\', '/')

async function readMarkdown (path: string): Promise<MarkdownDocument> {
  return { path, text: await readFile(new URL(path, ROOT), 'utf8') }
}

/** Every Markdown file below the given folders and files, in alphabetical order. */
export async function readDocuments (...paths: string[]): Promise<MarkdownDocument[]> {
  const found = await Promise.all(paths.map(async path => path.endsWith('.md')
    ? [path]
    : (await readdir(new URL(`${path}/`, ROOT), { recursive: true })).map(name => `${path}/${name}`)))
  const names = found.flat().filter(path => path.endsWith('.md') && !NOT_OURS.test(path)).sort()
  return await Promise.all(names.map(readMarkdown))
}

/** The fenced code blocks of a document, in order. */
export function codeBlocks ({ path, text }: MarkdownDocument, ...languages: string[]): CodeBlock[] {
  return [...text.matchAll(/^```([\w-]+)\n([^]*?)^```$/gm)]
    .map(({ 1: language = '', 2: block = '', index }) => {
      const before = text.slice(0, index)
      const place = `${path}:${before.split('\n').length}`
      return { language, text: block, place, continues: before.endsWith('```\n\n') }
    })
    .filter(({ language }) => languages.length === 0 || languages.includes(language))
}

/** The sources that stand in for the entries of the package, which need no build. */
const ENTRIES: Readonly<Record<string, string>> = {
  '': 'lib/index.js',
  '/sandbox': 'lib/sandbox/index.js',
  '/testing': 'lib/testing/index.js',
  '/schemas': 'schemas/index.js'
}

/** Imports this package from a folder that holds `lib` and `schemas`: `build` to run a module, the root for types. */
const importFrom = (folder: string, source: string) => source.replace(
  /'fastify-batch-cancel(\/\w+)?'/g,
  (_match, entry = '') => `'${folder}${ENTRIES[entry] as string}'`
)

/** Test processes share the folder, so nothing in it is written by two of them. */
async function write (name: string, source: string): Promise<URL> {
  await mkdir(FOLDER, { recursive: true })
  const file = new URL(name.replace(/[^\w.-]+/g, '-'), FOLDER)
  await writeFile(file, source)
  return file
}

/** Runs a module of JavaScript with the sources of this package, and returns its exports. */
export async function runJavaScript (name: string, source: string): Promise<Record<string, unknown>> {
  return await import((await write(`${name}.mjs`, importFrom('../../build/', source))).href)
}

/**
 * Copies a folder of examples to one in which it runs with the sources of this package, and returns the copy. It has
 * modules of its own, so an app in it can be started more than once in a process.
 */
export async function copyExample (folder: string, name: string): Promise<URL> {
  const from = new URL(`examples/${folder}/`, ROOT)
  const to = new URL(`${name}/`, FOLDER)
  await mkdir(to, { recursive: true })
  await writeFile(new URL('package.json', to), '{ "type": "module" }')
  for (const { name: file } of (await readdir(from, { withFileTypes: true })).filter(entry => entry.isFile())) {
    await writeFile(new URL(file, to), importFrom('../../../build/', await readFile(new URL(file, from), 'utf8')))
  }
  return to
}

/** Runs a module of TypeScript, without its types, as `runJavaScript` does. */
export async function runTypeScript (name: string, source: string): Promise<Record<string, unknown>> {
  const compilerOptions = { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext }
  return await runJavaScript(name, ts.transpileModule(source, { compilerOptions }).outputText)
}

/** Writes modules of TypeScript that import the sources of this package, and returns their files. */
export const writeTypeScript = (blocks: ReadonlyArray<Pick<CodeBlock, 'place' | 'text'>>): Promise<URL[]> =>
  Promise.all(blocks.map(({ place, text }) => write(`${place}.mts`, importFrom('../../', text))))

/** A request as `app.inject` takes it. */
export interface Request {
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly headers: Record<string, string>
}

const CURL = /^curl\s[^]*?(?<!\\)$/gm
const WORD = /'([^']*)'|"([^"]*)"|(\S+)/g

/** The calls of curl in a block for a shell. */
export const curlRequests = ({ text }: CodeBlock): Request[] =>
  (text.match(CURL) ?? []).map(command => readCurl(command.replace(/\\\n/g, ' ')))

function readCurl (command: string): Request {
  const words = [...command.matchAll(WORD)].map(([, single, double, bare]) => single ?? double ?? bare as string)
  const after = (flag: string) => words.flatMap((word, index) => word === flag ? [words[index + 1] as string] : [])
  const { pathname, search } = new URL(words.find(word => word.startsWith('http://')) as string)
  return {
    method: after('-X').includes('POST') ? 'POST' : 'GET',
    url: pathname + search,
    headers: Object.fromEntries(after('-H').map(header => header.split(/: */, 2) as [string, string]))
  }
}

/** A relative link: the file that it names, the anchor in it, and where it stands. */
export interface Link {
  readonly file: string
  readonly anchor: string
  readonly link: string
}

export function relativeLinks ({ path, text }: MarkdownDocument): Link[] {
  const links = [...text.matchAll(/\]\(([^()\s]+)\)/g)].map(([, link]) => link as string)
  return links.filter(link => !/^[a-z]+:/.test(link)).map(link => {
    const { pathname, hash } = new URL(link, new URL(path, ROOT))
    return { file: rootPath(new URL(`file://${pathname}`)), anchor: hash.slice(1), link: `${path}: ${link}` }
  })
}

/** The anchors that GitHub gives to the headings of a document. */
export const anchorsOf = ({ text }: MarkdownDocument): string[] => [
  ...[...text.replace(/^```[^]*?^```$/gm, '').matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    (heading as string).toLowerCase().replace(/[^\w\s-]/g, '').replaceAll(' ', '-')),
  ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id as string)
]

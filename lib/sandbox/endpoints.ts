import { createHash } from 'node:crypto'
import { MISSING, envelope, missingMessage } from './errors.js'
import { newId } from './ids.js'
import { MAX_INPUTS } from './limits.js'

/** The response to one request of a batch, and the tokens that it used. */
export interface RequestResult {
  readonly status: number
  readonly body: unknown
  readonly inputTokens: number
  readonly outputTokens: number
}

type Body = Record<string, unknown>
type Check = (value: unknown) => boolean
interface Echo { readonly body: object, readonly input: string[], readonly output: string[] }
interface Endpoint {
  /** What the body of a request must have. */
  readonly required: Readonly<Record<string, Check>>
  readonly echo: (body: Body, created: number) => Echo
}

/** How many numbers an embedding has: few, since it is only an example. */
const VECTOR_SIZE = 8

const isText: Check = (value) => typeof value === 'string' && value !== ''
const isList: Check = (value) => Array.isArray(value) && value.length > 0
const isInput: Check = (value) => isText(value) || (isList(value) && inputsOf(value).length <= MAX_INPUTS)
const isTextOrAbsent: Check = (value) => value === undefined || isText(value)
const isInputText: Check = (value) => isText(value) || isList(value)

/** Returns a rough token count that is the same on every run: four characters are a token. */
const tokensOf = (texts: string[]) => texts.reduce((sum, text) => sum + Math.ceil(text.length / 4), 0)

/** Returns the text of a message's content: a string, or parts of which some have a text. */
function textOf (content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content.map(part => Object(part).text).filter(isText).join('')
}

/** Returns the inputs of a request, which may be one or many, as text or as tokens. */
function inputsOf (value: unknown): string[] {
  if (typeof value === 'string') return [value]
  const list = value as unknown[]
  if (list.every(item => typeof item === 'number')) return [`${list.length} tokens`]
  return list.map(item => typeof item === 'string' ? item : `${Object(item).length} tokens`)
}

/** Returns the text of every message of a conversation, and of the user's last one. */
function conversation (value: unknown): { texts: string[], last: string } {
  if (typeof value === 'string') return { texts: [value], last: value }
  const messages = (value as unknown[]).map(message => {
    const { role, content } = Object(message)
    return { role, text: textOf(content) }
  })
  return { texts: messages.map(({ text }) => text), last: messages.findLast(({ role }) => role === 'user')?.text ?? '' }
}

const vectorOf = (text: string) =>
  [...createHash('sha256').update(text).digest().subarray(0, VECTOR_SIZE)].map(byte => byte / 255)

function completionUsage (input: string[], output: string[]) {
  const prompt = tokensOf(input)
  const completion = tokensOf(output)
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0
    }
  }
}

/** OpenAI's object for token counts, of responses and of batches. */
export const tokenUsage = (input: number, output: number) => ({
  input_tokens: input,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: output,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: input + output
})

function chatCompletion (body: Body, created: number): Echo {
  const { texts, last } = conversation(body.messages)
  const message = { role: 'assistant', content: last, refusal: null, annotations: [] }
  return {
    input: texts,
    output: [last],
    body: {
      id: newId('chatcmpl-'),
      object: 'chat.completion',
      created,
      model: body.model,
      choices: [{ index: 0, message, logprobs: null, finish_reason: 'stop' }],
      usage: completionUsage(texts, [last]),
      service_tier: 'default',
      system_fingerprint: null
    }
  }
}

function response (body: Body, created: number): Echo {
  const { texts, last } = conversation(body.input)
  const content = [{ type: 'output_text', text: last, annotations: [], logprobs: [] }]
  return {
    input: texts,
    output: [last],
    body: {
      id: newId('resp_'),
      object: 'response',
      created_at: created,
      status: 'completed',
      error: null,
      incomplete_details: null,
      instructions: null,
      max_output_tokens: null,
      model: body.model,
      output: [{ id: newId('msg_'), type: 'message', status: 'completed', role: 'assistant', content }],
      parallel_tool_calls: true,
      previous_response_id: null,
      reasoning: { effort: null, summary: null },
      store: true,
      temperature: 1,
      text: { format: { type: 'text' } },
      tool_choice: 'auto',
      tools: [],
      top_p: 1,
      truncation: 'disabled',
      usage: tokenUsage(tokensOf(texts), tokensOf([last])),
      user: null,
      metadata: {}
    }
  }
}

function embeddings (body: Body): Echo {
  const input = inputsOf(body.input)
  const tokens = tokensOf(input)
  const data = input.map((text, index) => ({ object: 'embedding', index, embedding: vectorOf(text) }))
  const usage = { prompt_tokens: tokens, total_tokens: tokens }
  return { input, output: [], body: { object: 'list', data, model: body.model, usage } }
}

function completion (body: Body, created: number): Echo {
  const prompts = inputsOf(body.prompt)
  const choices = prompts.map((text, index) => ({ text, index, logprobs: null, finish_reason: 'stop' }))
  const usage = completionUsage(prompts, prompts)
  return {
    input: prompts,
    output: prompts,
    body: { id: newId('cmpl-'), object: 'text_completion', created, model: body.model, choices, usage }
  }
}

const CATEGORIES = [
  'harassment', 'harassment/threatening', 'hate', 'hate/threatening', 'illicit', 'illicit/violent', 'self-harm',
  'self-harm/instructions', 'self-harm/intent', 'sexual', 'sexual/minors', 'violence', 'violence/graphic'
]
const eachCategory = <T>(value: T) => Object.fromEntries(CATEGORIES.map(name => [name, value]))
const NOT_FLAGGED = {
  flagged: false,
  categories: eachCategory(false),
  category_scores: eachCategory(0),
  category_applied_input_types: eachCategory(['text'])
}

function moderation (body: Body): Echo {
  const results = inputsOf(body.input).map(() => NOT_FLAGGED)
  // A moderation is free of charge.
  return { input: [], output: [], body: { id: newId('modr-'), model: body.model ?? 'omni-moderation-latest', results } }
}

const ENDPOINTS: ReadonlyMap<string, Endpoint> = new Map<string, Endpoint>([
  ['/v1/chat/completions', { required: { model: isText, messages: isList }, echo: chatCompletion }],
  ['/v1/responses', { required: { model: isText, input: isInputText }, echo: response }],
  ['/v1/embeddings', { required: { model: isText, input: isInput }, echo: embeddings }],
  ['/v1/completions', { required: { model: isText, prompt: isInput }, echo: completion }],
  ['/v1/moderations', { required: { model: isTextOrAbsent, input: isInput }, echo: moderation }]
])

/** The endpoints that a batch may name. */
export const ENDPOINT_NAMES: readonly string[] = [...ENDPOINTS.keys()]

function invalidBody (param: string, value: unknown): RequestResult {
  const body = value === undefined
    ? envelope(missingMessage(param), { param, code: MISSING })
    : envelope(`Invalid value for '${param}'.`, { param, code: 'invalid_value' })
  return { status: 400, body, inputTokens: 0, outputTokens: 0 }
}

/**
 * Responds to one request by echoing it in the shape of the endpoint, or with a 400 if something required is missing.
 * @param created Unix time in seconds.
 */
export function respondTo (endpoint: string, requestBody: unknown, created: number): RequestResult {
  const { required, echo } = ENDPOINTS.get(endpoint) as Endpoint
  const fields: Body = Object(requestBody)
  const invalid = Object.entries(required).find(([param, check]) => !check(fields[param]))
  if (invalid !== undefined) return invalidBody(invalid[0], fields[invalid[0]])
  const { body, input, output } = echo(fields, created)
  return { status: 200, body, inputTokens: tokensOf(input), outputTokens: tokensOf(output) }
}

import {
  checkOptions, FUNCTION, invalidOption, milliseconds, OBJECT, optionName, STRING, STRINGS, type Rule, type Rules
} from '../check-options.js'
import { isProviderName } from '../forwarder/check-call.js'
import { isObject } from '../is-object.js'
import type { CustomRead, MappedBatch, ProviderDefinition } from './definition.js'
import { BASE_URL } from './option-rules.js'

const isFunction = (value: unknown) => typeof value === 'function'

const isTemplate = (value: unknown) =>
  isFunction(value) || (isObject(value) && typeof value['path'] === 'string' && value['path'].startsWith('/'))

const TEMPLATE: Rule = {
  test: isTemplate,
  expected: 'a request such as post(\'/batches/{id}/cancel\'), whose path starts with a slash, or a function'
}

const GRAMMAR: Rule = {
  test: value => isObject(value) && value['pattern'] instanceof RegExp && typeof value['description'] === 'string',
  expected: 'an object with a pattern (a regular expression) and a description'
}

const AUTH: Rule = {
  test: value => isObject(value) && Array.isArray(value['sets']) && isFunction(value['fromClient']) &&
    isFunction(value['toHeaders']),
  expected: 'made by bearer() or headerKey(), or an object with sets, fromClient and toHeaders'
}

const DEFINITION_RULES: Rules = {
  name: { test: isProviderName, expected: '1 to 128 visible ASCII characters' },
  factory: STRING,
  source: OBJECT,
  baseUrl: BASE_URL,
  domains: STRINGS,
  place: FUNCTION,
  id: GRAMMAR,
  cancellingTime: milliseconds(1),
  auth: AUTH,
  cancel: TEMPLATE,
  retrieve: TEMPLATE,
  headers: OBJECT,
  accountHeaders: STRINGS,
  sends: OBJECT,
  requestHeaders: OBJECT,
  reservedHeaders: STRINGS,
  options: OBJECT,
  conflict: FUNCTION,
  pins: FUNCTION,
  errorCode: FUNCTION,
  statuses: OBJECT,
  status: FUNCTION,
  fields: FUNCTION,
  member: STRING,
  batchId: FUNCTION,
  accepts: FUNCTION,
  read: FUNCTION
}

const REQUIRED = ['name', 'baseUrl', 'id', 'auth', 'cancel', 'retrieve'] as const

/** @throws FST_BATCH_CANCEL_INVALID_OPTION */
export function checkDefinition<O, C, P> (definition: ProviderDefinition<O, C, P>): void {
  const path = 'defineProvider()'
  checkOptions(path, definition, DEFINITION_RULES)
  const missing = REQUIRED.find(name => definition[name] === undefined)
  if (missing !== undefined) {
    throw invalidOption(`${optionName(path, missing)} must be ${(DEFINITION_RULES[missing] as Rule).expected}.`)
  }
  if (typeof definition.baseUrl === 'function' && definition.domains === undefined) {
    throw invalidOption(`${optionName(path, 'domains')} must list the provider's hosts if baseUrl is a function.`)
  }
  const { read, fields, statuses, status } = definition as Partial<MappedBatch & CustomRead>
  if (read !== undefined || (fields !== undefined && (statuses ?? status) !== undefined)) return
  throw invalidOption(`${optionName(path, 'statuses', 'fields')} must say how a batch is read. Or use status, or read.`)
}

import type { ResponseHeaders } from '../headers.js'

/** Attempts to cancel in one call, and attempts of one read. */
export const MAX_ATTEMPTS = 3
export const MAX_READS = 3

/** The pause before the second attempt; each further one is twice as long. */
const BASE_DELAY_MS = 500

const NUMBER = /^\d+(?:\.\d+)?$/
const HTTP_DATE = / GMT$/

/**
 * How long the provider asks to wait, in milliseconds, by its `retry-after` (RFC 9110) or `retry-after-ms` (OpenAI's
 * SDKs) header.
 *
 * @param unixTime the current time in milliseconds
 */
export function retryAfterMs (headers: Readonly<ResponseHeaders>, unixTime: number): number | undefined {
  const { 'retry-after-ms': milliseconds = '', 'retry-after': secondsOrDate = '' } = headers
  if (NUMBER.test(milliseconds)) return Number(milliseconds)
  if (NUMBER.test(secondsOrDate)) return Number(secondsOrDate) * 1000
  const date = HTTP_DATE.test(secondsOrDate) ? Date.parse(secondsOrDate) : NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - unixTime)
}

/**
 * The pause before the next attempt, in milliseconds: exponential, with jitter that spreads the retries of many calls.
 *
 * @param attempt how many attempts were made, from 1
 * @param random from 0 to 1
 */
export const backoffMs = (attempt: number, random: number): number =>
  BASE_DELAY_MS * 2 ** (attempt - 1) * (0.5 + random / 2)

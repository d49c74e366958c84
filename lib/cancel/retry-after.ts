/** Milliseconds until a provider wants to be asked again. Sources: RFC 9110 for `retry-after`, OpenAI's SDKs for `retry-after-ms`. */
export function retryAfter (headers: Readonly<Record<string, string>>, now: number): number | undefined {
  const { 'retry-after-ms': ms = '', 'retry-after': after = '' } = headers
  if (/^\d+(\.\d+)?$/.test(ms)) return Number(ms)
  if (/^\d+(\.\d+)?$/.test(after)) return Number(after) * 1000
  return / GMT$/.test(after) && !Number.isNaN(Date.parse(after)) ? Math.max(0, Date.parse(after) - now) : undefined
}

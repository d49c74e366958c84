import autocannon from 'autocannon'

const { method = 'POST', url, headers, connections, seconds, timeout, requestBytes = 0, providers = 0 } = JSON.parse(process.argv[2])
const names = Array.from({ length: providers }, (_, index) => ({ 'x-portkey-provider': `p${index}` }))
const body = requestBytes === 0 ? undefined : `{"pad":"${'x'.repeat(requestBytes - 10)}"}`

const result = await autocannon({
  url,
  connections,
  duration: seconds,
  timeout,
  method,
  body,
  headers: { ...headers, ...body !== undefined && { 'content-type': 'application/json' } },
  ...providers > 0 && { requests: names.map(named => ({ headers: { ...headers, ...named } })) }
})

console.log(JSON.stringify({
  requests: result.requests.total,
  seconds: result.duration,
  p50: result.latency.p50,
  p99: result.latency.p99,
  errors: result.errors + result.timeouts + result.non2xx
}))

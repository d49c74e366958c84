import t from 'tap'
import { checkId } from '../../lib/forwarder/check-call.js'
import { forwardToProviders } from '../../lib/index.js'
import { make } from '../fixtures/fixture.js'
import { FIXTURES } from '../fixtures/index.js'
import { thrown } from '../support/provider.js'
import { startUpstream } from '../support/upstream.js'

t.test('no id climbs, and none has a slash unless ids of the provider have', async t => {
  const upstream = await startUpstream(t, () => ({ status: 404, body: {} }))
  const dots = ['.', '..', '%2e', '%2E%2e', '.%2e', '%252e', '%252E%252e']
  const slashes = ['/', '\\', '%2f', '%2F', '%5c', '%252f', '%255C']
  for (const fixture of FIXTURES) {
    const { name, ids: { valid }, hosts } = fixture
    const forward = forwardToProviders({ providers: { [name]: make(fixture, { baseUrl: upstream.url }) } })
    const climbing = dots.flatMap(dot => [dot, ...slashes.flatMap(slash => [
      `${dot}${slash}${valid[0]}`, `${valid[0]}${slash}${dot}`, `${valid[0]}${slash}${dot}${slash}x`, `x${slash}${dot}`
    ])])
    const hasSlashes = valid.some(id => /\/|%2f/i.test(id))
    const divided = hasSlashes ? [] : slashes.flatMap(slash => [`x${slash}y`, `${valid[0]}${slash}`])
    const headers = { authorization: 'Bearer key-of-client', ...hosts.headers }
    const codes = new Set<unknown>()
    for (const id of [...climbing, ...divided]) {
      const call = { provider: name, batchId: id, headers, request: undefined, signal: new AbortController().signal }
      codes.add((thrown(() => forward.prepare(call)) as { code?: unknown } | undefined)?.code)
    }
    t.strictSame([...codes], ['invalid_batch_id'], `${name}: ${climbing.length + divided.length} ids`)
  }
  t.strictSame(upstream.requests, [])

  const check = (id: string) => thrown(() => checkId(id, 'own', {}))
  for (const id of dots.flatMap(dot => [dot, ...slashes.flatMap(slash => [`${dot}${slash}x`, `x${slash}${dot}`])])) {
    t.match(check(id), { code: 'invalid_batch_id' }, `'${id}' of a provider without a grammar`)
  }
  for (const id of ['...', '.x', 'x..', 'a..b', 'a/b', 'a%2fb', 'x/..y']) t.equal(check(id), undefined, id)
})

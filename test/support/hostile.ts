import fc, { type Arbitrary } from 'fast-check'

const HOSTS = [
  'llm.example.com', 'LLM.example.com', 'llm。example。com', 'llm%2Eexample.com', 'other.example.com', '10.0.0.5',
  '167772165', '012.0.0.5', '[::1]', '[::ffff:a00:5]', 'evil.example', '127.0.0.1', 'localhost'
]

const PARTS = [
  '', '.', '@', ':', ':8000', ':8443', ':443', ':0443', '/', '//', '\\', '?', '#', '%2f', '%40', '%00', '\t', '\n',
  ' ', 'user:pw@', '/..', ';', ',', 'v1'
]

const SCHEMES = [
  'https://', 'http://', 'HTTPS://', 'https:', 'http:/', 'https:\\\\', '//', '', 'ftp://', ' https://', 'https:///',
  'blob:https://'
]

/** Strings that a parser may take for one host and a check for another. */
export function hostileUrls (): Arbitrary<string> {
  const hosts = fc.constantFrom(...HOSTS)
  const part = fc.constantFrom(...PARTS)
  const scheme = fc.constantFrom(...SCHEMES)
  const built = fc.tuple(scheme, part, hosts, part, hosts, part, part)
    .map(([start, before, host, between, second, after, end]) =>
      [start, before, host, between, between === '' ? '' : second, after, end].join(''))
  const plain = fc.tuple(scheme, hosts, part, part).map(parts => parts.join(''))
  // These look like what is trusted, and often are.
  const likely = fc.tuple(
    fc.constantFrom('https://', 'http://'),
    hosts,
    fc.constantFrom('', ':443', ':8443', ':8000'),
    fc.constantFrom('', '/', '/v1', '/v1?', '/%40')
  ).map(parts => parts.join(''))
  const authority = fc.webAuthority({ withIPv4Extended: true, withIPv6: true, withPort: true, withUserInfo: true })
  return fc.oneof(
    built,
    plain,
    likely,
    fc.webUrl({ withQueryParameters: true, withFragments: true }),
    fc.string({ unit: 'binary' }),
    authority.map(value => `http://${value}`)
  )
}

/** What may stand within a host name, a path segment or a query, and lead elsewhere. */
export const hostileParts = (): Arbitrary<string> => fc.oneof(
  fc.constantFrom(
    '', '.', '-', '1', 'a', '.evil.example', '.evil.example/', '@evil.example', '@evil.example/', '/',
    '//evil.example', '\\', '\\evil.example', '#', '?', ':', ':8443', '%2e', '%00', '%2f', '\t', '\n', '\r\n', ' ',
    '\u3002', 'xn--', '_', '..', '/../', ';', ',', '\u0130'
  ),
  fc.stringMatching(/^[a-z0-9-]{0,5}$/),
  fc.string({ unit: 'binary', maxLength: 8 }),
  hostileUrls()
)

import { createPrivateKey, getDiffieHellman, type KeyObject } from 'node:crypto'

const modp = (name: string) => BigInt(`0x${getDiffieHellman(name).getPrime('hex')}`)

/** The 1,024 bits of RFC 5114, section 2.1. */
const RFC_5114 = BigInt('0x' +
  'b10b8f96a080e01dde92de5eae5d54ec52c99fbcfb06a3c69a6a9dca52d23b616073e28675a23d189838ef1e2ee652c013ecb4aea90611' +
  '2324975c3cd49b83bfaccbdd7d90c4bd7098488e9c219a73724effd6fae5644738faa31a4ff55bccc0a151af5f0dc8b4bd45bf37df365c' +
  '1a65e68cfda76d4da708df1fb2bc2e4a4371')

/** Well-known primes, most by their names in RFC 3526: to look for others takes up to seconds. */
const PRIMES = {
  2048: () => [RFC_5114, modp('modp2')],
  3072: () => [modp('modp14'), modp('modp2')],
  4096: () => [modp('modp15'), modp('modp2')]
} satisfies Record<number, () => [bigint, bigint]>

const EXPONENT = 65_537n

/** An RSA key of this size, whose primes are public. */
export function wellKnownRsaKey (bits: keyof typeof PRIMES): KeyObject {
  const [p, q] = PRIMES[bits]()
  const d = inverse(EXPONENT, (p - 1n) * (q - 1n))
  const numbers = { n: p * q, e: EXPONENT, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qi: inverse(q, p) }
  const encoded = Object.fromEntries(Object.entries(numbers).map(([name, number]) => [name, toBase64Url(number)]))
  return createPrivateKey({ format: 'jwk', key: { kty: 'RSA', ...encoded } })
}

/** The modular inverse, by the extended Euclidean algorithm. */
function inverse (number: bigint, modulus: bigint): bigint {
  let [before, rest, first, second] = [modulus, number % modulus, 0n, 1n]
  while (rest !== 0n) {
    const times = before / rest
    const next = [rest, before - times * rest, second, first - times * second] as const
    ;[before, rest, first, second] = next
  }
  return (first + modulus) % modulus
}

function toBase64Url (number: bigint): string {
  const hex = number.toString(16)
  return Buffer.from(hex.padStart(hex.length + hex.length % 2, '0'), 'hex').toString('base64url')
}

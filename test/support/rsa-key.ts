import { createPrivateKey, getDiffieHellman, type KeyObject } from 'node:crypto'

/** Well-known primes, by their names in RFC 3526: to look for others takes seconds. */
const PRIMES = { 3072: ['modp14', 'modp2'], 4096: ['modp15', 'modp2'] } as const

const EXPONENT = 65_537n

/** An RSA key of this size, whose primes are public. */
export function wellKnownRsaKey (bits: keyof typeof PRIMES): KeyObject {
  const [p, q] = PRIMES[bits].map(name => BigInt(`0x${getDiffieHellman(name).getPrime('hex')}`)) as [bigint, bigint]
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

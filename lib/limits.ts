/* Limits on what a caller or an upstream can make large, many or slow. Names carry their unit. */

/* One response of an upstream. Whatever exceeds one of these is not a batch, and its connection is closed at once. */

/** A batch is a few kilobytes; its metadata and errors may make it larger. */
export const MAX_RESPONSE_BYTES = 1024 * 1024

/** Each chunk or packet costs CPU, however small it is; a body of the largest size may come in pieces of 256 bytes. */
export const MAX_RESPONSE_CHUNKS = 4096

/** Node's own limit for the headers of a request. Trailers have the same limit, and so has anything else but a body. */
export const MAX_RESPONSE_HEADER_BYTES = 16 * 1024

/** Providers send some 40. */
export const MAX_RESPONSE_HEADERS = 256

/** Responses such as `103 Early Hints` before the final one; servers send one or two. */
export const MAX_INFORMATIONAL_RESPONSES = 64

/** Everything on the wire: the body, and the headers, trailers, informational responses and framing around it. */
export const MAX_RESPONSE_WIRE_BYTES = MAX_RESPONSE_BYTES + 128 * 1024

/* Connections to upstreams. */

/** A cancel takes some 100 ms, so this is more than 1,000 calls a second; providers limit clients far below that. */
export const MAX_CONNECTIONS_PER_ORIGIN = 128

/** About a second of work for all connections: a call that would wait longer does better to come back later. */
export const MAX_QUEUED_REQUESTS_PER_ORIGIN = 1024

/** More than the regions and hosts of a large deployment. Clients can name origins, such as Azure resources. */
export const MAX_ORIGINS = 256

/** Longer than the 15 seconds between two reads of a wait, so that these need no connection of their own. */
export const IDLE_TIMEOUT_MS = 20_000

/* Access tokens of service accounts. */

/** An RSA key of 4096 bits in PKCS #8 has some 3,300 characters. */
export const MAX_PRIVATE_KEY_CHARACTERS = 4096

/** What Google issues is 2048; longer keys than these take more time than a signature is worth. */
export const MIN_RSA_BITS = 2048
export const MAX_RSA_BITS = 4096

/** Each needs a signature and a request; a token lasts an hour, so that few are needed at a time. */
export const MAX_TOKEN_EXCHANGES = 32

/** The account that was not used for longest is forgotten first. */
export const MAX_CACHED_TOKENS = 1000

/** A token is replaced this long before it expires, longer than any call takes. */
export const TOKEN_EXPIRY_MARGIN_MS = 5 * 60_000

/** Leaves most of the time of a call for the cancel itself. */
export const TOKEN_TIMEOUT_MS = 10_000

/* Waits. */

/** Batches that are waited for at the same time: each takes some 15 kB, and a read every 15 seconds. */
export const MAX_POLLERS = 10_000

/** Batches of xAI whose counters are remembered, to see for how long they have not changed. */
export const MAX_REMEMBERED_COUNTERS = 1000

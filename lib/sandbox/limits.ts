/*
 * Every limit of the sandbox. It keeps everything in memory and serves all clients from one event loop, so whatever a
 * client can make large, many or slow is bounded here.
 */

const KIB = 1024
const MIB = 1024 * KIB

// Request bodies

/** Size of an uploaded file, in bytes (16 MiB). OpenAI accepts 200 MB. */
export const MAX_FILE_BYTES = 16 * MIB
/** Size of the body of `POST /files`, in bytes: the largest file and 64 KiB for the form around it. */
export const MAX_UPLOAD_BODY_BYTES = MAX_FILE_BYTES + 64 * KIB
/** Size of the body of `POST /batches`, in bytes (64 KiB). The largest metadata fits, even fully escaped. */
export const MAX_CREATE_BODY_BYTES = 64 * KIB
/** Size of the body of a cancel, in bytes (1 MiB). It is read and discarded, never stored. */
export const MAX_IGNORED_BODY_BYTES = MIB
/** How many bodies may be arriving at the same time. */
export const MAX_RECEIVING_BODIES = 64
/** How many bytes of bodies that are still arriving are held, in all (64 MiB). */
export const MAX_RECEIVING_BYTES = 64 * MIB
/** After this time, in milliseconds, a body that is still arriving is dropped if another one needs its place. */
export const MAX_RECEIVING_MS = 30_000

// Forms

/** Length of the boundary of a form, in characters (RFC 2046, section 5.1.1). */
export const MAX_BOUNDARY_LENGTH = 70
/** How many parts a form may have. An upload needs two. */
export const MAX_FORM_PARTS = 16
/** Size of the headers of one part of a form, in bytes (4 KiB). */
export const MAX_PART_HEADER_BYTES = 4 * KIB

// Stored files

/** How many files are stored, besides those of the seeds; the oldest is removed for a new one. */
export const MAX_FILES = 2_000
/** How many bytes these files may have together (256 MiB); the oldest are removed for a new one. */
export const MAX_STORED_BYTES = 256 * MIB

// Batches

/** How many batches are stored, besides the seeds; the oldest that has ended is removed for a new one. */
export const MAX_BATCHES = 500
/** How many bytes the input files of all live batches may have together (64 MiB). */
export const MAX_LIVE_INPUT_BYTES = 64 * MIB
/** How many bytes of responses one batch may produce (64 MiB); further requests of the batch fail. */
export const MAX_OUTPUT_BYTES = 64 * MIB
/** How many bytes of responses all live batches may hold together (128 MiB); further requests fail until one ends. */
export const MAX_LIVE_OUTPUT_BYTES = 128 * MIB

/** How many key-value pairs the metadata of a batch may have (OpenAI's limit). */
export const MAX_METADATA_PAIRS = 16
/** Length of a key of the metadata, in characters (OpenAI's limit). */
export const MAX_METADATA_KEY_LENGTH = 64
/** Length of a value of the metadata, in characters (OpenAI's limit). */
export const MAX_METADATA_VALUE_LENGTH = 512

// Input files

/** How many requests an input file may have (OpenAI's limit). */
export const MAX_REQUESTS = 50_000
/** Size of one line of an input file, in bytes (1 MiB). A line is parsed in one go, while everything else waits. */
export const MAX_LINE_BYTES = MIB
/** How deep the JSON of one line may be nested. V8 needs far more time and memory for deep JSON than for flat JSON. */
export const MAX_NESTING = 128
/** How many errors of one input file are reported. */
export const MAX_INPUT_ERRORS = 100
/** How many inputs one request may have (OpenAI's limit for embeddings). */
export const MAX_INPUTS = 2_048

// Event loop

/** How many bytes are processed in one turn of the event loop (256 KiB); further work waits for the next turn. */
export const MAX_BYTES_PER_TURN = 256 * KIB
/** How many bytes of a file are processed before other work gets its turn (64 KiB). */
export const SLICE_BYTES = 64 * KIB

// Options

/** The longest `latency`, in milliseconds: the longest time that a timer of Node.js can wait. */
export const MAX_LATENCY_MS = 2 ** 31 - 1

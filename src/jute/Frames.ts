/**
 * Cuts a stream of bytes into frames: a length of four bytes, then as many
 * bytes of payload.
 *
 * @example
 * ```ts
 * import { Frames } from "effect-zookeeper/jute/Frames"
 *
 * const seen: Array<number> = []
 * // Of at most 1 MiB.
 * const frames = new Frames(1 << 20, {
 *   frame: (reader) => seen.push(reader.int()),
 *   oversize: (_, size) => console.warn(`${size} bytes were skipped`)
 * })
 *
 * // A frame of four bytes, in two pieces.
 * frames.push(new Uint8Array([0, 0, 0, 4, 0, 0]))
 * frames.push(new Uint8Array([0, 42]))
 *
 * seen // => [42]
 * ```
 *
 * @since 0.1.0
 */
import { JuteError, Reader } from "./Jute.ts"

/**
 * What is told about frames.
 *
 * @category models
 * @since 0.1.0
 */
export interface Handler {
  /** A whole frame. The reader is valid during the call only. */
  readonly frame: (reader: Reader) => void
  /** A frame beyond the limit was skipped; the reader holds its first 16 bytes (fewer if it was cut). */
  readonly oversize: (reader: Reader, size: number) => void
}

// A frame that spans reads is gathered in memory that grows with what came, not with what was announced.
const firstGather = 1 << 20
const headSize = 16
const nothing = new Uint8Array(0)

const hintAt = (length: number): string => {
  if (length >>> 16 === 0x1503) return ": the peer talks TLS"
  const text = String.fromCharCode(length >>> 24 & 255, length >>> 16 & 255, length >>> 8 & 255, length & 255)
  return /^[\x20-\x7e]{4}$/.test(text) ? `: the peer sent the text ${JSON.stringify(text)}` : ""
}

/**
 * Incremental: bytes may be split and glued in any way.
 *
 * @category models
 * @since 0.1.0
 */
export class Frames {
  /** The largest payload, in bytes, that is handed on. */
  limit: number
  private readonly handler: Handler
  private readonly reader = new Reader()
  private length = 0
  private lengthReceived = 0
  private size = -1
  private received = 0
  private gathered: Uint8Array = nothing

  constructor(limit: number, handler: Handler) {
    this.limit = limit
    this.handler = handler
  }

  /** Takes the next bytes. Throws {@link JuteError} on a length that no ZooKeeper server sends. */
  push(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length) {
      if (this.size < 0) {
        at = this.readLength(chunk, at)
        if (this.size < 0) return
      }
      const size = this.size
      const available = chunk.length - at
      if (this.received === 0 && available >= size && size <= this.limit) {
        this.size = -1
        this.handler.frame(this.reader.reset(chunk, at, at + size))
        at += size
      } else {
        const taken = Math.min(available, size - this.received)
        this.gather(chunk.subarray(at, at + taken))
        at += taken
        if (this.received === size) this.finish()
      }
    }
  }

  private readLength(chunk: Uint8Array, from: number): number {
    let at = from
    for (; this.lengthReceived < 4 && at < chunk.length; this.lengthReceived++) {
      this.length = this.length << 8 | (chunk[at++] ?? 0)
    }
    if (this.lengthReceived < 4) return at
    const size = this.length
    if (size <= 0 || size > this.limit) {
      const hint = hintAt(size)
      if (size <= 0 || size > 0x3fff_ffff || hint !== "") {
        throw new JuteError({ detail: `a frame of length ${size} is not ZooKeeper's${hint}` })
      }
    }
    this.lengthReceived = this.length = 0
    this.size = size
    this.received = 0
    return at
  }

  private gather(part: Uint8Array): void {
    const total = this.received + part.length
    const wanted = this.size > this.limit ? Math.min(headSize, total) : total
    if (this.gathered.length < wanted) {
      const most = this.size > this.limit ? headSize : this.size
      const grown = new Uint8Array(Math.min(most, Math.max(firstGather, 2 * wanted)))
      grown.set(this.gathered.subarray(0, Math.min(this.received, this.gathered.length)))
      this.gathered = grown
    }
    if (this.received < wanted) this.gathered.set(part.subarray(0, wanted - this.received), this.received)
    this.received = total
  }

  private finish(): void {
    const { gathered, size } = this
    this.size = -1
    this.received = 0
    this.gathered = nothing
    if (size > this.limit) {
      this.handler.oversize(this.reader.reset(gathered, 0, Math.min(headSize, size), true), size)
    } else {
      this.handler.frame(this.reader.reset(gathered, 0, size, true))
    }
  }
}

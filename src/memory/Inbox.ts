/**
 * Cuts what a client sends into frames: a length of four bytes, then as many
 * bytes of payload. The first four bytes of a connection may be a command
 * instead.
 *
 * Memory is taken for what came, not for what was announced.
 */
import { Reader } from "../jute/Jute.ts"

export interface Handler {
  /** A whole frame; the reader is valid during the call only. Returns whether more are wanted. */
  readonly frame: (reader: Reader) => boolean
  /** The first four bytes as text. Returns whether they were a command, after which nothing is read. */
  readonly command: (word: string) => boolean
}

const firstGather = 1 << 10

export class Inbox {
  private readonly limit: number
  private readonly handler: Handler
  private readonly reader = new Reader()
  private readonly length = new Uint8Array(4)
  private lengthReceived = 0
  private isFirst = true
  private size = -1
  private received = 0
  private gathered = new Uint8Array(0)

  constructor(limit: number, handler: Handler) {
    this.limit = limit
    this.handler = handler
  }

  /** False after bytes that no client sends, or when the handler wants no more. */
  push(chunk: Uint8Array): boolean {
    let at = 0
    while (at < chunk.length) {
      if (this.size < 0) {
        while (this.lengthReceived < 4 && at < chunk.length) this.length[this.lengthReceived++] = chunk[at++] ?? 0
        if (this.lengthReceived < 4) return true
        if (!this.begin()) return false
      }
      const { size } = this
      const available = chunk.length - at
      if (this.received === 0 && available >= size) {
        this.size = -1
        if (!this.handler.frame(this.reader.reset(chunk, at, at + size))) return false
        at += size
      } else {
        const taken = Math.min(available, size - this.received)
        this.gather(chunk.subarray(at, at + taken))
        at += taken
        if (this.received === size && !this.finish()) return false
      }
    }
    return true
  }

  private begin(): boolean {
    const { length } = this
    const size = (length[0] ?? 0) << 24 | (length[1] ?? 0) << 16 | (length[2] ?? 0) << 8 | (length[3] ?? 0)
    this.lengthReceived = 0
    if (this.isFirst && this.handler.command(String.fromCharCode(...length))) return false
    this.isFirst = false
    if (size <= 0 || size > this.limit) return false
    this.size = size
    this.received = 0
    return true
  }

  private gather(part: Uint8Array): void {
    const total = this.received + part.length
    if (this.gathered.length < total) {
      const grown = new Uint8Array(Math.min(this.size, Math.max(firstGather, 2 * total)))
      grown.set(this.gathered.subarray(0, this.received))
      this.gathered = grown
    }
    this.gathered.set(part, this.received)
    this.received = total
  }

  private finish(): boolean {
    const { gathered, size } = this
    this.size = -1
    this.received = 0
    this.gathered = new Uint8Array(0)
    return this.handler.frame(this.reader.reset(gathered, 0, size))
  }
}

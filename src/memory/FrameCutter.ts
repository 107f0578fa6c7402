/**
 * Finds the frames in a stream of bytes without taking them apart: runs of
 * frames that may pass are passed on as they came. What is no frame of
 * ZooKeeper's (a four-letter word, TLS, noise) passes as it is, to the end.
 */

/** What is done with frames. A frame includes its length of four bytes. */
export interface Handler<Action> {
  /** What is to happen to a frame; `undefined`: it passes. */
  readonly decide: (bytes: Uint8Array, start: number, end: number) => Action | undefined
  /** What is to happen to a frame happens, after everything before it has passed. */
  readonly apply: (action: Action, frame: Uint8Array) => void
  /** One or more whole frames, or bytes that are none. */
  readonly pass: (bytes: Uint8Array) => void
}

const none = new Uint8Array(0)
const firstGather = 1024

export class FrameCutter<Action> {
  /** No frames come any more. */
  isRaw = false
  private readonly limit: number
  private readonly handler: Handler<Action>
  private gathered = none
  private held = 0
  private stopped = false

  /** Lengths beyond the limit, in bytes, are taken for something else. */
  constructor(limit: number, handler: Handler<Action>) {
    this.limit = limit
    this.handler = handler
  }

  /** Takes the next bytes; they may be split and glued in any way. */
  push(chunk: Uint8Array): void {
    let at = 0
    while (!this.stopped && !this.isRaw && this.held > 0 && at < chunk.length) at = this.gather(chunk, at)
    if (this.stopped || at === chunk.length) return
    if (this.isRaw) return this.handler.pass(chunk.subarray(at))
    this.cut(chunk, at)
  }

  /** Nothing more is handed on. */
  stop(): void {
    this.stopped = true
    this.gathered = none
    this.held = 0
  }

  private cut(chunk: Uint8Array, from: number): void {
    let passed = from
    let at = from
    while (chunk.length - at >= 4) {
      const size = lengthAt(chunk, at)
      if (size <= 0 || size > this.limit) {
        this.isRaw = true
        return this.handler.pass(chunk.subarray(passed))
      }
      const end = at + 4 + size
      if (end > chunk.length) break
      const action = this.handler.decide(chunk, at, end)
      if (action !== undefined) {
        if (at > passed) this.handler.pass(chunk.subarray(passed, at))
        if (this.stopped) return
        this.handler.apply(action, chunk.subarray(at, end))
        if (this.stopped) return
        passed = end
      }
      at = end
    }
    if (at > passed) this.handler.pass(chunk.subarray(passed, at))
    if (!this.stopped && at < chunk.length) this.hold(chunk.subarray(at))
  }

  /** Goes on with a frame that was begun in an earlier chunk. Memory grows with what came, not with what was announced. */
  private gather(chunk: Uint8Array, from: number): number {
    const wanted = this.held < 4 ? 4 : 4 + lengthAt(this.gathered, 0)
    const taken = chunk.subarray(from, from + wanted - this.held)
    this.hold(taken)
    if (this.held === 4) {
      const size = lengthAt(this.gathered, 0)
      if (size > 0 && size <= this.limit) return from + taken.length
      this.isRaw = true
    } else if (this.held < wanted) return from + taken.length
    const frame = this.gathered.subarray(0, this.held)
    this.gathered = none
    this.held = 0
    if (this.isRaw) this.handler.pass(frame)
    else this.cut(frame, 0)
    return from + taken.length
  }

  private hold(bytes: Uint8Array): void {
    const total = this.held + bytes.length
    if (total > this.gathered.length) {
      const grown = new Uint8Array(Math.max(firstGather, 2 * total))
      grown.set(this.gathered.subarray(0, this.held))
      this.gathered = grown
    }
    this.gathered.set(bytes, this.held)
    this.held = total
  }
}

const lengthAt = (bytes: Uint8Array, at: number): number =>
  (bytes[at] ?? 0) << 24 | (bytes[at + 1] ?? 0) << 16 | (bytes[at + 2] ?? 0) << 8 | (bytes[at + 3] ?? 0)

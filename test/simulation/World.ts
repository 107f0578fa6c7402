/**
 * Virtual time: what happens is a list of moments, and nothing takes longer
 * than it should. A run is one synchronous call, the same for the same seed.
 *
 * Everything that happens goes into the trace, whose hash tells two runs apart.
 */
import { Randomness } from "./Randomness.ts"

/** In ms since the epoch: when every simulation begins. */
export const epoch = 1_700_000_000_000

interface Moment {
  readonly at: number
  readonly order: number
  run: (() => void) | undefined
}

/** Takes back what was planned. */
export type Cancel = () => void

const isBefore = (left: Moment, right: Moment): boolean =>
  left.at < right.at || left.at === right.at && left.order < right.order

export class World {
  /** In ms since the beginning. */
  now = 0
  readonly seed: number
  readonly trace: Trace
  private readonly heap: Array<Moment> = []
  private order = 0

  constructor(seed: number, keepsTrace: boolean) {
    this.seed = seed
    this.trace = new Trace(this, keepsTrace)
  }

  randomness(stream: string): Randomness {
    return new Randomness(this.seed, stream)
  }

  at(time: number, run: () => void): Cancel {
    const moment: Moment = { at: Math.max(time, this.now), order: this.order++, run }
    const { heap } = this
    let index = heap.length
    heap.push(moment)
    while (index > 0) {
      const parent = index - 1 >> 1
      const above = heap[parent]
      if (above === undefined || !isBefore(moment, above)) break
      heap[index] = above
      index = parent
    }
    heap[index] = moment
    return () => {
      moment.run = undefined
    }
  }

  after(delay: number, run: () => void): Cancel {
    return this.at(this.now + delay, run)
  }

  /** Lives until `end`, or until `isOver` or until nothing more will happen. */
  live(end: number, isOver: () => boolean): void {
    for (let moment = this.heap[0]; moment !== undefined; moment = this.heap[0]) {
      if (moment.at > end || isOver()) break
      this.pop()
      if (moment.run === undefined) continue
      this.now = moment.at
      moment.run()
    }
  }

  private pop(): void {
    const { heap } = this
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      const left = heap[child]
      if (left === undefined) break
      const right = heap[child + 1]
      let least = left
      if (right !== undefined && isBefore(right, left)) {
        least = right
        child++
      }
      if (!isBefore(least, last)) break
      heap[index] = least
      index = child
    }
    heap[index] = last
  }
}

/** What happened, hashed as it happens; kept as text where somebody wants to read it. */
export class Trace {
  readonly lines: Array<string> = []
  private readonly world: World
  private readonly keeps: boolean
  private low = 0x811c9dc5
  private high = 0x1b873593
  private count = 0

  constructor(world: World, keeps: boolean) {
    this.world = world
    this.keeps = keeps
  }

  add(what: string): void {
    this.count++
    this.mix(this.world.now * 1000)
    for (let index = 0; index < what.length; index++) {
      const code = what.charCodeAt(index)
      this.low = Math.imul(this.low ^ code, 0x01000193)
      this.high = Math.imul(this.high ^ code, 0x85ebca6b) ^ this.high >>> 13
    }
    if (this.keeps) this.lines.push(`${this.world.now.toFixed(3).padStart(11)} ${what}`)
  }

  /** Bytes that travel are part of what happened. */
  bytes(what: string, bytes: Uint8Array): void {
    for (let index = 0; index < bytes.length; index++) this.low = Math.imul(this.low ^ (bytes[index] ?? 0), 0x01000193)
    this.add(what)
  }

  private mix(value: number): void {
    this.low = Math.imul(this.low ^ value | 0, 0x01000193)
    this.high = Math.imul(this.high ^ value | 0, 0xc2b2ae35) ^ this.high >>> 15
  }

  get hash(): string {
    return `${(this.low >>> 0).toString(16).padStart(8, "0")}${(this.high >>> 0).toString(16).padStart(8, "0")}-${this.count}`
  }
}

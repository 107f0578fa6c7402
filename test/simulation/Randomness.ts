/**
 * Seeded random numbers (sfc32). Each part of a simulation draws from a stream
 * of its own, so that a change in one part leaves the others as they are.
 */
import type { Random } from "effect/Random"

const scramble = (value: number): number => {
  let mixed = Math.imul(value ^ value >>> 16, 0x85ebca6b)
  mixed = Math.imul(mixed ^ mixed >>> 13, 0xc2b2ae35)
  return mixed ^ mixed >>> 16
}

export class Randomness implements Random {
  private a: number
  private b: number
  private c: number
  private counter = 1

  constructor(seed: number, stream: string) {
    let hash = scramble(seed | 0)
    for (let index = 0; index < stream.length; index++) hash = scramble(hash ^ stream.charCodeAt(index))
    this.a = hash
    this.b = scramble(hash ^ 0x9e3779b9)
    this.c = scramble(this.b ^ seed)
    for (let warm = 0; warm < 12; warm++) this.next32()
  }

  private next32(): number {
    const sum = (this.a + this.b | 0) + this.counter | 0
    this.counter = this.counter + 1 | 0
    this.a = this.b ^ this.b >>> 9
    this.b = this.c + (this.c << 3) | 0
    this.c = (this.c << 21 | this.c >>> 11) + sum | 0
    return sum >>> 0
  }

  nextDoubleUnsafe(): number {
    return this.next32() / 0x1_0000_0000
  }

  nextIntUnsafe(): number {
    return (this.next32() - 0x8000_0000) * 0x20_0000 + (this.next32() >>> 11)
  }

  /** At least `from`, below `to`. */
  between(from: number, to: number): number {
    return from + (to - from) * this.nextDoubleUnsafe()
  }

  /** A whole number below `end`. */
  below(end: number): number {
    return Math.floor(this.nextDoubleUnsafe() * end)
  }

  chance(probability: number): boolean {
    return probability > 0 && this.nextDoubleUnsafe() < probability
  }

  pick<const A>(options: readonly [A, ...ReadonlyArray<A>]): A {
    return options[this.below(options.length)] ?? options[0]
  }
}

/**
 * In which order the servers are tried: shuffled once, so that clients spread
 * over an ensemble, then round-robin from wherever the last attempt was.
 *
 * When the list is replaced, each client decides by odds whether it moves, and
 * whether to a server that was there before or to one that was added: so that
 * in the end all servers have about as many clients, and no more than necessary
 * have moved (protocol: `StaticHostProvider.updateServerList`, "Dynamic
 * Reconfiguration of Primary/Backup Clusters", section 4).
 *
 * Names are not resolved here: that happens anew at every attempt.
 *
 * @since 0.1.0
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Host } from "../ConnectionString.ts"

/**
 * The server to try next.
 *
 * @category models
 * @since 0.1.0
 */
export interface Next {
  readonly host: Host
  /** Every server has been tried once more without success: back off before trying this one, and report it. */
  readonly roundCompleted: boolean
}

/**
 * The servers of a client and the position in the round.
 *
 * @category models
 * @since 0.1.0
 */
export interface HostList {
  readonly size: number
  /** The server to try now. */
  next(): Next
  /** The server that `next` named serves us: a new round begins with the one after it. */
  succeeded(): void
  /** All of them, in the order in which they are tried. */
  readonly all: ReadonlyArray<Host>
  has(host: Host): boolean
  /** Tries this one next. */
  prefer(host: Host): void
  /**
   * Replaces the list by a shuffled one and begins a new round. Returns whether
   * the server that we are on should be left, now that load is to be spread
   * anew; then the servers to move to come first, each once.
   */
  update(hosts: NonEmptyReadonlyArray<Host>): Effect.Effect<boolean>
}

const isSame = (left: Host, right: Host | undefined): boolean =>
  left.host === right?.host && left.port === right.port

class Shuffled implements HostList {
  all: ReadonlyArray<Host>
  private readonly first: Host
  private position = -1
  private attempts = 0
  private ahead: ReadonlyArray<Host> = []
  private latest: Host | undefined

  constructor(hosts: ReadonlyArray<Host>, first: Host) {
    this.all = hosts
    this.first = first
  }

  get size(): number {
    return this.all.length
  }

  next(): Next {
    const roundCompleted = this.attempts > 0 && this.attempts % this.all.length === 0
    this.attempts++
    return { host: this.latest = this.choose(), roundCompleted }
  }

  private choose(): Host {
    const [preferred] = this.ahead
    if (preferred !== undefined) {
      this.ahead = this.ahead.slice(1)
      return preferred
    }
    this.position = (this.position + 1) % this.all.length
    return this.all[this.position] ?? this.first
  }

  has(host: Host): boolean {
    return this.all.some((each) => isSame(each, host))
  }

  succeeded(): void {
    this.attempts = 0
    this.ahead = []
    // Of those that were tried out of turn, the round goes on behind the one that serves.
    const at = this.all.findIndex((host) => isSame(host, this.latest))
    if (at >= 0) this.position = at
  }

  prefer(host: Host): void {
    this.attempts = 0
    this.ahead = [host]
  }

  update(replacement: NonEmptyReadonlyArray<Host>): Effect.Effect<boolean> {
    return Effect.gen({ self: this }, function*() {
      const reshuffled = yield* Random.shuffle(replacement)
      const before = this.all
      const { latest } = this
      const kept = reshuffled.filter((host) => before.some((other) => isSame(other, host)))
      const added = reshuffled.filter((host) => !kept.includes(host))
      const odds = toAdded(before.length, kept.length, added.length, reshuffled.some((host) => isSame(host, latest)))
      this.all = reshuffled
      this.position = reshuffled.findIndex((host) => isSame(host, latest))
      this.attempts = 0
      this.ahead = []
      if (latest === undefined || (yield* Random.next) >= odds.move) return false
      this.ahead = yield* drawn(kept, added, odds.added)
      return true
    })
  }
}

/** With which probability we move, and then to one of the added servers. */
const toAdded = (before: number, kept: number, added: number, isKept: boolean) => {
  const after = kept + added
  if (after > before) return isKept ? { move: 1 - before / after, added: 1 } : { move: 1, added: 1 }
  if (isKept) return { move: 0, added: 0 }
  const share = before === kept ? 0 : kept * (before - after) / (after * (before - kept))
  return { move: 1, added: 1 - share }
}

/** Each once, drawn by the odds for as long as there are some of both kinds. */
const drawn = Effect.fnUntraced(function*(kept: ReadonlyArray<Host>, added: ReadonlyArray<Host>, odds: number) {
  const order: Array<Host> = []
  for (let old = 0, young = 0; order.length < kept.length + added.length;) {
    const takesAdded = (yield* Random.next) < odds
    const host = young < added.length && (takesAdded || old >= kept.length) ? added[young++] : kept[old++]
    if (host !== undefined) order.push(host)
  }
  return order
})

/**
 * A list in an order that `Random` decides.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (initial: NonEmptyReadonlyArray<Host>): Effect.Effect<HostList> =>
  Effect.map(Random.shuffle(initial), (shuffled) => new Shuffled(shuffled, initial[0]))

/**
 * In which order entries leave a queue of Curator's layouts, and when: nothing
 * before its time, nor while there is something that comes first.
 */
import * as Effect from "effect/Effect"
import type { Participant, Run } from "./Simulation.ts"
import { epoch } from "./World.ts"

/** One stay of an entry in the queue. Times are in ms since the beginning. */
interface Stay {
  readonly name: string
  /** The texts of its items. */
  readonly items: string
  readonly from: number
  to: number
}

/** Somebody's attempt to take something. */
interface Taking {
  readonly client: number
  readonly from: number
  to: number
  items: string | undefined
}

const text = new TextDecoder()

/** When an entry of a delay queue says that it is due; others always are. */
const dueTime = (name: string): number => {
  const [, digits] = /^queue-\|([0-9A-F]+)\|/.exec(name) ?? []
  return digits === undefined ? -Infinity : Number.parseInt(digits, 16) - epoch
}

/** The server's. */
const numberOf = (name: string): string => name.slice(-10)

export class QueueOrder {
  private readonly run: Run
  private readonly stays: Array<Stay> = []
  private readonly present = new Map<string, Stay>()
  private readonly takings: Array<Taking> = []
  /** What was asked for, by the items of an entry. */
  private readonly offered = new Map<string, { readonly priority: number; readonly notBefore: number }>()

  constructor(run: Run, path: string) {
    this.run = run
    run.ensemble.observers.push(() => this.observe(path))
  }

  offers(items: ReadonlyArray<string>, { delay = 0, priority = 0 }: { readonly delay?: number; readonly priority?: number }): void {
    this.offered.set(items.join(), { priority, notBefore: this.run.world.now + delay })
  }

  private observe(path: string): void {
    const { ensemble, world } = this.run
    const { tree } = ensemble.leader.server
    const names = tree.get(path)?.children ?? new Set<string>()
    for (const [name, stay] of this.present) {
      if (names.has(name)) continue
      stay.to = world.now
      this.present.delete(name)
    }
    for (const name of names) {
      if (this.present.has(name)) continue
      const items = text.decode(tree.get(`${path}/${name}`)?.data ?? undefined).match(/i-?\d+/g) ?? []
      const stay: Stay = { name, items: items.join(), from: world.now, to: Infinity }
      this.present.set(name, stay)
      this.stays.push(stay)
    }
  }

  /** Takes, before witnesses. */
  witness<E>(
    { index, loop }: Participant,
    take: Effect.Effect<ReadonlyArray<string>, E>
  ): Effect.Effect<ReadonlyArray<string>, E> {
    return Effect.suspend(() => {
      const taking: Taking = { client: index, from: loop.now, to: Infinity, items: undefined }
      this.takings.push(taking)
      return take.pipe(
        Effect.tap((items) => Effect.sync(() => void (taking.items = items.join()))),
        Effect.onExit(() => Effect.sync(() => void (taking.to = loop.now)))
      )
    })
  }

  /** Whether an item is there still, because nobody's clock says that it is due. */
  isLeft(item: string): boolean {
    return !this.doClocksAgree && Array.from(this.present.values()).some(({ items }) => items.split(",").includes(item))
  }

  private get doClocksAgree(): boolean {
    return this.run.faults.every.wallClock === Infinity
  }

  private comesBefore(left: Stay, right: Stay): boolean {
    const rank = ({ items, name }: Stay) => [this.offered.get(items)?.priority ?? 0, dueTime(name), numberOf(name)] as const
    const [first, second] = [rank(left), rank(right)]
    const at = first.findIndex((value, index) => value !== second[index])
    return at >= 0 && (first[at] ?? 0) < (second[at] ?? 0)
  }

  check(): void {
    if (this.doClocksAgree) {
      for (const { items, name, to } of this.stays) {
        const { notBefore } = this.offered.get(items) ?? { notBefore: -Infinity }
        if (to < notBefore) this.run.violation("Q5", `${name} was taken at ${to} ms, and is due at ${notBefore} ms`)
      }
    }
    const { every, lag, members } = this.run.faults
    // What a server that is behind shows first need not be it.
    if (members > 1 && (lag > 0 || every.isolate !== Infinity)) return
    for (const taking of this.takings) {
      const { client, from, items, to } = taking
      const isAlone = this.takings.every((other) =>
        other === taking || other.client !== client || other.to < from || other.from > to)
      const taken = this.stays.find((stay) => stay.items === items && from <= stay.to && stay.to <= to)
      if (!isAlone || taken === undefined) continue
      const first = this.stays.find((stay) =>
        stay.from <= from && stay.to > taken.to && this.comesBefore(stay, taken)
        && dueTime(stay.name) <= (this.doClocksAgree ? from : -Infinity))
      if (first !== undefined) {
        this.run.violation("Q6", `client${client} took ${taken.name} at ${to} ms, where ${first.name} was from ${first.from} to ${first.to} ms`)
      }
    }
  }
}

/**
 * Clients offer items and take them, and give up at any moment. Every item is
 * given to one taker, or to one that is told that it may have it. Where items
 * have priorities or delays, nothing is taken before its time, nor while there is
 * something that comes first.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as DistributedQueue from "../../../src/recipe/DistributedQueue.ts"
import * as Queue from "../../../src/recipe/Queue.ts"
import type { BadArguments } from "../../../src/ZooKeeperError.ts"
import { ZooKeeper } from "../../../src/ZooKeeper.ts"
import { checkNothingBeside, Meeting, perhapsGivenUp } from "../Holding.ts"
import { History } from "../History.ts"
import { QueueOrder } from "../QueueOrder.ts"
import type { Randomness } from "../Randomness.ts"
import type { Participant, Workload } from "../Simulation.ts"

const path = "/queue"
const text = new TextDecoder()

const times = (list: ReadonlyArray<string>, item: string) => list.filter((each) => each === item).length

/** What the layouts have in common. */
interface Items {
  readonly offer: (items: ReadonlyArray<string>, randomness: Randomness) => Effect.Effect<void, Queue.OfferError | BadArguments>
  readonly poll: Effect.Effect<ReadonlyArray<string>, Queue.TakeError | DistributedQueue.TakeError>
  readonly take: Effect.Effect<ReadonlyArray<string>, Queue.TakeError | DistributedQueue.TakeError>
}

/** Opens the queue; where items have an order of their own it is told of each. */
type Layout = (order: QueueOrder | undefined) => Effect.Effect<Items, BadArguments, ZooKeeper | Scope.Scope>

const simple = (layout: "kazoo" | "curator"): Layout => () =>
  Effect.map(Queue.make(path, { layout }), ({ offerAll, poll, take }) => ({
    offer: (items) => offerAll(items),
    poll: Effect.map(poll, (item) => Option.toArray(item).map((data) => text.decode(data))),
    take: Effect.map(take, (data) => [text.decode(data)])
  }))

const distributed = (
  kind: "arrival" | "priority" | "delay",
  draw: (randomness: Randomness) => { readonly priority?: number; readonly delay?: number } = () => ({})
): Layout => (order) =>
  Effect.map(DistributedQueue.make(path, { order: kind }), ({ offer, poll, take }) => ({
    offer: (items, randomness) =>
      Effect.suspend(() => {
        const options = draw(randomness)
        order?.offers(items, options)
        return offer(items, options)
      }),
    poll: Effect.map(poll, (items) => Option.toArray(items).flatMap((all) => all.map((data) => text.decode(data)))),
    take: Effect.map(take, (items) => items.map((data) => text.decode(data)))
  }))

const byPriority = distributed("priority", (randomness) => ({ priority: randomness.pick([-7, -1, 0, 1, 2000]) }))
const byDelay = distributed("delay", (randomness) => ({ delay: randomness.between(0, randomness.pick([0, 50, 500, 4000])) }))

const queueing = (name: string, isOrdered: boolean, layouts: readonly [Layout, ...ReadonlyArray<Layout>]): Workload => ({
  name,
  duration: 8000,
  crowd: 8,
  make: (run) => {
    run.pace = 400
    const history = new History<string, "offered">()
    const meeting = new Meeting(run)
    const order = isOrdered ? new QueueOrder(run, path) : undefined
    const open = run.randomness.pick(layouts)(order)
    const taken: Array<string> = []
    const doubted: Array<string> = []
    /** Sessions of takes that were given up: what they have removed unanswered, nobody is left to tell. */
    const givenUp: Array<bigint | undefined> = []
    let count = 0

    const keep = (items: ReadonlyArray<string>) =>
      Effect.sync(() => {
        taken.push(...items)
      })

    const taking = (participant: Participant, attempt: Items["take"]) =>
      Effect.catch(Effect.flatMap(order === undefined ? attempt : order.witness(participant, attempt), keep), (error) =>
        Effect.sync(() => {
          if (error._tag === "ItemInDoubt") {
            // The encoding of items is the layout's; their text is in it.
            doubted.push(...text.decode(error.data).match(/i\d+/g) ?? [])
          } else if (error._tag !== "ConnectionError") run.violation("errors", `a take met ${error._tag}: ${error.message}`)
        }))

    const step = (participant: Participant, queue: Items) =>
      Effect.suspend((): Effect.Effect<unknown> => {
        const { randomness } = participant
        if (randomness.chance(0.5)) {
          const items = Array.from({ length: 1 + randomness.below(2) }, () => `i${++count}`)
          return Effect.flatMap(participant.now, (now) =>
            perhapsGivenUp(participant, history.record({ ...now, input: items.join(), mark: undefined }, queue.offer(items, randomness), {
              done: () => "offered",
              refused: (error) => {
                run.violation("errors", `an offer met ${error._tag}`)
                return "offered"
              }
            })))
        }
        const attempt = taking(participant, randomness.chance(0.5) ? queue.take : queue.poll)
        const { session } = participant
        return Effect.timeoutOption(
          Effect.onInterrupt(attempt, () => Effect.sync(() => void givenUp.push(session, participant.session))),
          randomness.between(0, randomness.pick([3, 30, 300, 3000]))
        )
      })

    return {
      client: (participant) =>
        Effect.gen(function*() {
          const { index, randomness, zk } = participant
          const use = Effect.scoped(Effect.gen(function*() {
            const queue = yield* open
            const rounds = 1 + randomness.below(8)
            for (let round = 0; round < rounds && !participant.isOver; round++) {
              yield* participant.pause
              yield* Effect.all(Array.from({ length: 1 + randomness.below(2) }, () => step(participant, queue)), {
                concurrency: "unbounded"
              })
            }
          }))
          while (!participant.isOver) yield* Effect.provideService(use, ZooKeeper, zk)
          yield* meeting.all
          yield* Effect.sleep(run.recovery)
          checkNothingBeside(run, path)
          yield* meeting.all
          if (index > 0) return
          const drain = Effect.scoped(Effect.gen(function*() {
            const queue = yield* open
            while (true) {
              const items = yield* queue.poll
              if (items.length === 0) break
              yield* keep(items)
            }
            // What is offered to one who waits.
            const last = ["i-1", "i-2", "i-3"]
            yield* Effect.all([
              Effect.forEach(last, (item) => queue.offer([item], randomness), { discard: true }),
              Effect.whileLoop({
                while: () => !last.every((item) => taken.includes(item)),
                body: () => Effect.flatMap(queue.take, keep),
                step: () => undefined
              })
            ], { concurrency: "unbounded" })
          }))
          yield* Effect.provideService(drain, ZooKeeper, zk)
        }),
      check: () => {
        order?.check()
        const isAbandoned = run.ensemble.ended.some(({ how, session }) => how !== "closed" && givenUp.includes(session))
        for (const { client, input, outcome } of history.calls) {
          if (outcome?._tag === "Defect") run.violation("defect", outcome.cause)
          for (const item of input.split(",")) {
            const given = times(taken, item)
            const inDoubt = times(doubted, item)
            const about = `${item} of client${client} (${outcome?._tag})`
            if (given > 1) run.violation("Q2", `${about} was given to ${given} takers`)
            if (outcome?._tag === "Done" && given + inDoubt === 0 && !isAbandoned && !order?.isLeft(item)) run.violation("Q1", `${about} is lost`)
            if (outcome?._tag === "NotApplied" && given + inDoubt > 0) run.violation("Q4", `${about} was there`)
          }
        }
      },
      calls: () => history.calls.length + taken.length
    }
  }
})

export const queueWorkload = queueing("queue", false, [simple("kazoo"), simple("curator"), distributed("arrival")])
export const orderedQueueWorkload = queueing("orderedQueue", true, [byPriority, byDelay])

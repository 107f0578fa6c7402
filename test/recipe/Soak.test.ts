/**
 * Eight workers share a lock, a counter and a queue on a real ensemble of three,
 * for a minute, while its leader is killed or frozen every few seconds. Nothing
 * may be held twice, counted wrong, lost or doubled.
 *
 * The counter is exact for every change whose session lived until its answer was
 * known. Where a session ended in between (that of a worker that was cut off for
 * longer than it lived), nobody can know, and the client says `Unknown`: at most
 * one change per session that ended.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as Counter from "../../src/recipe/Counter.ts"
import * as Lock from "../../src/recipe/Lock.ts"
import * as LockingQueue from "../../src/recipe/LockingQueue.ts"
import * as Transaction from "../../src/Transaction.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { ConnectionError } from "../../src/ZooKeeperError.ts"
import { text } from "../support/Clients.ts"
import { eventually } from "../support/Faults.ts"
import * as Proxy from "../support/Proxy.ts"
import * as ZooKeeperServer from "../support/ZooKeeperServer.ts"

/** In seconds. */
const duration = Number(process.env["SOAK_SECONDS"] ?? 60)

const workers = 8

/** What the workers saw; they are all in this process, and share its clock. */
class Observations {
  /** Who believes to hold the lock now. */
  readonly holders = new Set<string>()
  readonly tokens: Array<bigint> = []
  readonly offered = new Set<string>()
  readonly maybeOffered = new Set<string>()
  readonly consumed: Array<string> = []
  readonly maybeConsumed: Array<string> = []
  counted = 0
  maybeCounted = 0
  /** Of these, those whose session was still the same: there must be none. */
  maybeCountedInVain = 0
  guarded = 0
  lost = 0
  expired = 0
  overlaps = 0
  readonly faults: Array<Fault> = []
  /** In ms since the epoch. */
  lastSuccess = 0
  longestSilence = 0

  /** Work is done that was begun then. */
  succeeded(begun: number, now: number): void {
    if (this.lastSuccess > 0) this.longestSilence = Math.max(this.longestSilence, now - this.lastSuccess)
    this.lastSuccess = now
    for (const fault of this.faults) if (begun >= fault.at) fault.recovered ??= now - fault.at
  }

  recoveries(kind: Fault["kind"]): string {
    const times = this.faults.filter((fault) => fault.kind === kind).map(({ recovered }) => recovered ?? Infinity)
    return `${times.length} leaders ${kind} (recovered after ${times.map(Math.round).join(", ")} ms)`
  }
}

interface Fault {
  readonly kind: "killed" | "frozen"
  /** In ms since the epoch. */
  readonly at: number
  /** How long it took, in ms, until something was done that was begun after it. */
  recovered?: number
}

const isUnknown = (error: unknown): boolean => error instanceof ConnectionError && error.outcome === "Unknown"

const settle = Effect.sleep("10 millis")

/** What failed for the moment is tried again; an error of another kind ends the test. */
const passing = <A, E, R>(step: Effect.Effect<A, E, R>) =>
  Effect.catchIf(Effect.asVoid(step), (error) => error instanceof ConnectionError, () => settle)

const worker = (name: string, seen: Observations, isOver: Effect.Effect<boolean>) =>
  Effect.scoped(Effect.gen(function*() {
    const zk = yield* ZooKeeper.ZooKeeper
    yield* zk.states.pipe(
      Stream.filter(({ _tag }) => _tag === "Expired"),
      Stream.runForEach(() => Effect.sync(() => void seen.expired++)),
      Effect.forkScoped
    )
    const counter = yield* Counter.make("/soak/counter")
    const queue = yield* LockingQueue.make("/soak/queue")
    const lock = yield* Lock.make("/soak/lock", { identifier: name })
    let items = 0
    let begun = 0
    const success = Effect.map(Clock.currentTimeMillis, (now) => seen.succeeded(begun, now))
    const step = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        begun = now
        return passing(effect)
      })

    const locking = lock.withLock((grant) =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          if (seen.holders.size > 0) seen.overlaps++
          seen.holders.add(name)
          seen.tokens.push(grant.token)
        }),
        () =>
          Effect.gen(function*() {
            yield* grant.guard([Transaction.set("/soak/guarded", String(grant.token))])
            seen.guarded++
            // One of those that are cut off holds on for longer than its session then lives.
            yield* name === "worker0" && items % 4 === 1 ? Effect.sleep("7 seconds") : settle
          }),
        () => Effect.sync(() => seen.holders.delete(name))
      ), { timeout: "20 seconds" }).pipe(
        Effect.andThen(success),
        Effect.catchTags({
          GrantLost: () => Effect.sync(() => void seen.lost++),
          AcquireTimeout: () => Effect.void
        })
      )

    const counting = Effect.flatMap(zk.session, ({ isAlive }) =>
      counter.increment.pipe(
        Effect.andThen(success),
        Effect.andThen(Effect.sync(() => void seen.counted++)),
        Effect.catchIf(isUnknown, () =>
          Effect.map(isAlive, (isAlive) => {
            seen.maybeCounted++
            if (isAlive) seen.maybeCountedInVain++
          }))
      ))

    const offering = Effect.suspend(() => {
      const item = `${name}-${items++}`
      return queue.offer(item).pipe(
        Effect.andThen(success),
        Effect.andThen(Effect.sync(() => void seen.offered.add(item))),
        Effect.catchIf(isUnknown, () => Effect.sync(() => void seen.maybeOffered.add(item)))
      )
    })

    const taking = Effect.scoped(Effect.flatMap(queue.poll, Option.match({
      onNone: () => Effect.void,
      onSome: (claim) =>
        claim.consume().pipe(
          Effect.andThen(Effect.sync(() => void seen.consumed.push(text(claim.data)))),
          Effect.andThen(success),
          Effect.catchTag("ClaimLost", () => Effect.void),
          Effect.catchIf(isUnknown, () => Effect.sync(() => void seen.maybeConsumed.push(text(claim.data))))
        )
    })))

    while (!(yield* isOver)) {
      // One does not queue for the lock, which stays with a holder that is cut off until its session has expired.
      yield* name === "worker7" ? settle : step(locking)
      yield* step(counting)
      yield* step(offering)
      yield* step(taking)
    }
  }))

describe.skipIf(!ZooKeeperServer.canStart)("recipes on an ensemble that is being broken", () => {
  it.live(`${duration} s of killed and frozen leaders`, () =>
    Effect.gen(function*() {
      const ensemble = yield* ZooKeeperServer.ensemble()
      const links = yield* Effect.forEach(ensemble.members, ({ port }) => Proxy.make(port))
      const cutOff = links.map(({ hosts }) => hosts)
      const client = (hosts: string | ReadonlyArray<string> = ensemble.hosts) =>
        ZooKeeper.layer({ hosts, sessionTimeout: "6 seconds", connectTimeout: "60 seconds" })
      const seen = new Observations()
      const over = yield* Ref.make(false)
      yield* Effect.gen(function*() {
        const zk = yield* ZooKeeper.ZooKeeper
        yield* zk.create("/soak/guarded", "0", { makeParents: true })
      }).pipe(Effect.provide(client()))

      const running = yield* Effect.forkScoped(Effect.forEach(
        Array.from({ length: workers }, (_, index) => index),
        (index) =>
          Effect.provide(
            worker(`worker${index}`, seen, Ref.get(over)),
            Layer.fresh(client(index < 3 ? cutOff : ensemble.hosts))
          ),
        { concurrency: "unbounded", discard: true }
      ))

      const fault = (kind: Fault["kind"]) =>
        Effect.map(Clock.currentTimeMillis, (at) => void seen.faults.push({ kind, at }))
      const breaking = Effect.gen(function*() {
        while (true) {
          yield* Effect.sleep("3 seconds")
          const killed = yield* ensemble.leader
          yield* killed.kill9
          yield* fault("killed")
          yield* Effect.sleep("2 seconds")
          yield* killed.restart
          yield* ensemble.serving
          yield* Effect.sleep("3 seconds")
          const frozen = yield* ensemble.leader
          yield* frozen.freeze
          yield* fault("frozen")
          yield* Effect.ensuring(Effect.sleep("4 seconds"), frozen.thaw)
          yield* ensemble.serving
        }
      })
      // Three of the workers are cut off for longer than their sessions live; nobody tells them.
      let partitions = 0
      const partitioning = Effect.gen(function*() {
        while (true) {
          yield* Effect.sleep("4 seconds")
          partitions++
          for (const link of links) {
            link.freeze("both")
            link.mute(true)
          }
          yield* Effect.sleep("9 seconds")
          for (const link of links) {
            link.mute(false)
            link.cut()
            link.thaw()
          }
        }
      })
      yield* Effect.forkScoped(partitioning)
      yield* Effect.raceFirst(
        Effect.timeoutOption(breaking, `${duration} seconds`),
        // Workers end early only by failing.
        Fiber.join(running)
      )
      for (const member of ensemble.members) if (Option.isNone(yield* member.mode)) yield* member.restart
      yield* ensemble.serving
      yield* Effect.raceFirst(
        eventually(Effect.sync(() => seen.faults.every(({ recovered }) => recovered !== undefined))),
        Fiber.join(running)
      )
      yield* Ref.set(over, true)
      yield* Fiber.join(running)

      const left: Array<string> = []
      const [counter, guarded] = yield* Effect.scoped(Effect.gen(function*() {
        const zk = yield* ZooKeeper.ZooKeeper
        const queue = yield* LockingQueue.make("/soak/queue")
        const drain = Effect.scoped(Effect.flatMap(queue.poll, Option.match({
          onNone: () => Effect.succeed(false),
          onSome: (claim) => Effect.as(Effect.andThen(claim.consume(), Effect.sync(() => left.push(text(claim.data)))), true)
        })))
        while (yield* drain);
        yield* zk.sync("/soak")
        return [yield* zk.get("/soak/counter"), BigInt(text((yield* zk.get("/soak/guarded")).data))] as const
      })).pipe(Effect.provide(client()))

      yield* Console.log(
        `${seen.recoveries("killed")}, ${seen.recoveries("frozen")}, ${partitions} partitions, ${seen.expired} sessions expired; ${seen.tokens.length} holds, ${seen.lost} lost; `
          + `${seen.counted} counted (${seen.maybeCounted} in doubt); `
          + `${seen.offered.size} offered (${seen.maybeOffered.size} in doubt), `
          + `${seen.consumed.length} consumed (${seen.maybeConsumed.length} in doubt), ${left.length} drained; `
          + `nobody got through for ${Math.round(seen.longestSilence)} ms at most`
      )

      assert.strictEqual(seen.overlaps, 0)
      assert.deepStrictEqual(seen.tokens, seen.tokens.toSorted((a, b) => a < b ? -1 : 1))
      assert.strictEqual(new Set(seen.tokens).size, seen.tokens.length)
      assert.isTrue(guarded === 0n || seen.tokens.includes(guarded))

      const total = Number(text(counter.data))
      assert.strictEqual(total, counter.stat.version, "every write counted one")
      assert.isAtLeast(total, seen.counted)
      assert.isAtMost(total, seen.counted + seen.maybeCounted)
      assert.strictEqual(seen.maybeCountedInVain, 0, "the outcome is known while the session lives")
      assert.isAtMost(seen.maybeCounted, seen.expired)

      const gone = [...seen.consumed, ...left]
      assert.strictEqual(new Set(gone).size, gone.length, "an item was consumed twice")
      const accounted = new Set([...gone, ...seen.maybeConsumed])
      assert.deepStrictEqual([...seen.offered].filter((item) => !accounted.has(item)), [], "items were lost")
      assert.deepStrictEqual(gone.filter((item) => !seen.offered.has(item) && !seen.maybeOffered.has(item)), [])

      assert.isAbove(seen.expired, 0)
      assert.isAbove(seen.tokens.length, workers)
      assert.isAbove(seen.counted, workers)
    }), (duration + 120) * 1000)
})

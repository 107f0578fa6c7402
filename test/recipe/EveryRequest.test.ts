/**
 * Whatever happens at whichever request of a recipe, no znode of ours is left
 * behind, and the next one gets in. On the in-memory server: each run breaks
 * another request of another recipe, in one of many ways.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as DistributedQueue from "../../src/recipe/DistributedQueue.ts"
import * as Election from "../../src/recipe/Election.ts"
import * as GroupMember from "../../src/recipe/GroupMember.ts"
import * as Lock from "../../src/recipe/Lock.ts"
import * as MultiLock from "../../src/recipe/MultiLock.ts"
import * as Party from "../../src/recipe/Party.ts"
import * as ReadWriteLock from "../../src/recipe/ReadWriteLock.ts"
import * as Semaphore from "../../src/recipe/Semaphore.ts"
import * as ServiceRegistry from "../../src/recipe/ServiceRegistry.ts"
import * as SetPartitioner from "../../src/recipe/SetPartitioner.ts"
import * as ShallowParty from "../../src/recipe/ShallowParty.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import * as ZooKeeperTest from "../../src/ZooKeeperTest.ts"

type Use<R = never> = Effect.Effect<unknown, { readonly _tag: string }, ZooKeeper | R>

/** How a use ended that met its mishap, or none. */
interface Outcome {
  readonly exit: Exit.Exit<unknown, { readonly _tag: string }>
  /** Whether its session was ended. */
  readonly expired: boolean
}

interface Recipe {
  /** Takes all of it, and gives it back: can only succeed when nobody else is left. */
  readonly use: Use
  /** What somebody else does so that a use has to wait; the end of its scope ends it. */
  readonly obstacle?: Use<Scope.Scope>
  /** A use that does not wait for the obstacle. */
  readonly isImpatient?: true
  /** What somebody else does before, where there is no obstacle. */
  readonly before?: Use
  /** What somebody else finds afterwards. By default that it gets all of it. */
  readonly after?: (outcome: Outcome) => Use
  /** What a use may fail with that was not interrupted. */
  readonly mayFailWith?: string
}

/** What was lost while it was held is told. */
const mayBeLost = { mayFailWith: "GrantLost" }

const holding = (options?: Lock.Options) => Effect.flatMap(Lock.make("/r", options), (lock) => lock.acquire())

const readWrite = ReadWriteLock.make("/r")
const curatorReadWrite = ReadWriteLock.make("/r", { layout: "curator" })

const semaphores = (layout: Lock.Layout) => {
  const semaphore = Semaphore.make("/r", { permits: 2, layout })
  return {
    ...mayBeLost,
    use: Effect.flatMap(semaphore, ({ withPermits }) => withPermits(2)(Effect.void)),
    obstacle: Effect.flatMap(semaphore, ({ acquire }) => acquire())
  }
}

const registry = ServiceRegistry.make("/r", Schema.String)

const member = GroupMember.join("/r", { id: "m" })

const queue = DistributedQueue.make("/r/queue", { order: "priority" })
const offer = Effect.scoped(Effect.flatMap(queue, (queue) => queue.offer(["a"], { priority: -5 })))
/** Who has the item has it, whatever becomes of closing the queue. */
const take = Effect.flatMap(Scope.make(), (scope) =>
  Scope.provide(Effect.flatMap(queue, ({ take }) => take), scope).pipe(
    Effect.onExit((exit) => Effect.forkDetach(Scope.close(scope, exit)))
  ))
const entries = Effect.scoped(Effect.flatMap(queue, ({ size }) => size))

const recipes: { readonly [name: string]: Recipe } = {
  "lock": { ...mayBeLost, use: Lock.withLock("/r")(Effect.void), obstacle: holding() },
  "lock of Curator's": {
    ...mayBeLost,
    use: Lock.withLock("/r", { layout: "curator" })(Effect.void),
    obstacle: holding({ layout: "curator" })
  },
  "lock, strictly valid": {
    ...mayBeLost,
    use: Lock.withLock("/r", { validity: "strict" })(Effect.void),
    obstacle: holding()
  },
  "try to lock": {
    use: Effect.scoped(Effect.flatMap(Lock.make("/r"), (lock) => lock.tryAcquire)),
    obstacle: holding(),
    isImpatient: true
  },
  "write lock": {
    ...mayBeLost,
    use: Effect.flatMap(readWrite, ({ write }) => write.withLock(Effect.void)),
    obstacle: Effect.flatMap(readWrite, ({ read }) => read.acquire())
  },
  "read lock": {
    ...mayBeLost,
    use: Effect.flatMap(curatorReadWrite, ({ read }) => read.withLock(Effect.void)),
    obstacle: Effect.flatMap(curatorReadWrite, ({ write }) => write.acquire())
  },
  "downgrade": {
    ...mayBeLost,
    use: Effect.scoped(Effect.gen(function*() {
      const lock = yield* readWrite
      yield* lock.downgrade(yield* lock.write.acquire())
    })),
    obstacle: Effect.flatMap(readWrite, ({ read }) => read.acquire())
  },
  "semaphore": semaphores("kazoo"),
  "semaphore of Curator's": semaphores("curator"),
  "election": {
    ...mayBeLost,
    use: Effect.flatMap(Election.make("/r"), (election) => election.lead(Effect.void)),
    obstacle: holding()
  },
  "several locks": {
    ...mayBeLost,
    use: Effect.gen(function*() {
      const locks = yield* Effect.forEach(["/r/b", "/r/a"], (path) => Lock.make(path))
      yield* Effect.flatMap(MultiLock.make(locks), (lock) => lock.withLock(Effect.void))
    }),
    // The one that is taken last: the other is held meanwhile.
    obstacle: Effect.flatMap(Lock.make("/r/b"), (lock) => lock.acquire())
  },
  "party": { use: Effect.scoped(Party.join("/r", { identifier: "m" })) },
  "shallow party": { use: Effect.scoped(ShallowParty.join("/r", { identifier: "m" })) },
  "group member": { use: Effect.scoped(member), obstacle: member },
  "service instance": { use: Effect.scoped(registry.register({ name: "svc", id: "i" })) },
  "service instance with a number": {
    use: Effect.scoped(registry.register({ name: "svc", id: "i", serviceType: "DYNAMIC_SEQUENTIAL" }))
  },
  "set partition": {
    use: Effect.flatMap(SetPartitioner.make("/r", { items: ["a"], settleTime: 1 }), ({ partition }) =>
      Stream.runDrain(Stream.takeUntil(partition, ({ length }) => length === 1)))
  },
  "a put": {
    use: offer,
    mayFailWith: "ConnectionError",
    after: ({ exit, expired }) =>
      Effect.map(entries, (count) => {
        assert.isAtMost(count, 1)
        if (Exit.isSuccess(exit)) assert.strictEqual(count, 1)
        else if (!Cause.hasInterrupts(exit.cause)) assert.isTrue(expired)
      })
  },
  "a take": {
    use: take,
    before: offer,
    // Until there is something to be taken.
    obstacle: Effect.addFinalizer(() => Effect.orDie(offer)),
    mayFailWith: "ItemInDoubt",
    after: ({ exit, expired }) =>
      Exit.isSuccess(exit)
        ? Effect.map(entries, (count) => assert.strictEqual(count, 0))
        // Without its session a removal on its way has nobody who could undo it; or its error has the item.
        : expired
        ? Effect.map(entries, (count) => assert.isAtMost(count, 1))
        : Effect.repeat(entries, { until: (count) => count === 1 })
  }
}

/** What happens at the request that a run is about. */
const mishaps = {
  "interrupted": { interrupts: true },
  "interrupted, reply lost": { interrupts: true, cut: "reply" },
  "interrupted, request lost": { interrupts: true, cut: "request" },
  "reply lost": { interrupts: false, cut: "reply" },
  "request lost": { interrupts: false, cut: "request" },
  "reply lost, session over": { interrupts: false, cut: "reply", expires: true },
  "interrupted, session over": { interrupts: true, expires: true },
  "session over": { interrupts: false, expires: true }
} as const

const together = 8

const layer = ZooKeeperTest.layerEnsemble()

/** Every ephemeral znode below a path. */
const ephemerals = (zk: ZooKeeper["Service"], path: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function*() {
    const found: Array<string> = []
    const look = (at: string): Effect.Effect<void> =>
      Effect.gen(function*() {
        const { stat } = yield* zk.get(at)
        if (stat.ephemeralOwner !== 0n) found.push(at)
        for (const name of yield* zk.getChildren(at)) yield* look(at === "/" ? `/${name}` : `${at}/${name}`)
      }).pipe(Effect.ignore)
    yield* look(path)
    return found
  })

/** One run; whether there was such a request at all. */
const run = (
  recipe: Recipe,
  contended: boolean,
  at: number,
  mishap: { readonly interrupts: boolean; readonly cut?: "request" | "reply"; readonly expires?: boolean }
): Effect.Effect<boolean, unknown, Scope.Scope | ZooKeeperTest.ZooKeeperTest> =>
  Effect.gen(function*() {
    const test = yield* ZooKeeperTest.ZooKeeperTest
    const zk = yield* test.client()
    const rival = yield* test.client()
    const own = Effect.provideContext(recipe.use, Context.make(ZooKeeper, zk))
    const asRival = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provideService(effect, ZooKeeper, rival)

    const happened = yield* Deferred.make<void>()
    let count = 0
    const sessionId = (yield* zk.session).id
    let xid: number | undefined
    yield* test.of(zk).onRequest((request) => {
      if (["ping", "connect", "close", "setWatches"].includes(request.operation) || count++ !== at) return undefined
      xid = request.xid
      if (mishap.cut !== "reply") Deferred.doneUnsafe(happened, Exit.void)
      return mishap.cut === "request" ? { _tag: "Cut" } : undefined
    })
    yield* test.of(zk).onReply((reply) => {
      if (mishap.cut !== "reply" || reply.xid !== xid) return undefined
      Deferred.doneUnsafe(happened, Exit.void)
      return { _tag: "Cut" }
    })

    const obstacle = yield* Scope.make()
    if (contended) yield* asRival(Scope.provide(recipe.obstacle ?? Effect.void, obstacle))
    else if (recipe.before !== undefined) yield* asRival(recipe.before)

    const fiber = yield* Effect.forkDetach(own, { startImmediately: true })
    // It waits, or has met its mishap: the way is free.
    const early = yield* Effect.timeoutOption(Deferred.await(happened), contended ? 30 : 0)
    if (contended && Option.isNone(early)) {
      assert.strictEqual(fiber.pollUnsafe() === undefined, recipe.isImpatient !== true, "it waits")
    }
    yield* Scope.close(obstacle, Exit.void)
    yield* Effect.raceFirst(Deferred.await(happened), Fiber.await(fiber))
    const met = count > at
    const expired = met && mishap.expires === true
    if (expired) yield* test.of(sessionId).expireSession
    if (met && mishap.interrupts) yield* Fiber.interrupt(fiber)
    const exit = yield* Fiber.await(fiber)
    if (Exit.isFailure(exit) && !Cause.hasInterrupts(exit.cause)) {
      assert.strictEqual((yield* Effect.flip(exit))._tag, recipe.mayFailWith)
    }
    yield* Effect.timeout(asRival(recipe.after?.({ exit, expired }) ?? recipe.use), "5 seconds")
    yield* zk.session
    yield* Effect.repeat(ephemerals(rival, "/r"), { until: (found) => found.length === 0 }).pipe(
      Effect.timeout("5 seconds")
    )
    return met
  })

// Runs wait for reconnections most of the time.
describe.concurrent("every request", () => {
  for (const [name, recipe] of Object.entries(recipes)) {
    for (const contended of [false, true]) {
      if (contended && recipe.obstacle === undefined) continue
      it.live(`${name}${contended ? ", contended" : ""}`, () =>
        Effect.gen(function*() {
          for (const [title, mishap] of Object.entries(mishaps)) {
            const once = (index: number) =>
              Effect.scoped(run(recipe, contended, index, mishap)).pipe(
                Effect.provide(layer, { local: true }),
                Effect.tapCause((cause) => Effect.logError(`${title} at request ${index}`, cause))
              )
            // Many at once, until there are no more requests.
            let requests = 0
            for (let from = 0; requests === from; from += together) {
              const met = yield* Effect.forEach(
                Array.from({ length: together }, (_, index) => from + index),
                once,
                { concurrency: together }
              )
              requests += met.filter(Boolean).length
            }
            // Create, list, watch, delete at the least; less where there is nothing to be had.
            assert.isAtLeast(requests, 3, title)
          }
        }).pipe(Effect.provideService(References.MinimumLogLevel, "Error")), 60_000)
    }
  }
})

/**
 * Two workers on one queue of jobs. An item stays in the queue until it is done:
 * the first attempt at each one fails here, and none is lost or done twice.
 */
import { Console, Effect, Fiber, Schedule } from "effect"
import { LockingQueue, Transaction } from "../src/index.ts"
import { ZooKeeper, ZooKeeperLive } from "../src/ZooKeeper.ts"

const path = `/example-queue-${process.pid}`
const decoder = new TextDecoder()

/** Takes one item, works on it, and writes its result together with taking it off the queue: all or nothing. */
const work = (worker: string, queue: LockingQueue.LockingQueue) =>
  Effect.scoped(Effect.gen(function*() {
    const claim = yield* queue.take
    const job = decoder.decode(claim.data)
    if (claim.attempts === 1) return yield* Effect.fail(`${worker} was not in the mood for ${job}`)
    yield* claim.consume([Transaction.create(`${path}/done/${job}`, worker)])
  })).pipe(Effect.catch((problem) => Console.log(problem)))

const worker = (name: string) =>
  Effect.scoped(Effect.gen(function*() {
    const queue = yield* LockingQueue.make(`${path}/jobs`)
    return yield* Effect.forever(work(name, queue))
  }))

const program = Effect.gen(function*() {
  const zk = yield* ZooKeeper
  yield* zk.ensurePath(`${path}/done`)
  const queue = yield* LockingQueue.make(`${path}/jobs`)
  yield* queue.offerAll(["invoice", "reminder", "receipt"])
  yield* queue.offer("alarm", { priority: 0 })
  const workers = yield* Effect.forEach(["alice", "bob"], (name) => Effect.forkChild(worker(name)))
  yield* Effect.repeat(queue.size, { until: (size) => size === 0, schedule: Schedule.spaced("20 millis") })
  yield* Fiber.interruptAll(workers)
  const done = yield* zk.getChildren(`${path}/done`)
  yield* Console.log(`done: ${done.toSorted().join(", ")}`)
  yield* zk.deleteRecursive(path)
})

const layer = ZooKeeperLive({ hosts: process.env["ZK_HOSTS"] ?? "127.0.0.1:2181" })
Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layer)))

/**
 * Creates a znode, changes it, watches it, and leaves nothing behind.
 *
 * `npm run quickstart` runs it on a ZooKeeper in its own memory, with nothing to
 * install; with `ZK_HOSTS` set it runs on yours.
 */
import { Console, Effect, Fiber, Option, Stream } from "effect"
import { ZooKeeper, ZooKeeperLive } from "../src/ZooKeeper.ts"
import { ZooKeeperTest } from "../src/ZooKeeperTest.ts"

const text = (data: Uint8Array) => new TextDecoder().decode(data)

const program = Effect.gen(function*() {
  const zk = yield* ZooKeeper
  const session = yield* zk.session
  yield* Console.log(`connected to ${session.server.host}:${session.server.port}, session timeout ${session.timeout} ms`)

  const path = yield* zk.create("/quickstart-", "hello", { mode: "ephemeralSequential" })
  yield* Console.log(`created ${path}`)

  const watching = yield* zk.changes(path).pipe(
    Stream.map(Option.match({ onNone: () => "(gone)", onSome: ({ data }) => text(data) })),
    Stream.tap((state) => Console.log(`${path} is ${state}`)),
    Stream.takeUntil((state) => state === "(gone)"),
    Stream.runDrain,
    Effect.forkChild({ startImmediately: true })
  )
  yield* zk.sync(path)

  yield* zk.update(path, (data) => `${text(data)}, world`)
  yield* zk.sync(path)
  yield* zk.delete(path)
  yield* Fiber.join(watching)
})

const hosts = process.env["ZK_HOSTS"]
const layer = hosts === undefined ? ZooKeeperTest.layer() : ZooKeeperLive({ hosts })

program.pipe(Effect.provide(layer), Effect.runPromise)

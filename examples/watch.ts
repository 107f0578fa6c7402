/**
 * Follows a znode and its children until it is deleted, and prints every state.
 *
 * Start a server, then: `ZK_HOSTS=127.0.0.1:2181 node examples/watch.ts /config`
 * Without a path it shows itself a few changes.
 */
import { Console, Effect, Option, Stream } from "effect"
import { type Service, ZooKeeper, ZooKeeperLive } from "../src/ZooKeeper.ts"

const text = (data: Uint8Array) => new TextDecoder().decode(data)

const follow = (zk: Service, path: string) =>
  Stream.merge(
    zk.changes(path).pipe(
      Stream.map(Option.map(({ data, stat }) => `data, version ${stat.version}: ${text(data)}`))
    ),
    zk.childrenChanges(path).pipe(
      Stream.map(Option.map(({ children }) => `children: ${children.toSorted().join(" ") || "none"}`))
    )
  ).pipe(
    Stream.tap((state) => Console.log(`${path}: ${Option.getOrElse(state, () => "not there")}`)),
    Stream.takeUntil(Option.isNone),
    Stream.runDrain
  )

const demonstrate = Effect.fnUntraced(function*(zk: Service) {
  const path = yield* zk.create("/watched-", "one", { mode: "persistentSequential" })
  const seen = (n: number) => zk.changes(path).pipe(Stream.take(n), Stream.runDrain)
  const changes = Effect.gen(function*() {
    yield* seen(1)
    yield* zk.create(`${path}/child`)
    yield* zk.set(path, "two")
    yield* zk.deleteRecursive(path)
  })
  yield* Effect.all([follow(zk, path), changes], { concurrency: 2 })
})

const program = Effect.gen(function*() {
  const zk = yield* ZooKeeper
  const path = process.argv[2]
  yield* path === undefined ? demonstrate(zk) : follow(zk, path)
})

program.pipe(
  Effect.provide(ZooKeeperLive({ hosts: process.env["ZK_HOSTS"] ?? "127.0.0.1:2181" })),
  Effect.runPromise
)

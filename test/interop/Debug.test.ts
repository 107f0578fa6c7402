import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as DoubleBarrier from "../../src/recipe/DoubleBarrier.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import { connect, root as makeRoot, sharedHost } from "../support/Clients.ts"
import * as KazooPeer from "../support/KazooPeer.ts"

it.live("debug", () => Effect.gen(function*() {
  const zk = yield* connect({ sessionTimeout: "10 seconds" })
  const root = yield* makeRoot(zk)
  const kazoo = yield* KazooPeer.make(sharedHost)
  for (let round = 0; round < 300; round++) {
    const path = `${root}/barrier-${round}`
    const log: Array<string> = []
    const ours = (name: string) => Effect.gen(function*() {
      const barrier = yield* DoubleBarrier.make(path, { members: 3, identifier: name })
      yield* barrier.withMembers(Effect.sync(() => log.push("in " + name)))
      log.push(`left ${name}`)
    }).pipe(Effect.provideService(ZooKeeper, zk))
    const kazoos = Effect.gen(function*() {
      yield* kazoo.run("doubleBarrier", { as: path, path, members: 3 })
      log.push("comes")
      yield* kazoo.run("enter", { as: path })
      log.push("in kazoo")
      yield* kazoo.run("leave", { as: path })
      log.push("left kazoo")
    })
    yield* Effect.all([ours("a"), ours("b"), kazoos], { concurrency: 3 }).pipe(Effect.timeoutOrElse({ duration: 3000, orElse: () => Effect.gen(function*() {
      console.log(round, log)
      for (const name of yield* zk.getChildren(path)) {
        const { data, stat } = yield* zk.get(path + "/" + name)
        console.log(name, new TextDecoder().decode(data), stat.version, stat.czxid)
      }
      return yield* Effect.die("hang")
    }) }))
  }
}))

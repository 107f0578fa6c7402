/** What barriers and double barriers do, against any server. */
import { assert, layer as shared } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Barrier from "../../src/recipe/Barrier.ts"
import * as DoubleBarrier from "../../src/recipe/DoubleBarrier.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import type { Connect } from "../../src/testing/Connect.ts"
import { here, inRealTime, other, settled, text } from "./recipes.ts"

export const barrier = (title: string, connect: Connect): void => {
  shared(inRealTime(connect()), { timeout: "30 seconds" })(title, (it) => {
    it.effect("barrier: the znode itself, persistent and empty", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const barrier = yield* Barrier.make(`${root}/deep/barrier`)
        assert.isFalse(yield* barrier.isThere)
        assert.isFalse(yield* barrier.remove)
        yield* barrier.wait
        yield* barrier.create
        yield* barrier.create
        assert.isTrue(yield* barrier.isThere)
        const { data, stat } = yield* zk.get(barrier.path)
        assert.deepStrictEqual([data.length, stat.ephemeralOwner], [0, 0n])
        const waiting = yield* Effect.forkChild(barrier.wait, { startImmediately: true })
        yield* zk.set(barrier.path, "another version")
        yield* settled(zk)
        assert.isUndefined(waiting.pollUnsafe())
        assert.isTrue(yield* barrier.remove)
        yield* Fiber.join(waiting)
        assert.isFalse(yield* barrier.isThere)
      }))

    it.effect("barrier: malformed paths", () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(Barrier.make("barrier")))._tag, "BadArguments")
        assert.strictEqual((yield* Effect.flip(DoubleBarrier.make("barrier", { members: 1 })))._tag, "BadArguments")
        for (const members of [0, -1, 1.5, Number.NaN]) {
          assert.strictEqual((yield* Effect.flip(DoubleBarrier.make("/barrier", { members }))).argument, "members")
        }
      }))

    it.effect("double barrier: who enters for a scope that closes is in no more", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = `${root}/barrier`
        const barrier = yield* DoubleBarrier.make(path, { members: 2 })
        const scope = yield* Scope.make()
        const entering = yield* Effect.forkChild(Scope.provide(barrier.enter, scope))
        yield* Stream.runHead(Stream.filter(zk.childrenChanges(path), (state) =>
          Option.isSome(state) && state.value.children.length === 1))
        yield* Scope.close(scope, Exit.void)
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(entering)))
        assert.deepStrictEqual(yield* zk.getChildren(path), [])
      }))

    it.effect("double barrier: kazoo's znodes", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const path = `${root}/deep/barrier`
        const barrier = yield* DoubleBarrier.make(path, { members: 1, identifier: "worker-1" })
        const { leave, path: own } = yield* barrier.enter
        assert.match(own.slice(path.length), /^\/[0-9a-f]{32}$/)
        const { data, stat } = yield* zk.get(own)
        assert.strictEqual(text(data), "worker-1")
        assert.strictEqual(stat.ephemeralOwner, (yield* zk.session).id)
        const ready = yield* zk.get(`${path}/ready`)
        assert.deepStrictEqual([ready.data.length, ready.stat.ephemeralOwner], [0, 0n])
        yield* leave
        assert.deepStrictEqual(yield* zk.getChildren(path), [])
      }))

    it.effect("double barrier: Curator's znodes", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const barrier = yield* DoubleBarrier.make(root, { members: 1, layout: "curator" })
        const { leave, path } = yield* barrier.enter
        assert.match(path.slice(root.length), /^\/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
        yield* leave
        assert.deepStrictEqual(yield* zk.getChildren(root), [])
      }))

    it.effect("double barrier: nobody enters before all, nobody leaves before all, round after round", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const clients = [yield* ZooKeeper, yield* other(connect()), yield* other(connect())]
        const log: Array<string> = []
        const rounds = 4
        yield* Effect.forEach(clients, (client, who) =>
          Effect.gen(function*() {
            const barrier = yield* DoubleBarrier.make(`${root}/barrier`, { members: 3 })
            for (let round = 0; round < rounds; round++) {
              log.push(`${round} comes ${who}`)
              yield* barrier.withMembers(Effect.sync(() => log.push(`${round} in ${who}`)).pipe(
                Effect.andThen(Effect.yieldNow),
                Effect.andThen(Effect.sync(() => log.push(`${round} done ${who}`)))
              ))
              log.push(`${round} left ${who}`)
            }
          }).pipe(Effect.provideService(ZooKeeper, client)), { concurrency: "unbounded" })
        for (let round = 0; round < rounds; round++) {
          const at = (what: string) =>
            clients.map((_, who) => log.indexOf(`${round} ${what} ${who}`))
          assert.isAbove(Math.min(...at("in")), Math.max(...at("comes")), log.join("\n"))
          assert.isAbove(Math.min(...at("left")), Math.max(...at("done")), log.join("\n"))
        }
        assert.deepStrictEqual(yield* zk.getChildren(`${root}/barrier`), [])
      }))

    it.effect("double barrier: a ready that is left over lets nobody through", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        yield* zk.create(`${root}/ready`)
        const barrier = yield* DoubleBarrier.make(root, { members: 2 })
        const first = yield* Effect.forkChild(barrier.enter, { startImmediately: true })
        yield* Effect.repeat(zk.getChildren(root), { until: (names) => names.length === 2 })
        yield* settled(zk)
        assert.isUndefined(first.pollUnsafe())
        const second = yield* barrier.enter
        const { leave } = yield* Fiber.join(first)
        yield* Effect.all([leave, second.leave], { concurrency: 2 })
        assert.deepStrictEqual(yield* zk.getChildren(root), [])
      }))

    it.effect("double barrier: who is still leaving does not count for the next round", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const barrier = yield* DoubleBarrier.make(root, { members: 3 })
        const entered = yield* Effect.all([barrier.enter, barrier.enter, barrier.enter], { concurrency: 3 })
        const [last, ...others] = entered
        // They wait for the third to leave, and keep their znodes as long.
        const leaving = yield* Effect.forkChild(
          Effect.all(others.map(({ leave }) => leave), { concurrency: 2 }),
          { startImmediately: true }
        )
        for (const { path } of others) {
          const mark = `${root}-__leaving__-${path.slice(root.length + 1)}`
          yield* Effect.repeat(zk.exists(mark), { until: Option.isSome })
        }
        // With one of those who leave they would be three.
        const early = yield* Effect.forkChild(barrier.enter, { startImmediately: true })
        yield* Effect.repeat(zk.getChildren(root), { until: (names) => names.length === 5 })
        yield* settled(zk)
        assert.isUndefined(early.pollUnsafe())
        yield* last.leave
        yield* Fiber.join(leaving)
        yield* settled(zk)
        assert.isUndefined(early.pollUnsafe())
        yield* Effect.all([barrier.enter, barrier.enter, Fiber.join(early)], { concurrency: 3 })
      }))

    it.effect("double barrier: a deadline, and interruption, leave no znode", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const barrier = yield* DoubleBarrier.make(root, { members: 2 })
        const entering = yield* Effect.forkChild(Effect.scoped(barrier.enter), { startImmediately: true })
        yield* Effect.repeat(zk.getChildren(root), { until: (names) => names.length === 1 })
        yield* Fiber.interrupt(entering)
        assert.deepStrictEqual(yield* zk.getChildren(root), [])

        yield* Effect.scoped(Effect.all([barrier.enter, barrier.enter], { concurrency: 2 }))
        assert.deepStrictEqual(yield* zk.getChildren(root), ["ready"])
      }))

    it.effect("double barrier: who fails or leaves without a word is not waited for", () =>
      Effect.gen(function*() {
        const { root, zk } = yield* here
        const barrier = yield* DoubleBarrier.make(root, { members: 2 })
        const failing = yield* Effect.forkChild(Effect.flip(barrier.withMembers(Effect.fail("no" as const))))
        yield* barrier.withMembers(Effect.void)
        assert.strictEqual(yield* Fiber.join(failing), "no")
        yield* settled(zk)
        assert.deepStrictEqual(yield* zk.getChildren(root), [])
      }))
  })
}

import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { OpCode } from "../../src/jute/OpCode.ts"
import * as Barrier from "../../src/recipe/Barrier.ts"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import * as DoubleBarrier from "../../src/recipe/DoubleBarrier.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import { connect } from "../support/Clients.ts"
import {
  atEveryRequest,
  brief,
  cutAt,
  eventually,
  expire,
  faults,
  interruptedAtEveryRequest,
  loseReply,
  type World
} from "../support/Faults.ts"
import { barrier } from "./barrier.ts"
import { onEveryServer } from "./servers.ts"

onEveryServer(barrier)

const barrierOf = (zk: World["zk"], path: string) => Effect.provideService(Barrier.make(path), ZooKeeper, zk)

const doubleOf = (zk: World["zk"], path: string, options: DoubleBarrier.Options = { members: 2 }) =>
  Effect.provideService(DoubleBarrier.make(path, options), ZooKeeper, zk)

faults("barriers: faults", (test) => {
  test("a wait survives a cut, also when the barrier goes meanwhile", ({ proxy, root, witness, zk }) =>
    Effect.gen(function*() {
      const path = yield* witness.create(`${root}/barrier`)
      const barrier = yield* barrierOf(zk, path)
      for (const meanwhile of [false, true]) {
        yield* Effect.ignore(witness.create(path))
        const waiting = yield* Effect.forkChild(barrier.wait, { startImmediately: true })
        yield* RetryPolicy.retry(zk.sync("/"))
        yield* proxy.refuse(true)
        proxy.cut()
        if (meanwhile) yield* witness.delete(path)
        yield* proxy.refuse(false)
        yield* RetryPolicy.retry(zk.sync("/"))
        if (!meanwhile) {
          assert.isUndefined(waiting.pollUnsafe())
          yield* witness.delete(path)
        }
        yield* Fiber.join(waiting)
      }
    }))

  test("a wait survives the session", (there) =>
    Effect.gen(function*() {
      const { root, witness, zk } = there
      const path = yield* witness.create(`${root}/barrier`)
      const barrier = yield* barrierOf(zk, path)
      const waiting = yield* Effect.forkChild(barrier.wait, { startImmediately: true })
      yield* RetryPolicy.retry(zk.sync("/"))
      yield* expire(there)
      assert.isUndefined(waiting.pollUnsafe())
      yield* witness.delete(path)
      yield* Fiber.join(waiting)
    }), brief)

  test("a removal whose reply was lost removes no other barrier", ({ proxy, root, witness, zk }) =>
    Effect.gen(function*() {
      const barrier = yield* barrierOf(zk, `${root}/barrier`)
      yield* barrier.create
      const fault = loseReply(proxy, ({ opCode }) => opCode === OpCode.Delete)
      yield* proxy.refuse(false)
      const removing = yield* Effect.forkChild(barrier.remove, { startImmediately: true })
      yield* proxy.until(() => fault.lost() === 1)
      yield* witness.create(barrier.path)
      assert.isTrue(yield* Fiber.join(removing))
      assert.isTrue(yield* barrier.isThere)
      assert.isTrue(yield* barrier.remove)
    }))

  test("waits end when the client does", ({ root, witness }) =>
    Effect.gen(function*() {
      const path = yield* witness.create(`${root}/barrier`)
      const ends = yield* Effect.scoped(Effect.gen(function*() {
        const zk = yield* connect()
        const barrier = yield* barrierOf(zk, path)
        const double = yield* doubleOf(zk, `${root}/double`)
        const ends = [
          yield* Effect.forkDetach(Effect.flip(barrier.wait), { startImmediately: true }),
          yield* Effect.forkDetach(Effect.flip(double.withMembers(Effect.void)), { startImmediately: true })
        ]
        yield* eventually(Effect.map(witness.exists(`${root}/double`), Option.isSome))
        yield* eventually(Effect.map(witness.getChildren(`${root}/double`), (names) => names.length === 1))
        return ends
      }))
      for (const end of ends) {
        const error = yield* Fiber.join(end)
        assert.isTrue(error._tag === "ConnectionError" && error.reason._tag === "Closed")
      }
      yield* eventually(Effect.map(witness.getChildren(`${root}/double`), (names) => names.length === 0))
    }))

  test("double barrier: a create whose reply was lost is the own member", ({ proxy, root, witness, zk }) =>
    Effect.gen(function*() {
      const fault = loseReply(proxy, ({ opCode }) => opCode === OpCode.Multi)
      const mine = yield* doubleOf(zk, `${root}/barrier`)
      const theirs = yield* doubleOf(witness, `${root}/barrier`)
      const entering = yield* Effect.forkChild(mine.enter, { startImmediately: true })
      yield* proxy.until(() => fault.lost() === 1)
      yield* RetryPolicy.retry(zk.sync("/"))
      yield* eventually(Effect.map(witness.getChildren(`${root}/barrier`), (names) => names.length === 1))
      assert.isUndefined(entering.pollUnsafe())
      const their = yield* theirs.enter
      const our = yield* Fiber.join(entering)
      yield* Effect.all([our.leave, their.leave], { concurrency: 2 })
      assert.deepStrictEqual(yield* witness.getChildren(`${root}/barrier`), [])
    }))

  test("double barrier: a reply lost at any request", ({ proxy, root, witness, zk }) =>
    Effect.gen(function*() {
      const requests = yield* atEveryRequest((index) =>
        Effect.gen(function*() {
          const path = `${root}/barrier-${index}`
          const log: Array<string> = []
          const round = (zk: World["zk"], who: string) =>
            Effect.gen(function*() {
              const barrier = yield* doubleOf(zk, path)
              log.push("comes")
              yield* barrier.withMembers(Effect.sync(() => log.push("in")))
              log.push(`left ${who}`)
            })
          yield* Effect.all([round(zk, "mine"), round(witness, "theirs")], { concurrency: 2 })
          assert.deepStrictEqual(log.slice(0, 4), ["comes", "comes", "in", "in"])
          assert.deepStrictEqual(yield* witness.getChildren(path), [])
        }), cutAt(proxy))
      assert.isAbove(requests, 8)
    }))

  test("double barrier: interrupted at any request, with and without its reply, leaves no znode", ({
    proxy,
    root,
    witness,
    zk
  }) =>
    Effect.gen(function*() {
      const requests = yield* interruptedAtEveryRequest(proxy, (name, interrupted) =>
        Effect.gen(function*() {
          const path = `${root}/barrier-${name}`
          yield* witness.create(path)
          const barrier = yield* doubleOf(zk, path, { members: 1 })
          yield* interrupted(barrier.withMembers(Effect.void))
          yield* eventually(Effect.map(witness.getChildren(path), (names) => names.every((name) => name === "ready")))
        }))
      assert.isAbove(requests, 6)
    }))

  test("double barrier: one member in two sessions counts once", (there) =>
    Effect.gen(function*() {
      const { root, witness, zk } = there
      const path = `${root}/barrier`
      const mine = yield* doubleOf(zk, path)
      const entering = yield* Effect.forkChild(mine.enter, { startImmediately: true })
      yield* eventually(Effect.map(witness.exists(path), Option.isSome))
      yield* eventually(Effect.map(witness.getChildren(path), (names) => names.length === 1))
      const [name] = yield* witness.getChildren(path)
      const before = Option.getOrThrow(yield* witness.exists(`${path}/${name}`)).ephemeralOwner
      yield* expire(there)
      // Of a later session: the next one may end as well, on a machine that is busy.
      yield* eventually(Effect.map(witness.exists(`${path}/${name}`), (found) =>
        Option.isSome(found) && found.value.ephemeralOwner !== before))
      yield* RetryPolicy.retry(zk.sync("/"))
      assert.isUndefined(entering.pollUnsafe())
      const theirs = yield* doubleOf(witness, path)
      const their = yield* theirs.enter
      const our = yield* Fiber.join(entering)
      yield* Effect.all([our.leave, their.leave], { concurrency: 2 })
    }), brief)

  test("double barrier: a member that was cut off while the others came and began to leave gets in", ({
    proxy,
    root,
    witness,
    zk
  }) =>
    Effect.gen(function*() {
      const path = `${root}/barrier`
      const mine = yield* doubleOf(zk, path)
      const theirs = yield* doubleOf(witness, path)
      const entering = yield* Effect.forkChild(mine.enter, { startImmediately: true })
      yield* eventually(Effect.map(witness.exists(path), Option.isSome))
      yield* eventually(Effect.map(witness.getChildren(path), (names) => names.length === 1))
      yield* RetryPolicy.retry(zk.sync("/"))
      yield* proxy.refuse(true)
      proxy.cut()
      const their = yield* theirs.enter
      const leaving = yield* Effect.forkChild(their.leave, { startImmediately: true })
      const mark = `${path}-__leaving__-${their.path.slice(path.length + 1)}`
      yield* eventually(Effect.map(witness.exists(mark), Option.isSome))
      yield* proxy.refuse(false)
      const our = yield* Fiber.join(entering)
      assert.isUndefined(leaving.pollUnsafe())
      yield* our.leave
      yield* Fiber.join(leaving)
      assert.deepStrictEqual(yield* witness.getChildren(path), [])
    }))

  test("double barrier: leaving survives the session", (there) =>
    Effect.gen(function*() {
      const { root, witness, zk } = there
      const path = `${root}/barrier`
      const [mine, theirs] = yield* Effect.all([doubleOf(zk, path), doubleOf(witness, path)])
      const [our, their] = yield* Effect.all([mine.enter, theirs.enter], { concurrency: 2 })
      const leaving = yield* Effect.forkChild(our.leave, { startImmediately: true })
      yield* expire(there)
      assert.isUndefined(leaving.pollUnsafe())
      yield* their.leave
      yield* Fiber.join(leaving)
    }), brief)
})

import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Acl from "../../src/Acl.ts"
import { OpCode } from "../../src/jute/OpCode.ts"
import * as Counter from "../../src/recipe/Counter.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import { connect } from "../support/Clients.ts"
import {
  atEveryRequest,
  brief,
  cutAt,
  eventually,
  faults,
  interruptedAtEveryRequest,
  loseReply,
  lostWithSession,
  type World
} from "../support/Faults.ts"
import { counter } from "./counter.ts"
import { onEveryServer } from "./servers.ts"

onEveryServer(counter)

const isMulti = ({ opCode }: { readonly opCode: number }) => opCode === OpCode.Multi

const counterOf = (zk: World["zk"], path: string) => Effect.provideService(Counter.make(path), ZooKeeper, zk)

faults("counter: faults", (test) => {
  test("a change whose reply was lost is made once", ({ proxy, root, zk }) =>
    Effect.gen(function*() {
      const counter = yield* counterOf(zk, `${root}/counter`)
      const fault = loseReply(proxy, isMulti)
      assert.deepStrictEqual(yield* counter.increment, { before: 0n, after: 1n })
      assert.strictEqual(fault.lost(), 1)
      assert.strictEqual(yield* counter.value, 1n)
    }))

  test("a compareAndSet whose reply was lost says that it was made", ({ proxy, root, zk }) =>
    Effect.gen(function*() {
      const counter = yield* counterOf(zk, `${root}/counter`)
      const fault = loseReply(proxy, isMulti)
      assert.isTrue(yield* counter.compareAndSet(0n, 5n))
      assert.strictEqual(fault.lost(), 1)
      assert.strictEqual(yield* counter.value, 5n)
    }))

  test("one that lost against an equal change, and its reply, is made after it", ({ proxy, root, witness, zk }) =>
    Effect.gen(function*() {
      const mine = yield* counterOf(zk, `${root}/counter`)
      const theirs = yield* counterOf(witness, `${root}/counter`)
      yield* mine.increment
      let holding = true
      proxy.onRequest((request) => {
        if (!holding || !isMulti(request)) return undefined
        holding = false
        return { _tag: "Hold" }
      })
      const fault = loseReply(proxy, isMulti)
      const ours = yield* Effect.forkChild(mine.increment, { startImmediately: true })
      yield* proxy.until(() => proxy.held() > 0)
      assert.deepStrictEqual(yield* theirs.increment, { before: 1n, after: 2n })
      proxy.release()
      assert.deepStrictEqual(yield* Fiber.join(ours), { before: 2n, after: 3n })
      assert.strictEqual(fault.lost(), 1)
      assert.strictEqual(yield* theirs.value, 3n)
    }))

  test("a reply lost at any request, while others count too", ({ proxy, root, witness, zk }) =>
    Effect.gen(function*() {
      const theirs = yield* counterOf(witness, `${root}/counter`)
      let count = 0n
      const requests = yield* atEveryRequest(() =>
        Effect.scoped(Effect.gen(function*() {
          const mine = yield* counterOf(zk, `${root}/counter`)
          yield* Effect.all([mine.increment, theirs.increment], { concurrency: 2 })
          yield* mine.increment
          count += 3n
          assert.strictEqual(yield* theirs.value, count)
        })), cutAt(proxy))
      assert.isAbove(requests, 4)
    }))

  test("interrupted at any request, with and without its reply, it leaves nothing behind", ({ proxy, root, witness, zk }) =>
    Effect.gen(function*() {
      const requests = yield* interruptedAtEveryRequest(proxy, (name, interrupted) =>
        Effect.gen(function*() {
          const path = `${root}/counter-${name}`
          yield* interrupted(Effect.scoped(Effect.flatMap(counterOf(zk, path), (counter) => counter.increment)))
          yield* eventually(Effect.map(witness.getChildren(root), (names) =>
            names.every((name) => !name.includes("ledger"))))
          const counter = yield* counterOf(witness, path)
          assert.isAtMost(Number(yield* counter.value), 1)
        }))
      assert.isAbove(requests, 3)
    }))

  test("the reply lost and the session with it: unknown where it was made", (there) =>
    Effect.gen(function*() {
      const { root, zk } = there
      const counter = yield* counterOf(zk, `${root}/counter`)
      yield* counter.increment
      const error = yield* lostWithSession(there, "reply", Effect.flip(counter.increment))
      assert.strictEqual(error._tag, "ConnectionError")
      if (error._tag === "ConnectionError") assert.strictEqual(error.outcome, "Unknown")
      assert.strictEqual(yield* counter.value, 2n)
      assert.deepStrictEqual(yield* counter.increment, { before: 2n, after: 3n })
    }), brief)

  test("the request lost and the session with it: made once, in the next", (there) =>
    Effect.gen(function*() {
      const { root, zk } = there
      const counter = yield* counterOf(zk, `${root}/counter`)
      yield* counter.increment
      const change = yield* lostWithSession(there, "request", counter.increment)
      assert.deepStrictEqual(change, { before: 1n, after: 2n })
      assert.strictEqual(yield* counter.value, 2n)
    }), brief)

  const alice = { scheme: "digest", credential: "alice:secret" }

  test("where no page may be created, a lost reply is looked up by version and data, or unknown", ({ proxy, root, witness, zk }) =>
    Effect.gen(function*() {
      const directory = yield* witness.create(`${root}/closed`)
      yield* witness.create(`${directory}/counter`)
      yield* witness.setAcl(directory, [Acl.world(["read"])])
      const counter = yield* counterOf(zk, `${directory}/counter`)
      assert.deepStrictEqual(yield* counter.increment, { before: 0n, after: 1n })
      const fault = loseReply(proxy, isMulti)
      const error = yield* Effect.flip(counter.increment)
      assert.strictEqual(fault.lost(), 1)
      assert.isTrue(error._tag === "ConnectionError" && error.outcome === "Unknown")
      assert.strictEqual(yield* counter.value, 2n)
      const superuser = yield* connect({ auth: [{ scheme: "digest", credential: "super:superpw" }] })
      yield* superuser.setAcl(directory, Acl.openUnsafe)
    }), { auth: [alice] })
})

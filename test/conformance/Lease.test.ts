import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Lease from "../../src/recipe/Lease.ts"
import { ZooKeeper } from "../../src/ZooKeeper.ts"
import {
  atEveryRequest,
  brief,
  cutAt,
  eventually,
  expire,
  faults,
  interruptedAtEveryRequest,
  type World
} from "../support/Faults.ts"
import { lease } from "./lease.ts"
import { onEveryServer } from "./servers.ts"

onEveryServer(lease)

const leaseOf = (zk: World["zk"], path: string, identifier: string) =>
  Effect.provideService(Lease.make(path, { duration: "1 hour", identifier }), ZooKeeper, zk)

faults("lease: faults", (test) => {
  test("a reply lost at any request", ({ proxy, root, witness, zk }) =>
    Effect.gen(function*() {
      const requests = yield* atEveryRequest((index) =>
        Effect.gen(function*() {
          const path = `${root}/lease-${index}`
          const mine = yield* leaseOf(zk, path, "mine")
          const theirs = yield* leaseOf(witness, path, "theirs")
          assert.isTrue(Option.isSome(yield* mine.obtain))
          assert.isTrue(Option.isNone(yield* theirs.obtain))
          assert.isTrue(Option.isSome(yield* mine.obtain))
          assert.isTrue(yield* mine.release)
          assert.isTrue(Option.isSome(yield* theirs.obtain))
          assert.deepStrictEqual(yield* witness.getChildren(path), ["lease_holder"])
        }), cutAt(proxy))
      assert.isAbove(requests, 12)
    }))

  test("interrupted at any request, with and without its reply, leaves no lock behind", ({
    proxy,
    root,
    witness,
    zk
  }) =>
    Effect.gen(function*() {
      const requests = yield* interruptedAtEveryRequest(proxy, (name, interrupted) =>
        Effect.gen(function*() {
          const path = `${root}/lease-${name}`
          yield* witness.create(path)
          const lease = yield* leaseOf(zk, path, "mine")
          yield* interrupted(lease.obtain)
          yield* eventually(Effect.map(witness.getChildren(path), (names) =>
            names.every((name) => name === "lease_holder")))
        }))
      assert.isAbove(requests, 4)
    }))

  test("a lease outlives the session that obtained it", (there) =>
    Effect.gen(function*() {
      const { root, witness, zk } = there
      const mine = yield* leaseOf(zk, root, "mine")
      const theirs = yield* leaseOf(witness, root, "theirs")
      assert.isTrue(Option.isSome(yield* mine.obtain))
      yield* expire(there)
      assert.isTrue(Option.isNone(yield* theirs.obtain))
      assert.isTrue(yield* mine.release)
      assert.isTrue(Option.isSome(yield* theirs.obtain))
    }), brief)
})

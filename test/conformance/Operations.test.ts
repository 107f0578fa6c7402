import { describe, expectTypeOf, inject, it } from "@effect/vitest"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { Acl } from "../../src/Acl.ts"
import * as Transaction from "../../src/Transaction.ts"
import type { Stat } from "../../src/Znode.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import type {
  BadArguments,
  BadVersion,
  ConnectionError,
  InvalidAcl,
  NoAuth,
  NoChildrenForEphemerals,
  NodeExists,
  NoNode,
  NotEmpty,
  QuotaExceeded,
  TransactionFailed
} from "../../src/ZooKeeperError.ts"
import { operations } from "../../src/testing/Operations.ts"

const hosts = inject("zookeeper")

describe.skipIf(hosts === undefined)("a server", () => {
  operations("operations", ({ chroot = "", ...settings } = {}) =>
    ZooKeeper.layer({ hosts: `${hosts}${chroot}`, ...settings }))
})

/** The errors of an operation. */
type ErrorOf<Name extends keyof ZooKeeper.Service> = ZooKeeper.Service[Name] extends
  (...args: infer _) => Effect.Effect<infer _A, infer E, infer _R> ? E
  : ZooKeeper.Service[Name] extends (...args: infer _) => Stream.Stream<infer _A, infer E> ? E
  : ZooKeeper.Service[Name] extends Effect.Effect<infer _A, infer E> ? E
  : never

const updating = (zk: ZooKeeper.Service) => zk.update("/a", () => "")

const updatingWith = (zk: ZooKeeper.Service, next: Effect.Effect<string, "no", Acl>) => zk.update("/a", () => next)

const transacting = (zk: ZooKeeper.Service) =>
  zk.transaction([
    Transaction.create("/a"),
    Transaction.set("/a", ""),
    Transaction.check("/a"),
    Transaction.remove("/a")
  ])

const transactingMany = (zk: ZooKeeper.Service, paths: ReadonlyArray<string>) =>
  zk.transaction(paths.map((path) => Transaction.create(path)))

describe("types", () => {
  type Any = BadArguments | ConnectionError
  type Create = NoNode | NodeExists | NoAuth | InvalidAcl | NoChildrenForEphemerals | QuotaExceeded | Any

  it("each operation has exactly the errors that it can fail with", () => {
    expectTypeOf<ErrorOf<"create">>().toEqualTypeOf<Create>()
    expectTypeOf<ErrorOf<"createWithStat">>().toEqualTypeOf<Create>()
    expectTypeOf<ErrorOf<"ensurePath">>().toEqualTypeOf<
      NoNode | NoAuth | InvalidAcl | NoChildrenForEphemerals | QuotaExceeded | Any
    >()
    expectTypeOf<ErrorOf<"exists">>().toEqualTypeOf<NoAuth | Any>()
    expectTypeOf<ErrorOf<"get">>().toEqualTypeOf<NoNode | NoAuth | Any>()
    expectTypeOf<ErrorOf<"getMany">>().toEqualTypeOf<Any>()
    expectTypeOf<ErrorOf<"getChildren">>().toEqualTypeOf<NoNode | NoAuth | Any>()
    expectTypeOf<ErrorOf<"getChildrenWithStat">>().toEqualTypeOf<NoNode | NoAuth | Any>()
    expectTypeOf<ErrorOf<"set">>().toEqualTypeOf<NoNode | NoAuth | BadVersion | QuotaExceeded | Any>()
    expectTypeOf<ErrorOf<"delete">>().toEqualTypeOf<NoNode | NoAuth | BadVersion | NotEmpty | Any>()
    expectTypeOf<ErrorOf<"deleteRecursive">>().toEqualTypeOf<NoNode | NoAuth | NotEmpty | Any>()
    expectTypeOf<ErrorOf<"getAcl">>().toEqualTypeOf<NoNode | NoAuth | Any>()
    expectTypeOf<ErrorOf<"setAcl">>().toEqualTypeOf<NoNode | NoAuth | BadVersion | InvalidAcl | Any>()
    expectTypeOf<ErrorOf<"sync">>().toEqualTypeOf<Any>()
    expectTypeOf<ErrorOf<"getEphemerals">>().toEqualTypeOf<Any>()
    expectTypeOf<ErrorOf<"countDescendants">>().toEqualTypeOf<NoNode | NoAuth | Any>()
    expectTypeOf<ErrorOf<"whoAmI">>().toEqualTypeOf<ConnectionError>()
    expectTypeOf<ErrorOf<"addAuth">>().toEqualTypeOf<ConnectionError>()
    expectTypeOf<ErrorOf<"transaction">>().toEqualTypeOf<TransactionFailed | Any>()
    expectTypeOf<ErrorOf<"existsAndWatch">>().toEqualTypeOf<NoAuth | Any>()
    expectTypeOf<ErrorOf<"getAndWatch">>().toEqualTypeOf<NoNode | NoAuth | Any>()
    expectTypeOf<ErrorOf<"getChildrenAndWatch">>().toEqualTypeOf<NoNode | NoAuth | Any>()
    expectTypeOf<ErrorOf<"changes">>().toEqualTypeOf<NoAuth | Any>()
    expectTypeOf<ErrorOf<"childrenChanges">>().toEqualTypeOf<NoAuth | Any>()
    expectTypeOf<ErrorOf<"watch">>().toEqualTypeOf<Any>()
    expectTypeOf<ErrorOf<"session">>().toEqualTypeOf<ConnectionError>()
    expectTypeOf<ErrorOf<"sessionEnd">>().toEqualTypeOf<ConnectionError>()
    expectTypeOf<ErrorOf<"detach">>().toEqualTypeOf<ConnectionError>()
    expectTypeOf<ErrorOf<"serverFacts">>().toEqualTypeOf<ConnectionError>()
    expectTypeOf<ErrorOf<"state">>().toEqualTypeOf<never>()
    expectTypeOf<ErrorOf<"states">>().toEqualTypeOf<never>()
    expectTypeOf<ErrorOf<"isAlive">>().toEqualTypeOf<never>()
  })

  it("update adds the errors and requirements of what it is given, and no others", () => {
    type Update = NoNode | NoAuth | QuotaExceeded | Any
    expectTypeOf<Effect.Error<ReturnType<typeof updating>>>().toEqualTypeOf<Update>()
    expectTypeOf<Effect.Services<ReturnType<typeof updating>>>().toEqualTypeOf<never>()
    expectTypeOf<Effect.Error<ReturnType<typeof updatingWith>>>().toEqualTypeOf<Update | "no">()
    expectTypeOf<Effect.Services<ReturnType<typeof updatingWith>>>().toEqualTypeOf<Acl>()
  })

  it("a transaction's results are typed by position", () => {
    expectTypeOf<Effect.Success<ReturnType<typeof transacting>>>().toEqualTypeOf<readonly [string, Stat, void, void]>()
    expectTypeOf<Effect.Success<ReturnType<typeof transactingMany>>[number]>().toEqualTypeOf<string>()
  })
})

/**
 * Bugs of recipes, each of which the simulation catches: by a seed kept for it
 * in `keptRecipes.ts`, or else within 200 seeds. Most are bugs that some recipe of
 * some client had.
 */
import type { Bug } from "./Planted.ts"

const contention = "src/recipe/internal/Contention.ts"
const grants = "src/recipe/internal/Grants.ts"
const ownZnode = "src/recipe/internal/OwnZnode.ts"
const removal = "src/recipe/internal/Removal.ts"

export const recipeBugs: ReadonlyArray<Bug> = [
  {
    name: "arrival-by-name",
    file: contention,
    workload: "lock",
    find: "all.filter(({ sequence }) => sequence < mine.sequence)",
    replace: "all.filter(({ name }) => name < mine.name).toSorted((a, b) => a.name < b.name ? -1 : 1)"
  },
  {
    name: "predecessor-watched-after-it-has-gone",
    file: contention,
    workload: "lock",
    find: "    Removal.persist(zk.getAndWatch(path)),\n    ({ event }) => Effect.timeoutOption(event, millis)\n",
    replace:
      "    Removal.persist(zk.existsAndWatch(path)),\n    ({ event }) => Effect.timeoutOption(event, 1000 * millis)\n"
  },
  {
    name: "woken-is-granted",
    file: contention,
    workload: "lock",
    find: "        yield* untilChanged(zk, ZnodePath.join(parent, blocker.name), own.session.timeout)\n",
    replace:
      "        yield* untilChanged(zk, ZnodePath.join(parent, blocker.name), own.session.timeout)\n        return granted(yield* Grants.make(zk, own, contention))\n"
  },
  {
    name: "all-wait-for-the-first",
    file: "src/recipe/Lock.ts",
    workload: "lock",
    find: "    blocker: (ahead) => ahead.at(-1)\n",
    replace: "    blocker: (ahead) => ahead[0]\n"
  },
  {
    name: "lost-creates-not-looked-for",
    file: ownZnode,
    workload: "lock",
    find: "Effect.flatMap(find, Option.match({ onNone: () => attempt, onSome: Effect.succeed }))",
    replace: "Effect.andThen(Effect.void, attempt)"
  },
  {
    name: "nameless-znodes-not-removed",
    file: ownZnode,
    workload: "lock",
    find: "      if (removed || !asked) return Effect.void\n",
    replace: "      if (removed || !asked || known === undefined) return Effect.void\n"
  },
  {
    name: "deleted-once-is-gone",
    file: removal,
    workload: "lock",
    find: "  persist(Effect.catchTag(zk.delete(path), \"NoNode\", () => Effect.void))",
    replace: "  Effect.catchTag(zk.delete(path), \"NoNode\", () => Effect.void)"
  },
  {
    name: "guard-without-check",
    file: grants,
    workload: "lock",
    find: "zk.transaction([Transaction.check(path), ...operations])",
    replace: "zk.transaction([Transaction.check(\"/\"), ...operations])"
  },
  {
    name: "valid-until-told-otherwise",
    file: grants,
    workload: "lock",
    find: "Effect.map(session.isAlive, (isAlive) =>",
    replace: "Effect.map(Effect.succeed(true), (isAlive) =>"
  },
  {
    name: "loss-does-not-interrupt",
    file: grants,
    workload: "lock",
    find: "    yield* Effect.forkIn(sessionEnd, scope, { startImmediately: true })\n",
    replace: "    void sessionEnd\n"
  },
  {
    name: "downgrade-has-a-token-of-its-own",
    file: "src/recipe/ReadWriteLock.ts",
    workload: "readWriteLock",
    find: "{ ...yield* Grants.make(zk, own, options), token: grant.token }",
    replace: "yield* Grants.make(zk, own, options)"
  },
  {
    name: "readers-wait-for-the-holder-alone",
    file: "src/recipe/ReadWriteLock.ts",
    workload: "readWriteLock",
    find: "blocker: (ahead) => ahead.findLast(({ marker }) => marker !== read)",
    replace: "blocker: (ahead) => ahead.slice(0, 1).find(({ marker }) => marker !== read)"
  },
  {
    name: "permits-without-the-guard",
    file: "src/recipe/Semaphore.ts",
    workload: "semaphore",
    find: "        createWith: OwnZnode.underGrant(zk, guard)\n",
    replace: "        createWith: undefined\n"
  },
  {
    name: "one-permit-too-many",
    file: "src/recipe/Semaphore.ts",
    workload: "semaphore",
    find: "count + wanted <= permits",
    replace: "count + wanted <= permits + 1"
  },
  {
    name: "locks-in-the-given-order",
    file: "src/recipe/MultiLock.ts",
    workload: "multiLock",
    find: "locks.toSorted((a, b) => a.path < b.path ? -1 : a.path > b.path ? 1 : 0)",
    replace: "locks"
  },
  {
    name: "interrupted-takes-keep-the-item",
    file: "src/recipe/internal/Items.ts",
    workload: "queue",
    find: "isOurs ? putBack(item) : Effect.void",
    replace: "Effect.void"
  },
  {
    name: "lost-transactions-repeated",
    file: "src/recipe/internal/Ledger.ts",
    workload: "counting",
    find: "Effect.catchIf(isUnknown, (error) => settle(page, error))",
    replace: "Effect.catchIf(isUnknown, () => Effect.succeed(undefined))"
  },
  {
    name: "annulled-taken-for-committed",
    file: "src/recipe/internal/Ledger.ts",
    workload: "queue",
    find: "new TextDecoder().decode(data) === committed ? stat.mzxid : undefined",
    replace: "data.length >= 0 ? stat.mzxid : undefined"
  },
  {
    name: "unknown-changes-repeated",
    file: "src/recipe/Counter.ts",
    workload: "counting",
    find: "          if (verdict === \"unknown\") return yield* suspect.error\n",
    replace: "          if (verdict === \"unknown\") suspect = undefined\n"
  },
  {
    name: "claims-outlive-their-taker",
    file: "src/recipe/LockingQueue.ts",
    workload: "lockingQueue",
    find: "Transaction.create(ZnodePath.join(taken, name), id, { mode: \"ephemeral\" })",
    replace: "Transaction.create(ZnodePath.join(taken, name), id)"
  },
  {
    name: "interrupted-claims-stay",
    file: "src/recipe/LockingQueue.ts",
    workload: "lockingQueue",
    find: "isOurs ? released(candidate) : Effect.void",
    replace: "Effect.void"
  },
  {
    name: "items-claimed-by-two",
    file: "src/recipe/LockingQueue.ts",
    workload: "lockingQueue",
    find: "          Transaction.remove(entry),\n          Transaction.remove(own),\n",
    replace: "          Transaction.remove(own),\n"
  },
  {
    name: "woken-is-through",
    file: "src/recipe/Barrier.ts",
    workload: "barrier",
    find: "Effect.as(awaiting(zk, event), false)",
    replace: "Effect.as(awaiting(zk, event), true)"
  },
  {
    name: "removal-missed-at-a-barrier",
    file: "src/recipe/Barrier.ts",
    workload: "barrier",
    find: "Effect.andThen(repeating(zk, zk.sync(path)), wait)",
    replace: "wait"
  },
  {
    name: "old-ready-lets-in",
    file: "src/recipe/DoubleBarrier.ts",
    workload: "doubleBarrier",
    find: "Option.isSome(value) && value.value.czxid > entered",
    replace: "Option.isSome(value)"
  },
  {
    name: "ready-counts-as-a-member",
    file: "src/recipe/DoubleBarrier.ts",
    workload: "doubleBarrier",
    find: "names: children.filter((name) => name !== \"ready\")",
    replace: "names: children"
  },
  {
    name: "those-who-leave-count",
    file: "src/recipe/DoubleBarrier.ts",
    workload: "doubleBarrier",
    find: "czxids(present, ({ isLeaving }) => !isLeaving)",
    replace: "czxids(present)"
  },
  {
    name: "one-cut-ends-the-party",
    file: "src/recipe/Party.ts",
    workload: "party",
    find: "persevere(zk, read(zk, path, Option.match(state",
    replace: "((_: unknown, once: any) => once)(zk, read(zk, path, Option.match(state"
  },
  {
    name: "leases-end-early",
    file: "src/recipe/Lease.ts",
    workload: "lease",
    find: "holder !== identifier && now < end)",
    replace: "holder !== identifier && now < end - 1000)"
  },
  {
    name: "items-without-a-lock",
    file: "src/recipe/SetPartitioner.ts",
    workload: "setPartitioner",
    find: "Lock.make(ZnodePath.join(locks, item), options)",
    replace: "Lock.make(ZnodePath.join(locks, item + name), options)"
  },
  {
    name: "left-behind-counts-as-there",
    file: "src/recipe/DoubleBarrier.ts",
    workload: "doubleBarrier",
    find: "if (present.get(name)?.owner !== (yield* zk.session).id) return undefined",
    replace: "if (!present.has(name)) return undefined"
  },
  {
    name: "announced-for-whoever-comes",
    file: "src/recipe/DoubleBarrier.ts",
    workload: "doubleBarrier",
    find: "        Transaction.check(ZnodePath.join(path, member)),\n",
    replace: ""
  },
  {
    name: "interrupted-updates-forgotten",
    file: "src/recipe/ServiceRegistry.ts",
    workload: "serviceRegistry",
    find:
      "          instance = next\n          yield* Effect.tapError(node.set(bytes), () => Effect.sync(() => void (instance = written)))\n          return written = next\n",
    replace: "          yield* node.set(bytes)\n          return instance = written = next\n"
  },
  {
    name: "permanent-though-given-up",
    file: "src/recipe/PersistentNode.ts",
    workload: "serviceRegistry",
    find: "options.onClose === \"keep\" && isMade",
    replace: "options.onClose === \"keep\""
  },
  {
    name: "providers-know-the-beginning",
    file: "src/recipe/ServiceRegistry.ts",
    workload: "serviceRegistry",
    find: "        known = now\n      }))))",
    replace: "        void now\n      }))))"
  },
  {
    name: "shallow-members-once",
    file: "src/recipe/ShallowParty.ts",
    workload: "shallowParty",
    find: "zk.childrenChanges(path).pipe(",
    replace: "Stream.take(zk.childrenChanges(path), 3).pipe("
  },
  {
    name: "absent-with-an-old-payload",
    file: "src/recipe/GroupMember.ts",
    workload: "groupMember",
    find: "        data = bytes\n        return node.set(bytes).pipe(\n          Effect.map(() => void (written = bytes)),\n",
    replace: "        return node.set(bytes).pipe(\n          Effect.map(() => void (data = written = bytes)),\n"
  },
  {
    name: "a-member-is-not-there-for-itself",
    file: "src/recipe/GroupMember.ts",
    workload: "groupMember",
    find: "    if (!members.has(id)) members.set(id, data)\n",
    replace: ""
  },
  {
    name: "one-cut-hides-the-leader",
    file: "src/recipe/Election.ts",
    workload: "election",
    find: "Stream.mapEffect(() => persevere(zk, leader))",
    replace: "Stream.mapEffect(() => leader)"
  },
  {
    name: "late-creates-not-awaited",
    file: "src/recipe/PersistentNode.ts",
    workload: "present",
    find: "        if (!(yield* untilArrived)) return\n",
    replace: "        return\n"
  },
  {
    name: "taken-before-its-time",
    file: "src/recipe/DistributedQueue.ts",
    workload: "orderedQueue",
    find: "all.filter(({ at }) => at <= now)",
    replace: "all.filter(({ at }) => at <= now + 300)"
  },
  {
    name: "due-in-the-order-of-numbers",
    file: "src/recipe/DistributedQueue.ts",
    workload: "orderedQueue",
    find: ".toSorted((a, b) => a.at - b.at || (a.number < b.number ? -1 : 1))",
    replace: ".toSorted((a, b) => a.number < b.number ? -1 : 1)"
  },
  {
    name: "negative-priorities-last",
    file: "src/recipe/DistributedQueue.ts",
    workload: "orderedQueue",
    find: "`queue-${value < 0 ? 0 : 1}${hex(value >>> 0, 8)}`",
    replace: "`queue-1${hex(value >>> 0, 8)}`"
  },
  {
    name: "nobody-wakes-for-what-is-due",
    file: "src/recipe/internal/Items.ts",
    workload: "orderedQueue",
    find: "const due = next === undefined ? Effect.never : sleepUntil(next)",
    replace: "const due = next === undefined ? sleepUntil(Infinity) : Effect.never"
  },
  {
    name: "asked-before-it-looked",
    file: grants,
    workload: "revocation",
    find: "      if (isRevocation(value.data)) Deferred",
    replace: "      if (isRevocation(value.data) && Deferred.isDoneUnsafe(armed)) Deferred"
  },
  {
    name: "any-data-is-a-revocation",
    file: grants,
    workload: "revocation",
    find: "      if (isRevocation(value.data)) Deferred",
    replace: "      if (value.data.length >= 0) Deferred"
  },
  {
    name: "one-look-at-the-own-znode",
    file: grants,
    workload: "revocation",
    find: "Effect.repeat(watchOnce, { until: (reason) => reason !== undefined })",
    replace: "Effect.repeat(watchOnce, { until: () => true })"
  },
  {
    name: "recreation-told-as-a-change",
    file: "src/recipe/DataWatch.ts",
    workload: "following",
    find: "before.value.stat.czxid === now.value.stat.czxid",
    replace: "now.value.stat.czxid > 0n"
  },
  {
    name: "false-does-not-end-it",
    file: "src/recipe/DataWatch.ts",
    workload: "following",
    find: "(goesOn) => goesOn !== false",
    replace: "(goesOn) => goesOn !== undefined"
  },
  {
    name: "lost-sessions-allowed",
    file: "src/recipe/ChildrenWatch.ts",
    workload: "following",
    find: "options.allowSessionLost === false ? Effect.raceFirst(running, zk.sessionEnd) : running",
    replace: "running"
  },
  {
    name: "quiet-without-proof",
    file: "src/recipe/PatientChildrenWatch.ts",
    workload: "following",
    find: "isSame(before, now) ? Option.some(now) : Option.none()",
    replace: "before.stat.czxid > 0n ? Option.some(now) : Option.none()"
  },
  {
    name: "quiet-until-a-cut",
    file: "src/recipe/PatientChildrenWatch.ts",
    workload: "following",
    find: "            Effect.retry({ while: isPassing })\n",
    replace: ""
  },
  {
    name: "changed-where-it-was-read",
    file: "src/recipe/PatientChildrenWatch.ts",
    workload: "following",
    find: "Option.isNone(now) || !isSame(found, now.value)",
    replace: "Option.isNone(now) || found.stat.czxid > 0n"
  },
  {
    name: "all-wait-for-the-leader",
    file: "src/recipe/Election.ts",
    workload: "election",
    find: "    blocker: (ahead) => ahead.at(-1)\n",
    replace: "    blocker: (ahead) => ahead[0]\n"
  },
  {
    name: "writers-wait-for-the-first",
    file: "src/recipe/ReadWriteLock.ts",
    workload: "readWriteLock",
    find: "marker: write, blocker: (ahead) => ahead.at(-1)",
    replace: "marker: write, blocker: (ahead) => ahead[0]"
  },
  {
    name: "all-wait-for-the-guard",
    file: "src/recipe/Semaphore.ts",
    workload: "semaphore",
    find: "    blocker: (ahead) => ahead.at(-1)\n",
    replace: "    blocker: (ahead) => ahead[0]\n"
  },
  {
    name: "who-comes-back-is-waited-for",
    file: "src/recipe/DoubleBarrier.ts",
    workload: "doubleBarrier",
    find: "czxid !== undefined && members.get(name) === czxid",
    replace: "czxid !== undefined && members.has(name)"
  },
  {
    name: "eight-tries-to-look-at-the-party",
    file: "src/recipe/SetPartitioner.ts",
    workload: "setPartitioner",
    find: "persevere(zk, zk.getChildrenAndWatch(party))",
    replace: "Effect.retry(zk.getChildrenAndWatch(party), { times: 7, while: (error) => error._tag === \"ConnectionError\" && error.isRetryable })"
  }
]

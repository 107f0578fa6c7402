/**
 * Bugs of recipes, each of which the simulation catches within 200 seeds. Most
 * are bugs that some recipe of some client had.
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
    find:
      "    Removal.persist(zk.getAndWatch(path)),\n    ({ event }) => Effect.raceFirst(Effect.asVoid(event), Effect.sleep(millis))\n",
    replace:
      "    Removal.persist(zk.existsAndWatch(path)),\n    ({ event }) => Effect.raceFirst(Effect.asVoid(event), Effect.sleep(1000 * millis))\n"
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
    name: "contenders-of-a-dead-session-adopted",
    file: ownZnode,
    workload: "lock",
    find: "      if (stat.ephemeralOwner === session.id) return { path, stat, session, remove }\n",
    replace: "      if (stat.ephemeralOwner !== 0n) return { path, stat, session, remove }\n"
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
    name: "proven-from-receive-time",
    file: grants,
    workload: "lock",
    find: "proof.renew(sentAt)",
    replace: "proof.renew(sentAt * 0 + proof.now())"
  },
  {
    name: "strict-trusts-pings",
    file: grants,
    workload: "lock",
    find: "proof !== undefined && proof.left() <= 0 ? lose(\"Unproven\") : undefined",
    replace: "undefined"
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
  }
]

/**
 * Client bugs, each of which the simulation catches within 200 seeds.
 *
 * Most are bugs that some client of ZooKeeper had, or that this one had.
 */
import type { Bug } from "./Planted.ts"

const client = "src/client/Client.ts"
const connection = "src/client/Connection.ts"
const session = "src/client/Session.ts"
const registry = "src/client/WatchRegistry.ts"
const watches = "src/client/Watches.ts"
const follower = "src/recipe/internal/TreeFollower.ts"
const tree = "src/recipe/internal/CachedTree.ts"
const node = "src/recipe/PersistentNode.ts"

export const bugs: ReadonlyArray<Bug> = [
  {
    name: "replies-by-position",
    workload: "counter",
    file: connection,
    find: "    if (pending.xid !== xid) {\n",
    replace: "    if (pending.xid !== xid && xid < 0) {\n"
  },
  {
    name: "interruption-frees-the-slot",
    workload: "register",
    file: connection,
    find: "    const pending = this.pending.first\n",
    replace: "    while (this.pending.first?.cancelled === true) this.pending.shift()\n    const pending = this.pending.first\n"
  },
  {
    name: "zxid-from-pings",
    workload: "watches",
    file: connection,
    find: "    if (xid === Protocol.Xid.Ping) return this.onPing(code)\n",
    replace:
      "    if (xid === Protocol.Xid.Ping) {\n      this.listener.zxid(view.getBigInt64(at + 4))\n      return this.onPing(code)\n    }\n"
  },
  {
    name: "unknown-as-not-applied",
    workload: "protected",
    file: connection,
    find: "next !== undefined; next = this.pending.shift()) next.fail(reason, \"Unknown\")",
    replace: "next !== undefined; next = this.pending.shift()) next.fail(reason, \"NotApplied\")"
  },
  {
    name: "lost-requests-hang",
    workload: "register",
    file: connection,
    find: "next !== undefined; next = this.pending.shift()) next.fail(reason, \"Unknown\")",
    replace: "next !== undefined; next = this.pending.shift()) if (next.call.isRead) next.fail(reason, \"Unknown\")"
  },
  {
    name: "silence-is-no-loss",
    workload: "register",
    file: connection,
    find: "        if (now >= silence || now >= deadline() || now >= headDue) {\n",
    replace: "        if (now >= headDue) {\n"
  },
  {
    name: "deadline-from-receive-time",
    workload: "counter",
    file: session,
    find: "    this.provenAt = at\n",
    replace: "    this.provenAt = this.now() + 0 * at\n"
  },
  {
    name: "deadline-without-margin",
    workload: "counter",
    file: session,
    find: "    return this.provenAt + this.timeout * (1 - margin)",
    replace: "    return this.provenAt + this.timeout * (4 / 3)"
  },
  {
    name: "sleep-is-not-seen",
    workload: "sessions",
    file: session,
    find: "(slept > 1000 ? slept : 0)",
    replace: "(slept > 1e12 ? slept : 0)"
  },
  {
    name: "password-forgotten",
    workload: "register",
    file: session,
    find: "      this.password = response.passwd.slice()\n",
    replace: ""
  },
  {
    name: "backoff-reset-by-handshake",
    workload: "sessions",
    file: session,
    find: "        wasBrief = wasServed && this.now() - begunAt < briefest\n",
    replace:
      "        wasServed ||= attempt._tag === \"Lost\" && attempt.held\n        if (wasServed) this.hosts.succeeded()\n        wasBrief = false\n"
  },
  {
    name: "connected-before-armed",
    workload: "watches",
    file: session,
    find: "    const confirmed = Effect.all([authenticated, armed], {",
    replace: "    const confirmed = Effect.all([authenticated, Effect.forkDetach(Effect.ignore(armed))], {"
  },
  {
    name: "relative-zxid-too-new",
    workload: "watches",
    file: session,
    find: "        ...this.rearm,\n",
    replace: "        ...this.rearm,\n        relativeZxid: this.lastZxid + 1_000_000n,\n"
  },
  {
    name: "watches-not-rearmed",
    workload: "watches",
    file: registry,
    find: "    for (const [path, entry] of this.entries) this.relist(put, path, entry, options.newSession)\n",
    replace: ""
  },
  {
    name: "requests-outlive-their-session",
    workload: "register",
    file: session,
    find: "      this.failWaiting(reason)\n      this.watches.fail(reason, this.terminal !== undefined)\n",
    replace: "      this.watches.fail(reason, this.terminal !== undefined)\n"
  },
  {
    name: "expiry-is-silent",
    workload: "watches",
    file: session,
    find: "      this.watches.fail(reason, this.terminal !== undefined)\n",
    replace: ""
  },
  {
    name: "zxid-outlives-its-session",
    workload: "counter",
    file: session,
    find: "      this.lastZxid = 0n\n",
    replace: ""
  },
  {
    name: "refused-session-asked-again",
    workload: "watches",
    file: session,
    find: "          this.hosts.succeeded()\n          yield* this.expire()\n",
    replace: "          this.hosts.succeeded()\n"
  },
  {
    name: "unique-name-not-looked-up",
    workload: "protected",
    file: client,
    find: "      if (name === undefined) return Option.none()\n",
    replace: "      if (name === undefined || name !== \"\") return Option.none()\n"
  },
  {
    name: "look-up-without-sync",
    workload: "protected",
    file: client,
    find: "      yield* ask(Calls.sync, { path: serverPath(parent) }, { path: parent })\n",
    replace: ""
  },
  {
    name: "create-repeated-blindly",
    workload: "protected",
    file: client,
    find: "      Effect.flatMap(\n        // The session is still",
    replace: "      error.isRetryable ? createProtected(path, guid, mode, attempt) : Effect.flatMap(\n        // The session is still"
  },
  {
    name: "ephemeral-of-another-session",
    workload: "protected",
    file: client,
    find: "        (found) => isOurs() || !lost.isEphemeral && Option.isSome(found),\n",
    replace: "        (found) => isOurs() || Option.isSome(found),\n"
  },
  {
    name: "update-repeated-blindly",
    workload: "counter",
    file: client,
    find: "          if (!isRefuted(doubt, before)) return yield* error\n",
    replace: ""
  },
  {
    name: "update-trusts-equal-bytes",
    workload: "counter",
    file: client,
    find: "          if (!isRefuted(doubt, before)) return yield* error\n",
    replace:
      "          if (doubt.written.some((data) => equal(data, before.data))) return before\n          if (!isRefuted(doubt, before)) return yield* error\n"
  },
  {
    name: "set-ignores-the-version",
    workload: "counter",
    file: client,
    find: "Effect.result(set(path, data, before.stat.version))",
    replace: "Effect.result(set(path, data, -1))"
  },
  {
    name: "event-paths-with-chroot",
    workload: "watches",
    file: watches,
    find: "path: options.clientPath(serverPath) }",
    replace: "path: serverPath }"
  },
  {
    name: "events-twice",
    workload: "watches",
    file: registry,
    find: "      if (concerns(only.kind, tag)) only.notify(tag, path)\n",
    replace: "      if (concerns(only.kind, tag)) only.notify(tag, path)\n      if (concerns(only.kind, tag)) only.notify(tag, path)\n"
  },
  {
    name: "child-events-to-recursive-watches",
    workload: "watches",
    file: registry,
    find: "      return tag !== \"NodeChildrenChanged\"\n    case \"node\":\n",
    replace: "      return true\n    case \"node\":\n"
  },
  {
    name: "no-gap-after-reconnect",
    workload: "watches",
    file: session,
    find: "          this.watches.gap(reason)\n",
    replace: "          if (this.rearm.newSession) this.watches.gap(reason)\n"
  },
  {
    name: "exists-watch-armed-as-data-watch",
    workload: "watches",
    file: registry,
    find: "        put(entry.exists ? \"dataWatches\" : \"existWatches\", path)\n",
    replace: "        put(\"dataWatches\", path)\n"
  },
  {
    name: "watch-left-by-interruption",
    workload: "watches",
    file: registry,
    find: "    this.disarm(path, entry)\n    if (entry",
    replace: "    if (entry"
  },
  {
    name: "wake-ups-of-the-busy-lost",
    workload: "watches",
    file: watches,
    find: "      if (last !== undefined && !stale) yield* wakeUps.take\n",
    replace: "      wakeUps.clear()\n      if (last !== undefined && !stale) yield* wakeUps.take\n"
  },
  {
    name: "once-fires-before-its-answer",
    workload: "watches",
    file: watches,
    find: "    if (this.armed) this.finish(",
    replace: "    if (this.armed || tag !== \"NodeCreated\") this.finish("
  },
  {
    name: "followers-sleep-through-new-sessions",
    workload: "watches",
    file: watches,
    find: "        if (stale || reason !== \"Reconnected\") wake()\n",
    replace: "        if (stale && reason === \"Reconnected\") wake()\n"
  },
  {
    name: "overtaking-in-a-full-window",
    workload: "register",
    file: session,
    find: "      if (this.waiting.size === 0 && connection.inFlight < this.window) {\n",
    replace: "      if (connection.inFlight < this.window * 2) {\n"
  },
  {
    name: "identity-for-the-first-connection-only",
    workload: "register",
    file: session,
    find: "return Effect.forEach(this.credentials, (credential)",
    replace: "return Effect.forEach(this.hadSession ? [] : this.credentials, (credential)"
  },
  {
    name: "lists-trusted-before-they-are-read",
    file: follower,
    workload: "caches",
    find: "        return { paths: [...appeared, ...remaining], listed: { path, stat } }\n",
    replace: "        tree.listed(path, stat)\n        return { paths: [...appeared, ...remaining] }\n"
  },
  {
    name: "recreation-told-by-version",
    file: tree,
    workload: "caches",
    find: "    if (stat.czxid > previous.stat.czxid) {\n",
    replace: "    if (stat.czxid > previous.stat.czxid && stat.version !== previous.stat.version) {\n"
  },
  {
    name: "caches-await-no-reading",
    file: "src/recipe/TreeCache.ts",
    workload: "caches",
    find: "        yield* follower.settled\n        if (lastZxid",
    replace: "        if (lastZxid"
  },
  {
    name: "gaps-are-no-news",
    file: follower,
    workload: "caches",
    find: "      if (event._tag === \"Gap\") mark(",
    replace: "      if (event._tag === \"Gap\") void ("
  },
  {
    name: "dying-nodes-adopted",
    file: node,
    workload: "present",
    find: "      ? stat.ephemeralOwner === session\n",
    replace: "      ? stat.ephemeralOwner !== 0n\n"
  },
  {
    name: "lost-names-not-looked-for",
    file: node,
    workload: "present",
    find: "    if (attempted) known = yield* find\n",
    replace: ""
  },
  {
    name: "removal-tried-once",
    file: node,
    workload: "present",
    find: "  const removal = persevere(\n    zk,\n",
    replace: "  const removal = Effect.asVoid(\n"
  },
  {
    name: "new-sessions-have-no-node",
    file: node,
    workload: "present",
    find: "    yield* Effect.raceFirst(Effect.exit(event), Queue.take(wake))\n",
    replace: "    yield* Effect.raceFirst(Effect.catch(event, () => Effect.never), Queue.take(wake))\n"
  },
  // -------------------------------------------------------------------------
  // bugs of this client that the simulation found
  // -------------------------------------------------------------------------
  {
    name: "lost-update-as-not-applied",
    workload: "counter",
    file: client,
    find: "Effect.mapError(RetryPolicy.retry(getFresh(path)), () => error)",
    replace: "RetryPolicy.retry(getFresh(path))"
  },
  {
    name: "lost-create-as-not-applied",
    workload: "protected",
    file: client,
    find: "      Effect.mapError(() => lost.error),\n",
    replace: ""
  },
  {
    name: "sleep-before-the-answer-forgotten",
    workload: "sessions",
    file: session,
    find: "    this.provenWall = wall\n",
    replace: "    this.provenWall = this.clock.currentTimeMillisUnsafe() - (this.now() - at) + 0 * wall\n"
  },
  {
    name: "one-proof-at-a-time",
    workload: "counter",
    file: connection,
    find: "    if (enqueued >= first) {\n",
    replace: "    if (enqueued >= first && questions.length === 0) {\n"
  }
]
